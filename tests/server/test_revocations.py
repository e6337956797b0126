"""Revocations: what was issued before one is refused, what came after it is not."""

from collections.abc import Callable

import pytest
from starlette.requests import HTTPConnection

from netra_backend.core.ids import UserId
from netra_backend.errors import ErrorCode, Refused
from netra_backend.server.revocations import UnrevokedAuth
from netra_backend.server.user import User
from netra_backend.stores.memory import MemoryStore

pytestmark = pytest.mark.anyio

BOB = UserId("bob")
REQUEST = HTTPConnection({"type": "http", "headers": []})
AT = 5_000
"""The milliseconds at which bob is revoked."""


class Answers:
    """An authenticator that says what it is told to."""

    def __init__(self, user: User) -> None:
        self.told = user

    async def user(self, request: HTTPConnection) -> User:
        return self.told

    def known(self, request: HTTPConnection) -> User | None:
        return self.told

    async def verify(self, token: str) -> User:
        return self.told

    async def signs_in(self, request: HTTPConnection) -> str | None:
        return "cookie"


async def auth(user: User, *, now: int = 9_000, admins: tuple[str, ...] = ()) -> UnrevokedAuth:
    store = MemoryStore()
    await store.revoke(BOB, AT)
    made = UnrevokedAuth(Answers(user), store, lambda: now, admins)
    await made.load()
    return made


WAYS: list[Callable[[UnrevokedAuth], object]] = [
    lambda made: made.user(REQUEST),
    lambda made: made.verify("token"),
]


@pytest.mark.parametrize("ask", WAYS, ids=["request", "token"])
@pytest.mark.parametrize(
    ("issued", "good"), [(0.0, False), (4.9, False), (5.0, False), (5.001, True), (8.0, True)]
)
async def test_what_was_issued_until_then_is_refused(ask, issued: float, good: bool) -> None:
    made = await auth(User(BOB, issued=issued))
    if good:
        assert (await ask(made)).id == BOB
    else:
        with pytest.raises(Refused) as refused:
            await ask(made)
        assert refused.value.code is ErrorCode.UNAUTHENTICATED


async def test_others_are_as_they_were() -> None:
    made = await auth(User(UserId("carol"), issued=0.0))
    assert (await made.user(REQUEST)).id == "carol"
    assert await made.signs_in(REQUEST) == "cookie"


@pytest.mark.parametrize(("now", "good"), [(5_000, False), (5_001, True)])
async def test_what_says_nothing_is_as_old_as_its_request(now: int, good: bool) -> None:
    """A hook is asked each time: what it says after the revocation, it says knowing of it."""
    made = await auth(User(BOB), now=now)
    if not good:
        with pytest.raises(Refused):
            await made.user(REQUEST)
        return
    user = await made.user(REQUEST)
    assert user.issued == now / 1_000
    assert not made.is_revoked(user)


async def test_a_user_whom_the_settings_name_is_an_administrator() -> None:
    for admins, admin in (((), False), (("bob",), True), (("carol",), False)):
        made = await auth(User(BOB, issued=9.0), admins=admins)
        assert (await made.user(REQUEST)).admin is admin
    made = await auth(User(UserId("eve"), issued=9.0, admin=True))
    assert (await made.verify("token")).admin is True
