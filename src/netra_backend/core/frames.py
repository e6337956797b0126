"""Frames: every message of the WebSocket dialect ``netra.v1``, as frozen structs.

`Command` is the union of what a client may send, `Answer` of what the server sends with a
``type``. Event frames are the only ones without ``type``; ``core/codec`` writes those, so that
their bytes are the same for every follower. ``docs/protocol.md`` shows each frame and a test
compares it with this file.
"""

from enum import StrEnum

from msgspec import UNSET, Raw, Struct, UnsetType

from netra_backend.errors import ErrorCode

SUBPROTOCOL = "netra.v1"
TOKEN_SUBPROTOCOL = "netra.token."  # noqa: S105 - a prefix, not a token
"""What stands before the base64url of a token that a browser passes as a subprotocol."""

PLAIN_SUBPROTOCOL = "netra.token"
"""What a browser offers beside its token for a dialect without a name: it wants one back."""


class Resume(StrEnum):
    """How a ``follow`` is answered: exactly one of these."""

    CAUGHT_UP = "caught_up"
    """There is nothing after the position; live events follow."""
    REPLAY = "replay"
    """The missed events follow as frames, then live events."""
    SNAPSHOT = "snapshot"
    """Too much was missed: forget what you have, apply ``prelude``, then live events follow."""
    GAP = "gap"
    """The position is not in this log's history; otherwise as ``snapshot``."""
    DENIED = "denied"
    """The user may not follow the thread, or may no longer."""
    UNKNOWN = "unknown"
    """There is no such thread that the user may see."""


# --- what a client sends -------------------------------------------------------------------


class Command(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """A command: it gets exactly one answer, which repeats its ``request``."""


class RunCommand(Command, frozen=True, tag="run"):
    """Start a run, or attach to the one with this id: sent twice, it starts once.

    `thread` defaults to ``input.threadId``, `agent` to the server's first agent.
    """

    request: str
    input: Raw
    thread: str | None = None
    agent: str | None = None


class FollowCommand(Command, frozen=True, tag="follow"):
    """Receive a thread's events after the position `after` (absent: from the beginning)."""

    request: str
    thread: str
    after: str | None = None


class UnfollowCommand(Command, frozen=True, tag="unfollow"):
    """Receive no more events of a thread."""

    request: str
    thread: str


class CancelCommand(Command, frozen=True, tag="cancel"):
    """End a run: the own one of this name, or the one in `thread`, whoever started it."""

    request: str
    run: str
    thread: str | None = None


class DecideCommand(Command, frozen=True, tag="decide"):
    """Answer an interrupt. `status` is AG-UI's ``resolved`` or ``cancelled``.

    `digest` is that of the tool call which the answer is for, from the interrupt's metadata.
    """

    request: str
    thread: str
    interrupt: str
    payload: Raw = Raw(b"null")
    status: str = "resolved"
    digest: str | None = None


class AuthCommand(Command, frozen=True, tag="auth"):
    """Renew the credential on the open socket; answered by ``ready``."""

    token: str
    request: str | None = None


class PingCommand(Command, frozen=True, tag="ping"):
    """Ask for a ``pong``."""

    request: str | None = None


ClientFrame = (
    RunCommand
    | FollowCommand
    | UnfollowCommand
    | CancelCommand
    | DecideCommand
    | AuthCommand
    | PingCommand
)


# --- what the server sends -----------------------------------------------------------------


class ServerFrame(Struct, frozen=True, tag_field="type", omit_defaults=True):
    """A frame with a ``type``; fields that are absent are left out."""


class Limits(Struct, frozen=True, omit_defaults=True):
    """The limits a client meets, as ``ready.limits``; a number that is absent is not limited."""

    frame_bytes: int
    head_bytes: int
    id_length: int
    request_length: int
    title_length: int
    followed_threads: int
    commands_per_second: int
    command_burst: int
    connections_per_user: int
    runs_per_user: int | None = None


class RunState(Struct, frozen=True):
    """A run and what it is doing (``RunStatus`` values)."""

    id: str
    status: str


class Ready(ServerFrame, frozen=True, tag="ready", kw_only=True):
    """The first frame on a connection, and the answer to ``auth``.

    `heartbeat` is the interval of the server's pings in milliseconds, `expires` when the
    credential ends, in milliseconds since 1970; absent if it does not. `when_busy` says of each
    agent what becomes of a run for a busy thread (``WhenBusy`` values). `data_dir` is where the
    server keeps the key of its development sign-in; absent with any other.
    """

    connection: str
    user: str
    protocol: str
    heartbeat: int
    limits: Limits
    agents: list[str]
    when_busy: dict[str, str]
    data_dir: str | None = None
    expires: int | None = None
    request: str | None = None


class Accepted(ServerFrame, frozen=True, tag="accepted", kw_only=True):
    """The run was accepted; `id` is the position of its RUN_STARTED event.

    With `queued` instead of `id` it waits until its thread is free, and begins then.
    """

    request: str
    thread: str
    run: str
    id: str | None = None
    queued: bool = False


class Followed(ServerFrame, frozen=True, tag="followed", kw_only=True):
    """The answer to ``follow``; event frames continue after the position `id`.

    `run` is the thread's newest run. `prelude` comes with ``snapshot`` and ``gap``: AG-UI events
    that rebuild everything up to `id`, in one frame so that it is applied whole or not at all.
    """

    request: str
    thread: str
    resume: Resume
    id: str | None = None
    run: RunState | None = None
    prelude: list[Raw] | UnsetType = UNSET


class Unfollowed(ServerFrame, frozen=True, tag="unfollowed", kw_only=True):
    """No more events of the thread come.

    Without `request` it says why: ``deleted``, or ``denied``: the user may see it no more.
    """

    thread: str
    request: str | None = None
    why: str | None = None


class Cancelled(ServerFrame, frozen=True, tag="cancelled", kw_only=True):
    """The run is ending; after the position `id` only its terminal event comes."""

    request: str
    run: str
    id: str


class Decided(ServerFrame, frozen=True, tag="decided", kw_only=True):
    """The interrupt is decided; `by` says by whom, `won` whether it was this command.

    `run` is the run that takes the answer up, once the last open question of its run is decided.
    """

    request: str
    interrupt: str
    by: str
    won: bool
    status: str
    payload: Raw
    run: str | None = None


class Pong(ServerFrame, frozen=True, tag="pong", kw_only=True):
    """The answer to ``ping``."""

    request: str | None = None


class Draining(ServerFrame, frozen=True, tag="draining", kw_only=True):
    """The server is about to close this socket with 1012; reconnect after `retry_after_ms`."""

    retry_after_ms: int


class ErrorFrame(ServerFrame, frozen=True, tag="error", kw_only=True):
    """A command was refused, or (without `request`) a frame could not be read.

    `retry` says whether the same command may work later; `where` is the path of the field that
    was wrong; `correlation` is the id under which the server's log tells more.
    """

    code: ErrorCode
    message: str
    retry: bool
    request: str | None = None
    where: str | None = None
    correlation: str | None = None
