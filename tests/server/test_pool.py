"""The pool: who is connected, who may be, and who has to make room."""

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from netra_backend.config import WhenFull
from netra_backend.core.ids import UserId
from netra_backend.errors import CloseCode
from netra_backend.server.metrics import ADDRESSES, CONNECTIONS, TURNED_AWAY, USERS
from netra_backend.server.pool import Admission, Place, Pool
from netra_backend.server.user import User
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import ScriptedAgent, answer
from tests.client import client, run_input
from tests.eventually import until
from tests.http import http
from tests.live import live
from tests.server.issuer import SECRET, hs256

AGENTS = {"agent": ScriptedAgent(answer("hi"))}

_numbers = count()


@dataclass(eq=False)
class One:
    """A connection, as far as the pool looks."""

    user: UserId
    silent_since: float | None = 0.0
    id: str = field(default_factory=lambda: f"conn_{next(_numbers)}")

    state = "OPEN"
    buffered = 0
    following = ()

    @property
    def credential(self) -> User:
        raise AssertionError("the pool looks at no credentials")

    def dismiss(self, code: CloseCode) -> None:
        raise AssertionError("the pool dismisses nobody by itself")

    async def drain(self, retry_after_ms: int) -> None:
        raise AssertionError("the pool drains nobody by itself")


ALICE, BOB, CAROL = UserId("alice"), UserId("bob"), UserId("carol")
HERE, THERE = "192.0.2.1", "192.0.2.2"


def refusal(pool: Pool, user: UserId, address: str = HERE) -> CloseCode | None:
    return pool.admit(One(user), address, 1).refused


def test_there_is_room_up_to_the_limits() -> None:
    pool = Pool(limit=3, per_user=2)
    assert [refusal(pool, ALICE) for _ in range(3)] == [None, None, CloseCode.TOO_MANY]
    assert refusal(pool, BOB) is None
    assert refusal(pool, CAROL) is CloseCode.OVERLOADED
    # Who has no room anyway need not know that the server is full.
    assert refusal(pool, ALICE) is CloseCode.OVERLOADED
    assert len(pool) == 3


def test_an_address_has_room_of_its_own() -> None:
    pool = Pool(limit=9, per_user=9, per_address=2)
    assert [refusal(pool, user) for user in (ALICE, BOB, CAROL)] == [None, None, CloseCode.TOO_MANY]
    assert [refusal(pool, user, THERE) for user in (ALICE, BOB)] == [None, None]


def test_who_leaves_makes_room_once() -> None:
    pool = Pool(limit=2, per_user=1, per_address=1)
    first, second = One(ALICE), One(BOB)
    assert pool.admit(first, HERE, 1) == pool.admit(second, THERE, 1) == Admission()
    for _ in range(3):
        pool.remove(first)
    assert refusal(pool, BOB) is CloseCode.TOO_MANY
    assert refusal(pool, ALICE, THERE) is CloseCode.TOO_MANY
    assert refusal(pool, ALICE) is None
    assert refusal(pool, CAROL) is CloseCode.OVERLOADED


def test_one_who_was_never_in_takes_nobody_elses_place() -> None:
    pool = Pool(limit=1, per_user=1)
    assert refusal(pool, ALICE) is None
    pool.remove(One(ALICE))
    assert (len(pool), refusal(pool, BOB)) == (1, CloseCode.OVERLOADED)


def measured(pool: Pool) -> tuple[float, ...]:
    """Return how many connections, users and addresses the metrics show."""
    pool.measure()
    return (CONNECTIONS._value.get(), USERS._value.get(), ADDRESSES._value.get())


def test_everybody_can_be_removed_while_all_are_visited() -> None:
    pool = Pool(limit=10, per_user=10)
    for number in range(5):
        pool.admit(One(ALICE), f"192.0.2.{number}", 1)
    assert measured(pool) == (5, 1, 5)
    assert repr(pool) == "<Pool 5 of 10 connections, 1 users, 5 addresses>"
    for member in pool:
        pool.remove(member)

    assert (len(pool), list(pool)) == (0, [])
    assert measured(pool) == (0, 0, 0)
    assert repr(pool) == "<Pool 0 of 10 connections, 0 users, 0 addresses>"


def test_a_member_is_found_by_its_id_with_its_place() -> None:
    pool = Pool(limit=10, per_user=10)
    one = One(ALICE)
    pool.admit(one, HERE, 7)
    assert pool.find(one.id) is one
    assert pool.place(one) == Place(HERE, 7)
    pool.remove(one)
    assert pool.find(one.id) is None


def replacing(**limits: int) -> Pool:
    return Pool(when_full=WhenFull.REPLACE, **{"limit": 9, "per_user": 2, **limits})


def test_the_one_that_was_silent_longest_makes_room() -> None:
    pool = replacing()
    busy, silent, talking = One(ALICE, None), One(ALICE, 3.0), One(ALICE, 5.0)
    bob = One(BOB, 1.0)
    for one in (bob, busy, silent):
        assert pool.admit(one, HERE, 1) == Admission()
    assert pool.admit(talking, HERE, 1) == Admission(instead=silent)
    assert len(pool) == 4  # until its socket is closed
    assert pool.admit(One(ALICE, 9.0), HERE, 1) == Admission(instead=talking)
    for gone in (silent, talking, silent):
        pool.remove(gone)
    assert (len(pool), repr(pool)) == (3, "<Pool 3 of 9 connections, 2 users, 1 addresses>")


