"""What the tests of the stores' contract are made of: scenarios, events, expectations."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from ag_ui.core import EventType

from netra_backend.core.events import Entry, Event
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId, new_id
from netra_backend.core.ports import Answer, Decision, End, Interrupt, NewRun, Store
from netra_backend.core.roles import Role
from netra_backend.core.run import Lease, RunStatus
from netra_backend.errors import ErrorCode, Refused

FAR = 1_000_000
"""When leases expire that are not to expire during a test."""


class Contract:
    """A class of tests that says which store they are for."""

    def make_store(self, directory: Path) -> Store:
        """Return a store that is not open yet and keeps what it keeps in `directory`."""
        raise NotImplementedError


C = TypeVar("C", bound=Contract)
T = TypeVar("T")


def a_thread() -> ThreadKey:
    """Return the key of a thread that no other test uses."""
    return ThreadKey(UserId(new_id("user")), ThreadId("t"))


def event(text: str) -> Event:
    """Return an event that says `text`."""
    data = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": text}
    return Event(EventType.TEXT_MESSAGE_CONTENT, msgspec.json.encode(data))


def new_run(
    thread: ThreadKey,
    run: str,
    *,
    user: UserId | None = None,
    holder: str = "node-1",
    at: int = 1,
    expires_at: int = FAR,
    answers: Sequence[Answer] = (),
    ends: bool = False,
) -> NewRun:
    """Return what creates `run` in `thread`, started by its owner or by `user`."""
    key = RunKey(user or thread.owner, RunId(run))
    first = key, thread, "agent", f"c-{run}", holder
    return NewRun(*first, at, expires_at, answers, ends=ends)


def question(lease: Lease, name: str) -> Interrupt:
    """Return an interrupt that the run of `lease` can leave."""
    asked = b'{"id":"%s"}' % name.encode()
    return Interrupt(lease.thread, name, lease.run.id, lease.run.owner, "agent", asked)


async def start(store: Store, thread: ThreadKey, run: str, **fields: Any) -> Lease:
    """Return the lease of a fresh run in `thread`, which is opened."""
    await store.open_thread(thread, "a title", 1)
    created = await store.create_run(new_run(thread, run, **fields), [event("started")])
    if created.lease is None:
        raise AssertionError(f"{run} was there already")
    return created.lease


async def entries(store: Store, thread: ThreadKey) -> list[Entry]:
    """Return the whole log of `thread`."""
    found: list[Entry] = []
    while more := await store.read(thread, len(found), 1_000_000):
        found += more
    return found


def expect(got: object, want: object) -> None:
    """Fail unless `got` equals `want`. A plain assert would vanish under ``python -O``."""
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")


def there(found: T | None) -> T:
    """Return what a store has found; fail if that is nothing."""
    if found is None:
        raise AssertionError("got None, want what is there")
    return found


async def expect_error(kind: type[Exception], action: Callable[[], Awaitable[object]]) -> Any:
    """Return the `kind` of error that `action` raises; fail if it raises none."""
    try:
        got = await action()
    except kind as error:
        return error
    raise AssertionError(f"got {got!r}, want {kind.__name__}")


async def expect_refusal(code: ErrorCode, action: Callable[[], Awaitable[object]]) -> None:
    """Fail unless `action` is refused with `code`."""
    expect((await expect_error(Refused, action)).code, code)


def dense(log: Sequence[Entry]) -> None:
    """Fail unless the offsets are 1, 2, 3 … and the epoch is one."""
    expect([entry.position.offset for entry in log], list(range(1, len(log) + 1)))
    expect(len({entry.position.epoch for entry in log}), min(len(log), 1))


def scenario(test: Callable[[C, Store], Awaitable[None]]) -> Callable[[C, Path], None]:
    """Return the test as pytest calls it: with a directory, and outside an event loop."""

    def run(self: C, tmp_path: Path) -> None:
        async def opened() -> None:
            store = self.make_store(tmp_path / "store")
            await store.open()
            try:
                await test(self, store)
            finally:
                await store.close()

        asyncio.run(opened())

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


async def decide(store: Store, thread: ThreadKey, answer: Answer, by: str) -> Decision | None:
    """Have `by`, who is made a member that may, decide."""
    await store.set_member(thread, UserId(by), Role.DECIDE, 1_000)
    return await store.decide(thread, answer, UserId(by), Role.DECIDE)


async def ask(store: Store, *names: str) -> Lease:
    """Return the former lease of a run that ended with these questions."""
    lease = await start(store, a_thread(), "asks")
    end = End(RunStatus.AWAITING, [question(lease, name) for name in names])
    await store.append([event("end")], writer=lease, at=2, end=end)
    return lease
