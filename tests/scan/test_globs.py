"""Patterns of paths: what git itself says is right."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_backend.scan.globs import covers, decide, parse_pattern, parse_patterns
from tests.night import examples

PATTERNS = [
    *("a.py", "*.py", "/a.py", "b/", "/b", "b/*.py", "**/b", "b/**", "a/**/c", "?.py", "[ab].py"),
    *("[!a].py", "[^a].py", "[a-c]/", "\\!x.py", "\\#x.py", "# a.py", "x y.py ", "x\\ ", "*", "**"),
    *("a/*/c.py", "/**/c.py", "b/**/", "*.p[yw]", "a\\*.py", "[", "a[", "[]]", "/", "//", "b//c"),
    *("!a.py", "!b/", "", "***", "a**.py", "**a.py", "[[]x", "[\\]x"),
]
PATHS = [
    *(
        "a.py",
        "b/a.py",
        "b/c.py",
        "a/c.py",
        "a/b/c.py",
        "a/b/d/c.py",
        "c/b/a.py",
        "x y.py",
        "!x.py",
    ),
    *("#x.py", "x ", "a*.py", "b/b/b.pyw", "[", "[x", "]", "a[", "aa.py", "b/c/d"),
]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is not installed, so there is nothing to compare patterns with")
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def ignored_by_git(repository: Path, patterns: list[str]) -> set[str]:
    (repository / ".gitignore").write_text("\n".join(patterns) + "\n", encoding="utf-8")
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", "-z", "--stdin"],
        cwd=repository,
        input="\0".join(PATHS).encode(),
        capture_output=True,
        check=False,
    )
    return set(done.stdout.decode().split("\0")) - {""}


def ignored_by_us(patterns: list[str]) -> set[str]:
    known = parse_patterns(patterns)
    return {path for path in PATHS if covers(known, path)}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_means_what_git_says(repository: Path, pattern: str) -> None:
    assert ignored_by_us([pattern]) == ignored_by_git(repository, [pattern])


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.sampled_from(PATTERNS), min_size=2, max_size=5))
def test_patterns_together_mean_what_git_says(repository: Path, patterns: list[str]) -> None:
    assert ignored_by_us(patterns) == ignored_by_git(repository, patterns)


@settings(deadline=None)
@given(st.text())
def test_any_line_is_a_pattern_or_none(line: str) -> None:
    pattern = parse_pattern(line)
    assert pattern is None or decide([pattern], "a/b.py", is_folder=False) in (True, False, None)
