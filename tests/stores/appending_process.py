"""A process that appends to a SQLite store for ever, to be killed: ``DIRECTORY``.

It takes over what a killed one left, appends to twenty threads, and writes a line
``THREAD OFFSET`` to standard output for each entry that was acknowledged. Entry N says
``THREAD N``.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from netra_backend.core.ids import RunKey, ThreadId, ThreadKey, UserId
from netra_backend.core.run import Lease
from netra_backend.stores import sqlite_tail
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scenario import event, new_run

THREADS = [ThreadKey(UserId("u"), ThreadId(f"t{n}")) for n in range(20)]


def text(thread: ThreadKey, offset: int) -> str:
    return f"{thread.id} {offset}"


async def _lease(store: SqliteStore, thread: ThreadKey) -> tuple[Lease, int]:
    """Return a lease on the thread's run and its last offset, of a dead process or created."""
    opened = await store.open_thread(thread, "", 1)
    new = new_run(thread, f"r-{thread.id}", expires_at=sys.maxsize)
    if opened.head.offset == 0:
        created = await store.create_run(new, [event(text(thread, 1))])
        assert created.lease is not None
        return created.lease, 1
    lease = await store.adopt(RunKey(thread.owner, new.key.id), "h", sys.maxsize, 0)
    assert lease is not None, "the run of a killed process is an orphan"
    return lease, opened.head.offset


async def _append(store: SqliteStore, thread: ThreadKey) -> None:
    lease, offset = await _lease(store, thread)
    while True:
        batch = [event(text(thread, offset + n)) for n in (1, 2, 3)]
        position = await store.append(batch, writer=lease, at=time.time_ns() // 1_000_000)
        lines = [f"{thread.id} {offset + n}\n" for n in (1, 2, 3)]
        offset += 3
        assert position.offset == offset
        os.write(1, "".join(lines).encode())


async def _main(directory: Path) -> None:
    sqlite_tail.LENGTH = 200  # so that it is killed while entries move, too
    sqlite_tail.LOOSE = 50
    sqlite_tail._SLICE = 64
    store = SqliteStore(directory)
    await store.open()
    await asyncio.gather(*(_append(store, thread) for thread in THREADS))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
