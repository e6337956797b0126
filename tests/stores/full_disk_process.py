"""A process whose files may not grow, as on a full disk: ``DIRECTORY``; exits 0 if all is well."""

import asyncio
import resource
import sys
from pathlib import Path

from netra_backend.stores import sqlite_tail
from netra_backend.stores.sqlite import SqliteStore
from tests.stores.full_disk import survive

_, _HARD = resource.getrlimit(resource.RLIMIT_FSIZE)


def _limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, _HARD))


if __name__ == "__main__":
    sqlite_tail.LENGTH = 4  # so that entries are on the move when the disk is full
    sqlite_tail.LOOSE = 2
    sqlite_tail._REST = 1
    directory = Path(sys.argv[1])
    store = SqliteStore(directory)
    asyncio.run(survive(store, fill=lambda: _limit(600_000), drain=lambda: _limit(_HARD)))
