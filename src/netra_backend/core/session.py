"""The session: what one connection has agreed with us, as rules without I/O.

`Session.receive(command) -> list[Effect]` decides; ``server/connection`` acts, and reports back
what has ended meanwhile (`unfollowed`, `lost`). The life of a session is one enum, one table and
one assigner::

    OPENING ──open()──► READY ──drain()──► DRAINING
       │                  │                   │
       └───────────────── close() ────────────┴──► CLOSED

Every command gets exactly one answer: `receive` returns either the `Send` of it, or one effect
whose execution sends it. Commands of a connection are carried out one after the other.
"""

from enum import Enum

from msgspec import Raw, Struct

from netra_backend.core.frames import (
    AuthCommand,
    CancelCommand,
    ClientFrame,
    DecideCommand,
    Draining,
    ErrorFrame,
    FollowCommand,
    PingCommand,
    Pong,
    Ready,
    RunCommand,
    ServerFrame,
    UnfollowCommand,
)
from netra_backend.core.ids import RunId, ThreadName, parse_id, parse_thread
from netra_backend.core.positions import Position, parse_position
from netra_backend.errors import ERRORS, CloseCode, ErrorCode, FrameError, Refused


class SessionState(Enum):
    """Where a session is in its life."""

    OPENING = "opening"
    READY = "ready"
    DRAINING = "draining"
    """Answers what is under way and starts nothing new."""
    CLOSED = "closed"


_MOVES: dict[SessionState, frozenset[SessionState]] = {
    SessionState.OPENING: frozenset({SessionState.READY, SessionState.CLOSED}),
    SessionState.READY: frozenset({SessionState.DRAINING, SessionState.CLOSED}),
    SessionState.DRAINING: frozenset({SessionState.CLOSED}),
    SessionState.CLOSED: frozenset(),
}


class SessionLimits(Struct, frozen=True):
    """The bounds a session keeps."""

    followed_threads: int
    bad_frames: int


# --- effects: what the connection has to do ------------------------------------------------


class Send(Struct, frozen=True):
    """Send this frame."""

    frame: ServerFrame


class Close(Struct, frozen=True):
    """Close the socket with this code."""

    code: CloseCode


class StartRun(Struct, frozen=True):
    """Start the run, or attach to it; `thread` and `agent` may be absent."""

    request: str
    input: Raw
    thread: ThreadName | None
    agent: str | None


class Follow(Struct, frozen=True):
    """Follow the thread after the position."""

    request: str
    thread: ThreadName
    after: Position | None


class Unfollow(Struct, frozen=True):
    """Stop following the thread."""

    request: str
    thread: ThreadName


class CancelRun(Struct, frozen=True):
    """End the run in the thread, or, without a thread, the user's own."""

    request: str
    run: RunId
    thread: ThreadName | None = None


class Decide(Struct, frozen=True):
    """Answer the interrupt."""

    request: str
    thread: ThreadName
    interrupt: str
    status: str
    payload: Raw
    digest: str | None = None


class Refresh(Struct, frozen=True):
    """Check the new credential."""

    request: str | None
    token: str


Effect = Send | Close | StartRun | Follow | Unfollow | CancelRun | Decide | Refresh


