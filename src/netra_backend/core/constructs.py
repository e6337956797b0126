"""The open-construct tracker: what a run's stream has started and not yet ended.

AG-UI streams messages, tool calls, reasoning, steps and subagents as START … END pairs. One
`Constructs` follows one run: it rejects an event that is illegal where it comes, knows what to
close when an agent fails or is cancelled, and what to open again for a client that joins in the
middle. Rules: the AG-UI 1.0 event documentation, as ``ag-ui-validate`` checks it, but for two
points: the arguments of a tool call may be no JSON (AGUI204: the protocol keeps what a model
wrote), and a result may come for a call of an earlier run of the thread (AGUI207).
"""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, NamedTuple

import msgspec
from ag_ui.core import EventType

from netra_backend.core.chunks import CHUNKS
from netra_backend.core.events import (
    TERMINAL,
    Body,
    Event,
    body_of,
    delta_event,
    event_from_body,
)
from netra_backend.errors import EventError


class Kind(Enum):
    """The families of constructs; ids are unique within a family."""

    __hash__ = object.__hash__  # Enum's own is Python code, and costs every delta

    TEXT = "text message"
    TOOL = "tool call"
    BLOCK = "reasoning block"
    REASONING = "reasoning message"
    STEP = "step"
    SUBAGENT = "subagent"


_OPENS = {
    EventType.TEXT_MESSAGE_START: Kind.TEXT,
    EventType.TOOL_CALL_START: Kind.TOOL,
    EventType.REASONING_START: Kind.BLOCK,
    EventType.REASONING_MESSAGE_START: Kind.REASONING,
    EventType.STEP_STARTED: Kind.STEP,
    EventType.SUBAGENT_STARTED: Kind.SUBAGENT,
}
_EXTENDS = {
    EventType.TEXT_MESSAGE_CONTENT: Kind.TEXT,
    EventType.TOOL_CALL_ARGS: Kind.TOOL,
    EventType.REASONING_MESSAGE_CONTENT: Kind.REASONING,
}
_CLOSES = {
    EventType.TEXT_MESSAGE_END: Kind.TEXT,
    EventType.TOOL_CALL_END: Kind.TOOL,
    EventType.REASONING_END: Kind.BLOCK,
    EventType.REASONING_MESSAGE_END: Kind.REASONING,
    EventType.STEP_FINISHED: Kind.STEP,
    EventType.SUBAGENT_FINISHED: Kind.SUBAGENT,
    EventType.SUBAGENT_ERROR: Kind.SUBAGENT,
}
_CLOSER: dict[Kind, Callable[[str], Body]] = {
    Kind.TEXT: lambda id: Body(type=EventType.TEXT_MESSAGE_END, message_id=id),
    Kind.TOOL: lambda id: Body(type=EventType.TOOL_CALL_END, tool_call_id=id),
    Kind.BLOCK: lambda id: Body(type=EventType.REASONING_END, message_id=id),
    Kind.REASONING: lambda id: Body(type=EventType.REASONING_MESSAGE_END, message_id=id),
    Kind.STEP: lambda id: Body(type=EventType.STEP_FINISHED, step_name=id),
    Kind.SUBAGENT: lambda id: Body(
        type=EventType.SUBAGENT_ERROR, subagent_run_id=id, message="The run ended."
    ),
}
_ONCE = frozenset({Kind.TEXT, Kind.TOOL, Kind.REASONING})
"""These build messages, so their ids are used once; a step or a block may come again."""


class Used(NamedTuple):
    """The ids that a thread has given to messages and to tool calls."""

    messages: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()


_NOTHING = Used()


