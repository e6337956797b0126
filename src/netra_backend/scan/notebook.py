"""What was found in groups of calls, and what that depends on, so that it can be kept.

Few of the calls of a program change between two scans.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from netra_backend.scan.calling import LOG_METHODS
from netra_backend.scan.declarations import Site
from netra_backend.scan.finding import Finding
from netra_backend.scan.logcalls import is_log_call, notes
from netra_backend.scan.project import Project, file_fact
from netra_backend.scan.resolve import Resolver
from netra_backend.scan.sources import Files, Source


class Notebook(Protocol):
    """Keeps what was found from one link to the next, on pages.

    A page is true as long as its facts are: modules by their names, and what `file_fact`,
    `heirs_fact` and `calls_fact` name. Some of these are not there, and appearing is a change.
    """

    def recall(self, page: str) -> Sequence[Finding] | None:
        """Return what the page says, None if there is none or it may not be true any more."""
        ...

    def keep(self, page: str, found: Sequence[Finding], facts: Collection[str]) -> None:
        """Keep a page with the facts that it depends on."""
        ...


class NoNotebook:
    """Keeps nothing."""

    def recall(self, page: str) -> None:
        """Return None."""

    def keep(self, page: str, found: Sequence[Finding], facts: Collection[str]) -> None:
        """Keep nothing."""


def notes_on(
    source: Source, files: Files, safe: Collection[str], notebook: Notebook
) -> Sequence[Finding]:
    """Return what is to be noted on the log calls of a file, as kept or else by reading them.

    It is read with a memory of its own, which then says all that the notes depend on.
    """
    page = f"notes {source.path}"
    known = notebook.recall(page)
    if known is not None:
        return known
    project = Project(files)
    resolver = Resolver(project, safe)
    found: list[Finding] = []
    for site in log_calls(source):
        resolver.restart()
        found.extend(notes(resolver, source, site))
    notebook.keep(page, found, {file_fact(source.path), *project.asked})
    return found


def log_calls(source: Source) -> list[Site]:
    """Return the log calls of a file."""
    names = sorted(LOG_METHODS.intersection(source.calls()))
    return [site for name in names for site in source.sites(name) if is_log_call(site)]
