"""``netra serve``: the server with its log, its agents and its chat page."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from netra_backend import jsonlog
from netra_backend.cli.settings import settings_with
from netra_backend.config import AuthMode, Settings
from netra_backend.errors import ConfigError
from netra_backend.server.origin import is_loopback

CONTAINER_HOST = "0.0.0.0"  # noqa: S104 - a container is reached from outside, and by one peer
"""Where a container listens."""


def serve(  # noqa: PLR0913, PLR0917 - each is an option
    agents: Annotated[
        list[str] | None,
        typer.Argument(
            help="Agents as [NAME=]module:attribute, openai:MODEL, https://HOST/PATH or docs. "
            "The first is default."
        ),
    ] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option(
            "--agent",
            help="One more agent, for command lines that are put together from options; "
            "usually agents are arguments.",
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="The address to listen on; 127.0.0.1 unless said otherwise."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="The port; 8000 unless said otherwise, 0 takes a free one.", min=0, max=65535
        ),
    ] = None,
    data_dir: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Where the log lives; netra-data unless said otherwise."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="The file with the settings; netra.toml unless said otherwise."),
    ] = None,
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
    settings = settings_with(data_dir, config)
    if agentcore and settings.auth is AuthMode.DEV:
        settings = settings_with(data_dir, config, auth=AuthMode.AGENTCORE)
    host = host or (CONTAINER_HOST if agentcore else "127.0.0.1")
    port = port if port is not None else (8080 if agentcore else 8000)
    check_address(settings, host)
    start_log(settings)
    # What follows is most of what there is to import: help and refusals need none of it.
    from netra_backend.cli import descriptors, server  # noqa: PLC0415 - see above

    place = server.Place(host, port)
    if worker is None:  # the others inherit it
        descriptors.ask_for_descriptors(settings)
    if workers > 1 and worker is None:
        raise typer.Exit(server.keep(settings, workers, place, restored=restored))
    specs = [*(agents or ()), *(agent or ())]
    if worker is not None:
        settings = share(settings, workers)
    server.run(settings, specs, place, agentcore=agentcore, restored=restored, line=worker)


def share(settings: Settings, workers: int) -> Settings:
    """Return the settings of one of so many workers: all send their clients away at once."""
    each = max(1, settings.reconnects_per_second // workers)
    return settings.model_copy(update={"reconnects_per_second": each})


def start_log(settings: Settings) -> None:
    """Send every log line to standard error itself, to which `jsonlog` writes without waiting.

    `sys.stderr` is guarded here (`output.guard`): all that has a `write` of its own may wait.
    """
    jsonlog.configure(settings.log_level, settings.log_format, sys.__stderr__)


def check_address(settings: Settings, host: str) -> None:
    """Raise ConfigError if development sign-in would be offered to other machines."""
    if settings.auth is AuthMode.DEV and not is_loopback(host):
        raise ConfigError(
            f"NETRA_AUTH=dev makes everyone who can connect a user, so it does not listen on "
            f"{host}; use --host 127.0.0.1, or NETRA_AUTH=jwt with NETRA_JWT_SECRET or "
            f"NETRA_JWT_PUBLIC_KEY"
        )
