"""Which files are scanned: those named, and the Python files in the folders named."""

import os
from collections.abc import Iterable, Iterator

from msgspec import Struct

from netra_backend.cli.scan_project import Project, upwards
from netra_backend.errors import ConfigError
from netra_backend.scan.globs import Pattern, covers, decide, parse_patterns
from netra_backend.scan.skipped import Skipped

NEVER = frozenset(
    {
        *("__pycache__", "__pypackages__", "_build", "build", "dist", "node_modules"),
        *("site-packages", "venv", ".bzr", ".direnv", ".eggs", ".git", ".hg", ".svn"),
        *(".ipynb_checkpoints", ".mypy_cache", ".netra_cache", ".nox", ".pytest_cache"),
        *(".ruff_cache", ".tox", ".venv"),
    }
)
"""Folders that are not entered, unless they are named."""

SUFFIXES = (".py", ".pyw")


class Found(Struct, frozen=True):
    """The files, without doubles, and what could not be looked at."""

    files: tuple[str, ...]
    skipped: tuple[Skipped, ...]


class _Scope(Struct, frozen=True):
    """The patterns of one .gitignore and the folder it stands in."""

    folder: str
    patterns: tuple[Pattern, ...]


def find_files(
    paths: Iterable[str], project: Project, *, gitignore: bool, force_exclude: bool = False
) -> Found:
    """Return the files to scan, in the order of the paths and then of their names.

    Links to folders are not followed, so that there are no loops. Raises ConfigError for a path
    that does not exist.
    """
    walk = _Walk(project, gitignore=gitignore)
    files: dict[str, str] = {}
    for path in paths:
        for file in _under(path, walk, force_exclude=force_exclude):
            files.setdefault(os.path.abspath(file), file)
    return Found(tuple(files.values()), tuple(walk.skipped))


def _under(path: str, walk: "_Walk", *, force_exclude: bool) -> Iterator[str]:
    if not os.path.lexists(path):
        raise ConfigError(f"there is no file or folder {path!r}")
    if force_exclude and walk.is_excluded_by_hand(path):
        return
    if os.path.isdir(path):
        yield from walk.folder(path)
    elif os.path.isfile(path) or os.path.islink(path):
        yield path
    else:
        raise ConfigError(f"{path!r} is no regular file; pipe its text into `netra scan -`")


class _Walk:
    """Walks folders, and keeps what it could not enter."""

    def __init__(self, project: Project, *, gitignore: bool) -> None:
        self._project = project
        self._gitignore = gitignore
        self.skipped: list[Skipped] = []

    def folder(self, path: str) -> Iterator[str]:
        """Yield the Python files in the folder and below, those of a folder before its folders'."""
        scopes = _outer_scopes(path) if self._gitignore else ()
        stack = [(path, scopes)]
        while stack:
            folder, scopes = stack.pop()
            entries = self._entries(folder)
            if self._gitignore:
                scopes = _with_own(scopes, folder, entries)
            below = []
            for entry in entries:
                kind = self._kind(entry, scopes)
                if kind == "file":
                    yield entry.path.removeprefix("./")
                elif kind == "folder":
                    below.append((entry.path, scopes))
            stack.extend(reversed(below))

    def is_excluded_by_hand(self, path: str) -> bool:
        """Return whether ``exclude`` covers a path or a folder it is in."""
        return covers(self._project.excluded, self._project.relative(path))

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self.skipped.append(Skipped(folder, f"cannot be entered: {error.strerror}"))
            return []

    def _kind(self, entry: os.DirEntry[str], scopes: tuple[_Scope, ...]) -> str | None:
        """Return ``file`` or ``folder``, or None for what is left out."""
        is_folder = entry.is_dir(follow_symlinks=False)
        if not is_folder and not entry.name.endswith(SUFFIXES):
            return None
        if is_folder and (entry.name in NEVER or _is_environment(entry.path)):
            return None
        if self._is_excluded(entry.path, is_folder=is_folder):
            return None
        if scopes and _is_ignored(scopes, entry.path, is_folder=is_folder):
            return None
        if is_folder:
            return "folder"
        return "file" if _is_readable_kind(entry) else None

    def _is_excluded(self, path: str, *, is_folder: bool) -> bool:
        patterns = self._project.excluded
        if not patterns:
            return False
        return bool(decide(patterns, self._project.relative(path), is_folder=is_folder))


def _is_readable_kind(entry: os.DirEntry[str]) -> bool:
    """Return whether it is a file, or a broken link, which reading will report."""
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))
    except OSError:
        return True


def _is_environment(folder: str) -> bool:
    return os.path.exists(f"{folder}/pyvenv.cfg")


def _is_ignored(scopes: tuple[_Scope, ...], path: str, *, is_folder: bool) -> bool:
    """Return what the innermost .gitignore that has an opinion says."""
    place = os.path.abspath(path)
    for scope in reversed(scopes):
        inside = place[len(scope.folder) :].lstrip("/").replace(os.sep, "/")
        verdict = decide(scope.patterns, inside, is_folder=is_folder)
        if verdict is not None:
            return verdict
    return False


def _outer_scopes(path: str) -> tuple[_Scope, ...]:
    """Return the .gitignore files above the folder, up to its repository's root."""
    chain = list(upwards(os.path.abspath(path)))
    root = next((at for at, folder in enumerate(chain) if os.path.exists(f"{folder}/.git")), None)
    if root is None:
        return ()
    files = [(chain[root], ".git/info/exclude")]
    files += [(folder, ".gitignore") for folder in reversed(chain[1 : root + 1])]
    scopes = (_scope(folder, name) for folder, name in files)
    return tuple(scope for scope in scopes if scope.patterns)


def _with_own(
    scopes: tuple[_Scope, ...], folder: str, entries: list[os.DirEntry[str]]
) -> tuple[_Scope, ...]:
    if not any(entry.name == ".gitignore" for entry in entries):
        return scopes
    return (*scopes, _scope(os.path.abspath(folder), ".gitignore"))


def _scope(folder: str, name: str) -> _Scope:
    try:
        with open(f"{folder}/{name}", encoding="utf-8", errors="replace") as opened:
            text = opened.read()
    except OSError:
        text = ""
    return _Scope(folder, parse_patterns(text.splitlines()))
