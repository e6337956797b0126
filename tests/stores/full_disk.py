"""What a store has to do on a full disk, however the disk was filled."""

import asyncio
from collections.abc import Callable

from netra_backend.core.events import Entry, Event
from netra_backend.core.ports import End
from netra_backend.core.run import Lease, RunStatus
from netra_backend.errors import StoreFailed
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scenario import a_thread, dense, entries, event, new_run, start

THREAD, OTHER = a_thread(), a_thread()


async def survive(
    store: SqliteStore, *, fill: Callable[[], None], drain: Callable[[], None]
) -> None:
    """Append, `fill` the disk, see every write fail and every read work, `drain`, and go on."""
    await store.open()
    try:
        log = await _meet_the_end(store, fill, drain)
    finally:
        await store.close()
    await store.open()
    assert await entries(store, THREAD) == log
    await store.close()


async def _append_until_it_fails(store: SqliteStore, lease: Lease) -> list[Event]:
    """Return what was acknowledged."""
    acknowledged: list[Event] = []
    while True:
        wanted = event(f"{len(acknowledged)} " + "x" * 10_000)
        try:
            await store.append([wanted], writer=lease, at=2)
        except StoreFailed:
            return acknowledged
        acknowledged.append(wanted)
        assert len(acknowledged) < 10_000, "the disk did not fill"


async def _meet_the_end(
    store: SqliteStore, fill: Callable[[], None], drain: Callable[[], None]
) -> list[Entry]:
    """Return the log as it is in the end."""
    lease = await start(store, THREAD, "r")
    await store.open_thread(OTHER, "", 1)
    fill()
    acknowledged = [event("started"), *await _append_until_it_fails(store, lease)]
    assert len(acknowledged) > 2, "the disk was full before the test began"

    end = End(RunStatus.FINISHED)
    big = event("x" * 5_000_000)
    outcomes = await asyncio.gather(
        store.append([big], writer=lease, at=3),
        store.append([big], writer=lease, at=3, end=end),
        store.create_run(new_run(OTHER, "r2"), [big]),
        return_exceptions=True,
    )
    assert {type(outcome) for outcome in outcomes} == {StoreFailed}, outcomes
    assert all("netra.db" in str(outcome) for outcome in outcomes)
    failed = store.counts.failed_commits
    assert failed > 0
    assert [entry.event for entry in await entries(store, THREAD)] == acknowledged

    drain()
    for _ in range(50):  # with each commit some entries go on to their place
        await store.probe()
    await store.append([event("more")], writer=lease, at=4)
    last = await store.append([event("end")], writer=lease, at=5, end=end)
    log = await entries(store, THREAD)
    dense(log)
    assert [entry.event for entry in log] == [*acknowledged, event("more"), event("end")]
    assert log[-1].position == last
    assert store.counts.failed_commits == failed
    return log
