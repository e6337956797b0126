"""Type aliases: unions are looked through, in the same file and from another."""

import pytest

from netra_backend.scan.engine import link, summarise
from netra_backend.scan.options import Options

HEAD = "import json\nfrom pathlib import Path\nfrom typing import Optional, Union\n"


def found(annotation: str, alias: str) -> list[str]:
    types = summarise("types_.py", "types_", f"{HEAD}{alias}\n")
    use = "from types_ import *\nimport json\n"
    use += f"def f(x: {annotation}):\n    json.dumps({{'x': x}})\n"
    same = summarise("a.py", "a", f"{HEAD}{alias}\ndef f(x: {annotation}):\n    json.dumps([x])\n")
    findings = link([types, same, summarise("b.py", "b", use)], Options())
    assert len({finding.path for finding in findings}) == len(findings)
    return [f"{finding.path} {finding.severity.value} {finding.rule}" for finding in findings]


@pytest.mark.parametrize(
    ("annotation", "alias"),
    [
        ("PathLike", "PathLike = Union[str, Path]"),
        ("PathLike", "PathLike = str | Path"),
        ("PathLike", "PathLike = Optional[Path]"),
        ("list[PathLike]", "PathLike = Union[str, Path]"),
        ("Outer", "Inner = Union[str, Path]\nOuter = Optional[Inner]"),
    ],
)
def test_some_of_a_union_raise(annotation: str, alias: str) -> None:
    assert found(annotation, alias) == ["a.py warning JS007", "b.py warning JS007"]


@pytest.mark.parametrize(
    "alias",
    [
        "PathLike = Union[str, int]",
        "PathLike = str | None",
        "PathLike = Optional[Unknown]",
        "PathLike = None",
        "PathLike = make()",
    ],
)
def test_what_may_be_anything_or_text_is_silent(alias: str) -> None:
    assert found("PathLike", alias) == []
