"""npm packages for tests: installed once, outside of the repository."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NODE = Path(__file__).parent / "node"
INSTALL_SECONDS = 90
"""Seconds that an installation may take before the machine counts as offline."""

MINIMUM = 20
"""The oldest Node that the clients run on."""


def node_folder() -> Path:
    """Return a folder whose node_modules are those of tests/e2e/node/package.json.

    Skips the test, saying why, where there is no Node or the packages cannot be had.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program} here, so what npm has is NOT TESTED")
    said = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True).stdout
    if int(said.removeprefix("v").split(".")[0]) < MINIMUM:
        pytest.skip(f"Node is {said.strip()}, not {MINIMUM}: what npm has is NOT TESTED")
    manifest = (NODE / "package.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(manifest).hexdigest()[:16]
    folder = cache / "netra-backend" / "tests" / f"node-{name}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(folder.with_name(f"{folder.name}.lock")):
        if not folder.exists():
            _install(folder, manifest)
    return folder


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    """Wait for the other processes of the test run that install the same."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(folder: Path, manifest: bytes) -> None:
    """Install beside the folder and rename, so that there is a whole folder or none."""
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    unfinished.mkdir()
    (unfinished / "package.json").write_bytes(manifest)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    try:
        subprocess.run(
            command, cwd=unfinished, check=True, capture_output=True, timeout=INSTALL_SECONDS
        )
        unfinished.rename(folder)
    except (subprocess.SubprocessError, OSError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace")[-500:]
        pytest.skip(f"npm cannot install them, so they are NOT TESTED: {error} {said}")
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
