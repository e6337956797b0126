"""The project that is scanned: its folder, and what its pyproject.toml says."""

import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from netra_backend.cli.scan_arguments import Arguments
from netra_backend.errors import ConfigError
from netra_backend.scan.globs import Pattern, covers, parse_patterns
from netra_backend.scan.options import Options, parse_codes, parse_options


class Project(Struct, frozen=True):
    """The folder that options and patterns are relative to, and the options."""

    root: str
    options: Options
    excluded: tuple[Pattern, ...]
    per_file: tuple[tuple[tuple[Pattern, ...], tuple[str, ...]], ...]

    def relative(self, file: str) -> str:
        """Return the file's path from the root, with ``/``."""
        return os.path.relpath(file, self.root).replace(os.sep, "/")

    def enabled(self, file: str, rule: str) -> bool:
        """Return whether the rule is on in the file; ``JS`` asks whether all rules are."""
        if rule == "JS" and (self.options.select != ("JS",) or self.options.ignore):
            return False
        path = self.relative(file)
        off = (rules for patterns, rules in self.per_file if covers(patterns, path))
        refused = [code for codes in off for code in codes]
        if rule == "JS":
            return not refused
        return self.options.enabled(rule) and not rule.startswith(tuple(refused))


def load_project(asked: Arguments, rules: Collection[str]) -> Project:
    """Return the project of the paths. Raises ConfigError for what cannot be read or used.

    It is the nearest pyproject.toml with a table ``[tool.netra.scan]``, upwards from the folder
    that holds all paths; of a project without one, the nearest pyproject.toml or .git says where
    the root is.
    """
    start = _common_folder(asked)
    root, options = start, Options()
    if asked.config is not None:
        root, options = _from_config(asked.config, rules)
    else:
        roots = [folder for folder in upwards(start) if _is_root(folder)]
        root = roots[0] if roots else os.getcwd()
        for folder in roots:
            file = f"{folder}/pyproject.toml"
            table = _table(file)
            if table is not None:
                root, options = folder, _options(table, folder, _shown(file), rules)
                break
    return _project(root, _overridden(options, asked, rules))


def settings_files(asked: Arguments) -> list[str]:
    """Return the files from which settings may come, there or not."""
    if asked.config is not None:
        return [asked.config]
    return [f"{folder}/pyproject.toml" for folder in upwards(_common_folder(asked))]


def upwards(folder: str) -> Iterator[str]:
    """Yield the folder, an absolute path, and those it is in, up to the root."""
    while True:
        yield folder
        parent = os.path.dirname(folder)
        if parent == folder:
            return
        folder = parent


def _from_config(file: str, rules: Collection[str]) -> tuple[str, Options]:
    if not os.path.isfile(file):
        raise ConfigError(f"--config {file}: there is no such file")
    table = _table(file)
    if table is None:  # who names a file means what it says
        raise ConfigError(f"--config {file}: there is no table [tool.netra.scan] in it")
    root = os.path.dirname(os.path.abspath(file))
    return root, _options(table, root, file, rules)


def _options(table: Mapping[str, object], root: str, file: str, rules: Collection[str]) -> Options:
    """Return what the table says. Raises ConfigError also for a source folder that is not there."""
    options = parse_options(table, file, rules)
    for index, folder in enumerate(options.src if "src" in table else ()):
        if not os.path.isdir(os.path.join(root, folder)):
            raise ConfigError(
                f"{file}: tool.netra.scan.src[{index}] is {folder!r}, and there is no such folder"
            )
    return options


def _common_folder(asked: Arguments) -> str:
    paths = [asked.stdin_filename or "."] if asked.stdin else list(asked.paths)
    common = os.path.commonpath([os.path.abspath(path) for path in paths])
    return common if os.path.isdir(common) else os.path.dirname(common)


def _is_root(folder: str) -> bool:
    return os.path.isfile(f"{folder}/pyproject.toml") or os.path.exists(f"{folder}/.git")


def _table(file: str) -> dict[str, object] | None:
    """Return ``[tool.netra.scan]``, or None where there is none."""
    if not os.path.isfile(file):
        return None
    try:
        with open(file, encoding="utf-8") as opened:
            text = opened.read()
        table = _parsed(text) if "netra" in text else {}
    except OSError as error:
        raise ConfigError(f"{_shown(file)}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{_shown(file)} is no TOML: {error}") from error
    for step in ("tool", "netra", "scan"):
        if not isinstance(table, dict):
            raise ConfigError(f"{_shown(file)}: tool.netra.scan is no table")
        if step not in table:
            return None
        table = table[step]
    if not isinstance(table, dict):
        raise ConfigError(f"{_shown(file)}: tool.netra.scan is no table")
    return table


def _parsed(text: str) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - start time, where there is no table

    return tomllib.loads(text)


def _shown(file: str) -> str:
    """Return the file as a reader in the working directory would call it."""
    near = os.path.relpath(file)
    return file if near.startswith("..") else near


def _overridden(options: Options, asked: Arguments, rules: Collection[str]) -> Options:
    """Return the options with what the command line says instead."""
    if asked.select is not None:
        options = replace(options, select=parse_codes(asked.select, "--select", rules))
    if asked.ignore is not None:
        options = replace(options, ignore=parse_codes(asked.ignore, "--ignore", rules))
    notes = asked.notes if asked.notes is not None else options.notes
    return replace(
        options,
        exclude=(*options.exclude, *asked.exclude),
        fail_on=asked.fail_on or options.fail_on,
        notes=notes if notes is not None else not os.environ.get("CI"),
    )


def _project(root: str, options: Options) -> Project:
    per_file = tuple(
        (parse_patterns([entry.pattern]), entry.rules) for entry in options.per_file_ignores
    )
    return Project(root, options, parse_patterns(options.exclude), per_file)
