"""Access: what a user may do is asked of the store each time, and ends what is open."""

import asyncio

import pytest

from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, ThreadName, UserId
from netra_backend.core.queue import QueuedRun
from netra_backend.core.roles import Role
from netra_backend.errors import ErrorCode, Refused, StoreFailed
from netra_backend.server.access import Access
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scenario import event, new_run
from tests.agents.running import executing
from tests.watched_store import WatchedStore

pytestmark = pytest.mark.anyio

ALICE, BOB = UserId("alice"), UserId("bob")
THREAD = ThreadKey(ALICE, ThreadId("t"))
FULL = ThreadName("alice,t")


@pytest.fixture
async def store() -> WatchedStore:
    store = WatchedStore(MemoryStore())
    await store.open_thread(THREAD, "t", 1)
    store.calls.clear()
    return store


@pytest.fixture
def access(store: WatchedStore) -> Access:
    return Access(store, executing())  # type: ignore[arg-type]


async def refusal(access: Access, needs: Role, name: str = FULL) -> str | None:
    """Return the code with which bob is refused what needs the role, or None."""
    try:
        assert await access.thread(BOB, ThreadName(name), needs) == THREAD
    except Refused as refused:
        return refused.code.value
    return None


@pytest.mark.parametrize("role", [None, Role.READ, Role.WRITE, Role.DECIDE])
@pytest.mark.parametrize("needs", Role)
async def test_a_role_is_enough_or_is_not(
    access: Access, store: WatchedStore, role: Role | None, needs: Role
) -> None:
    if role is not None:
        await store.set_member(THREAD, BOB, role, 9)
    enough = role is not None and role.includes(needs)
    expected = None if enough else "not_found" if role is None else "forbidden"

    assert await refusal(access, needs) == expected


async def test_a_foreign_thread_and_an_unknown_one_are_refused_alike(
    access: Access, store: WatchedStore
) -> None:
    told = []
    for name in ("alice,t", "alice,none", "nobody,t"):
        store.calls.clear()
        with pytest.raises(Refused) as refused:
            await access.thread(BOB, ThreadName(name), Role.READ)
        told.append((refused.value.code, refused.value.message, tuple(store.calls)))

    assert set(told) == {(ErrorCode.NOT_FOUND, told[0][1], ("role",))}


async def test_of_an_own_thread_nothing_is_asked(access: Access, store: WatchedStore) -> None:
    for name in ("t", "alice,t"):
        assert await access.thread(ALICE, ThreadName(name), Role.OWNER) == THREAD
    assert store.calls == []


async def test_a_run_is_found_by_its_starter_or_by_its_thread(
    access: Access, store: WatchedStore
) -> None:
    id = RunId("r")
    run = (await store.create_run(new_run(THREAD, "r", user=BOB), [event("x")])).run
    await store.set_member(THREAD, BOB, Role.WRITE, 9)

    assert await access.run(BOB, id, Role.WRITE) == run
    assert await access.run(ALICE, id, Role.WRITE) is None
    for user, name in ((ALICE, ThreadName("t")), (ALICE, FULL), (BOB, FULL)):
        assert await access.run(user, id, Role.WRITE, name) == run
    assert await access.run(BOB, id, Role.WRITE, ThreadName("t")) is None
    await store.remove_member(THREAD, BOB)
    for name in (None, FULL):
        with pytest.raises(Refused) as refused:
            await access.run(BOB, id, Role.READ, name)
        assert refused.value.code is ErrorCode.NOT_FOUND


async def test_a_run_that_waits_is_found_alike(access: Access, store: WatchedStore) -> None:
    waits = QueuedRun(RunKey(BOB, RunId("q")), THREAD, "agent", b"{}", 1)
    await store.enqueue(waits, 9)
    await store.set_member(THREAD, BOB, Role.READ, 9)

    assert await access.run(BOB, RunId("q"), Role.READ) == waits
    assert await access.run(ALICE, RunId("q"), Role.WRITE, ThreadName("t")) == waits
    with pytest.raises(Refused) as refused:
        await access.run(BOB, RunId("q"), Role.WRITE)
    assert refused.value.code is ErrorCode.FORBIDDEN


async def at_work(store: WatchedStore) -> Access:
    """Return the access where a run of bob's is executed in alice's thread, and one of her own
    in another; no run can be read from the store any more."""
    other = ThreadKey(ALICE, ThreadId("other"))
    await store.open_thread(other, "t", 1)
    news = (new_run(THREAD, "bobs", user=BOB), new_run(other, "hers"))
    runs = [(await store.create_run(new, [event("x")])).run for new in news]
    down = StoreFailed("disk full")
    store.failures.update(run=down, run_in=down, queued=down, queued_run=down)
    return Access(store, executing(*runs))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("id", "name", "starter"),
    [
        ("bobs", "t", BOB),
        ("bobs", FULL, BOB),
        ("bobs", None, None),
        ("hers", None, ALICE),
        ("hers", "other", ALICE),
        ("hers", "t", None),
    ],
)
async def test_what_is_executed_here_is_cancelled_while_the_store_fails(
    store: WatchedStore, id: str, name: ThreadName | None, starter: UserId | None
) -> None:
    """Hers by its name, and everybody's in her thread by the thread's."""
    access = await at_work(store)
    try:
        assert await access.cancels(ALICE, RunId(id), name) == RunKey(starter or ALICE, RunId(id))
        found = True
    except StoreFailed:
        found = False
    assert found == (starter is not None)


@pytest.mark.parametrize("name", [None, FULL])
@pytest.mark.parametrize(
    ("role", "code"), [(None, "not_found"), (Role.READ, "forbidden"), (Role.WRITE, None)]
)
async def test_what_is_executed_here_is_cancelled_by_who_may_write(
    store: WatchedStore, role: Role | None, code: str | None, name: ThreadName | None
) -> None:
    access = await at_work(store)
    if role is not None:
        await store.set_member(THREAD, BOB, role, 9)
    told = None
    try:
        assert await access.cancels(BOB, RunId("bobs"), name) == RunKey(BOB, RunId("bobs"))
    except Refused as refused:
        told = refused.code.value
    assert told == code


async def test_a_sight_holds_as_long_as_the_role(access: Access, store: WatchedStore) -> None:
    await store.set_member(THREAD, BOB, Role.READ, 9)
    ended: list[str] = []
    sights = [access.sight(BOB, THREAD, FULL) for _ in range(3)]
    for number, sight in enumerate(sights):
        sight.withdrawn = lambda number=number: ended.append(str(number))  # type: ignore[misc]
    sights[0].close()
    await access.look_again()
    assert (ended, repr(access)) == ([], "<Access, 2 sights of shared threads>")

    await store.remove_member(THREAD, BOB)
    await access.look_again()
    assert sorted(ended) == ["1", "2"]
    assert [sight.thread for sight in sights] == [THREAD, None, None]
    for sight in sights:
        sight.close()
    assert repr(access) == "<Access, 0 sights of shared threads>"


async def test_an_own_sight_is_never_looked_at_again(access: Access, store: WatchedStore) -> None:
    sight = access.sight(ALICE, THREAD, ThreadName("t"))
    await asyncio.gather(access.look_again(), access.look_again())
    assert (sight.thread, sight.full, store.calls) == (THREAD, False, [])
