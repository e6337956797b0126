"""``netra tail``: follow a thread in the terminal."""

import asyncio
import contextlib
import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from netra_backend.cli.arguments import checked
from netra_backend.cli.client import (
    AsUser,
    Credential,
    DataDir,
    Server,
    ServerError,
    Url,
    no_thread,
    reach,
    show,
)
from netra_backend.cli.output import wants_colour
from netra_backend.core.frames import SUBPROTOCOL
from netra_backend.core.ids import parse_thread
from netra_backend.core.positions import parse_position
from netra_backend.errors import CLOSES, CloseCode, Retry

RETRY_SECONDS = 1.0
"""Seconds between two attempts to reach a server that has gone."""


def tail(
    thread: Annotated[str, typer.Argument(help="The thread.")],
    after: Annotated[str | None, typer.Option(help="Begin after this position.")] = None,
    user: AsUser = "dev",
    token: Credential = None,
    url: Url = "http://127.0.0.1:8000",
    data_dir: DataDir = None,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Stop when there is nothing more.")] = False,
) -> None:
    """Follow THREAD: each event with its position, across restarts of the server."""
    with checked():
        parse_thread("thread", thread)
        if after is not None:
            parse_position(after)
    tailing = _Tail(reach(url, user, token, data_dir), thread, after, as_json=json_lines)
    with contextlib.suppress(KeyboardInterrupt):
        if once:
            tailing.show_those_there()
        else:
            asyncio.run(tailing.follow())


class _Tail:
    """One thread as seen from a terminal; `after` is the position of the last event shown."""

    def __init__(self, server: Server, thread: str, after: str | None, *, as_json: bool) -> None:
        self._server = server
        self._thread = thread
        self._after = after
        self._as_json = as_json
        self._connected = False
        self._console = Console(highlight=False)

    async def follow(self) -> None:
        """Show events for ever, reconnecting after every loss that allows it."""
        told = False
        while True:
            try:
                await self._session()
                told = False
            except ConnectionClosed as closed:
                _raise_if_final(closed)
                told = False
            except OSError as error:
                if not self._connected:
                    raise ServerError(f"no answer from {self._server.url}: {error}") from error
            if not told:
                _remark(f"lost {self._server.url}; trying again")
                told = True
            await asyncio.sleep(RETRY_SECONDS)

    def show_those_there(self) -> None:
        """Show the events that there are."""
        for event in self._server.events(self._thread, self._after):
            show(self._console, event["id"], event["chunk"], as_json=self._as_json)

    async def _session(self) -> None:
        headers = {"Authorization": f"Bearer {self._server.token}"}
        try:
            async with connect(
                self._server.socket_url,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                additional_headers=headers,
                max_size=None,
            ) as socket:
                self._connected = True
                await self._show_all(socket)
        except InvalidHandshake as error:
            raise _refusal(self._server, error) from error

    async def _show_all(self, socket: ClientConnection) -> None:
        follow = {"type": "follow", "request": "tail", "thread": self._thread}
        await socket.send(json.dumps(follow | ({"after": self._after} if self._after else {})))
        async for text in socket:
            frame = json.loads(text)
            if "type" in frame:
                self._note(frame)
            else:
                self._after = frame["id"]
                show(self._console, frame["id"], frame["chunk"], as_json=self._as_json)

    def _note(self, frame: dict[str, Any]) -> None:
        """Take a frame that is no event. Raises ServerError if the thread cannot be followed."""
        if frame["type"] == "error":
            raise ServerError(frame["message"])
        if frame["type"] == "unfollowed":
            gone = (
                "was deleted" if frame["why"] == "deleted" else "is shared with this user no more"
            )
            raise ServerError(f"the thread {self._thread} {gone}")
        if frame["type"] != "followed":
            return
        if frame["resume"] in ("unknown", "denied"):
            raise no_thread(self._thread)
        self._after = frame["id"]
        if frame["resume"] in ("snapshot", "gap"):
            _remark(f"({frame['resume']}: up to {frame['id']} as a summary)")
            for chunk in frame["prelude"]:
                show(self._console, frame["id"], chunk, as_json=self._as_json)


def _remark(text: str) -> None:
    """Say what is no event."""
    typer.echo(typer.style(text, dim=True) if wants_colour(sys.stderr) else text, err=True)


def _refusal(server: Server, error: InvalidHandshake) -> Exception:
    """Return ServerError if trying again is of no use, else what says that nobody answers now.

    A server that dies answers nothing, and a proxy before one that restarts answers 502.
    """
    if not isinstance(error, InvalidStatus) or error.response.status_code >= 500:
        return ConnectionError(str(error))
    told = server.refusal(bytes(error.response.body or b""), error.response.status_code)
    return ServerError(f"the server refused the connection: {told}")


def _raise_if_final(closed: ConnectionClosed) -> None:
    """Raise ServerError if the close code says that trying again is of no use."""
    code = closed.rcvd.code if closed.rcvd is not None else None
    row = CLOSES[CloseCode(code)] if code in set(CloseCode) else None
    if row is not None and row.retry in (Retry.NEVER, Retry.AFTER_LOGIN):
        raise ServerError(f"{row.reason}: {row.meaning}") from closed
