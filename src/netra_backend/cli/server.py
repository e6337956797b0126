"""The server as a process: it opens the store, listens, and ends in peace at a signal."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any, NamedTuple, cast

import uvicorn

from netra_backend import jsonlog
from netra_backend.agents.loading import load_agents
from netra_backend.cli import collector, deadline, forks
from netra_backend.cli.descriptors import DescriptorWatch
from netra_backend.cli.listening import greet, listen, shown
from netra_backend.cli.loop_watch import LoopWatch
from netra_backend.cli.signals import HURRIES, heard
from netra_backend.cli.workers import Workers, check_platform, command_line, inherited
from netra_backend.config import Settings
from netra_backend.core.ports import Store
from netra_backend.server.app import create_app
from netra_backend.server.direct_lane import DirectLane
from netra_backend.server.http_protocol import HttpProtocol
from netra_backend.server.lane import Protocol
from netra_backend.server.netra_app import NetraApp
from netra_backend.stores.sqlite import SqliteStore

log = jsonlog.get_logger(__name__)

RETRY_AFTER_MS = 1_000
"""What a client is told to wait before it reconnects after a restart."""

PAUSE = 0.01
"""Seconds between two looks at who is still there."""

TICKS = 10
"""Ticks of uvicorn's clock in a second."""

FAREWELL = 1.0
"""Seconds that clients have to answer the goodbye; at most half of `Settings.grace_seconds`."""

CUT = 0.2
"""Seconds before the end of `Settings.grace_seconds` at which sockets are cut off that are still
there, and answers that are not taken: uvicorn looks ten times a second whether it may end."""


