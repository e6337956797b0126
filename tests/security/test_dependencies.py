"""Dependencies: none is older than the first version without the faults that reach a server."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SAFE = {
    "cryptography": ("44.0.1", "CVE-2024-12797"),
    "orjson": ("3.11.6", "CVE-2025-67221"),
    "pyjwt": ("2.15", "CVE-2026-48525, CVE-2026-101918"),
    "starlette": ("1.3", "CVE-2026-48710, PYSEC-2026-248"),
}
"""The first version without the faults, and their names; of an `authenticate` that asks for
``request.url``, too."""


def numbers(text: str) -> tuple[int, ...]:
    """Return a version as what it is compared by; trailing zeros say nothing."""
    parts = [int(part) for part in re.findall(r"\d+", text)[:3]]
    return (*parts, 0, 0, 0)[:3]


def required(name: str) -> str:
    """Return the least version that is installed with."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for requirement in tomllib.loads(text)["project"]["dependencies"]:
        found = re.fullmatch(rf"{name}(\[[^]]*\])?>=([^,;]+).*", requirement)
        if found is not None:
            return found[2]
    raise AssertionError(f"{name} is not required")


@pytest.mark.parametrize("name", SAFE)
def test_none_is_required_or_installed_that_has_a_known_fault(name: str) -> None:
    safe, _ = SAFE[name]
    assert numbers(required(name)) >= numbers(safe)
    assert numbers(version(name)) >= numbers(safe)


def test_the_documentation_lists_them() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    listed = re.findall(r"\| `([a-z-]+)` \| ([\d.]+) \| ([A-Z\d, -]+) \|", text)
    assert {name: (safe, fault) for name, safe, fault in listed} == SAFE
