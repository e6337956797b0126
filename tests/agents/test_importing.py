"""Importing a user's module: it is there, or one sentence says what is missing or was raised."""

import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from netra_backend.agents.frameworks import FRAMEWORKS, needs
from netra_backend.agents.loading import load_agent
from netra_backend.errors import ConfigError

Write = Callable[[str, str], None]


def refusal(spec: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_agent(spec)
    return str(caught.value)


@pytest.mark.parametrize("name", ["my_module.py", "./my_module.py", "my/../my_module", "my-module"])
def test_a_file_is_no_module_name(name: str) -> None:
    text = refusal(f"{name}:agent")

    assert text.startswith(f"{name}:agent: {name!r} is no module name; write ")


def test_a_path_is_turned_into_a_module_name() -> None:
    assert "write my_package.my_module:ATTRIBUTE" in refusal("./my_package/my_module.py:agent")


@pytest.mark.parametrize("spec", ["my_absent:agent", "my_absent.sub:agent", "json.my_absent:agent"])
def test_no_such_module(module: Write, spec: str) -> None:
    text = refusal(spec)

    assert text.startswith(f"{spec}: there is no module 'my_absent'") or "json.my_absent" in text
    assert str(Path.cwd()) in text


# --- what it imports is not there ---


def uninstall(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    """Make it as if the library were not installed, and nobody had imported it."""

    finders = sys.meta_path

    class Rest(MetaPathFinder):
        def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
            specs = (finder.find_spec(name, path, target) for finder in finders)
            return None if name == library else next(filter(None, specs), None)

    first = library.partition(".")[0]
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{first}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Rest()])


LIBRARIES = {
    **{f.classes[0].partition(":")[0]: f.extra for f in FRAMEWORKS if f.extra != "adk"},
    "openai": "openai",
}


@pytest.mark.parametrize(("library", "extra"), LIBRARIES.items())
@pytest.mark.parametrize("statement", ["import {}", "from {} import Agent"])
def test_a_module_that_needs_an_extra(
    module: Write, monkeypatch: pytest.MonkeyPatch, library: str, extra: str, statement: str
) -> None:
    uninstall(monkeypatch, library.partition(".")[0])
    module("my_module.py", f"{statement.format(library)}\n")

    assert refusal("my_module:agent") == needs("my_module:agent", extra)


@pytest.mark.parametrize("shared", [True, False], ids=["google of others", "no google"])
@pytest.mark.parametrize(
    "statement",
    [
        "import google.adk",
        "import google.adk.agents as agents",
        "from google import adk",
        "from google import (\n    adk,\n)",
        "from google.adk.agents import Agent",
    ],
)
def test_adk_is_missing_though_its_first_name_may_be_there(
    module: Write, monkeypatch: pytest.MonkeyPatch, statement: str, shared: bool
) -> None:
    uninstall(monkeypatch, "google.adk" if shared else "google")
    if shared:
        module("google/my_cloud.py", "")
    module("my_module.py", f"import os\n\n{statement}\n")

    assert refusal("my_module:agent") == needs("my_module:agent", "adk")


@pytest.mark.parametrize("statement", ["import google.my_absent", "from google import my_absent"])
def test_something_else_of_google_is_no_extra_of_ours(module: Write, statement: str) -> None:
    module("my_module.py", f"{statement}\n")

    assert "extra" not in refusal("my_module:agent")


def test_a_library_that_lacks_a_part_is_no_missing_extra_alone(module: Write) -> None:
    """The hint alone would send one in circles."""
    module("my_module.py", "import pydantic_ai.my_absent\n")
    module("my_other.py", "from pydantic_ai import my_absent\n")

    assert refusal("my_module:agent") == (
        f"{needs('my_module:agent', 'pydantic-ai')} (No module named 'pydantic_ai.my_absent')"
    )
    assert "line 1: ImportError: cannot import name 'my_absent'" in refusal("my_other:agent")


# --- what it raises ---


@pytest.mark.parametrize(
    ("source", "line", "raised"),
    [
        ("\n1 / 0\n", 2, "ZeroDivisionError: division by zero"),
        ("raise ValueError('one\\ntwo')\n", 1, "ValueError: one"),
        ("class Odd(Exception): ...\nraise Odd\n", 2, "my_module.Odd"),
        ("import sys\nsys.exit('no key')\n", 2, "SystemExit: no key"),
        ("\nx = (1\n", 2, "SyntaxError: '(' was never closed"),
        ("import json\njson.loads('{')\n", 2, "json.decoder.JSONDecodeError: Expecting"),
        ("import my_absent_one\n", 1, "ModuleNotFoundError: No module named 'my_absent_one'"),
        ("from json import dumbs\n", 1, "ImportError: cannot import name 'dumbs'"),
        ("from .x import y\n", 1, "ImportError: attempted relative import"),
        ("raise ExceptionGroup('g', [ValueError(1)])\n", 1, "ExceptionGroup: g (1 sub-exception)"),
    ],
)
def test_the_first_line_says_what_it_raised_and_where(
    module: Write, tmp_path: Path, source: str, line: int, raised: str
) -> None:
    module("my_module.py", source)
    said = refusal("my_module:agent").splitlines()

    assert said[0].startswith(
        "my_module:agent: 'my_module' cannot be imported: "
        f"{tmp_path / 'my_module.py'}, line {line}: {raised}"
    )
    assert f'  File "{tmp_path / "my_module.py"}", line {line}' in "\n".join(said[1:])


def test_only_frames_of_the_users_own_code_are_shown(module: Write, tmp_path: Path) -> None:
    module("my_module.py", "from my_parts import my_part\n")
    module("my_parts/__init__.py", "")
    module(
        "my_parts/my_part.py",
        "import json\n\ntry:\n    json.loads('{')\nexcept ValueError as error:\n"
        "    raise RuntimeError('no settings') from error\n",
    )
    said = refusal("my_module:agent")

    assert said.startswith(
        "my_module:agent: 'my_module' cannot be imported: "
        f"{tmp_path / 'my_parts/my_part.py'}, line 6: RuntimeError: no settings\n"
    )
    frames = [line.split('"')[1] for line in said.splitlines() if line.startswith("  File ")]
    part = str(tmp_path / "my_parts/my_part.py")
    assert frames == [part, str(tmp_path / "my_module.py"), part]
    assert "JSONDecodeError" in said, "what led to it is told, too"


def test_an_interrupt_goes_through(module: Write) -> None:
    module("my_module.py", "raise KeyboardInterrupt\n")

    with pytest.raises(KeyboardInterrupt):
        load_agent("my_module:agent")
