"""Waiting for files to change."""

import os
from pathlib import Path

from netra_backend.cli.scan_watch import INTERVAL, MOST_RESTS, REST, snapshot, wait_for_change


def test_it_returns_when_a_file_changes_comes_or_goes(tmp_path: Path) -> None:
    file, other = tmp_path / "a.py", tmp_path / "b.py"
    file.write_text("x")

    def look() -> list[str]:
        return [str(path) for path in tmp_path.iterdir()]

    def touch() -> None:
        os.utime(file, ns=(1, 1))

    for change in (touch, lambda: file.write_text("xy"), other.touch, file.unlink):
        before = snapshot(look())
        pauses: list[float] = []

        def pause(seconds: float, change=change, pauses=pauses) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                change()

        wait_for_change(before, look, pause)
        assert pauses == [INTERVAL] * 3 + [REST]


def test_it_waits_for_the_end_of_what_is_being_written(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text("[tool.netra.scan]\nignore = []\n")
    before = snapshot([str(file)])
    pieces = iter(["", "[tool.netra.scan]\n", "[tool.netra.scan]\nignore = ['JS001']\n"])

    def write(_: float) -> None:
        piece = next(pieces, None)
        if piece is not None:
            file.write_text(piece)

    wait_for_change(before, lambda: [str(file)], write)
    assert file.read_text().endswith("['JS001']\n")


def test_it_does_not_wait_for_a_file_that_is_written_all_the_time(tmp_path: Path) -> None:
    file = tmp_path / "log.py"
    pauses: list[float] = []

    def write(seconds: float) -> None:
        pauses.append(seconds)
        file.write_text("x" * len(pauses))

    wait_for_change({}, lambda: [str(file)], write)
    assert len(pauses) == MOST_RESTS + 1


def test_a_file_that_is_gone_is_not_there(tmp_path: Path) -> None:
    assert snapshot([str(tmp_path / "nope.py")]) == {}
