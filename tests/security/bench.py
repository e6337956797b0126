"""A server that whatever is sent to is judged by, and sockets that send it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from ag_ui.core import BaseEvent, CustomEvent, RunAgentInput
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.client import BOUND
from tests.live import Live


class Bench:
    """A server, and a loop in which sockets talk to it."""

    def __init__(self, runner: asyncio.Runner, server: Live) -> None:
        self.runner = runner
        self.server = server

    async def say(self, frames: list[bytes], *, text: bool) -> list[dict[str, Any]]:
        """Return what is answered to the frames, up to that of a last ping; or to the close."""
        answers: list[dict[str, Any]] = []
        async with asyncio.timeout(BOUND), connected(self.server) as socket:
            await socket.recv()
            try:
                for frame in frames:
                    await socket.send(frame.decode() if text and is_text(frame) else frame)
                await socket.send('{"type":"ping","request":"the last"}')
                while answers[-1:] != [{"type": "pong", "request": "the last"}]:
                    answers.append(json.loads(await socket.recv()))
            except ConnectionClosed:
                answers.append({"type": "closed", "code": socket.close_code})
        return answers


def connected(server: Live) -> connect:
    """Return what opens a socket of alice."""
    headers = {"Authorization": f"Bearer {server.token()}"}
    return connect(
        server.socket_url, subprotocols=["netra.v1"], additional_headers=headers, max_size=None
    )


def is_text(frame: bytes) -> bool:
    """Return whether the frame may be sent as text."""
    try:
        frame.decode()
    except UnicodeDecodeError:
        return False
    return True


async def mirror(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Write into the log what was given as ``forwardedProps``."""
    yield CustomEvent(name="mirror", value=given.forwarded_props)
