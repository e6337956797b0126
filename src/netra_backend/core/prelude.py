"""The prelude: what someone who joins in the middle is told instead of the whole history.

Applying the prelude of a conversation, and then what follows it in the log, gives the same as
applying the log from its beginning.
"""

from collections.abc import Generator, Iterable
from typing import Any

import msgspec
from ag_ui.core import PROTOCOL_VERSION, EventType
from msgspec import UNSET, Raw, Struct

from netra_backend.core.events import Event
from netra_backend.core.fold import Conversation
from netra_backend.core.ids import RunId, ThreadId


class Prelude(Struct, frozen=True):
    """The prelude of a thread's log up to an offset: applying it is the fold so far."""

    epoch: int
    offset: int
    run: RunId | None
    """The newest run of that fold."""
    events: list[Event]

    @property
    def size(self) -> int:
        """Its bytes."""
        return sum(len(event.data) for event in self.events)


NO_PRELUDE = Prelude(0, 0, None, [])
"""That of a thread which there is not."""


def telling(thread: ThreadId, conversation: Conversation) -> Generator[None, None, list[Event]]:
    """Return the events that rebuild `conversation`: legal AG-UI, as the start of one run.

    RUN_STARTED of the newest run, MESSAGES_SNAPSHOT with the partial messages, CUSTOM with what
    earlier runs left besides messages, if anything, STATE_SNAPSHOT if there is a state, then
    either the START of everything that is open and how far the run is, or its terminal event.
    Empty for a log without a run.

    It does so in steps, between which the conversation must not change. A step is a message, or
    the state; then all that was encoded is copied, twice.
    """
    if conversation.run_id is None:
        return []
    parts: list[bytes] = []
    for message in conversation.each_message():
        parts.append(msgspec.json.encode(message))
        yield
    events = [
        _event(
            EventType.RUN_STARTED,
            threadId=thread,
            runId=conversation.run_id,
            protocolVersion=PROTOCOL_VERSION,
        ),
        Event(EventType.MESSAGES_SNAPSHOT, _MESSAGES % b",".join(parts)),
    ]
    marks = conversation.marks.event()
    if marks is not None:
        events.append(marks)
    if conversation.state is not UNSET:
        events.append(_event(EventType.STATE_SNAPSHOT, snapshot=conversation.state))
        yield
    events.extend(conversation.constructs.openers())
    if conversation.progress is not None:
        events.append(conversation.progress)
    if conversation.terminal is not None:
        events.append(conversation.terminal)
    return events


def taking_up(events: Iterable[Event]) -> Generator[None, None, Conversation]:
    """Return the conversation that a prelude rebuilds, in steps.

    A step is a message, or another event. Where the messages end is found in one step.
    """
    conversation = Conversation()
    for event in events:
        if event.type is EventType.MESSAGES_SNAPSHOT:
            messages = snapshot_of(event)
            yield
            for message in messages:
                conversation.bring([_decode(message)])
                yield
        else:
            conversation.apply(event)
            yield
    return conversation


def snapshot_of(event: Event) -> list[Raw]:
    """Return the messages that an event of a prelude brings, as their JSON."""
    is_snapshot = event.type is EventType.MESSAGES_SNAPSHOT
    return _decode_snapshot(event.data).messages if is_snapshot else []


def message_id(message: Raw) -> str:
    """Return the id of one of them."""
    return _decode_named(message).id


class _Named(Struct):
    id: str


class _Snapshot(Struct):
    """A MESSAGES_SNAPSHOT whose messages are not decoded yet."""

    messages: list[Raw]


_MESSAGES = b'{"type":"MESSAGES_SNAPSHOT","messages":[%b]}'
_decode = msgspec.json.Decoder().decode
_decode_named = msgspec.json.Decoder(_Named).decode
_decode_snapshot = msgspec.json.Decoder(_Snapshot).decode


def _event(kind: EventType, **fields: Any) -> Event:
    # Not by way of a Body, which leaves out what is null: a state may be null.
    return Event(kind, msgspec.json.encode({"type": kind, **fields}))
