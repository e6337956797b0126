"""CONTRIBUTING.md: its list of the places that catch every exception is complete."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "netra_backend"


def test_exceptions_of_every_kind_are_caught_at_the_listed_borders_only() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.search(r"^\* `except Exception` stands .*\n((?:  .*\n)+)", text, re.MULTILINE)
    assert found is not None
    listed = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)?)`", found[1]))
    assert listed == {border(path) for path in SOURCE.rglob("*.py") if catches_all(path)}


def border(path: Path) -> str:
    """Return how the list names a module; of `jsonlog` every one is about one log record."""
    name = path.relative_to(SOURCE).with_suffix("").as_posix()
    return "jsonlog" if name.startswith("jsonlog/") else name


def catches_all(path: Path) -> bool:
    """Return whether a module catches `Exception`, or everything, and may go on."""
    text = path.read_text(encoding="utf-8")
    if not re.search(r"Exception\b|except\s*:", text):  # to parse every module takes a second
        return False
    return any(
        isinstance(one, ast.ExceptHandler)
        and names(one.type) & {"Exception", "BaseException", ""}
        and not any(isinstance(step, ast.Raise) and step.exc is None for step in one.body)
        for one in ast.walk(ast.parse(text))
    )


def names(caught: ast.expr | None) -> set[str]:
    if isinstance(caught, ast.Tuple):
        return set().union(*map(names, caught.elts))
    return {"" if caught is None else ast.unparse(caught)}
