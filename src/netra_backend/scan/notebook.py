"""The notes on a file's log calls, and what they depend on, so that they can be kept.

Most calls of a program that take a value are log calls, and few of them change between two scans.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from netra_backend.scan.calling import LOG_METHODS
from netra_backend.scan.declarations import Site
from netra_backend.scan.finding import Finding
from netra_backend.scan.logcalls import is_log_call, notes
from netra_backend.scan.project import Files, Project, Source
from netra_backend.scan.resolve import Resolver


class Notebook(Protocol):
    """Keeps notes from one link to the next."""

    def recall(self, path: str) -> Sequence[Finding] | None:
        """Return the notes on a file, None if they are not known or may have changed."""
        ...

    def keep(self, path: str, notes: Sequence[Finding], asked: Collection[str]) -> None:
        """Keep the notes on a file, true as long as it and the modules `asked` for are the same.

        Of these some are not there, and appearing would be a change.
        """
        ...


class NoNotebook:
    """Keeps nothing."""

    def recall(self, path: str) -> None:
        """Return None."""

    def keep(self, path: str, notes: Sequence[Finding], asked: Collection[str]) -> None:
        """Keep nothing."""


def notes_on(
    source: Source, files: Files, safe: Collection[str], notebook: Notebook
) -> Sequence[Finding]:
    """Return what is to be noted on the log calls of a file, as kept or else by reading them.

    It is read with a memory of its own, which then says all that the notes depend on.
    """
    known = notebook.recall(source.path)
    if known is not None:
        return known
    project = Project(files)
    resolver = Resolver(project, safe)
    found: list[Finding] = []
    for site in log_calls(source):
        resolver.restart()
        found.extend(notes(resolver, source, site))
    notebook.keep(source.path, found, project.asked)
    return found


def log_calls(source: Source) -> list[Site]:
    """Return the log calls of a file."""
    names = sorted(LOG_METHODS.intersection(source.calls()))
    return [site for name in names for site in source.sites(name) if is_log_call(site)]