class Place(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


def run(
    settings: Settings,
    specs: Sequence[str],
    place: Place,
    *,
    agentcore: bool,
    restored: bool,
    line: int | None,
) -> None:
    """Serve these agents until a signal comes; with a `line`, as the worker of a keeper."""
    worker = {} if line is None else {"worker": os.getpid()}
    if line is not None:
        # Or the keeper would wait for the line to end when this worker is killed.
        forks.close_in_forks(line)
    with jsonlog.bind(**worker):
        named = load_agents(specs) if specs else None
        listener = listen(*place, shared=line is not None)
        if line is not None:
            store = inherited(line)
            app = create_app(
                named,
                settings=settings,
                agentcore=agentcore,
                store=cast(Store, store),
                bus=store.bus,
                nodes=store,
            )
        else:
            app = create_app(named, settings=settings, agentcore=agentcore)
        with listener, asyncio.Runner(loop_factory=_loop_factory()) as runner:
            forks.leave_to_parent(listener.getsockname()[1], runner.get_loop())
            if restored and line is None:
                runner.run(renew_epochs(settings.data_dir))
            runner.run(_serve(app, settings, listener, tells=line is None))


def keep(settings: Settings, count: int, place: Place, *, restored: bool) -> int:
    """Keep the store for so many workers; return the exit code."""
    check_platform()

    async def serve() -> int:
        if restored:
            await renew_epochs(settings.data_dir)
        arguments = command_line(sys.argv[2:])
        workers = Workers(
            settings,
            arguments,
            count=count,
            host=place.host,
            port=place.port,
            end_in=deadline.end_in,
        )
        return await workers.run()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(serve())


async def renew_epochs(data_dir: Path) -> None:
    """Give every thread a new epoch, before anything is written or read: see `Position`."""
    store = SqliteStore(data_dir)
    await store.open()
    try:
        await store.new_epochs()
    finally:
        await store.close()


async def _serve(
    app: NetraApp, settings: Settings, listener: socket.socket, *, tells: bool
) -> None:
    # Its start and its end we tell in a line each.
    if not logging.getLogger(__name__).isEnabledFor(logging.DEBUG):
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    server = Server(app, settings, tells=tells, end_in=deadline.end_in)
    with server.capture_signals():  # or one that comes while the store opens breaks the start off
        await app.open()
        collector.calm()
        collecting = asyncio.create_task(collector.collect_in_peace(), name="collector")
        with LoopWatch(settings.loop_blocked_seconds):
            await server.serve(sockets=[listener])
    collecting.cancel()
    await leave()


async def leave() -> None:
    """Return when nothing runs any more; soon end the process as it is, if something does.

    An agent may swallow its cancellation for ever. It has had its time to stop, its run has ended,
    and the log is closed.
    """
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    if rest and (still := (await asyncio.wait(rest, timeout=deadline.SLACK / 2))[1]):
        deadline.end_now(task.get_name() for task in still)


class Server(uvicorn.Server):
    """uvicorn, which says goodbye to the clients before it closes their sockets.

    `end_in` is told at a signal in how many seconds the process is to end, if it is to end with the
    server: that of a host which has more to do is not.
    """

    def __init__(
        self,
        app: NetraApp,
        settings: Settings,
        *,
        tells: bool = True,
        end_in: Callable[[float], None] | None = None,
    ) -> None:
        self._netra = app
        self._end_in = end_in or (lambda seconds: None)
        self._is_last = end_in is not None
        self._tells = tells
        self._settings = settings
        self._finishing: asyncio.Future[None] | None = None
        self._stopped_by: str | None = None
        self._descriptors = DescriptorWatch()
        super().__init__(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                ws=Protocol,
                log_config=None,
                access_log=False,  # `server.request_log` tells more
                lifespan="on",
                ws_max_size=settings.frame_bytes,
                ws_ping_interval=settings.ping_seconds,
                ws_ping_timeout=settings.ping_seconds,
                ws_per_message_deflate=settings.websocket_deflate,
                server_header=False,
                h11_max_incomplete_event_size=settings.head_bytes,
                proxy_headers=False,  # `trusted_proxies` says who is believed
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, and say where: from here on a signal stops it in peace."""
        await super().startup(sockets)
        for listener in sockets or ():
            log.info("serving", extra={"at": shown(listener), **self._netra.about})
            if self._tells:
                greet(listener)

    async def on_tick(self, counter: int) -> bool:
        """Do what uvicorn does ten times a second, and look after the descriptors once."""
        if counter % TICKS == 0:
            self._descriptors.look()
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take every signal that stops a server, while it serves."""
        with heard(self.handle_exit, lambda: self._is_last and self._stopped_by is not None):
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; a second signal waits for neither runs nor connections.

        Unlike uvicorn's, it does not raise the signal again in the end: who asked the server to
        stop, and got that, sees exit code 0. What does not stop in time is left behind.
        """
        # A worker gets SIGTERM twice where all processes of a service get it (systemd), once from
        # its keeper; so there only SIGINT hurries.
        is_hurry = sig in HURRIES if self._tells else sig == signal.SIGINT
        last = self._settings.grace_seconds + deadline.SLACK
        if self.should_exit and is_hurry and not self.force_exit:
            self.force_exit = True
            self._end_in(last)
        elif not self.should_exit:
            self.should_exit = True
            self._end_in(self._settings.finish_seconds + last)
        self._stopped_by = self._stopped_by or signal.Signals(sig).name
        if self.force_exit and self._finishing is not None:
            self._finishing.get_loop().call_soon_threadsafe(self._finishing.cancel)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen no more, end the runs, say goodbye to the clients, then stop as uvicorn does.

        Runs may go on for `finish_seconds`, while their clients watch and start nothing new.

        The store is closed last: a request that was let in is answered. A page that sees its run
        end asks for its list of threads at once.
        """
        log.info("stopping", extra={"signal": self._stopped_by})
        for server in self.servers:
            server.close()
        if not self.force_exit:
            self._finishing = asyncio.ensure_future(self._netra.finish_runs())
            await asyncio.wait({self._finishing}, timeout=self._settings.finish_seconds)
            self._finishing.cancel()
        grace = self._settings.grace_seconds
        until = monotonic() + grace
        await self._netra.end_runs()
        await self._netra.drain(RETRY_AFTER_MS)
        if not self.force_exit:
            await self._parted(min(FAREWELL, grace / 2))
        # Requests have what is left; any number does.
        left = max(PAUSE, until - monotonic())  # with none at all uvicorn would not even look
        self.config.timeout_graceful_shutdown = cast(int, left)
        cutting = asyncio.get_running_loop().call_later(max(0.0, left - CUT), self._cut_off)
        await super().shutdown(sockets)
        cutting.cancel()
        if self.force_exit:  # uvicorn leaves it out; it would be cancelled, as if something failed
            await self.lifespan.shutdown()
        log.info("stopped")

    async def _parted(self, seconds: float) -> None:
        """Return when the clients have answered the goodbye, or after so many seconds.

        The system resets a socket that is closed before all was read that its client has said, and
        a client or a proxy that is reset may not read the goodbye any more: RFC 1122, section
        4.2.2.13, and RFC 6455, section 7.1.1.
        """
        until = monotonic() + seconds
        for lane in self._lanes():
            # The set is uvicorn's, and tells nobody who leaves it.
            while lane in self._there and monotonic() < until and not self.force_exit:  # noqa: ASYNC110
                await asyncio.sleep(PAUSE)

    def _cut_off(self) -> None:
        """Cut off who does not take what is unsent: uvicorn would wait, and call that an error."""
        for lane in self._lanes():
            lane.abort()
        requests = [each for each in self._there if isinstance(each, HttpProtocol)]
        for each in requests:
            if each.transport.get_write_buffer_size():
                each.break_off()

    @property
    def _there(self) -> set[object]:
        return cast(set[object], self.server_state.connections)

    def _lanes(self) -> list[DirectLane]:
        return [each for each in self._there if isinstance(each, DirectLane)]


def _loop_factory() -> Any:
    """Return uvloop's loop where there is uvloop."""
    try:
        import uvloop  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return None
    return uvloop.new_event_loop
