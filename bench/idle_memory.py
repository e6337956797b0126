"""Idle memory: what a connection that follows nothing costs the server's process."""

import resource
import time
from collections.abc import Iterator

from bench import server
from bench.client import Client
from bench.server import Server
from bench.table import Row
from bench.workbench import Workbench

TITLE = "idle memory: resident bytes of the server per open connection that follows nothing"
CONNECTIONS = 10_000
SPARE = 1_000
"""Descriptors that a process needs besides its connections, generously."""
WARM = 100
"""Connections opened and closed before, so that what is loaded only once is not counted."""
SOURCES = 4
REST = 2.0
"""Seconds after the last connection was opened."""


def ask(bench: Workbench) -> Iterator[Row]:
    """Answer in kB (1,000 bytes) for 10,000 connections, or as many as descriptors allow."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(CONNECTIONS, allowed - SPARE)
    yield Row("connections", f"{count:,}")
    with server.netra(bench) as netra:
        yield _row("Netra, each after its ready frame", bench, netra, count)
    with server.plain(bench) as plain:
        yield _row("plain Starlette loop on uvicorn", bench, plain, count)
    with server.baseline(bench) as baseline:
        if baseline is not None:
            yield _row("C baseline", bench, baseline, count)


def _row(who: str, bench: Workbench, at: Server, count: int) -> Row:
    with Client(bench, at, WARM):
        pass
    time.sleep(REST)
    before = at.process.rss_bytes
    with Client(bench, at, count, sources=SOURCES):
        time.sleep(REST)
        after = at.process.rss_bytes
    each = (after - before) / count / 1_000
    return Row(who, f"{each:.2f} kB", f"{before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after")
