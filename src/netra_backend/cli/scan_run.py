"""One scan: from paths to the findings that are to be told."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.json import encode as encode_options
from msgspec.structs import replace

from netra_backend.cli.scan_arguments import Arguments
from netra_backend.cli.scan_cache import Cache
from netra_backend.cli.scan_files import find_files
from netra_backend.cli.scan_modules import (
    Names,
    environment_roots,
    find_module,
    import_roots,
)
from netra_backend.cli.scan_project import Project
from netra_backend.cli.scan_record import File, Record, kept_record, record_data, record_file
from netra_backend.cli.scan_source import Unreadable, decode, read_bytes
from netra_backend.errors import ConfigError
from netra_backend.scan.engine import link
from netra_backend.scan.finding import Finding, Severity
from netra_backend.scan.lines import split_lines
from netra_backend.scan.skipped import Skipped
from netra_backend.scan.suppress import suppress

if TYPE_CHECKING:
    from netra_backend.cli.scan_notebook import KeptNotebook

FEW = 24
"""Files that are looked at quicker than worker processes start."""

FARTHEST = 3
"""Imports that are followed from the scanned files: values rarely come from farther."""

MOST_IMPORTED = 1_000
"""Files that are looked at only because others import them."""


class Outcome(Struct, frozen=True):
    """What a scan has found.

    `files` are the scanned files by the path that reports call them; `failed` is whether the
    scanner itself was at fault; `notes` are remarks for who runs it.
    """

    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]
    failed: bool
    files: Mapping[str, File]
    notes: tuple[str, ...] = ()

    @property
    def scanned(self) -> int:
        """How many of the files were scanned."""
        return len(self.files) - sum(lost.path in self.files for lost in self.skipped)


class Scan:
    """A project and what is asked of it; `run` can be called again after files have changed."""

    def __init__(self, asked: Arguments, project: Project, stdin: bytes | None = None) -> None:
        self._asked = asked
        self._project = project
        self._roots = import_roots(project)
        self._import_roots = self._roots + _environment(asked, project)
        self._cache = Cache(_cache_folder(asked, project)) if asked.cache else None
        self.stdin = stdin

    def run(self) -> Outcome:
        """Scan, and judge what was found by the options and the comments."""
        files, lost = self._files()
        if self.stdin is None:
            records = self._records(files)
        else:
            records = [record_data(file, self.stdin, self._cache) for file in files]
        scanned = [record.summary for record in records if record.summary.skipped is None]
        imported = self._imported(records)
        names = {file.path: file for file in files}
        # Notes too, or the comments on them would be of no use where notes are not told.
        options = replace(self._project.options, notes=True)
        notebook = self._notebook([*records, *imported])
        others = [record.summary for record in imported]
        found = [it for it in link(scanned, options, others, notebook) if it.path in names]
        if notebook is not None:
            notebook.close()
        if self._cache is not None:
            self._cache.prune()
        return Outcome(
            tuple(self._judge(found, records, names)),
            (*lost, *_skipped(records)),
            any(record.failed for record in records),
            names,
            () if files else (f"no Python files in {', '.join(self._asked.paths)}",),
        )

    def names(self) -> list[str]:
        """Return the files that a scan would look at, as the system calls them."""
        return [os.fsdecode(file.name) for file in self._files()[0]]

    def source_of(self, file: File) -> bytes:
        """Return what is in the file. Raises Unreadable."""
        return self.stdin if self.stdin is not None else read_bytes(file.name)

    def reader(self, files: Mapping[str, File]) -> Callable[[str], Sequence[str]]:
        """Return what gives the lines of a file; none if it cannot be read any more.

        Of the file read last the lines are kept: findings come file by file.
        """

        @lru_cache(maxsize=4)
        def lines_of(path: str) -> Sequence[str]:
            try:
                data = self.source_of(files[path]) if path in files else read_bytes(path.encode())
                return split_lines(decode(data).text)
            except Unreadable:
                return ()

        return lines_of

    def _files(self) -> tuple[list[File], tuple[Skipped, ...]]:
        asked = self._asked
        self._names = Names(self._roots)  # folders may have become packages since the last time
        if asked.stdin:
            name = asked.stdin_filename or "stdin.py"
            return [self._file(name)], ()
        found = find_files(
            asked.paths,
            self._project,
            gitignore=asked.gitignore,
            force_exclude=asked.force_exclude,
        )
        return [self._file(name) for name in found.files], found.skipped

    def _file(self, name: str) -> File:
        module = _spelled(self._names.of(name))
        also = tuple(map(_spelled, self._names.also(name)))
        return File(_spelled(name), module, os.fsencode(name), also)

    def _records(self, files: Sequence[File]) -> list[Record]:
        """Return what was learnt of the files, with all names of each."""
        also = {file.path: file.also for file in files if file.also}
        return [_also_named(it, also.get(it.summary.path, ())) for it in self._learnt(files)]

    def _learnt(self, files: Sequence[File]) -> list[Record]:
        if len(files) <= FEW:
            return [record_file(file, self._cache) for file in files]
        records, unseen = self._kept(files)
        if unseen:
            from netra_backend.cli.scan_pool import record_files  # noqa: PLC0415 - slow to import

            jobs = self._asked.jobs or _cores()
            records.extend(record_files(unseen, jobs, self._cache))
        return sorted(records, key=lambda record: record.summary.path)

    def _kept(self, files: Sequence[File]) -> tuple[list[Record], list[File]]:
        """Return the records that are kept, and the files without: workers take longer to ask."""
        records, unseen = [], []
        for file in files:
            kept = None if self._cache is None else kept_record(file, self._cache)
            if kept is None:
                unseen.append(file)
            else:
                records.append(kept)
        return records, unseen

    def _notebook(self, records: Sequence[Record]) -> "KeptNotebook | None":
        """Return what the last scan of these paths noted; few files are read as quickly."""
        if self._cache is None or len(records) <= FEW:
            return None
        from netra_backend.cli.scan_notebook import KeptNotebook  # noqa: PLC0415 - start time

        asked = [os.path.abspath(os.fsencode(path)) for path in self._asked.paths]
        options = self._project.options
        obeyed = encode_options((options.safe, options.sinks, options.log_encoder))
        return KeptNotebook(self._cache, self._cache.key(b"notes", *asked, b"", obeyed), records)

    def _imported(self, records: Iterable[Record]) -> list[Record]:
        """Return the records of modules that the scanned files import and are not among them."""
        known = {name for it in records for name in (it.summary.module, *it.summary.also)}
        newest = list(records)
        imported: list[Record] = []
        for _ in range(FARTHEST):
            wanted = sorted({name for it in newest for name in it.summary.imports})
            files = list(self._new_modules(wanted, known))[: MOST_IMPORTED - len(imported)]
            newest = [it for it in self._records(files) if it.summary.skipped is None]
            imported += newest
        return imported

    def _new_modules(self, wanted: Iterable[str], known: set[str]) -> Iterator[File]:
        """Yield the files of modules that are not known, and know them from now on."""
        for name in wanted:
            if name in known:
                continue
            known.add(name)
            found = find_module(name, self._import_roots)
            if found is None:
                continue
            file = self._file(os.path.relpath(found))
            if file.module == name or file.module not in known:
                known.add(file.module)
                yield file

    def _judge(
        self, found: Iterable[Finding], records: Iterable[Record], files: Mapping[str, File]
    ) -> Iterator[Finding]:
        enabled: dict[tuple[str, str], bool] = {}

        def is_enabled(path: str, rule: str) -> bool:
            if (path, rule) not in enabled:
                name = os.fsdecode(files[path].name)
                enabled[path, rule] = self._project.enabled(name, rule)
            return enabled[path, rule]

        on = [finding for finding in found if is_enabled(finding.path, finding.rule)]
        ignores = {it.summary.path: it.ignores for it in records if it.ignores}
        for finding in suppress(on, ignores, is_enabled):
            if finding.severity is not Severity.NOTE or self._project.options.notes:
                yield finding


def _skipped(records: Iterable[Record]) -> Iterator[Skipped]:
    for record in records:
        if record.summary.skipped is not None:
            yield Skipped(record.summary.path, record.summary.skipped)


def _also_named(record: Record, names: tuple[str, ...]) -> Record:
    return replace(record, summary=replace(record.summary, also=names)) if names else record


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _spelled(name: str) -> str:
    """Return a file's name as valid text: what is not UTF-8 in it as ``\\xff``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _environment(asked: Arguments, project: Project) -> tuple[str, ...]:
    """Return where the dependencies are, if anybody says so."""
    if asked.python is not None:
        return environment_roots(asked.python, "--python")
    named = project.options.python
    if named is None:
        return ()
    return environment_roots(os.path.join(project.root, named), "python in [tool.netra.scan]:")


def _cache_folder(asked: Arguments, project: Project) -> str:
    if asked.cache_dir is None:
        return f"{project.root}/.netra_cache/scan"
    if os.path.exists(asked.cache_dir) and not os.path.isdir(asked.cache_dir):
        raise ConfigError(f"--cache-dir {asked.cache_dir} is no folder")
    return asked.cache_dir
