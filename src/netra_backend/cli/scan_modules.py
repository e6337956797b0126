"""Files and the dotted names under which they are imported."""

import os
import re
from collections.abc import Iterable
from glob import escape, glob

from netra_backend.cli.scan_project import Project
from netra_backend.errors import ConfigError


def import_roots(project: Project) -> tuple[str, ...]:
    """Return the folders from which the project's own modules are imported, deepest first."""
    roots = {os.path.normpath(os.path.join(project.root, folder)) for folder in project.options.src}
    return tuple(sorted(roots, key=len, reverse=True))


class Names:
    """Names modules as they are imported: from the outermost package, else from a root.

    A folder with an ``__init__.py`` is a package, and so is one without below it, unless it is a
    root. What was seen of a folder is remembered.
    """

    def __init__(self, roots: Iterable[str]) -> None:
        self._roots = tuple(roots)
        self._packages: dict[str, tuple[str, ...]] = {}
        self._others: dict[str, tuple[tuple[str, ...], ...]] = {}

    def of(self, file: str) -> str:
        """Return the module's name; a package's ``__init__.py`` has the package's."""
        folder, stem = _split(file)
        return _joined(self._package(folder), stem) or os.path.basename(folder) or stem

    def also(self, file: str) -> tuple[str, ...]:
        """Return the names that it has from the roots above it, where they are others.

        ``app/core/__init__.py`` is `core`, and `app.core` for whoever takes ``app`` for a package.
        """
        folder, stem = _split(file)
        if folder not in self._others:
            below = (_below_root(folder, (root,)) for root in self._roots)
            own = self._package(folder)
            self._others[folder] = tuple(steps for steps in below if steps and steps != own)
        return tuple(_joined(steps, stem) for steps in self._others[folder])

    def _package(self, folder: str) -> tuple[str, ...]:
        """Return the steps of the name that a folder's modules have in common."""
        if folder not in self._packages:
            self._packages[folder] = self._look(folder)
        return self._packages[folder]

    def _look(self, folder: str) -> tuple[str, ...]:
        above, name = os.path.split(folder)
        if not os.path.isfile(f"{folder}/__init__.py"):
            if self._is_inside(folder):
                return (*self._package(above), name)
            return _below_root(folder, self._roots)
        inside = above != folder and self._is_inside(above)
        return (*self._package(above), name) if inside else (name,)

    def _is_inside(self, folder: str) -> bool:
        """Return whether the folder is a package, or lies in one."""
        if os.path.isfile(f"{folder}/__init__.py"):
            return True
        above, name = os.path.split(folder)
        if folder in self._roots or above == folder or not name.isidentifier():
            return False
        return self._is_inside(above)


def _split(file: str) -> tuple[str, str]:
    folder, name = os.path.split(os.path.abspath(file))
    return folder, os.path.splitext(name)[0]


def _joined(steps: tuple[str, ...], stem: str) -> str:
    return ".".join(steps if stem == "__init__" else (*steps, stem))


def find_module(name: str, roots: Iterable[str]) -> str | None:
    """Return the file of a module, or of the module that `name` is an attribute of."""
    if not re.fullmatch(r"\w+(\.\w+)*", name):
        return None
    steps = name.split(".")
    for root in roots:
        if not os.path.exists(f"{root}/{steps[0]}") and not os.path.exists(f"{root}/{steps[0]}.py"):
            continue
        for end in (len(steps), len(steps) - 1):
            stem = "/".join([root, *steps[:end]])
            for file in (f"{stem}/__init__.py", f"{stem}.py", f"{stem}.pyi"):
                if end and os.path.isfile(file):
                    return file
    return None


def environment_roots(python: str, named_by: str) -> tuple[str, ...]:
    """Return the site-packages of an environment, given its folder or its interpreter.

    Nothing is executed: the layout of environments says where they are. Raises ConfigError, which
    says who named it.
    """
    if not os.path.exists(python):
        raise ConfigError(f"{named_by} {python}: there is no such environment")
    candidates = [python]
    if not os.path.isdir(python):
        candidates = [f"{os.path.dirname(it)}/.." for it in (python, os.path.realpath(python))]
    for folder in candidates:
        for pattern in ("lib/python3*/site-packages", "Lib/site-packages", "lib/python3*/dist-*"):
            found = glob(f"{escape(folder)}/{pattern}")
            if found:
                return tuple(os.path.normpath(place) for place in found)
        if os.path.basename(os.path.normpath(folder)) in ("site-packages", "dist-packages"):
            return (folder,)
    raise ConfigError(f"{named_by} {python} is no environment: there is no site-packages in it")


def _below_root(folder: str, roots: tuple[str, ...]) -> tuple[str, ...]:
    """Return the steps from the nearest root to a folder that is no package itself."""
    for root in roots:
        if f"{folder}/".startswith(f"{root}/"):
            names = tuple(name for name in folder[len(root) :].split(os.sep) if name)
            return names if all(map(str.isidentifier, names)) else ()
    return ()
