"""Every error Netra raises or sends, in a tree and two tables.

::

    NetraError
    ├── ConfigError       the settings or the agent's name cannot be used
    │   └── Unsigned      cli/token: no token can be signed here
    ├── FrameError        a client's frame cannot be read
    ├── AgentError        an agent, or the model behind it, could not go on
    ├── EventError        an agent's event is not legal AG-UI at this place
    ├── LimitReached      a run has used up what it may
    ├── Refused           a command was understood and is not carried out
    │   └── Busy          agents/creation: the thread has an active run
    ├── StoreError        the store could not do what was asked
    │   ├── StoreInUse    another process has the data directory open for writing
    │   ├── StoreFailed   a write or read failed; nothing was acknowledged
    │   └── LeaseLost     the writer no longer holds the run's lease
    ├── ServerError       cli/client: the server could not be reached, or refused
    │   └── NotFound      it has not what was asked for
    ├── Unreadable        cli/scan_source: a file holds no Python source
    └── Unwritable        cli/output: standard output takes nothing more
        └── ReaderGone    whoever read it has closed it, which is no fault

Outside of it are those that nobody has to catch who calls us::

    Exception
    ├── Damaged           stores/sqlite_inspection: becomes a finding of the inspection
    ├── IllegalMove       core/run: a fault of ours, which is not to be taken for a refusal
    ├── LaneClosed        server/lane_port: tells the writer to a socket that it is gone
    ├── NoOpening         server/opening: carries the answer to a request that opens no WebSocket
    ├── NoRing            server/ring: sockets are then written to one by one
    └── StreamBroken      server/sse_lane: breaks a response off, so that its client comes back
    BaseException
    ├── Unanswered        agents/questions: leaves an agent, whose ``except Exception`` lets it
    └── TookTooLong       cli/scan_record: leaves the analysis of a file, likewise

``ERRORS`` says of every code a client can be sent in an ``error`` frame or an HTTP body, and
``CLOSES`` of every code a socket can be closed with: whose fault it is and whether the client
may try again. ``docs/protocol.md`` shows both and a test compares them. ``RUN_ERRORS`` says what
every code means with which Netra itself ends a run; ``docs/operations.md`` shows those.
"""

from collections.abc import Mapping
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import NamedTuple


class Fault(Enum):
    """Who has to change something so that it does not happen again."""

    NOBODY = "nobody"
    CLIENT = "client"
    SERVER = "server"


class Retry(Enum):
    """What a client may do next."""

    NEVER = "never"
    AT_ONCE = "at once"
    LATER = "later"
    AFTER_LOGIN = "after login"


class ErrorCode(StrEnum):
    """The ``code`` of an ``error`` frame and of an HTTP error body."""

    BAD_FRAME = "bad_frame"
    BAD_INPUT = "bad_input"
    BAD_REQUEST = "bad_request"
    BAD_ANSWER = "bad_answer"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    BAD_METHOD = "bad_method"
    UPGRADE_REQUIRED = "upgrade_required"
    UNKNOWN_AGENT = "unknown_agent"
    THREAD_BUSY = "thread_busy"
    RUN_CONFLICT = "run_conflict"
    ALREADY_DECIDED = "already_decided"
    EXPIRED = "expired"
    CHANGED = "changed"
    TOO_MANY = "too_many"
    TOO_FAST = "too_fast"
    TOO_BIG = "too_big"
    HEAD_TOO_BIG = "head_too_big"
    UNKNOWN_CODING = "unknown_coding"
    DRAINING = "draining"
    OVERLOADED = "overloaded"
    STORE_FAILED = "store_failed"
    INTERNAL = "internal"


class ErrorRow(NamedTuple):
    """What one error code means: HTTP status, whose fault, whether to retry, in one sentence."""

    status: int
    fault: Fault
    retry: Retry
    meaning: str

    @property
    def may_retry(self) -> bool:
        """Whether to send the same again can help."""
        return self.retry is not Retry.NEVER


