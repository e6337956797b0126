"""``netra serve``: the server with its log, its agents and its chat page."""

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, cast

import typer
import uvicorn

from netra_backend import jsonlog
from netra_backend.agents.loading import load_agents
from netra_backend.cli import collector
from netra_backend.cli.listening import listen, shown
from netra_backend.cli.workers import Workers, check_platform, command_line, inherited
from netra_backend.config import AuthMode, Settings, load_settings
from netra_backend.core.ports import Store
from netra_backend.errors import ConfigError
from netra_backend.server.app import NetraApp, create_app
from netra_backend.server.handshake import HttpProtocol
from netra_backend.server.lane import Protocol
from netra_backend.server.origin import is_loopback
from netra_backend.stores.sqlite import SqliteStore

log = logging.getLogger(__name__)

CONTAINER_HOST = "0.0.0.0"  # noqa: S104 - a container is reached from outside, and by one peer
"""Where a container listens."""

RETRY_AFTER_MS = 1_000
"""What a client is told to wait before it reconnects after a restart."""


def serve(  # noqa: PLR0913, PLR0917 - each is an option
    agents: Annotated[
        list[str] | None,
        typer.Argument(
            help="Agents as [NAME=]module:attribute, openai:MODEL, https://HOST/PATH or docs. "
            "The first is default."
        ),
    ] = None,
    agent: Annotated[
        list[str] | None, typer.Option("--agent", help="The same as an argument; repeatable.")
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="The address to listen on.", show_default="127.0.0.1"),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="The port; 0 takes a free one.", min=0, max=65535, show_default="8000"),
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the log lives.")] = None,
    config: Annotated[Path | None, typer.Option(help="A netra.toml.")] = None,
    restored: Annotated[
        bool,
        typer.Option(
            "--restored",
            help="The data directory was restored from a backup: clients that saw what is lost "
            "are told so.",
        ),
    ] = False,
    workers: Annotated[
        int,
        typer.Option(
            help="Processes that serve the port together, and share the log that this one keeps.",
            min=1,
            max=256,
        ),
    ] = 1,
    worker: Annotated[int | None, typer.Option(hidden=True)] = None,
    agentcore: Annotated[
        bool,
        typer.Option(
            "--agentcore",
            help="Be a container of Amazon Bedrock AgentCore: /invocations, /ws and /ping on "
            "0.0.0.0 port 8080, for the sessions that its runtime names.",
        ),
    ] = False,
) -> None:
    """Serve agents, with a chat page, until SIGINT or SIGTERM."""
    overrides = {} if data_dir is None else {"data_dir": data_dir}
    settings = load_settings(config, **overrides)
    if agentcore and settings.auth is AuthMode.DEV:
        settings = load_settings(config, **overrides, auth=AuthMode.AGENTCORE)
    host = host or (CONTAINER_HOST if agentcore else "127.0.0.1")
    port = port if port is not None else (8080 if agentcore else 8000)
    check_address(settings, host)
    configure_logging(settings)
    if workers > 1 and worker is None:
        raise typer.Exit(_keep(settings, workers, host, port, restored=restored))
    specs = [*(agents or ()), *(agent or ())]
    named = load_agents(specs) if specs else None
    listener = listen(host, port, shared=worker is not None)
    if worker is not None:
        store = inherited(worker)
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
        if restored and worker is None:
            runner.run(renew_epochs(settings.data_dir))
        runner.run(_serve(app, settings, listener, tells=worker is None))


def check_address(settings: Settings, host: str) -> None:
    """Raise ConfigError if development sign-in would be offered to other machines."""
    if settings.auth is AuthMode.DEV and not is_loopback(host):
        raise ConfigError(
            f"NETRA_AUTH=dev makes everyone who can connect a user, so it does not listen on "
            f"{host}; use --host 127.0.0.1, or NETRA_AUTH=jwt with NETRA_JWT_SECRET or "
            f"NETRA_JWT_PUBLIC_KEY"
        )


