"""The pre-commit hook, by a real pre-commit that takes it from a git repository of this project.

Every run has it use the command that is installed here; the nightly one has it install its own.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.scanning import write

ROOT = Path(__file__).parents[2]
SHIPPED = (".pre-commit-hooks.yaml", "LICENSE", "README.md", "docs", "pyproject.toml", "src")
HOOK = """\
repos:
  - repo: {repository}
    rev: {revision}
    hooks:
      - id: netra-scan
        args: [src, --fail-on, error]
        language: {language}
"""
SOURCE = "import json\nfrom enum import Enum\nclass S(Enum):\n    A = 1\njson.dumps({'s': S.A})\n"


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def committed(folder: Path) -> str:
    """Make a repository of what is in the folder, and return its revision."""
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "All")
    return git(folder, "rev-parse", "HEAD")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("language", ["system", pytest.param("python", marks=pytest.mark.nightly)])
def test_a_commit_with_a_finding_is_stopped(tmp_path: Path, language: str) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed, so pre-commit cannot run")
    reason = "pre-commit is not installed"
    load_manifest = pytest.importorskip("pre_commit.clientlib", reason=reason).load_manifest
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    for name in SHIPPED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, ours / name)
    hook = HOOK.format(repository=ours, revision=committed(ours), language=language)
    write(theirs, {".pre-commit-config.yaml": hook, "src/a.py": SOURCE})
    committed(theirs)
    scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    home = str(tmp_path / "home")
    environment = {**os.environ, "PRE_COMMIT_HOME": home, "PATH": scripts}

    def pre_commit(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "pre_commit", *arguments],
            cwd=theirs,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    load_manifest(ours / ".pre-commit-hooks.yaml")
    if language == "python":
        installed = pre_commit("install-hooks")
        if installed.returncode:
            pytest.skip(f"pre-commit cannot install the hook here: {installed.stdout[-500:]}")
    found = pre_commit("run", "--all-files")
    assert found.returncode == 1, found.stdout
    assert "src/a.py:5:1: JS001 plain enum S reaches json.dumps" in found.stdout
    write(theirs, {"src/a.py": SOURCE.replace("S.A})", "S.A.name})")})
    git(theirs, "add", "-A")
    clean = pre_commit("run")
    assert clean.returncode == 0, clean.stdout