class Constructs:
    """What is open in one run, in the order in which it was opened.

    `used` are the ids that the thread already has: a run may not start one of them again, because
    a follower could not tell the two apart. Results may come for calls of earlier runs.
    """

    __slots__ = ("_begun", "_calls", "_ended", "_open", "_used")

    def __init__(self, used: Used = _NOTHING) -> None:
        self._open: dict[tuple[Kind, str], Event] = {}
        self._used = {(kind, id) for id in used.messages for kind in (Kind.TEXT, Kind.REASONING)}
        self._used.update((Kind.TOOL, id) for id in used.calls)
        self._calls = set(used.calls)
        self._begun = False
        self._ended = False

    def accept(self, event: Event, body: Body) -> None:
        """Take `event`, whose content is `body`; raise EventError if it is illegal here."""
        if self._ended:
            raise EventError(f"{_name(body)} after the run's terminal event")
        kind = body.type
        if kind in _EXTENDS:
            self._extend(_EXTENDS[kind], body)
        elif kind in _OPENS:
            self._start(_OPENS[kind], event, body)
        elif kind in _CLOSES:
            self._end(_CLOSES[kind], body)
        elif kind in CHUNKS:
            raise EventError(f"{_name(body)} must be written out as START, CONTENT and END")
        elif kind is EventType.RUN_STARTED:
            self._begin()
        elif kind is EventType.TOOL_CALL_RESULT:
            self._result(body)
        elif kind is EventType.MESSAGES_SNAPSHOT:
            self._calls.clear()  # of a call that the snapshot lacks no result may come any more
            self.learn_calls(body.messages or ())
        elif kind in TERMINAL:
            self._terminate(body)
        self._begun = True

    def extend(self, kind: EventType, id: str) -> None:
        """Take a plain delta of the message or tool call `id`, as `accept` does: the hot path."""
        if self._ended or (_EXTENDS[kind], id) not in self._open:
            event = delta_event(kind, id, "")
            self.accept(event, body_of(event))  # raises, and says what is wrong
        self._begun = True

    def is_open(self, kind: Kind, id: str) -> bool:
        """Return whether the construct was started and not yet ended."""
        return (kind, id) in self._open

    def closers(self) -> list[Event]:
        """Return the events that close everything that is open, the innermost first."""
        return [event_from_body(_CLOSER[kind](id)) for kind, id in reversed(self._open)]

    def openers(self) -> list[Event]:
        """Return the events that open again what is open, in their order.

        They carry no metadata: what it was merged into has it, and may have newer.
        """
        return [_without_metadata(event) for event in self._open.values()]

    def _extend(self, kind: Kind, body: Body) -> None:
        if (kind, _subject(kind, body)) not in self._open:
            raise EventError(f"{_name(body)}: no such {kind.value} is open")
        if type(body.delta) is not str:
            raise EventError(f"{_name(body)}: the delta must be a string")

    def _start(self, kind: Kind, event: Event, body: Body) -> None:
        key = (kind, _subject(kind, body))
        if key in self._open:
            raise EventError(f"{_name(body)}: this {kind.value} is open already")
        if key in self._used:
            raise EventError(f"{_name(body)}: this id was used before in the thread; make new ids")
        self._open[key] = event
        if kind in _ONCE:
            self._used.add(key)

    def _end(self, kind: Kind, body: Body) -> None:
        key = (kind, _subject(kind, body))
        if self._open.pop(key, None) is None:
            raise EventError(f"{_name(body)}: no such {kind.value} is open")
        if kind is Kind.TOOL:
            self._calls.add(key[1])
        if kind is Kind.SUBAGENT and (body.outcome or {}).get("type") != "suspended":
            self._used.add(key)

    def _begin(self) -> None:
        if self._begun:
            raise EventError("RUN_STARTED in the middle of a run")

    def _result(self, body: Body) -> None:
        call = body.tool_call_id or ""
        if (Kind.TOOL, call) in self._open:
            raise EventError(f"{_name(body)}: TOOL_CALL_END must come before the result")
        if call not in self._calls:
            raise EventError(f"{_name(body)}: there was no such tool call")

    def learn_calls(self, messages: Iterable[dict[str, Any]]) -> None:
        """Note the tool calls of messages that a snapshot brings: their results may still come."""
        self._calls.update(
            str(call.get("id"))
            for message in messages
            if message.get("role") == "assistant"
            for call in message.get("toolCalls") or ()
        )

    def _terminate(self, body: Body) -> None:
        if body.type is EventType.RUN_FINISHED and self._open:
            kind, id = next(reversed(self._open))
            raise EventError(f"RUN_FINISHED while {kind.value} {id!r} is open")
        self._ended = True


def _subject(kind: Kind, body: Body) -> str:
    """Return the id of the construct that `body` is about. Raises EventError if it has none."""
    if kind is Kind.TOOL:
        id = body.tool_call_id
    elif kind is Kind.STEP:
        id = body.step_name
    elif kind is Kind.SUBAGENT:
        id = body.subagent_run_id
    else:
        id = body.message_id
    if not id:
        raise EventError(f"{body.type.value} does not say which {kind.value} it means")
    return id


def _without_metadata(event: Event) -> Event:
    fields = msgspec.json.decode(event.data)
    if fields.pop("metadata", None) is None:
        return event
    return Event(event.type, msgspec.json.encode(fields))


def _name(body: Body) -> str:
    """Return how an error calls the event: its type and the id it carries."""
    id = body.tool_call_id or body.message_id or body.step_name or body.subagent_run_id
    return f"{body.type.value} {id!r}" if id else body.type.value
