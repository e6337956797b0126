"""What the package offers, and what it does not pull in."""

import json
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


def test_it_needs_only_the_standard_library() -> None:
    code = "import json, sys, netra_backend.jsonlog; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    loaded = json.loads(done.stdout)
    assert [name for name in loaded if name.split(".")[0] in FOREIGN] == []
    ours = [name for name in loaded if name.startswith("netra_backend.")]
    assert all(name.startswith("netra_backend.jsonlog") for name in ours)
