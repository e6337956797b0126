"""Deadlines: how long a connection may wait for its client, before and between what is said."""

import asyncio
from typing import Any

from netra_backend.server.clockwork import Sweep

SECONDS = 10.0
"""How long a request's head may take, and as long again the answer to a WebSocket handshake."""

UNTAKEN_SECONDS = 60.0
"""How long a client may take nothing of an answer that is finished."""

LEAVE_SECONDS = 3.0
"""How long it may while the server stops."""


class Deadlines:
    """What the connections of one server share.

    `late` calls ``cut_off`` of whoever stays in it for `SECONDS`, `untaken` calls ``look`` of who
    has an answer that waits to be taken.
    """

    __slots__ = ("late", "untaken")

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.late: Sweep[Any] = Sweep(loop, SECONDS, lambda one: one.cut_off())
        self.untaken: Sweep[Any] = Sweep(loop, UNTAKEN_SECONDS, lambda one: one.look())