def test_where_all_are_at_work_nobody_makes_room() -> None:
    pool = replacing()
    for _ in range(2):
        pool.admit(One(ALICE, None), HERE, 1)
    assert refusal(pool, ALICE) is CloseCode.TOO_MANY


@pytest.mark.parametrize("limits", [{"limit": 2}, {"per_address": 2}])
def test_one_that_makes_room_does_so_for_every_limit(limits: dict[str, int]) -> None:
    pool = replacing(**limits)
    pool.admit(silent := One(ALICE, 1.0), HERE, 1)
    pool.admit(One(ALICE, 2.0), HERE, 1)
    assert pool.admit(One(ALICE, 3.0), HERE, 1) == Admission(instead=silent)
    assert refusal(pool, BOB) is not None


def test_what_was_turned_away_is_counted_by_its_limit() -> None:
    def counted() -> dict[str, float]:
        names = ("all", "address", "user", "replaced")
        return {name: TURNED_AWAY.labels(name)._value.get() for name in names}

    before = counted()
    pool = Pool(limit=2, per_user=1, per_address=1)
    for user, address in ((ALICE, HERE), (BOB, HERE), (ALICE, THERE), (BOB, THERE), (CAROL, "x")):
        refusal(pool, user, address)
    pool = replacing(per_user=1)
    for _ in range(2):
        refusal(pool, ALICE)
    after = counted()
    assert {name: after[name] - before[name] for name in before} == {
        "all": 1, "address": 1, "user": 1, "replaced": 1,
    }  # fmt: skip


@given(
    st.lists(
        st.tuples(st.sampled_from([ALICE, BOB]), st.sampled_from([HERE, THERE]), st.booleans()),
        max_size=40,
    ),
    st.sampled_from(WhenFull),
)
def test_the_limits_hold_and_everything_returns_to_nothing(
    visits: list[tuple[UserId, str, bool]], when_full: WhenFull
) -> None:
    pool = Pool(limit=4, per_user=3, per_address=3, when_full=when_full)
    staying: list[One] = []
    leaving: list[One] = []
    for number, (user, address, comes) in enumerate(visits):
        if comes:
            one = One(user, None if number % 5 == 0 else float(-number))
            admission = pool.admit(one, address, number)
            if admission.refused is None:
                staying.append(one)
            if isinstance(admission.instead, One):
                staying.remove(admission.instead)
                leaving.append(admission.instead)
        elif staying or leaving:
            pool.remove((leaving or staying).pop())
        assert len(pool) == len(staying) + len(leaving)
        assert len(staying) <= 4
        for who in (ALICE, BOB):
            assert sum(one.user == who for one in staying) <= 3
        for where in (HERE, THERE):
            assert sum(pool.place(one).address == where for one in staying) <= 3
    for one in (*leaving, *staying):
        pool.remove(one)
    assert repr(pool) == "<Pool 0 of 4 connections, 0 users, 0 addresses>"


# --- over real sockets -----------------------------------------------------------------------


async def closed_at_once(url: str, token: str, **headers: str) -> int | None:
    """Return the code with which a new socket is closed before it is ready; None if it is not."""
    headers["Authorization"] = f"Bearer {token}"
    async with connect(url, subprotocols=["netra.v1"], additional_headers=headers) as opened:
        try:
            await opened.recv()
        except ConnectionClosed:
            return opened.close_code
    return None


@pytest.mark.anyio
@pytest.mark.parametrize("direct", [True, False], ids=["lane", "send"])
async def test_a_new_socket_takes_the_place_of_a_silent_one(tmp_path: Path, direct: bool) -> None:
    async with live(
        AGENTS, tmp_path, store=MemoryStore(), direct=direct,
        connections_per_user=2, when_full="replace",
    ) as server:  # fmt: skip
        url, token = server.socket_url, server.token("alice")
        async with client(url, token) as first, client(url, token) as second:
            await first.command("ping")
            async with client(url, token) as third:
                assert await second.closed() == 4409
                await until(lambda: len(server.app.pool) == 2)
                for alive in (first, third):
                    assert (await alive.command("ping"))["type"] == "pong"


@pytest.mark.anyio
async def test_only_a_configured_proxy_says_where_a_client_is(tmp_path: Path) -> None:
    jwt = {"auth": "jwt", "jwt_secret": SECRET, "connections_per_address": 1}
    far = {"X-Forwarded-For": "203.0.113.66, 192.0.2.1"}
    for proxies, elsewhere in ((0, 4429), (1, None)):
        async with (
            live(AGENTS, tmp_path, store=MemoryStore(), trusted_proxies=proxies, **jwt) as server,
            client(server.socket_url, hs256(sub="alice")),
        ):
            assert await closed_at_once(server.socket_url, hs256(sub="bob")) == 4429
            assert await closed_at_once(server.socket_url, hs256(sub="bob"), **far) == elsewhere
            async with http(server.url, hs256(sub="bob")) as browser:
                crowded = await browser.post("/agui/agent", json=run_input("t", "r"))
            assert crowded.json()["error"]["code"] == "too_many"
