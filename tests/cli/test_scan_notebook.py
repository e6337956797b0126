"""Kept pages: those of a changed file, and of what depends on it, are made anew, and no others."""

import random
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


def test_a_module_counts_by_all_its_names(tmp_path: Path) -> None:
    write(tmp_path, {f"m{at:02}.py": OTHER for at in range(FEW)})
    write(tmp_path, {"pyproject.toml": "", "app/core/__init__.py": ""})
    write(tmp_path, {"use.py": USE.replace("from state", "from app.core.state")})
    for text in (STATE, PLAIN, STATE):
        write(tmp_path, {"app/core/state.py": text})
        assert noted(tmp_path) == [("use.py", 5)] * (text is STATE)


def test_a_damaged_notebook_is_as_good_as_none(tmp_path: Path) -> None:
    write(tmp_path, {f"m{at:02}.py": OTHER for at in range(FEW)})
    write(tmp_path, {"pyproject.toml": "", "state.py": STATE, "use.py": USE})
    assert noted(tmp_path) == [("use.py", 5)]
    for entry in (tmp_path / "cache").glob("??/*"):
        entry.write_bytes(entry.read_bytes()[:-3])
    assert noted(tmp_path) == [("use.py", 5)]


MODEL = (
    "from dataclasses import dataclass\nfrom names import State\n"
    "@dataclass\nclass Model:\n    state: State\n"
)
BASE = (
    "from send import send\nclass Base:\n    state = 1\n"
    "    def save(self):\n        send(self.state)\n"
)
HOLD = (
    "from dump import dump\nclass Hold:\n    def __init__(self, held):\n        self.held = held\n"
    "    def save(self):\n        return dump([self.held])\n"
)
CALL = (
    "from hold import Hold\nfrom model import Model\nfrom send import send\n"
    "def f(m: Model):\n    send(m.state)\n    Hold(m.state)\n"
)
ENUM_BASE = "from names import State\n" + BASE.replace("state = 1", "state = State.A")
VERSIONS = {
    "state.py": (STATE, PLAIN, "from colour import State\n", "State = str\n"),
    "colour.py": (f"X = 1\n{STATE}", "class State(str):\n    A = 'a'\n", ""),
    "names.py": ("from state import State\n", "from state import *\n", "from colour import *\n"),
    "model.py": (
        MODEL,
        "from dataclasses import dataclass\n@dataclass\nclass Model:\n    state: str\n",
    ),
    "dump.py": (
        "import json\ndef dump(value):\n    return json.dumps(value)\n",
        "import json\ndef dump(value):\n    return json.dumps(value, default=str)\n",
        "from json import dumps as dump\n",
        "def dump(value):\n    return value\n",
    ),
    "send.py": (
        "from dump import dump\ndef send(value):\n    return dump({'v': value})\n",
        "from dump import dump\ndef send(value):\n    if value:\n        dump(value.state)\n",
        "import dump\ndef send(value):\n    return dump.dump(str(value))\n",
    ),
    "base.py": (
        BASE,
        ENUM_BASE,
        "class Base:\n    state = 1\n",
    ),
    "heir.py": (
        "from base import Base\nfrom names import State\nclass Heir(Base):\n    state = State.A\n",
        "from base import Base\nclass Heir(Base):\n    state = 1\n",
        "from base import Base\nclass Heir(Base):\n    def save(self):\n        pass\n",
    ),
    "hold.py": (HOLD, HOLD.replace("= held", "= str(held)")),
    "call.py": (
        CALL,
        "from model import Model\nfrom send import send\ndef f(m: Model):\n    send(m)\n",
        "import json\nfrom model import Model\ndef f(m: Model):\n    json.dumps([m.state])\n",
        "from hold import Hold\nfrom names import State\ndef f():\n    return Hold(State.A)\n",
    ),
}
"""What each module of a project may be; values go from ``state`` over three others to a sink."""