def configure_logging(settings: Settings) -> None:
    """Send every log line through `jsonlog`. Raises ConfigError for a bad level or format."""
    try:
        jsonlog.configure(level=settings.log_level, format=settings.log_format)
    except ValueError as error:
        raise ConfigError(str(error)) from error


async def renew_epochs(data_dir: Path) -> None:
    """Give every thread a new epoch, before anything is written or read: see `Position`."""
    store = SqliteStore(data_dir)
    await store.open()
    try:
        await store.new_epochs()
    finally:
        await store.close()


def _keep(settings: Settings, count: int, host: str, port: int, *, restored: bool) -> int:
    """Keep the store for so many workers; return the exit code."""
    check_platform()

    async def keep() -> int:
        if restored:
            await renew_epochs(settings.data_dir)
        arguments = command_line(sys.argv[2:])
        return await Workers(settings, arguments, count=count, host=host, port=port).run()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(keep())


async def _serve(
    app: NetraApp, settings: Settings, listener: socket.socket, *, tells: bool
) -> None:
    await app.open()
    collector.calm()
    collecting = asyncio.create_task(collector.collect_in_peace(), name="collector")
    await Server(app, settings, tells=tells).serve(sockets=[listener])
    collecting.cancel()
    await leave(settings.grace_seconds)


async def leave(grace: float) -> None:
    """Return when nothing runs any more; after `grace` seconds end the process as it is.

    An agent may swallow its cancellation for ever. Its run has ended, and the log is closed.
    """
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    if rest and (await asyncio.wait(rest, timeout=grace))[1]:
        log.error("agents do not stop; the process ends without them")
        jsonlog.flush(1.0)
        os._exit(0)


class Server(uvicorn.Server):
    """uvicorn, which says goodbye to the clients before it closes their sockets."""

    def __init__(self, app: NetraApp, settings: Settings, *, tells: bool = True) -> None:
        self._netra = app
        self._tells = tells
        self._settings = settings
        self._finishing: asyncio.Future[None] | None = None
        super().__init__(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                ws=Protocol,
                log_config=None,
                lifespan="on",
                ws_max_size=settings.frame_bytes,
                ws_ping_interval=settings.ping_seconds,
                ws_ping_timeout=settings.ping_seconds,
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=int(settings.grace_seconds) + 1,
                server_header=False,
                h11_max_incomplete_event_size=settings.head_bytes,
                proxy_headers=False,  # `trusted_proxies` says who is believed
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, and say where: from here on a signal stops it in peace."""
        await super().startup(sockets)
        for listener in sockets or ():
            if self._tells:
                typer.echo(f"Netra is at {shown(listener)}  (Ctrl+C stops it)", err=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; a second signal waits for neither runs nor connections.

        Unlike uvicorn's, it does not raise the signal again in the end: who asked the server to
        stop, and got that, sees exit code 0.
        """
        # A worker gets SIGTERM twice where all processes of a service get it (systemd), once from
        # its keeper; so there only SIGINT hurries.
        self.force_exit |= self.should_exit and (self._tells or sig == signal.SIGINT)
        self.should_exit = True
        if self.force_exit and self._finishing is not None:
            self._finishing.get_loop().call_soon_threadsafe(self._finishing.cancel)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen no more, end the runs, say goodbye to the clients, then stop as uvicorn does.

        Runs may go on for `finish_seconds`, while their clients watch and start nothing new.

        The store is closed last: a request that was let in is answered. A page that sees its run
        end asks for its list of threads at once.
        """
        for server in self.servers:
            server.close()
        if not self.force_exit:
            self._finishing = asyncio.ensure_future(self._netra.finish_runs())
            await asyncio.wait({self._finishing}, timeout=self._settings.finish_seconds)
            self._finishing.cancel()
        await self._netra.end_runs()
        await self._netra.drain(RETRY_AFTER_MS)
        await super().shutdown(sockets)
        await self._netra.close()  # uvicorn leaves it out when a second signal hurries it


def _loop_factory() -> Any:
    """Return uvloop's loop where there is uvloop."""
    try:
        import uvloop  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return None
    return uvloop.new_event_loop
