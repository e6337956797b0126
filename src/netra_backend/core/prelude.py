"""The prelude: what someone who joins in the middle is told instead of the whole history.

Applying the prelude of a conversation, and then what follows it in the log, gives the same as
applying the log from its beginning.
"""

import msgspec
from ag_ui.core import EventType
from msgspec import UNSET

from netra_backend.core.events import Body, Event, event_from_body, event_from_json
from netra_backend.core.fold import Conversation
from netra_backend.core.ids import ThreadId

_encode = msgspec.json.Encoder().encode


def prelude(thread: ThreadId, conversation: Conversation) -> list[Event]:
    """Return the events that rebuild `conversation`: legal AG-UI, as the start of one run.

    RUN_STARTED of the newest run, MESSAGES_SNAPSHOT with the partial messages, STATE_SNAPSHOT if
    there is a state, then either the START of everything that is open or the run's terminal
    event. Empty for a log without a run.
    """
    if conversation.run_id is None:
        return []
    started = Body(type=EventType.RUN_STARTED, thread_id=thread, run_id=conversation.run_id)
    events = [event_from_body(started), _messages(conversation)]
    if conversation.state is not UNSET:
        events.append(_state(conversation))
    events.extend(conversation.constructs.openers())
    if conversation.terminal is not None:
        events.append(conversation.terminal)
    return events


def _messages(conversation: Conversation) -> Event:
    body = {"type": EventType.MESSAGES_SNAPSHOT, "messages": conversation.messages()}
    return event_from_json(_encode(body))


def _state(conversation: Conversation) -> Event:
    # Written by hand: a Body leaves out a snapshot of null, which here is a value.
    return event_from_json(
        _encode({"type": EventType.STATE_SNAPSHOT, "snapshot": conversation.state})
    )
