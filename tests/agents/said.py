"""What an agent has said, out of its events."""

from collections.abc import Sequence
from typing import Any

from ag_ui.core import BaseEvent


def of_type(events: Sequence[BaseEvent], kind: str) -> list[Any]:
    """Return the events of this type."""
    return [event for event in events if event.type == kind]


def text(events: Sequence[BaseEvent], kind: str = "TEXT_MESSAGE_CONTENT") -> str:
    """Return what the deltas of this type say together."""
    return "".join(event.delta for event in of_type(events, kind))
