"""Waiting for files to change."""

import os
from pathlib import Path

from netra_backend.cli.scan_watch import snapshot, wait_for_change


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
        assert len(pauses) == 3


def test_a_file_that_is_gone_is_not_there(tmp_path: Path) -> None:
    assert snapshot([str(tmp_path / "nope.py")]) == {}
