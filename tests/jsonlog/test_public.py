"""What the package offers, and what it does not pull in."""

import subprocess
import sys
from types import ModuleType

from netra_backend import jsonlog

FOREIGN = (
    "ag_ui",
    "asyncio",
    "msgspec",
    "pydantic",
    "starlette",
    "uvicorn",
    "websockets",
)


def test_the_public_names_are_the_listed_ones() -> None:
    public = {name for name, one in vars(jsonlog).items() if not isinstance(one, ModuleType)}
    assert {name for name in public if not name.startswith("_")} == set(jsonlog.__all__)


LATER = ("dataclasses", "datetime", "inspect", "json", "orjson", "queue", "select", "uuid", "zlib")
"""What loads where it is needed, so that the import stays under 40 ms: `bench/imports.py`."""


def test_it_needs_only_the_standard_library() -> None:
    code = "import sys, netra_backend.jsonlog; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    loaded = sorted(done.stdout.decode().split())
    assert [name for name in loaded if name.split(".")[0] in FOREIGN + LATER] == []
    ours = [name for name in loaded if name.startswith("netra_backend.")]
    assert all(name.startswith("netra_backend.jsonlog") for name in ours)
    assert "netra_backend.jsonlog.installed" not in ours
