"""The pool: who is connected, and who may be."""

from dataclasses import dataclass

from netra_backend.core.ids import UserId
from netra_backend.errors import CloseCode
from netra_backend.server.metrics import CONNECTIONS
from netra_backend.server.pool import Pool
from netra_backend.server.user import User


@dataclass(eq=False)
class One:
    """A connection, as far as the pool looks."""

    user: UserId

    @property
    def credential(self) -> User:
        raise AssertionError("the pool looks at no credentials")

    def dismiss(self, code: CloseCode) -> None:
        raise AssertionError("the pool dismisses nobody by itself")

    async def drain(self, retry_after_ms: int) -> None:
        raise AssertionError("the pool drains nobody by itself")


ALICE, BOB = UserId("alice"), UserId("bob")


def test_there_is_room_up_to_the_limits() -> None:
    pool: Pool = Pool(limit=3, per_user=2)
    for user in (ALICE, ALICE):
        assert pool.refusal(user) is None
        pool.add(One(user))

    assert pool.refusal(ALICE) is CloseCode.TOO_MANY
    assert pool.refusal(BOB) is None
    pool.add(One(BOB))
    assert pool.refusal(UserId("carol")) is CloseCode.OVERLOADED
    # Who has no room anyway need not know that the server is full.
    assert pool.refusal(ALICE) is CloseCode.OVERLOADED


def test_who_leaves_makes_room_once() -> None:
    pool: Pool = Pool(limit=2, per_user=1)
    first, second = One(ALICE), One(BOB)
    pool.add(first)
    pool.add(second)

    for _ in range(3):
        pool.remove(first)
    assert pool.refusal(ALICE) is None
    assert pool.refusal(BOB) is CloseCode.TOO_MANY
    pool.add(One(ALICE))
    assert pool.refusal(UserId("carol")) is CloseCode.OVERLOADED


def test_one_who_was_never_in_takes_nobody_elses_place() -> None:
    pool: Pool = Pool(limit=1, per_user=1)
    pool.add(One(ALICE))
    pool.remove(One(ALICE))

    assert len(pool) == 1
    assert pool.refusal(BOB) is CloseCode.OVERLOADED


def test_everybody_can_be_removed_while_all_are_visited() -> None:
    pool: Pool = Pool(limit=10, per_user=10)
    members = [One(ALICE) for _ in range(5)]
    for member in members:
        pool.add(member)
    for member in pool:
        pool.remove(member)

    assert (len(pool), list(pool)) == (0, [])
    assert CONNECTIONS._value.get() == 0
    assert repr(pool) == "<Pool 0 of 10 connections, 0 users>"
