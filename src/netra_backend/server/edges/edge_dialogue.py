"""The dialogue of an edge: frames are carried out, or refused in the client's own words."""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial

from ag_ui.core import RunAgentInput

from netra_backend.agents.run_request import run_request
from netra_backend.core.ids import ThreadName
from netra_backend.core.positions import Position
from netra_backend.core.roles import Role
from netra_backend.core.run import Run
from netra_backend.errors import CloseCode, ErrorCode, FrameError, Refused
from netra_backend.server import refusals
from netra_backend.server.dialogue import Dialogue
from netra_backend.server.errors import error_body
from netra_backend.server.follower import Gone, ThreadFollower
from netra_backend.server.house import House
from netra_backend.server.lane_port import Lane
from netra_backend.server.user import User

_GONE = {
    Gone.DELETED: "the thread was deleted",
    Gone.DENIED: "the thread is shared with you no more",
}
"""What a client is told when a thread is gone while it is followed."""


def run_error(refusal: Refused | FrameError) -> dict[str, object]:
    """Return a refusal as a RUN_ERROR that is in no log."""
    return {"type": "RUN_ERROR", **told(refusal)}


def told(refusal: Refused | FrameError) -> dict[str, object]:
    """Return what every error says; no client minds what it does not know."""
    error: dict[str, object] = error_body(refusal.code, refusal.message)["error"]
    return error


def tell_refusal(what: str, refusal: Refused | FrameError) -> None:
    """Tell the log that `what` is refused."""
    refusals.tell(what, refusal.code, refusal.message, where=refusal.where, **refusal.about)


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
        self._refuse(data, refusal)
        if isinstance(refusal, FrameError):
            self._bad_frames += 1
            if self._bad_frames >= self._house.settings.bad_frames:
                await self.close(CloseCode.BAD_FRAME)

    def _refuse(self, data: bytes, refusal: Refused | FrameError) -> None:
        tell_refusal("frame", refusal)
        self._tell(data, refusal)

    @abstractmethod
    def _tell(self, data: bytes, refusal: Refused | FrameError) -> None:
        """Tell the client why this frame is not carried out, in its own words."""

    def _answer_from(
        self, lane: Lane, run: Run, after: Position, gone: Callable[[Refused], None]
    ) -> ThreadFollower:
        """Serve `lane` with what comes after the position, until the thread of the run is gone."""
        return self._follow(lane, run.thread, after, partial(self._refuse_more, gone))

    def _refuse_more(self, gone: Callable[[Refused], None], why: Gone) -> None:
        """Say what has become of the thread: under our own ids, whoever made it so."""
        refusal = Refused(ErrorCode.NOT_FOUND, _GONE[why])
        with self._named():
            tell_refusal("thread", refusal)
            gone(refusal)

    async def _start(
        self, given: RunAgentInput, name: ThreadName, *, agent: str | None = None
    ) -> Run:
        """Start the run in the thread that its user calls so, or attach to it.

        Raises Refused as `Access.check` and `Runner.start` do.
        """
        thread = await self._house.access.thread(self.user, name, Role.WRITE)
        request = run_request(self.user, given, agent=agent, thread=thread)
        return (await self._house.runner.start(request)).run
