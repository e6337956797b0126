"""The files of a SQLite store: who owns their directory, and how they are opened."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from netra_backend.errors import StoreFailed, StoreInUse

DATABASE = "netra.db"
OWNER = "netra.pid"

OLDEST = (3, 35, 0)
"""The SQLite of March 2021: the first that knows MATERIALIZED, and takes 5,120 variables."""

_BUSY_SECONDS = 0.25
"""How long to wait for another connection: only a backup or a curious person can have one."""

_COMMON = (
    # fsync on macOS stops at the drive's cache; elsewhere these two do nothing.
    "PRAGMA fullfsync = ON",
    "PRAGMA checkpoint_fullfsync = ON",
)
_WRITER = (
    # For a file that is made now; one that is there keeps its pages. Measured with 1,000 threads
    # and 100 entries a commit, against pages of 4 KiB: 7.0 us of CPU for an entry instead of 8.0,
    # and 3.8 ms instead of 5.7 for one step in a hundred of moving the log's tail.
    "PRAGMA page_size = 8192",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA cache_size = -65536",
    # What `sqlite_checkpoints` has not copied by then. 8 MiB take about 15 ms, and writers wait.
    "PRAGMA wal_autocheckpoint = 1024",
    "PRAGMA journal_size_limit = 67108864",
)
# What the log must not be without before its pages are overwritten, the database's file has.
_COPIER = ("PRAGMA synchronous = FULL",)
_READER = ("PRAGMA query_only = ON", "PRAGMA cache_size = -8192")


_LOCKS: set[int] = set()
"""The descriptors of the directories that this process owns."""


def _leave_locks() -> None:
    """Keep nothing in use that belongs to the process which this one was forked from."""
    while _LOCKS:
        os.close(_LOCKS.pop())


os.register_at_fork(after_in_child=_leave_locks)


@contextmanager
def owned_directory(directory: Path) -> Iterator[Path]:
    """Own `directory` until the end, created with mode 0700 if missing; yield its database file.

    Raises StoreInUse naming the directory and the process that owns it; StoreFailed if it cannot
    be made or written. The kernel gives the lock back when the owner dies, however it does. It is
    a lock of the directory itself: of a file in it, that somebody deletes, there would be two.
    """
    with ExitStack() as held:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            held.callback(_close, lock)
            _LOCKS.add(lock)
            _take(lock, directory)
            _sign(directory / OWNER)
        except OSError as error:
            why = "not a directory" if isinstance(error, FileExistsError) else error.strerror
            text = f"the data directory cannot be used: {directory}: {why}"
            raise StoreFailed(text) from error
        yield _database(directory)


def _close(lock: int) -> None:
    _LOCKS.discard(lock)
    os.close(lock)


def _take(lock: int, directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = _owner(directory)
        text = (
            f"{directory} is in use by process {owner}: stop that, or name another data directory"
        )
        raise StoreInUse(text) from error


def _owner(directory: Path) -> str:
    try:
        return (directory / OWNER).read_text("ascii", "replace")[:32].strip() or "unknown"
    except OSError:
        return "unknown"


def _sign(file: Path) -> None:
    """Leave word for people of who owns the directory."""
    file.touch(0o600)
    file.write_text(f"{os.getpid()}\n", encoding="ascii")


def _database(directory: Path) -> Path:
    """Return the database file, there and readable by its owner only."""
    file = directory / DATABASE
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        for path in (directory, directory.parent):
            _sync(path)
    except OSError as error:
        raise StoreFailed(f"{file}: {error.strerror}") from error
    return file


def _sync(directory: Path) -> None:
    """Make the names in `directory` survive a power cut: an fsync of a file does not."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def opened_files(file: Path) -> Mapping[Path, os.stat_result]:
    """Return what is open of the database `file`: that itself, and its write-ahead log."""
    log = Path(f"{file.resolve()}-wal")  # SQLite has it beside what a link stands for
    return {each: each.stat() for each in (file, log)}


def check_there(opened: Mapping[Path, os.stat_result]) -> None:
    """Raise StoreFailed unless all is still what was `opened`: who writes would not notice.

    What is committed to a write-ahead log that was deleted, nobody finds after a `kill -9`.
    """
    for file, was in opened.items():
        try:
            found = file.stat()
        except OSError as error:
            raise StoreFailed(f"{file} is written, and gone: {error.strerror}") from error
        if not os.path.samestat(found, was):
            raise StoreFailed(f"{file} is not the file any more that is written")


def open_writer(file: Path) -> sqlite3.Connection:
    """Return the one connection that writes. Raises StoreFailed naming `file`."""
    if sqlite3.sqlite_version_info < OLDEST:
        raise StoreFailed(f"{file}: SQLite {sqlite3.sqlite_version} is too old, 3.35 is needed")
    connection = _open(file, _WRITER)
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode != "wal":
        connection.close()
        raise StoreFailed(f"{file}: the file system cannot keep a write-ahead log")
    return connection


def open_reader(file: Path) -> sqlite3.Connection:
    """Return a connection that cannot write. Raises StoreFailed naming `file`."""
    return _open(file, _READER)


def open_copier(file: Path) -> sqlite3.Connection:
    """Return a connection to copy the write-ahead log with. Raises StoreFailed naming `file`."""
    return _open(file, _COPIER)


def _open(file: Path, pragmas: tuple[str, ...]) -> sqlite3.Connection:
    with naming(file), ExitStack() as opened:
        # Without isolation_level a transaction begins and ends where the code says so. Each
        # connection is used by one thread at a time, but opened and closed by another.
        connection = sqlite3.connect(
            file, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        opened.callback(connection.close)
        for pragma in (*_COMMON, *pragmas):
            connection.execute(pragma)
        opened.pop_all()
    return connection


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Turn what SQLite raises into a StoreFailed that names `file`."""
    try:
        yield
    except (sqlite3.Error, MemoryError) as error:
        raise failure(file, error) from error


def failure(file: Path, error: Exception) -> StoreFailed:
    """Return the StoreFailed that says what SQLite's `error` was and in which file."""
    if isinstance(error, StoreFailed):
        return StoreFailed(str(error))
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StoreFailed(f"{file}: {error} ({name})")