class Session:
    """What one connection has agreed with us."""

    def __init__(self, limits: SessionLimits) -> None:
        self._limits = limits
        self._state = SessionState.OPENING
        self._followed: set[ThreadName] = set()
        self._bad_frames = 0

    def __repr__(self) -> str:
        return f"<Session {self._state.name}, {len(self._followed)} threads>"

    @property
    def state(self) -> SessionState:
        """Where the session is in its life."""
        return self._state

    def open(self, ready: Ready) -> list[Send]:
        """Begin: `ready` is the first frame. Nothing, if it was closed before it began."""
        if self._state is SessionState.CLOSED:
            return []
        self._move(SessionState.READY)
        return [Send(ready)]

    def receive(self, command: ClientFrame) -> list[Effect]:
        """Return what to do about `command`; a refusal is the `Send` of its one answer."""
        if not self._listens():
            return []
        self._bad_frames = 0
        try:
            return [self._effect(command)]
        except (Refused, FrameError) as refusal:
            return [Send(error_frame(refusal, command.request))]

    def unreadable(self, error: FrameError) -> list[Effect]:
        """Return what to do about a frame that could not be read."""
        if not self._listens():
            return []
        self._bad_frames += 1
        told = Send(error_frame(error, error.request))
        if self._bad_frames < self._limits.bad_frames:
            return [told]
        return [told, *self.close(CloseCode.BAD_FRAME)]

    def unfollowed(self, thread: ThreadName) -> None:
        """Note that a thread is followed no more: refused, given up, or deleted."""
        self._followed.discard(thread)

    def drain(self, retry_after_ms: int) -> list[Effect]:
        """Tell the client that the server restarts, and start nothing new. Idempotent.

        A session that has not begun is closed: there is nothing it could finish.
        """
        if self._state is SessionState.OPENING:
            return self.close(CloseCode.RESTARTING)
        if self._state is not SessionState.READY:
            return []
        self._move(SessionState.DRAINING)
        return [Send(Draining(retry_after_ms=retry_after_ms))]

    def close(self, code: CloseCode) -> list[Effect]:
        """End the session from our side. Idempotent."""
        if self._state is SessionState.CLOSED:
            return []
        self._move(SessionState.CLOSED)
        return [Close(code)]

    def lost(self) -> None:
        """End the session because the socket is gone. Idempotent."""
        if self._state is not SessionState.CLOSED:
            self._move(SessionState.CLOSED)

    def _move(self, to: SessionState) -> None:
        """Assign the state: the only place that does."""
        if to not in _MOVES[self._state]:
            raise AssertionError(f"a session cannot go from {self._state.name} to {to.name}")
        self._state = to

    def _listens(self) -> bool:
        """Return whether frames of the client still count; before `open` none may come."""
        if self._state is SessionState.OPENING:
            raise AssertionError("a frame came before the session was opened")
        return self._state is not SessionState.CLOSED

    def _effect(self, command: ClientFrame) -> Effect:
        match command:
            case RunCommand():
                return self._start_run(command)
            case FollowCommand():
                return self._follow(command)
            case UnfollowCommand():
                thread = parse_thread("thread", command.thread)
                self._followed.discard(thread)
                return Unfollow(command.request, thread)
            case CancelCommand():
                return _cancel(command)
            case DecideCommand():
                return _decide(command)
            case AuthCommand():
                return Refresh(command.request, command.token)
            case PingCommand():
                return Send(Pong(request=command.request))

    def _start_run(self, command: RunCommand) -> Effect:
        if self._state is SessionState.DRAINING:
            raise Refused(ErrorCode.DRAINING)
        thread = _named(command.thread)
        return StartRun(command.request, command.input, thread, command.agent)

    def _follow(self, command: FollowCommand) -> Effect:
        thread = parse_thread("thread", command.thread)
        after = None if command.after is None else parse_position(command.after)
        limit = self._limits.followed_threads
        if thread not in self._followed and len(self._followed) >= limit:
            raise Refused(ErrorCode.TOO_MANY, f"{limit} threads are followed already")
        self._followed.add(thread)
        return Follow(command.request, thread, after)


def error_frame(refusal: Refused | FrameError, request: str | None) -> ErrorFrame:
    """Return the answer to what is not carried out, or read; who sends it adds a correlation."""
    return ErrorFrame(
        code=refusal.code,
        message=refusal.message,
        retry=ERRORS[refusal.code].may_retry,
        request=request,
        where=refusal.where,
    )


def parse_decision(status: str) -> str:
    """Return `status` if an interrupt can be decided so. Raises FrameError (``bad_input``)."""
    if status not in ("resolved", "cancelled"):
        raise FrameError(
            'status must be "resolved" or "cancelled"',
            code=ErrorCode.BAD_INPUT,
            where="$.status",
        )
    return status


def _named(thread: str | None) -> ThreadName | None:
    return None if thread is None else parse_thread("thread", thread)


def _cancel(command: CancelCommand) -> Effect:
    run = RunId(parse_id("run", command.run))
    return CancelRun(command.request, run, _named(command.thread))


def _decide(command: DecideCommand) -> Effect:
    return Decide(
        command.request,
        thread=parse_thread("thread", command.thread),
        interrupt=command.interrupt,
        status=parse_decision(command.status),
        payload=command.payload,
        digest=command.digest,
    )
