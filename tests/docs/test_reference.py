"""docs/reference.md lists the public names, with the first sentence of what they say."""

import importlib
import inspect
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")

MODULES = ("netra_backend", "netra_backend.jsonlog", "netra_backend.testing")


def told(thing: object) -> str:
    """Return the first sentence of what a name says of itself; a constant says its value."""
    if not callable(thing):
        return f"`{thing}`".replace("|", "\\|")
    text = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
    return text.split(". ")[0].rstrip(".") + "."


def section(module: str) -> str:
    """Return what the page should say of a module."""
    public = importlib.import_module(module)
    rows = ["| name | |", "|---|---|"]
    rows += [f"| `{name}` | {told(getattr(public, name))} |" for name in sorted(public.__all__)]
    return f"## {module}\n\n" + "\n".join(rows)


@pytest.mark.parametrize("module", MODULES)
def test_the_page_lists_the_public_names(module: str) -> None:
    assert section(module) in PAGE, f"expected in docs/reference.md:\n{section(module)}"


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_says_what_it_is(module: str) -> None:
    public = importlib.import_module(module)
    for name in public.__all__:
        thing = getattr(public, name)
        assert not callable(thing) or inspect.getdoc(thing), f"{module}.{name} has no docstring"