def test_an_heir_that_is_edited_changes_what_its_base_is_told(tmp_path: Path) -> None:
    base = "import json\nfrom state import State\nclass Base:\n    state = State.A\n"
    base += "    def save(self):\n        return json.dumps({'state': self.state})\n"
    heir = "from base import Base\nclass Heir(Base):\n    "
    write(tmp_path, {f"m{at:02}.py": OTHER for at in range(FEW)})
    write(tmp_path, {"pyproject.toml": "", "state.py": STATE, "base.py": base})
    asked = parse_arguments([str(tmp_path), "--cache-dir", str(tmp_path / "cache")])
    for body, severity in (
        (None, "error"),
        ("pass\n", "error"),
        ("state = 'a'\n", "warning"),
        ("other = 'a'\n", "error"),
        ("def __init__(self):\n        self.state = 'a'\n", "warning"),
        (None, "error"),
    ):
        if body is None:
            (tmp_path / "heir.py").unlink(missing_ok=True)
        else:
            write(tmp_path, {"heir.py": heir + body})
        (found,) = Scan(asked, load_project(asked, TITLES)).run().findings
        assert (Path(found.path).name, found.severity.value) == ("base.py", severity)


def test_a_call_that_is_edited_changes_what_the_class_that_it_makes_is_told(
    tmp_path: Path,
) -> None:
    hold = "import json\nclass Hold:\n    def __init__(self, held):\n        self.held = held\n"
    hold += "    def save(self):\n        return json.dumps(self.held)\n"
    write(tmp_path, {f"m{at:02}.py": OTHER for at in range(FEW)})
    write(tmp_path, {"pyproject.toml": "", "state.py": STATE, "hold.py": hold})
    call = "from hold import Hold\nfrom state import State\ndef make():\n    return "
    for body in (None, "Hold(State.A)\n", "Hold('a')\n", "Hold(held=[State.A])\n", None):
        if body is None:
            (tmp_path / "call.py").unlink(missing_ok=True)
        else:
            write(tmp_path, {"call.py": call + body})
        found = told(tmp_path, "--cache-dir", str(tmp_path / "cache"))
        assert [it[:3] for it in found] == [("hold.py", 6, "JS001")] * (
            body is not None and "State" in body
        )


def test_a_decorated_function_that_is_edited_changes_what_its_decorator_is_told(
    tmp_path: Path,
) -> None:
    write(tmp_path, {f"m{at:02}.py": OTHER for at in range(FEW)})
    written = "import json\ndef as_json(fn):\n    def inner():\n        return json.dumps(fn())\n"
    write(
        tmp_path,
        {"pyproject.toml": "", "state.py": STATE, "deco.py": f"{written}    return inner\n"},
    )
    view = "from deco import as_json\nfrom state import State\n@as_json\ndef view():\n    return "
    for body in (None, "State.A\n", "State.A.name\n", "[State.A]\n", None):
        if body is None:
            (tmp_path / "view.py").unlink(missing_ok=True)
        else:
            write(tmp_path, {"view.py": view + body})
        found = told(tmp_path, "--cache-dir", str(tmp_path / "cache"))
        assert [it[:3] for it in found] == [("deco.py", 4, "JS001")] * (
            body is not None and "name" not in body
        )


def told(folder: Path, *options: str) -> list[tuple[str, int, str, str]]:
    asked = parse_arguments([str(folder), "--notes", *options])
    outcome = Scan(asked, load_project(asked, TITLES)).run()
    return [(Path(it.path).name, it.line, it.rule, it.message) for it in outcome.findings]


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 8))]
)
def test_after_any_edits_a_scan_says_what_one_without_a_cache_says(
    tmp_path: Path, seed: int
) -> None:
    first = {name: texts[0] for name, texts in VERSIONS.items()}
    write(tmp_path, {f"m{at:02}.py": OTHER for at in range(FEW)})
    write(tmp_path, {"pyproject.toml": "", "use.py": USE, **first})
    draw = random.Random(seed)
    different = set()
    for _ in range(15):
        kept = told(tmp_path, "--cache-dir", str(tmp_path / "cache"))
        assert kept == told(tmp_path, "--no-cache")
        different.add(tuple(kept))
        if draw.random() < 0.5:
            write(tmp_path, first)
        name = draw.choice(list(VERSIONS))
        text = draw.choice([None, f"\n{first[name]}", *VERSIONS[name][1:]])
        if text is None:
            (tmp_path / name).unlink(missing_ok=True)
        else:
            write(tmp_path, {name: text})
    assert len(different) > 3, "the edits change too little to show anything"
