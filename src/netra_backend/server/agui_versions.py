"""Versions of AG-UI: what clients of 0.x are told instead of what they do not know.

They know the outcomes ``success`` and ``interrupt``, and refuse an event with another one. A
client says its version as ``protocolVersion``; one that says none is of 0.x.
"""

from collections.abc import Callable

import msgspec
from ag_ui.core import EventType

from netra_backend.core.events import Body, Event, body_of, event_from_body

Speak = Callable[[Event], Event]
"""How an event is said to a client that does not know all of AG-UI 1.0."""


def spoken(protocol_version: str | None) -> Speak:
    """Return how events are said to a client of this version of AG-UI."""
    return as_error if protocol_version is None else as_is


def as_is(event: Event) -> Event:
    """Return the event: the client knows it."""
    return event


def is_cancelled(event: Event) -> bool:
    """Return whether `event` ends a run with the outcome that 0.x does not know."""
    if event.type is not EventType.RUN_FINISHED:
        return False
    return (body_of(event).outcome or {}).get("type") == "cancelled"


def as_error(event: Event) -> Event:
    """Return `event` as a client of 0.x takes it: a cancelled run ends with RUN_ERROR."""
    if not is_cancelled(event):
        return event
    message = "The run was cancelled."
    return event_from_body(Body(type=EventType.RUN_ERROR, message=message, code="cancelled"))


def as_finished(event: Event) -> Event:
    """Return `event` as CopilotKit takes it: a run that was stopped has finished, and is no error.

    CopilotKit's own runtime ends a stopped run that way (`finalizeRunEvents` of its 1.75); the
    page would show a RUN_ERROR to the one who pressed the button.
    """
    if not is_cancelled(event):
        return event
    return event_from_body(msgspec.structs.replace(body_of(event), outcome=None))
