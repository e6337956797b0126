"""The cache: safe beside other scans, and whatever has become of its files."""

import os
import subprocess
import sys
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from netra_backend.cli.scan_cache import KEPT_DAYS, Cache, scanner_version

NOWHERE = Cache("/nowhere")


def only_entry(folder: Path) -> Path:
    (entry,) = folder.glob("??/*")
    return entry


def test_what_was_kept_is_returned_and_nothing_else(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "c"))
    key = cache.key(b"a", b"b")
    assert cache.get(key) is None
    cache.put(key, b"body")
    assert Cache(str(tmp_path / "c")).get(key) == b"body"
    assert cache.get(cache.key(b"ab", b"")) is None


@settings(deadline=None)
@given(st.lists(st.binary()), st.lists(st.binary()))
def test_different_parts_have_different_keys(one: list[bytes], other: list[bytes]) -> None:
    assert (NOWHERE.key(*one) == NOWHERE.key(*other)) == (one == other)


def test_a_damaged_entry_is_none(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path))
    key = cache.key(b"a")
    cache.put(key, b"body" * 50)
    entry = only_entry(tmp_path)
    whole = entry.read_bytes()
    for damaged in (b"", whole[:10], whole[:-1], whole + b"x", b"\0" * len(whole)):
        entry.write_bytes(damaged)
        assert cache.get(key) is None
    cache.put(key, b"new")
    assert cache.get(key) == b"new"


def test_a_cache_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = Cache(str(tmp_path / "file" / "c"))
    cache.put(cache.key(b"a"), b"body")
    assert cache.get(cache.key(b"a")) is None
    cache.prune()
    key = Cache(str(tmp_path)).key(b"a")
    (tmp_path / key[:2] / key[2:]).mkdir(parents=True)
    Cache(str(tmp_path)).put(key, b"body")
    assert Cache(str(tmp_path)).get(key) is None


def test_tools_and_git_leave_it_alone(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path))
    cache.put(cache.key(b"a"), b"body")
    assert (tmp_path / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d17278")
    assert (tmp_path / ".gitignore").read_text() == "*\n"


def test_what_was_not_used_for_long_is_removed_once_a_day(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path))
    cache.put(cache.key(b"old"), b"body")
    cache.put(cache.key(b"used"), b"body")
    long_ago = time.time() - (KEPT_DAYS + 1) * 86_400
    for entry in tmp_path.glob("??/*"):
        os.utime(entry, (long_ago, long_ago))
    assert cache.get(cache.key(b"used")) == b"body"
    cache.prune()
    assert cache.get(cache.key(b"old")) is None
    assert cache.get(cache.key(b"used")) == b"body"
    for entry in tmp_path.glob("??/*"):
        os.utime(entry, (long_ago, long_ago))
    cache.prune()
    assert len(list(tmp_path.glob("??/*"))) == 1


def test_processes_that_write_the_same_entry_do_not_disturb_each_other(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from netra_backend.cli.scan_cache import Cache\n"
        "cache = Cache(sys.argv[1]); key = cache.key(b'a'); body = sys.argv[2].encode() * 100_000\n"
        "for _ in range(50):\n"
        "    cache.put(key, body)\n"
        "    assert cache.get(key) in (b'x' * 100_000, b'y' * 100_000)\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), letter]) for letter in "xy"
    ]
    assert [process.wait() for process in both] == [0, 0]
    assert len(list(tmp_path.glob("??/*"))) == 1


def test_another_scanner_has_another_version() -> None:
    code = (
        "from netra_backend.scan import engine\n"
        "engine.VERSION = 'other'\n"
        "from netra_backend.cli.scan_cache import scanner_version\n"
        "print(scanner_version().hex())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() not in ("", scanner_version().hex())
