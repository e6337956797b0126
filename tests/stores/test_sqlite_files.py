"""The data directory has one owner, and opens for nobody else."""

import os
import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from netra_backend.errors import StoreFailed, StoreInUse
from netra_backend.stores.sqlite_files import naming, open_reader, open_writer, owned_directory

OWN = """
import sys
from pathlib import Path
from netra_backend.stores.sqlite_files import owned_directory
with owned_directory(Path(sys.argv[1])):
    print("owned", flush=True)
    sys.stdin.read()
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_directory_and_its_files_are_the_owner_s(tmp_path: Path) -> None:
    directory = tmp_path / "deep" / "data"
    with owned_directory(directory) as file:
        connection = open_writer(file)
        connection.execute("CREATE TABLE t (x)")
        assert file == directory / "netra.db"
        assert mode(directory) == 0o700
        assert {path.name: mode(path) for path in directory.iterdir()} == {
            "netra.db": 0o600,
            "netra.db-shm": 0o600,
            "netra.db-wal": 0o600,
            "netra.pid": 0o600,
        }
        connection.close()


def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    with owned_directory(tmp_path):
        want = rf"{re.escape(str(tmp_path))} is in use by process {os.getpid()}: stop"
        with pytest.raises(StoreInUse, match=want), owned_directory(tmp_path):
            pass
    with owned_directory(tmp_path):
        pass


@pytest.mark.parametrize("name", ["netra.pid", "netra.db"])
def test_a_second_owner_is_refused_whatever_is_deleted(tmp_path: Path, name: str) -> None:
    """Two who write one database would damage it for good."""
    with owned_directory(tmp_path):
        (tmp_path / name).unlink()
        with pytest.raises(StoreInUse), owned_directory(tmp_path):
            pass


def test_another_process_is_refused_until_the_owner_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWN, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "owned\n"
        with (
            pytest.raises(StoreInUse, match=rf"process {owner.pid}: stop"),
            owned_directory(tmp_path),
        ):
            pass
        owner.kill()
        owner.wait()
        with owned_directory(tmp_path):
            assert (tmp_path / "netra.pid").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("directory", ["file", "file/below"])
def test_a_directory_that_cannot_be_is_named(tmp_path: Path, directory: str) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / directory
    with pytest.raises(StoreFailed, match=re.escape(str(path))), owned_directory(path):
        pass


def test_what_is_committed_is_synced_and_what_is_deleted_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    connection = open_writer(file)
    settings = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys", "fullfsync")
    }
    connection.close()
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "secure_delete": 1,
        "foreign_keys": 1,
        "fullfsync": 1,
    }


def test_a_file_that_is_made_has_large_pages_and_one_that_is_there_keeps_its(
    tmp_path: Path,
) -> None:
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("CREATE TABLE t (x)")
    for file, pages in ((tmp_path / "new.db", 8192), (old, 4096)):
        with closing(open_writer(file)) as writer:
            writer.execute("CREATE TABLE other (x)")
            assert writer.execute("PRAGMA page_size").fetchone() == (pages,)
            assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    open_writer(file).close()
    reader = open_reader(file)
    with pytest.raises(StoreFailed, match=r"x\.db: .*readonly.*\(SQLITE_READONLY\)"), naming(file):
        reader.execute("CREATE TABLE t (x)")
    reader.close()


def test_an_error_that_is_not_sqlite_s_passes() -> None:
    with pytest.raises(ValueError, match="mine"), naming(Path("x.db")):
        raise ValueError("mine")
    with pytest.raises(StoreFailed, match="ProgrammingError"), naming(Path("x.db")):
        raise sqlite3.ProgrammingError("odd")


def test_an_old_sqlite_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(StoreFailed, match=r"x\.db: SQLite .* is too old"):
        open_writer(tmp_path / "x.db")
