"""Kept notes: those of a changed file, and of what depends on it, are made anew, and no others."""

from pathlib import Path

import pytest

from netra_backend.cli.scan_arguments import parse_arguments
from netra_backend.cli.scan_project import load_project
from netra_backend.cli.scan_run import FEW, Scan
from netra_backend.scan import notebook
from netra_backend.scan.titles import TITLES
from tests.cli.scanning import write

STATE = "from enum import Enum\nclass State(Enum):\n    A = 1\n"
PLAIN = "class State:\n    A = 1\n"
USE = (
    "import logging\nfrom state import State\nlogger = logging.getLogger(__name__)\n"
    'def f(x: State):\n    logger.info(f"{x}")\n'
)
OTHER = 'import logging\nlogger = logging.getLogger(__name__)\nlogger.info(f"up {logger}")\n'


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the files whose log calls are looked at, as they are."""
    seen: list[str] = []
    real = notebook.log_calls

    def log_calls(source: notebook.Source) -> list[notebook.Site]:
        seen.append(Path(source.path).name)
        return real(source)

    monkeypatch.setattr(notebook, "log_calls", log_calls)
    return seen


def noted(folder: Path) -> list[tuple[str, int]]:
    asked = parse_arguments([str(folder), "--notes", "--cache-dir", str(folder / "cache")])
    outcome = Scan(asked, load_project(asked, TITLES)).run()
    return [(Path(it.path).name, it.line) for it in outcome.findings]


def test_only_what_may_have_changed_is_read_again(tmp_path: Path, read: list[str]) -> None:
    write(tmp_path, {f"m{at:02}.py": OTHER for at in range(FEW)})
    write(tmp_path, {"pyproject.toml": "", "state.py": STATE, "use.py": USE})
    assert noted(tmp_path) == [("use.py", 5)]
    assert len(read) == FEW + 1
    read.clear()
    assert noted(tmp_path) == [("use.py", 5)]
    assert read == []
    write(tmp_path, {"m01.py": f"\n{OTHER}"})
    assert noted(tmp_path) == [("use.py", 5)]
    assert read == ["m01.py"]


def test_a_module_that_changes_comes_or_goes_is_noticed(tmp_path: Path, read: list[str]) -> None:
    write(tmp_path, {f"m{at:02}.py": OTHER for at in range(FEW)})
    write(tmp_path, {"pyproject.toml": "", "use.py": USE})
    for text in (None, STATE, PLAIN, STATE, None):
        read.clear()
        if text is None:
            (tmp_path / "state.py").unlink(missing_ok=True)
        else:
            write(tmp_path, {"state.py": text})
        assert noted(tmp_path) == [("use.py", 5)] * (text is STATE)
        assert "use.py" in read


def test_a_module_behind_another_counts_too(tmp_path: Path) -> None:
    write(tmp_path, {f"m{at:02}.py": OTHER for at in range(FEW)})
    write(tmp_path, {"pyproject.toml": "", "state.py": "from inner import *\n", "use.py": USE})
    for text in (STATE, PLAIN, STATE):
        write(tmp_path, {"inner.py": text})
        assert noted(tmp_path) == [("use.py", 5)] * (text is STATE)


def test_a_damaged_notebook_is_as_good_as_none(tmp_path: Path) -> None:
    write(tmp_path, {f"m{at:02}.py": OTHER for at in range(FEW)})
    write(tmp_path, {"pyproject.toml": "", "state.py": STATE, "use.py": USE})
    assert noted(tmp_path) == [("use.py", 5)]
    for entry in (tmp_path / "cache").glob("??/*"):
        entry.write_bytes(entry.read_bytes()[:-3])
    assert noted(tmp_path) == [("use.py", 5)]
