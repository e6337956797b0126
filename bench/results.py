"""The results: RESULTS.md keeps the newest answer to each question, and where it was given."""

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FILE = Path(__file__).parent / "RESULTS.md"
PACKAGES = (
    "uvloop",
    "uvicorn",
    "websockets",
    "httptools",
    "starlette",
    "fastapi",
    "picows",
    "python-socketio",
)
HEAD = "# Results\n\nThe newest answer to each question that was asked here; see README.md.\n"


def keep(name: str, shown: str, load: float) -> None:
    """Replace the answer to the question `name`; `load` is the machine's before it was asked."""
    text = FILE.read_text(encoding="utf-8") if FILE.exists() else HEAD
    answers = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    answers[name] = f"\n{_where(load)}\n\n```\n{shown}\n```\n\n"
    parts = [
        HEAD,
        *(f"\n## {question}\n{answer.rstrip()}\n" for question, answer in answers.items()),
    ]
    FILE.write_text("".join(parts), encoding="utf-8")


def _where(load: float) -> str:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    packages = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    bun = shutil.which("bun")
    if bun is not None:
        packages += f", bun {subprocess.check_output([bun, '--version'], text=True).strip()}"
    return (
        f"{now}; {os.cpu_count()} cores ({_processor()}), load {load:.2f} before; "
        f"{platform.system()} {platform.release()}; {python}; {packages}."
    )


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        return platform.machine()
    return found[1] if found else platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
