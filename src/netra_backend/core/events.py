"""Events: AG-UI events as the log keeps them.

An `Event` is the wire bytes of one AG-UI event, made once, with its type beside them. Its
`Body` is what those bytes say, decoded on demand by whoever has to understand it (the
open-construct tracker, the fold, the merge). Nothing here changes an event: what is not a field
of `Body` stays in the bytes. Source: the AG-UI 1.0 schema, package ``ag-ui-protocol``.
"""

from typing import Any

import msgspec
from ag_ui.core import EventType
from msgspec import Struct

from netra_backend.core.ids import RunId
from netra_backend.core.positions import Position
from netra_backend.errors import EventError

DELTAS = frozenset(
    {
        EventType.TEXT_MESSAGE_CONTENT,
        EventType.TOOL_CALL_ARGS,
        EventType.REASONING_MESSAGE_CONTENT,
    }
)
"""The events that only add text to something open."""

TERMINAL = frozenset({EventType.RUN_FINISHED, EventType.RUN_ERROR})
"""The events that end a run: exactly one per run."""

PROGRESS = "netra.progress"
"""The CUSTOM event that says how far a run is; an agent may send it, see `RunContext.progress`."""


class Event(Struct, frozen=True, gc=False):
    """One AG-UI event: its type, and its JSON as every follower receives it."""

    type: EventType
    data: bytes


class Entry(Struct, frozen=True, gc=False):
    """An event with its position in a thread's log.

    `run` is the run that wrote it, `at` the wall clock when it was appended, in milliseconds
    since 1970; `at` is for people, never for order.
    """

    position: Position
    run: RunId
    at: int
    event: Event

    def size(self) -> int:
        """Return the bytes of its event, which count where a page of entries ends."""
        return len(self.event.data)


class Body(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """The fields of an AG-UI event that this package reads; others stay in the bytes."""

    type: EventType
    timestamp: int | None = None
    metadata: dict[str, Any] | None = None
    subagent_run_id: str | None = None
    # runs
    thread_id: str | None = None
    run_id: str | None = None
    parent_run_id: str | None = None
    input: dict[str, Any] | None = None
    outcome: dict[str, Any] | None = None
    message: str | None = None
    code: str | None = None
    # messages, reasoning and tool calls
    message_id: str | None = None
    role: str | None = None
    name: str | None = None
    delta: Any = None
    tool_call_id: str | None = None
    tool_call_name: str | None = None
    parent_message_id: str | None = None
    content: Any = None
    messages: list[dict[str, Any]] | None = None
    # steps, state, activities, reasoning values, custom events
    step_name: str | None = None
    snapshot: Any = None
    activity_type: str | None = None
    replace: bool | None = None
    patch: list[dict[str, Any]] | None = None
    subtype: str | None = None
    entity_id: str | None = None
    encrypted_value: str | None = None
    value: Any = None


class _Only(Struct, frozen=True):
    type: EventType


class _Delta(
    Struct,
    frozen=True,
    rename="camel",
    omit_defaults=True,
    forbid_unknown_fields=True,
    kw_only=True,
):
    """A delta with exactly the fields that AG-UI requires, in its order."""

    type: EventType
    message_id: str | None = None
    tool_call_id: str | None = None
    delta: str


_decode_body = msgspec.json.Decoder(Body).decode
_decode_type = msgspec.json.Decoder(_Only).decode
_decode_delta = msgspec.json.Decoder(_Delta).decode
_encode = msgspec.json.Encoder().encode
_DELTA = {
    kind: b'{"type":"%b","%b":%%b,"delta":%%b}'
    % (
        kind.value.encode(),
        b"toolCallId" if kind is EventType.TOOL_CALL_ARGS else b"messageId",
    )
    for kind in DELTAS
}
"""The bytes of a plain delta: joining them takes a quarter of what encoding an object takes."""


def event_from_json(data: bytes) -> Event:
    """Return the event whose wire bytes are `data`. Raises EventError if they are no event."""
    try:
        if not data.isascii():
            data.decode()  # msgspec does not check the text that it skips
        return Event(_decode_type(data).type, data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise EventError(f"not an AG-UI event: {error}") from error


def event_from_body(body: Body) -> Event:
    """Return the event that `body` describes, without the fields that are unset."""
    return Event(body.type, _encode(body))


def body_of(event: Event) -> Body:
    """Return what the bytes of `event` say. Raises EventError if a field has a wrong shape."""
    try:
        return _decode_body(event.data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise EventError(f"{event.type.value}: {error}") from error


def delta_event(kind: EventType, subject: str, delta: str) -> Event:
    """Return the `kind` event that adds `delta` to the message or tool call `subject`."""
    return Event(kind, _DELTA[kind] % (_encode(subject), _encode(delta)))


def plain_delta(event: Event) -> tuple[str, str] | None:
    """Return ``(subject, delta)`` if `event` is a delta that carries nothing else, or None.

    Only such a delta may be merged with its neighbour: one with metadata, a timestamp, a
    subagent or a field that we do not know says something that a merged event could not repeat.
    """
    if event.type not in DELTAS:
        return None
    try:
        delta = _decode_delta(event.data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    subject, other = delta.message_id, delta.tool_call_id
    if event.type is EventType.TOOL_CALL_ARGS:
        subject, other = other, subject
    return (subject, delta.delta) if subject and other is None else None
