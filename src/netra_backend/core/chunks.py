"""Chunks: AG-UI's ``*_CHUNK`` shorthand, written out as START, CONTENT and END.

The log holds only the long form, so that every reader needs to know one. A stream of chunks of
one kind stays open until a chunk with another id comes, or any event but those that stand beside
a message. Source: AG-UI 1.0, the event documentation of TEXT_MESSAGE_CHUNK, TOOL_CALL_CHUNK and
REASONING_MESSAGE_CHUNK, and its TypeScript client (``chunks/transform.ts``).
"""

from typing import Any

from ag_ui.core import EventType
from msgspec import structs

from netra_backend.core.events import Body
from netra_backend.errors import EventError

_START = {
    EventType.TEXT_MESSAGE_CHUNK: EventType.TEXT_MESSAGE_START,
    EventType.TOOL_CALL_CHUNK: EventType.TOOL_CALL_START,
    EventType.REASONING_MESSAGE_CHUNK: EventType.REASONING_MESSAGE_START,
}
_CONTENT = {
    EventType.TEXT_MESSAGE_CHUNK: EventType.TEXT_MESSAGE_CONTENT,
    EventType.TOOL_CALL_CHUNK: EventType.TOOL_CALL_ARGS,
    EventType.REASONING_MESSAGE_CHUNK: EventType.REASONING_MESSAGE_CONTENT,
}
_END = {
    EventType.TEXT_MESSAGE_CHUNK: EventType.TEXT_MESSAGE_END,
    EventType.TOOL_CALL_CHUNK: EventType.TOOL_CALL_END,
    EventType.REASONING_MESSAGE_CHUNK: EventType.REASONING_MESSAGE_END,
}
CHUNKS = frozenset(_START)
BESIDE = frozenset(
    {
        EventType.RAW,
        EventType.ACTIVITY_SNAPSHOT,
        EventType.ACTIVITY_DELTA,
        EventType.REASONING_ENCRYPTED_VALUE,
    }
)
"""What may come between two chunks of one message."""


class Expander:
    """Turns the chunks of one run into the long form; other events pass unchanged."""

    __slots__ = ("_open", "idle")

    def __init__(self) -> None:
        self._open: tuple[EventType, str] | None = None
        self.idle = True
        """Whether no stream of chunks is open, so that an event that is no chunk passes as is."""

    def expand(self, body: Body) -> list[Body]:
        """Return what `body` stands for. Raises EventError for a first chunk without its id."""
        if body.type in BESIDE:
            return [body]
        if body.type not in CHUNKS:
            return [*self.close(), body]
        subject = _id(body) or self._continued(body.type)
        if self._open == (body.type, subject):
            return _content(body, subject, metadata=body.metadata)
        return [*self._begin(body, subject), *_content(body, subject, metadata=None)]

    def close(self) -> list[Body]:
        """Return the END of the stream of chunks that is open, if one is."""
        if self._open is None:
            return []
        kind, subject = self._open
        self._open, self.idle = None, True
        return [_about(_END[kind], subject)]

    def _continued(self, kind: EventType) -> str:
        """Return the id that a chunk without one continues."""
        if self._open is None or self._open[0] is not kind:
            raise EventError(f"the first {kind.value} must carry an id")
        return self._open[1]

    def _begin(self, body: Body, subject: str) -> list[Body]:
        if body.type is EventType.TOOL_CALL_CHUNK and not body.tool_call_name:
            raise EventError(f"the first TOOL_CALL_CHUNK of {subject!r} must carry toolCallName")
        ended = self.close()
        self._open, self.idle = (body.type, subject), False
        start = structs.replace(_about(_START[body.type], subject), **_described(body))
        return [*ended, start]


def _id(body: Body) -> str | None:
    return body.tool_call_id if body.type is EventType.TOOL_CALL_CHUNK else body.message_id


def _about(kind: EventType, subject: str) -> Body:
    if kind in (EventType.TOOL_CALL_START, EventType.TOOL_CALL_ARGS, EventType.TOOL_CALL_END):
        return Body(type=kind, tool_call_id=subject)
    return Body(type=kind, message_id=subject)


def _described(body: Body) -> dict[str, Any]:
    """Return the fields of a first chunk that belong to its START, its metadata among them."""
    if body.type is EventType.TOOL_CALL_CHUNK:
        return {
            "tool_call_name": body.tool_call_name,
            "parent_message_id": body.parent_message_id,
            "subagent_run_id": body.subagent_run_id,
            "metadata": body.metadata,
        }
    role = "reasoning" if body.type is EventType.REASONING_MESSAGE_CHUNK else "assistant"
    return {
        "role": body.role or role,
        "name": body.name,
        "subagent_run_id": body.subagent_run_id,
        "metadata": body.metadata,
    }


def _content(body: Body, subject: str, *, metadata: dict[str, Any] | None) -> list[Body]:
    """Return the CONTENT of a chunk; a chunk without text and metadata has none."""
    if not body.delta and metadata is None:
        return []
    content = _about(_CONTENT[body.type], subject)
    return [structs.replace(content, delta=body.delta or "", metadata=metadata)]
