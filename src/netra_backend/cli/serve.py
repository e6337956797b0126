"""``netra serve``: the server with its log, its agents and its chat page."""

import asyncio
import gc
import logging
import os
import socket
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
import uvicorn

from netra_backend import jsonlog
from netra_backend.agents.loading import load_agents
from netra_backend.config import AuthMode, Settings, load_settings
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


def serve(
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
    specs = [*(agents or ()), *(agent or ())]
    named = load_agents(specs) if specs else None
    app = create_app(named, settings=settings, agentcore=agentcore)
    with listen(host, port) as listener, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        if restored:
            runner.run(renew_epochs(settings.data_dir))
        runner.run(_serve(app, settings, listener))


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


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises ConfigError naming the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=4096)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    # Connections inherit it; asyncio sets it only on sockets that it has made itself. Without
    # it, small frames wait for the peer's delayed acknowledgement, 40 ms on Linux.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def renew_epochs(data_dir: Path) -> None:
    """Give every thread a new epoch, before anything is written or read: see `Position`."""
    store = SqliteStore(data_dir)
    await store.open()
    try:
        await store.new_epochs()
    finally:
        await store.close()


async def _serve(app: NetraApp, settings: Settings, listener: socket.socket) -> None:
    await app.open()
    calm_collector()
    await Server(app, settings).serve(sockets=[listener])
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


def calm_collector() -> None:
    """Let the garbage collector look less often, and never at what start-up has made.

    A server holds very many small, long-lived objects. With Python's own thresholds a fifth of
    the CPU time of 1,000 streaming runs went into looking at them (bench/end_to_end).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class Server(uvicorn.Server):
    """uvicorn, which says goodbye to the clients before it closes their sockets."""

    def __init__(self, app: NetraApp, settings: Settings) -> None:
        self._netra = app
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
            host, port = listener.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            typer.echo(f"Netra is at http://{shown}:{port}  (Ctrl+C stops it)", err=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; a second signal does not wait for connections.

        Unlike uvicorn's, it does not raise the signal again in the end: who asked the server to
        stop, and got that, sees exit code 0.
        """
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen no more, end the runs, say goodbye to the clients, then stop as uvicorn does.

        The store is closed last: a request that was let in is answered. A page that sees its run
        end asks for its list of threads at once.
        """
        for server in self.servers:
            server.close()
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
