"""The dialogue of an edge: frames are carried out, or refused in the client's own words."""

import logging
from abc import abstractmethod

from netra_backend.errors import CloseCode, FrameError
from netra_backend.server import metrics
from netra_backend.server.dialogue import Dialogue
from netra_backend.server.follower import Gone
from netra_backend.server.house import House
from netra_backend.server.lane import Lane
from netra_backend.server.user import User

log = logging.getLogger(__name__)

GONE = {
    Gone.DELETED: "the thread was deleted",
    Gone.DENIED: "the thread is shared with you no more",
}
"""What a client is told when a thread is gone while it is followed."""


class EdgeDialogue(Dialogue):
    """A dialogue with a client that has no ``netra.v1``."""

    def __init__(self, id: str, user: User, lane: Lane, house: House) -> None:
        super().__init__(id, user, lane, house)
        self._bad_frames = 0

    @abstractmethod
    async def _carry_out(self, data: bytes) -> None:
        """Do what the frame asks for. Raises FrameError if it cannot be read, NetraError."""

    async def _receive(self, data: bytes) -> None:
        refusal = await self._attempt(self._carry_out(data))
        if refusal is None:
            self._bad_frames = 0
            return
        metrics.REFUSALS.labels(refusal.code.value).inc()
        log.info("frame refused", extra={"code": refusal.code, "why": refusal.message})
        self._tell(data, refusal)
        if isinstance(refusal, FrameError):
            self._bad_frames += 1
            if self._bad_frames >= self._house.settings.bad_frames:
                await self.close(CloseCode.BAD_FRAME)
