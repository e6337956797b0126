"""``netra replay``: play a thread again, in the time it took."""

import contextlib
import time
from typing import Annotated

import typer
from rich.console import Console

from netra_backend.cli.arguments import checked
from netra_backend.cli.client import AsUser, Credential, DataDir, Url, reach, show
from netra_backend.core.ids import parse_thread

LONGEST_PAUSE = 10.0
"""Seconds waited at most between two events: nobody wants to sit through a night."""


def replay(
    thread: Annotated[str, typer.Argument(help="The thread.")],
    speed: Annotated[float, typer.Option(help="How many times as fast.", min=0.01)] = 1.0,
    user: AsUser = "dev",
    token: Credential = None,
    url: Url = "http://127.0.0.1:8000",
    data_dir: DataDir = None,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show the events of THREAD with the pauses they had, SPEED times as fast."""
    with checked():
        parse_thread("thread", thread)
    server = reach(url, user, token, data_dir)
    console = Console(highlight=False)
    before: int | None = None
    with contextlib.suppress(KeyboardInterrupt):
        for event in server.events(thread):
            if before is not None:
                time.sleep(pause(before, event["at"], speed))
            before = event["at"]
            show(console, event["id"], event["chunk"], as_json=json_lines)


def pause(before: int, at: int, speed: float) -> float:
    """Return the seconds between two events at this speed; a clock that went back gives 0."""
    return min(max(0, at - before) / 1000 / speed, LONGEST_PAUSE)
