"""The attendant: serves one dialogue when there is something to do, and is no task otherwise.

The lane calls it for each message of the client. One task carries them out, one after the other,
and ends when there are no more; meanwhile nothing further is read from the socket.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context

from msgspec import Struct
from starlette.websockets import WebSocketState

from netra_backend import jsonlog
from netra_backend.errors import CLOSES
from netra_backend.server.clock import now
from netra_backend.server.dialogue import Dialogue
from netra_backend.server.direct_lane import DirectLane
from netra_backend.server.lane_port import LaneClosed
from netra_backend.server.listener import Listener
from netra_backend.server.pool import Pool

log = jsonlog.get_logger(__name__)


class End(Struct, frozen=True):
    """With which close code and reason a socket has ended; 1006 where there was no close frame."""

    code: int
    reason: str

    @classmethod
    def of(cls, dialogue: Dialogue) -> "End":
        """Return the end of a socket that we have closed, or else lost."""
        code = dialogue.closed_with
        return cls(1006, "") if code is None else cls(int(code), CLOSES[code].reason)


async def leave(
    dialogue: Dialogue, pool: Pool, end: End | None, info: Callable[[], dict[str, object]]
) -> None:
    """Count the connection no more, release what it has, and say how it ended."""
    end = end or End.of(dialogue)
    seconds = round((now() - pool.place(dialogue).since) / 1_000, 3)
    pool.remove(dialogue)
    await dialogue.lost()
    about = {"code": end.code, "reason": end.reason, "seconds": seconds}
    log.info("disconnected", extra={**info(), **about})


def told(client: WebSocketState, application: WebSocketState, address: str) -> dict[str, object]:
    """Return what a log line says about a socket; the log writes states by their names."""
    return {"client": address, "client_state": client, "application_state": application}


class Attendant:
    """Serves `dialogue`, whose socket `lane` has, from its ``ready`` frame to its end.

    What it does is done in `context`, so that each log line says of which connection it is.
    """

    __slots__ = (
        "_busy",
        "_client",
        "_context",
        "_dialogue",
        "_end",
        "_ended",
        "_lane",
        "_messages",
        "_pool",
        "_task",
    )

    def __init__(
        self, dialogue: Dialogue, lane: DirectLane, pool: Pool, client: str, context: Context
    ) -> None:
        self._dialogue = dialogue
        self._lane = lane
        self._pool = pool
        self._client = client
        self._context = context
        self._messages: deque[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._busy = False
        self._end: End | None = None
        self._ended = False

    def received(self, payload: bytes, *, is_text: bool) -> None:
        """Carry out a command; a binary message is read as if it were text."""
        self._messages = self._messages or deque()
        self._messages.append(payload)
        self._begin()

    def lost(self, code: int, reason: str) -> None:
        """End the connection; what came before is carried out first."""
        self._end = End(code, reason)
        self._begin()

    def hand_over(self, listener: Listener) -> None:
        """Nobody comes after it."""

    def _begin(self) -> None:
        if not self._busy and not self._ended:
            self._busy = True
            self._lane.hold(True)
            self._lane.begin(self._start)

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._work(), context=self._context)

    async def _work(self) -> None:
        """Do what there is to do: the border around one connection."""
        try:
            while self._messages and self._dialogue.is_open:
                await self._carry_out(self._messages.popleft())
        except Exception:
            log.exception("connection failed", extra=self._info())
            await self._dialogue.fail()
            self._end = self._end or End.of(self._dialogue)
        finally:
            self._messages = self._task = None
            self._busy = False
        if self._end is not None:
            self._ended = True
            await leave(self._dialogue, self._pool, self._end, self._info)
            del self._lane, self._dialogue  # they know this: nothing is left to the collector
        else:
            self._lane.hold(False)

    async def _carry_out(self, message: bytes) -> None:
        """Carry out a command, also one that a client sent before it went: nobody hears of it."""
        try:
            await self._dialogue.receive(message)
        except LaneClosed:
            self._end = self._end or End.of(self._dialogue)

    def _info(self) -> dict[str, object]:
        return told(_state(self._end is None), _state(self._dialogue.is_open), self._client)


def _state(is_connected: bool) -> WebSocketState:
    return WebSocketState.CONNECTED if is_connected else WebSocketState.DISCONNECTED
