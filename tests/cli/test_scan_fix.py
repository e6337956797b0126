"""Fixes, carried out on files."""

from pathlib import Path

from netra_backend.cli.scan_fix import diffs, fix
from netra_backend.cli.scan_run import Scan
from tests.cli.scanning import UNUSED, make_scan, run, write

STATES = "from enum import Enum\nclass State(Enum):\n    A = 1\n"
SINK = "import json\nfrom states import State\ndata = {'s': State.A}  # é\njson.dumps(data)\n"
FIXED = SINK.replace("State.A}", "State.A.name}")


def repaired(scan: Scan) -> tuple[int, int]:
    """Carry out the fixes; return how many there were, and how many findings are left."""
    done = fix(scan, scan.run(), scan.run)
    return done.count, len(done.outcome.findings)


def test_files_are_repaired_and_the_rest_of_them_stays(tmp_path: Path) -> None:
    write(tmp_path, {"states.py": STATES, "a.py": SINK, "b.py": UNUSED + SINK})
    assert repaired(make_scan(tmp_path)) == (3, 0)
    assert (tmp_path / "a.py").read_text() == FIXED
    assert (tmp_path / "b.py").read_text() == "x = 1\n" + FIXED
    assert (tmp_path / "states.py").read_text() == STATES


def test_once_repaired_nothing_changes(tmp_path: Path) -> None:
    write(tmp_path, {"states.py": STATES, "a.py": UNUSED + SINK})
    repaired(make_scan(tmp_path))
    before = {path: path.stat().st_ino for path in tmp_path.iterdir()}
    assert repaired(make_scan(tmp_path)) == (0, 0)
    assert {path: path.stat().st_ino for path in tmp_path.iterdir()} == before


def test_encoding_mark_and_line_ends_stay(tmp_path: Path) -> None:
    latin = "# coding: latin-1\r\nx = 'é'  # netra: ignore\r\n".encode("latin-1")
    (tmp_path / "a.py").write_bytes(latin)
    (tmp_path / "b.py").write_bytes(b"\xef\xbb\xbf" + UNUSED.encode())
    assert repaired(make_scan(tmp_path)) == (2, 0)
    assert (tmp_path / "a.py").read_bytes() == latin.replace(b"  # netra: ignore", b"")
    assert (tmp_path / "b.py").read_bytes() == b"\xef\xbb\xbfx = 1\n"


def test_what_is_not_found_is_not_repaired(tmp_path: Path) -> None:
    write(tmp_path, {"states.py": STATES, "a.py": SINK.replace("ta)", "ta)  # netra: ignore")})
    assert repaired(make_scan(tmp_path)) == (0, 0)


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"in/a.py": UNUSED})
    scan = make_scan(tmp_path)
    outcome = scan.run()
    (tmp_path / "in").rename(tmp_path / "moved")
    (tmp_path / "in").symlink_to("/proc/self/fdinfo")
    done = fix(scan, outcome, scan.run)
    assert done.count == 0
    assert (tmp_path / "moved" / "a.py").read_text() == UNUSED


def test_standard_input_is_repaired_in_memory() -> None:
    scan = make_scan("-", stdin=UNUSED.encode())
    assert repaired(scan) == (1, 0)
    assert scan.stdin == b"x = 1\n"


def test_a_difference_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": UNUSED})
    scan = make_scan(tmp_path)
    text = "".join(diffs(scan, scan.run()))
    assert text.splitlines()[2:] == ["@@ -1 +1 @@", f"-{UNUSED.rstrip()}", "+x = 1"]
    assert (tmp_path / "a.py").read_text() == UNUSED
    assert len(run(tmp_path).findings) == 1
