"""docs/reference.md lists the public names, with the first sentence of what they say."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from netra_backend.core.ports import Store

PAGE = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")

PUBLIC = {
    "netra_backend": (),
    "netra_backend.agents.base": ("Reasoning", "Text", "ToolCall", "question_of", "text_of"),
    "netra_backend.agents.callbacks": ("Happening", "Kind"),
    "netra_backend.agents.run_context": ("RunContext", "current_run"),
    "netra_backend.agents.adapters.langgraph": ("LangGraphAgent",),
    "netra_backend.agents.adapters.openai": ("OpenAIAgent",),
    "netra_backend.agents.adapters.openai_agents": ("OpenAIAgentsAgent",),
    "netra_backend.agents.adapters.remote": ("RemoteAgent",),
    "netra_backend.jsonlog": (),
    "netra_backend.testing": (),
}
"""The public names of each module; none stands for its ``__all__``."""

SLOW = ("netra_backend.agents.adapters.langgraph", "netra_backend.agents.adapters.openai_agents")
"""Modules whose libraries take seconds to import."""

MODULES = [
    pytest.param(module, marks=pytest.mark.nightly) if module in SLOW else module
    for module in PUBLIC
]


def names_of(module: str) -> list[str]:
    """Return the public names of a module."""
    return sorted(PUBLIC[module] or importlib.import_module(module).__all__)


def told(thing: object) -> str:
    """Return the first sentence of what a name says of itself; a constant says its value."""
    if not inspect.isroutine(thing) and not isinstance(thing, type):
        return f"`{thing}`".replace("|", "\\|")
    text = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
    return text.split(". ")[0].rstrip(".") + "."


def section(module: str) -> str:
    """Return what the page should say of a module."""
    public = importlib.import_module(module)
    rows = ["| name | |", "|---|---|"]
    rows += [f"| `{name}` | {told(getattr(public, name))} |" for name in names_of(module)]
    return f"## {module}\n\n" + "\n".join(rows)


@pytest.mark.parametrize("module", MODULES)
def test_the_page_lists_the_public_names(module: str) -> None:
    assert section(module) in PAGE, f"expected in docs/reference.md:\n{section(module)}"


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_says_what_it_is(module: str) -> None:
    public = importlib.import_module(module)
    for name in names_of(module):
        thing = getattr(public, name)
        assert not callable(thing) or inspect.getdoc(thing), f"{module}.{name} has no docstring"


def test_the_contract_for_a_store_of_your_own_is_collected_and_passes(tmp_path: Path) -> None:
    """The example, as it stands: pytest finds the tests of every part of the contract in it."""
    (example,) = re.findall(r"```python\n(from pathlib.*?LogContract.*?)```", PAGE, re.S)
    (tmp_path / "test_my_store.py").write_text(example, encoding="utf-8")
    # What a user would have too, but no plug-in of a library that frameworks bring along.
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:langsmith_plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_my_store.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) > 50


def test_the_page_names_every_part_of_the_contract_for_a_store() -> None:
    named = PAGE.split("## Stores of your own")[1]
    parts = [base.__name__ for base in Store.__mro__ if base.__module__.startswith("netra_backend")]
    assert all(f"`{part}`" in named for part in parts)
