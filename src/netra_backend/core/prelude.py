"""The prelude: what someone who joins in the middle is told instead of the whole history.

Applying the prelude of a conversation, and then what follows it in the log, gives the same as
applying the log from its beginning.
"""

from typing import Any

import msgspec
from ag_ui.core import PROTOCOL_VERSION, EventType
from msgspec import UNSET

from netra_backend.core.events import Event
from netra_backend.core.fold import Conversation
from netra_backend.core.ids import ThreadId


def prelude(thread: ThreadId, conversation: Conversation) -> list[Event]:
    """Return the events that rebuild `conversation`: legal AG-UI, as the start of one run.

    RUN_STARTED of the newest run, MESSAGES_SNAPSHOT with the partial messages, CUSTOM with what
    earlier runs left besides messages, if anything, STATE_SNAPSHOT if there is a state, then
    either the START of everything that is open and how far the run is, or its terminal event.
    Empty for a log without a run.
    """
    if conversation.run_id is None:
        return []
    events = [
        _event(
            EventType.RUN_STARTED,
            threadId=thread,
            runId=conversation.run_id,
            protocolVersion=PROTOCOL_VERSION,
        ),
        _event(EventType.MESSAGES_SNAPSHOT, messages=conversation.messages()),
    ]
    marks = conversation.marks.event()
    if marks is not None:
        events.append(marks)
    if conversation.state is not UNSET:
        events.append(_event(EventType.STATE_SNAPSHOT, snapshot=conversation.state))
    events.extend(conversation.constructs.openers())
    if conversation.progress is not None:
        events.append(conversation.progress)
    if conversation.terminal is not None:
        events.append(conversation.terminal)
    return events


def _event(kind: EventType, **fields: Any) -> Event:
    # Not by way of a Body, which leaves out what is null: a state may be null.
    return Event(kind, msgspec.json.encode({"type": kind, **fields}))
