"""The threads that read, each query on a connection of its own, beside the writer."""

import asyncio
import queue
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from netra_backend.errors import StoreFailed
from netra_backend.stores.sqlite_files import naming, open_reader

T = TypeVar("T")


class SqliteReaders:
    """A small pool: a query waits for a free thread, and sees what was committed before it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._threads: ThreadPoolExecutor | None = None

    def start(self, count: int) -> None:
        """Open `count` connections. Raises StoreFailed naming the file."""
        self._idle: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        with ExitStack() as opened:
            for _ in range(count):
                connection = open_reader(self._file)
                opened.callback(connection.close)
                self._idle.put(connection)
            self._close = opened.pop_all().close
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="netra-sqlite-reader")

    def stop(self) -> None:
        """Finish the queries that were accepted, then close the connections."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown()
            self._close()

    async def run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `query` returns. Raises StoreFailed naming the file."""
        if self._threads is None:
            raise StoreFailed(f"{self._file}: the store is not open")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._query, query)

    def _query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._idle.get_nowait()
        try:
            with naming(self._file):
                return query(connection)
        finally:
            self._idle.put(connection)
