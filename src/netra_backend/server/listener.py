"""The listener: who is told what the peer of a lane says, and that the lane has ended."""

from typing import Protocol


class Listener(Protocol):
    """Who is told what the peer of a lane says, in its order and on the event loop.

    No call may wait or raise, and after `hand_over` none comes.
    """

    def received(self, payload: bytes, *, is_text: bool) -> None:
        """Take a whole message. `DirectLane.hold` keeps further ones back."""
        ...

    def lost(self, code: int, reason: str) -> None:
        """Learn that nothing more is received: the peer has gone, or we have closed. Comes once."""
        ...

    def hand_over(self, listener: "Listener") -> None:
        """Tell `listener` what is not done yet: it is told of the rest from now on."""
        ...
