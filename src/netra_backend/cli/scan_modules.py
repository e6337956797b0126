"""Files and the dotted names under which they are imported."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from netra_backend.cli.scan_project import Project
from netra_backend.errors import ConfigError


def import_roots(project: Project) -> tuple[str, ...]:
    """Return the folders from which the project's own modules are imported, deepest first."""
    roots = {os.path.abspath(project.root / folder) for folder in project.options.src}
    return tuple(sorted(roots, key=len, reverse=True))


def module_of(file: str, roots: Iterable[str]) -> str:
    """Return the module's name: from the outermost package around it, else from its root.

    A folder with an ``__init__.py`` is a package. A package's ``__init__.py`` has its name.
    """
    path = Path(os.path.abspath(file))
    parts = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder.name:
        parts.insert(0, folder.name)
        folder = folder.parent
    if folder == path.parent and parts:
        parts = [*_below_root(folder, roots), *parts]
    return ".".join(parts) or path.parent.name


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


def environment_roots(python: Path) -> tuple[str, ...]:
    """Return the site-packages of an environment, given its folder or its interpreter.

    Nothing is executed: the layout of environments says where they are. Raises ConfigError.
    """
    if not python.exists():
        raise ConfigError(f"--python {python}: there is no such environment")
    candidates = (
        [python] if python.is_dir() else [python.parent.parent, python.resolve().parents[1]]
    )
    for folder in candidates:
        found = [*folder.glob("lib/python3*/site-packages"), *folder.glob("Lib/site-packages")]
        found += [] if found else folder.glob("lib/python3*/dist-packages")
        if not found and folder.name in ("site-packages", "dist-packages"):
            found = [folder]
        if found:
            return tuple(map(str, found))
    raise ConfigError(f"--python {python} is no environment: there is no site-packages in it")


def _below_root(folder: Path, roots: Iterable[str]) -> list[str]:
    for root in roots:
        if folder.is_relative_to(root):
            names = folder.relative_to(root).parts
            return [*names] if all(map(str.isidentifier, names)) else []
    return []