ERRORS: dict[ErrorCode, ErrorRow] = {
    ErrorCode.BAD_FRAME: ErrorRow(
        400, Fault.CLIENT, Retry.NEVER, "The frame is not a command of this protocol."
    ),
    ErrorCode.BAD_INPUT: ErrorRow(
        422, Fault.CLIENT, Retry.NEVER, "A field of the command has a value it cannot have."
    ),
    ErrorCode.BAD_REQUEST: ErrorRow(
        400, Fault.CLIENT, Retry.NEVER, "What came is no request that HTTP or WebSocket allows."
    ),
    ErrorCode.BAD_ANSWER: ErrorRow(
        422, Fault.CLIENT, Retry.NEVER, "The answer is not what the question asks for."
    ),
    ErrorCode.UNAUTHENTICATED: ErrorRow(
        401, Fault.CLIENT, Retry.AFTER_LOGIN, "No valid credential came with the request."
    ),
    ErrorCode.FORBIDDEN: ErrorRow(
        403, Fault.CLIENT, Retry.NEVER, "The user may not do this, or the origin is foreign."
    ),
    ErrorCode.NOT_FOUND: ErrorRow(
        404, Fault.CLIENT, Retry.NEVER, "There is no such thing that this user may see."
    ),
    ErrorCode.BAD_METHOD: ErrorRow(
        405, Fault.CLIENT, Retry.NEVER, "What there is does not take requests of this method."
    ),
    ErrorCode.UPGRADE_REQUIRED: ErrorRow(
        426, Fault.CLIENT, Retry.NEVER, "There is a WebSocket here: open one, of version 13."
    ),
    ErrorCode.UNKNOWN_AGENT: ErrorRow(
        404, Fault.CLIENT, Retry.NEVER, "The server has no agent of that name."
    ),
    ErrorCode.THREAD_BUSY: ErrorRow(
        409, Fault.CLIENT, Retry.LATER, "Another run is active in the thread."
    ),
    ErrorCode.RUN_CONFLICT: ErrorRow(
        409, Fault.CLIENT, Retry.NEVER, "The run id was used for another thread."
    ),
    ErrorCode.ALREADY_DECIDED: ErrorRow(
        409, Fault.CLIENT, Retry.NEVER, "The interrupt was decided before."
    ),
    ErrorCode.EXPIRED: ErrorRow(
        410, Fault.CLIENT, Retry.NEVER, "The interrupt can be answered no more."
    ),
    ErrorCode.CHANGED: ErrorRow(
        409, Fault.CLIENT, Retry.NEVER, "The answer is for another tool call than the log has."
    ),
    ErrorCode.TOO_MANY: ErrorRow(
        429, Fault.CLIENT, Retry.LATER, "A limit on how many at once is reached."
    ),
    ErrorCode.TOO_FAST: ErrorRow(
        429,
        Fault.CLIENT,
        Retry.LATER,
        "The connection sends more commands than it may.",
    ),
    ErrorCode.TOO_BIG: ErrorRow(
        413, Fault.CLIENT, Retry.NEVER, "The request is over a size limit."
    ),
    ErrorCode.HEAD_TOO_BIG: ErrorRow(
        431, Fault.CLIENT, Retry.NEVER, "The head of the request is over its limit."
    ),
    ErrorCode.UNKNOWN_CODING: ErrorRow(
        501, Fault.SERVER, Retry.NEVER, "The body is in another transfer coding than chunked."
    ),
    ErrorCode.DRAINING: ErrorRow(
        503, Fault.SERVER, Retry.LATER, "The server is about to restart and starts nothing new."
    ),
    ErrorCode.OVERLOADED: ErrorRow(
        503, Fault.SERVER, Retry.LATER, "The server has no room for this connection."
    ),
    ErrorCode.STORE_FAILED: ErrorRow(
        503, Fault.SERVER, Retry.LATER, "The log could not be read or written; nothing was done."
    ),
    ErrorCode.INTERNAL: ErrorRow(
        500, Fault.SERVER, Retry.LATER, "A fault of ours; its cause is in the server's log."
    ),
}


class CloseCode(IntEnum):
    """The close codes of this protocol: RFC 6455 section 7.4.1 and the private 4000s."""

    DONE = 1000
    GOING_AWAY = 1001
    FORBIDDEN = 1008
    TOO_BIG = 1009
    INTERNAL = 1011
    RESTARTING = 1012
    OVERLOADED = 1013
    BAD_FRAME = 4400
    UNAUTHENTICATED = 4401
    WRONG_USER = 4403
    TOO_SLOW = 4408
    REPLACED = 4409
    TOO_MANY = 4429


class CloseRow(NamedTuple):
    """What one close code means: its reason on the wire, whose fault, whether to reconnect."""

    reason: str
    fault: Fault
    retry: Retry
    meaning: str


