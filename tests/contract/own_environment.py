"""Environments with some extras and no others: each made once, outside the repository."""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALL_SECONDS = 600
"""Seconds that an installation may take before the machine counts as offline."""


def python_with(extras: str) -> Path:
    """Return the Python of an environment that has this package with the extras.

    Skips the test, saying why, where it cannot be installed.
    """
    asked = f"{sys.version}{ROOT}{(ROOT / 'pyproject.toml').read_text(encoding='utf-8')}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = f"{extras}-{hashlib.sha256(asked.encode()).hexdigest()[:16]}"
    folder = cache / "netra-backend" / "tests" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            _install(folder, extras)
    return folder / "bin" / "python"


def _install(folder: Path, extras: str) -> None:
    python = folder / "bin" / "python"
    wanted = f"{ROOT}[{extras}]"
    try:
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--editable", wanted],
        ):
            subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS)
    except (subprocess.SubprocessError, OSError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace")[-500:]
        pytest.skip(f"[{extras}] cannot be installed, so it is NOT TESTED: {error} {said}")
    (folder / "whole").touch()
