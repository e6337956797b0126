"""The baseline as a file."""

from pathlib import Path

import pytest

from netra_backend.cli.scan_baseline import forgive, update
from netra_backend.cli.scan_run import Outcome
from netra_backend.errors import ConfigError
from tests.cli.scanning import UNUSED, make_scan, write


def scanned(*paths: Path):
    """Return a scan's outcome, and what reads the lines of its files."""
    scan = make_scan(*paths)
    outcome: Outcome = scan.run()
    return outcome, scan.reader(outcome.files)


def test_what_is_in_it_is_not_told_again(tmp_path: Path) -> None:
    file = str(tmp_path / "b.json")
    write(tmp_path, {"in/a.py": UNUSED, "in/b.py": UNUSED + UNUSED})
    assert update(file, *scanned(tmp_path)) == 3
    write(tmp_path, {"in/a.py": "\n\n" + UNUSED + "y = 2  # netra: ignore\n", "in/b.py": UNUSED})
    forgiven = forgive(file, *scanned(tmp_path))
    assert [it.line for it in forgiven.new] == [4]
    assert forgiven.count == 2
    assert list(forgiven.notes("b.json")) == [
        "b.json forgives 2 of what was found",
        "b.json forgives 1 that are no longer found; see --update-baseline",
    ]


def test_it_is_the_same_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"in/a.py": UNUSED})
    update(str(tmp_path / "b.json"), *scanned(tmp_path))
    monkeypatch.chdir(tmp_path / "in")
    assert forgive("../b.json", *scanned(Path("a.py"))).new == ()


def test_a_scan_of_a_part_keeps_the_rest(tmp_path: Path) -> None:
    file = str(tmp_path / "b.json")
    write(tmp_path, {"a.py": UNUSED, "b.py": UNUSED, "c.py": UNUSED})
    update(file, *scanned(tmp_path))
    write(tmp_path, {"a.py": ""})
    (tmp_path / "c.py").unlink()
    assert update(file, *scanned(tmp_path / "a.py")) == 1
    assert forgive(file, *scanned(tmp_path)).new == ()
    partly = forgive(file, *scanned(tmp_path / "a.py"))
    assert list(partly.notes("b.json")) == []


def test_a_file_that_is_missing_or_broken_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": UNUSED, "b.json": "{"})
    outcome, lines_of = scanned(tmp_path)
    with pytest.raises(ConfigError, match=r"there is no baseline .*; write one with --update"):
        forgive(str(tmp_path / "nope.json"), outcome, lines_of)
    with pytest.raises(ConfigError, match="is no baseline"):
        forgive(str(tmp_path / "b.json"), outcome, lines_of)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        forgive(str(tmp_path), outcome, lines_of)
    with pytest.raises(ConfigError, match="cannot be written: No such file"):
        update(str(tmp_path / "no" / "b.json"), outcome, lines_of)
