"""Frames: every message of the WebSocket dialect ``netra.v1``, as frozen structs.

`ClientFrame` is the union of the commands that a client may send, and a `ServerFrame` is what the
server sends with a ``type``. Event frames are the only ones without ``type``; ``core/codec`` writes
those, so that their bytes are the same for every follower. ``docs/protocol.md`` shows each frame
and a test compares it with this file.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from netra_backend.core.ids import ID_PATTERN, THREAD_PATTERN
from netra_backend.core.positions import POSITION_PATTERN
from netra_backend.core.run import RunStatus
from netra_backend.errors import ErrorCode

SUBPROTOCOL = "netra.v1"
TOKEN_SUBPROTOCOL = "netra.token."  # noqa: S105 - a prefix, not a token
"""What stands before the base64url of a token that a browser passes as a subprotocol."""

PLAIN_SUBPROTOCOL = "netra.token"
"""What a browser offers beside its token for a dialect without a name: it wants one back."""

MAX_REQUEST_LENGTH = 64
"""Characters of a command's ``request``."""

# What the text of a field may be. AsyncAPI says so; the decoder does not ask, because whoever
# takes the field does, and names it in an answer to its command: `core/session`, `core/ids`.
RequestText = Annotated[
    str, Meta(extra_json_schema={"minLength": 1, "maxLength": MAX_REQUEST_LENGTH})
]
IdText = Annotated[str, Meta(extra_json_schema={"pattern": f"^{ID_PATTERN}$"})]
ThreadText = Annotated[str, Meta(extra_json_schema={"pattern": f"^{THREAD_PATTERN}$"})]
PositionText = Annotated[str, Meta(extra_json_schema={"pattern": f"^{POSITION_PATTERN}$"})]
StatusText = Annotated[str, Meta(extra_json_schema={"enum": [s.value for s in RunStatus]})]
DecisionText = Annotated[str, Meta(extra_json_schema={"enum": ["resolved", "cancelled"]})]
ProtocolText = Annotated[str, Meta(extra_json_schema={"const": SUBPROTOCOL})]


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

    request: RequestText
    input: Raw
    thread: ThreadText | None = None
    agent: str | None = None


class FollowCommand(Command, frozen=True, tag="follow"):
    """Receive a thread's events after the position `after` (absent: from the beginning)."""

    request: RequestText
    thread: ThreadText
    after: PositionText | None = None


class UnfollowCommand(Command, frozen=True, tag="unfollow"):
    """Receive no more events of a thread."""

    request: RequestText
    thread: ThreadText


class CancelCommand(Command, frozen=True, tag="cancel"):
    """End a run: the own one of this name, or the one in `thread`, whoever started it."""

    request: RequestText
    run: IdText
    thread: ThreadText | None = None


class DecideCommand(Command, frozen=True, tag="decide"):
    """Answer an interrupt. `status` is AG-UI's ``resolved`` or ``cancelled``.

    `digest` is that of the tool call which the answer is for, from the interrupt's metadata.
    """

    request: RequestText
    thread: ThreadText
    interrupt: str
    payload: Raw = Raw(b"null")
    status: DecisionText = "resolved"
    digest: str | None = None


class AuthCommand(Command, frozen=True, tag="auth"):
    """Renew the credential on the open socket; answered by ``ready``."""

    token: str
    request: RequestText | None = None


class PingCommand(Command, frozen=True, tag="ping"):
    """Ask for a ``pong``."""

    request: RequestText | None = None


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

    id: IdText
    status: StatusText


class Ready(ServerFrame, frozen=True, tag="ready", kw_only=True):
    """The first frame on a connection, and the answer to ``auth``.

    `heartbeat` is the interval of the server's pings in milliseconds, `expires` when the
    credential ends, in milliseconds since 1970; absent if it does not. `when_busy` says of each
    agent what becomes of a run for a busy thread (``WhenBusy`` values). `data_dir` is where the
    server keeps the key of its development sign-in; absent with any other.
    """

    connection: IdText
    user: IdText
    protocol: ProtocolText
    heartbeat: int
    limits: Limits
    agents: list[str]
    when_busy: dict[str, str]
    data_dir: str | None = None
    expires: int | None = None
    request: RequestText | None = None


class Accepted(ServerFrame, frozen=True, tag="accepted", kw_only=True):
    """The run was accepted; `id` is the position of its RUN_STARTED event.

    With `queued` instead of `id` it waits until its thread is free, and begins then.
    """

    request: RequestText
    thread: ThreadText
    run: IdText
    id: PositionText | None = None
    queued: bool = False


class Followed(ServerFrame, frozen=True, tag="followed", kw_only=True):
    """The answer to ``follow``; event frames continue after the position `id`.

    `run` is the thread's newest run. `prelude` comes with ``snapshot`` and ``gap``: AG-UI events
    that rebuild everything up to `id`, in one frame so that it is applied whole or not at all.
    """

    request: RequestText
    thread: ThreadText
    resume: Resume
    id: PositionText | None = None
    run: RunState | None = None
    prelude: list[Raw] | UnsetType = UNSET


class Unfollowed(ServerFrame, frozen=True, tag="unfollowed", kw_only=True):
    """No more events of the thread come.

    Without `request` it says why: ``deleted``, or ``denied``: the user may see it no more.
    """

    thread: ThreadText
    request: RequestText | None = None
    why: str | None = None


class Cancelled(ServerFrame, frozen=True, tag="cancelled", kw_only=True):
    """The run is ending; after the position `id` only its terminal event comes."""

    request: RequestText
    run: IdText
    id: PositionText


class Decided(ServerFrame, frozen=True, tag="decided", kw_only=True):
    """The interrupt is decided; `by` says by whom, `won` whether it was this command.

    `run` is the run that takes the answer up, once the last open question of its run is decided.
    """

    request: RequestText
    interrupt: str
    by: IdText
    won: bool
    status: DecisionText
    payload: Raw
    run: IdText | None = None


class Pong(ServerFrame, frozen=True, tag="pong", kw_only=True):
    """The answer to ``ping``."""

    request: RequestText | None = None


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
    request: RequestText | None = None
    where: str | None = None
    correlation: str | None = None


ANSWERS: Mapping[type[Command], type[ServerFrame]] = MappingProxyType(
    {
        RunCommand: Accepted,
        FollowCommand: Followed,
        UnfollowCommand: Unfollowed,
        CancelCommand: Cancelled,
        DecideCommand: Decided,
        AuthCommand: Ready,
        PingCommand: Pong,
    }
)
"""What each command is answered with, unless it is refused: then it is an `ErrorFrame`."""

NOTICES: tuple[type[ServerFrame], ...] = (Ready, Unfollowed, Draining, ErrorFrame)
"""What a client is sent without having asked."""