CLOSES: dict[CloseCode, CloseRow] = {
    CloseCode.DONE: CloseRow("done", Fault.NOBODY, Retry.AT_ONCE, "The client ended it."),
    CloseCode.GOING_AWAY: CloseRow(
        "going away",
        Fault.NOBODY,
        Retry.AT_ONCE,
        "The page was left, or an administrator closed it.",
    ),
    CloseCode.FORBIDDEN: CloseRow(
        "forbidden", Fault.CLIENT, Retry.NEVER, "The user may not be here, or nothing to resume."
    ),
    CloseCode.TOO_BIG: CloseRow(
        "frame too big", Fault.CLIENT, Retry.NEVER, "A frame was over `ready.limits.frame_bytes`."
    ),
    CloseCode.INTERNAL: CloseRow(
        "internal error", Fault.SERVER, Retry.LATER, "A fault of ours; its cause is in the log."
    ),
    CloseCode.RESTARTING: CloseRow(
        "restarting", Fault.SERVER, Retry.LATER, "The server restarts; wait `retry_after_ms`."
    ),
    CloseCode.OVERLOADED: CloseRow(
        "overloaded", Fault.SERVER, Retry.LATER, "The server has no room for this connection."
    ),
    CloseCode.BAD_FRAME: CloseRow(
        "bad frame", Fault.CLIENT, Retry.NEVER, "Too many frames in a row could not be read."
    ),
    CloseCode.UNAUTHENTICATED: CloseRow(
        "unauthenticated",
        Fault.CLIENT,
        Retry.AFTER_LOGIN,
        "The credential expired, or was revoked.",
    ),
    CloseCode.WRONG_USER: CloseRow(
        "wrong user", Fault.CLIENT, Retry.NEVER, "`auth` carried a token of another user."
    ),
    CloseCode.TOO_SLOW: CloseRow(
        "too slow, resume",
        Fault.CLIENT,
        Retry.AT_ONCE,
        "The client did not read for longer than the limit; follow again with `after`.",
    ),
    CloseCode.REPLACED: CloseRow(
        "replaced",
        Fault.NOBODY,
        Retry.NEVER,
        "The user has opened another connection, for which this silent one made room.",
    ),
    CloseCode.TOO_MANY: CloseRow(
        "too many connections",
        Fault.CLIENT,
        Retry.LATER,
        "The connections of the user, or of the address, are all in use.",
    ),
}


class RunError(StrEnum):
    """The ``code`` of a RUN_ERROR that is Netra's own; agents have others."""

    AGENT_FAILED = "agent_failed"
    ILLEGAL_EVENT = "illegal_event"
    TOO_MANY_EVENTS = "too_many_events"
    STORE_FAILED = "store_failed"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"


RUN_ERRORS: dict[RunError, str] = {
    RunError.AGENT_FAILED: "The agent raised; the traceback is in the log under the correlation id "
    "in the message.",
    RunError.ILLEGAL_EVENT: "The agent yielded something that is not legal AG-UI at this place; "
    "the log says what.",
    RunError.TOO_MANY_EVENTS: "The run said more than `run_events` events. The one that was too "
    "many is the last.",
    RunError.STORE_FAILED: "The log refused an event. Written when the log works again, at the "
    "latest.",
    RunError.TIMEOUT: "The run took longer than `run_timeout`.",
    RunError.INTERRUPTED: "The server stopped, or was killed, during the run.",
}


class NetraError(Exception):
    """The base of every error this package raises on purpose."""


class ConfigError(NetraError):
    """The settings, or the name of an agent, cannot be used; the text says which and why."""


class FrameError(NetraError):
    """A client's frame cannot be read.

    ``where`` is the path of the offending field (``$.input.messages[0]``), ``request`` the id of
    the command when that much could be read, so that its sender still gets its one answer.
    ``about`` is as a `Refused` has it: of a frame there is no more to say.
    """

    about: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self,
        message: str,
        *,
        code: ErrorCode = ErrorCode.BAD_FRAME,
        where: str = "$",
        request: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.where = where
        self.request = request


class AgentError(NetraError):
    """An agent, or the model behind it, could not go on; the text says why, for the log."""


class EventError(NetraError):
    """An agent's event is not legal AG-UI at the place in the stream where it came."""


class LimitReached(NetraError):
    """A run has used up what it may: `limit` is the setting, `most` its value."""

    def __init__(self, limit: str, most: float) -> None:
        super().__init__(f"{limit} is {most}")
        self.limit = limit
        self.most = most


class Refused(NetraError):
    """A command was understood and is not carried out; ``code`` says why, see ``ERRORS``.

    ``where`` is the path of the part of it that is to blame, if it is one part. ``about`` is for
    the log only: what helps to find the cause, without what is secret.
    """

    def __init__(
        self, code: ErrorCode, message: str = "", *, where: str | None = None, **about: str
    ) -> None:
        super().__init__(message or ERRORS[code].meaning)
        self.code = code
        self.where = where
        self.about = about
        self.message = message or ERRORS[code].meaning


class StoreError(NetraError):
    """The store could not do what was asked."""


class StoreInUse(StoreError):
    """Another process has the data directory open for writing."""


class StoreFailed(StoreError):
    """A write or read failed (full disk, I/O error); nothing of it was acknowledged."""


class LeaseLost(StoreError):
    """The writer's lease on the run was taken over, has ended, or its thread was deleted."""
