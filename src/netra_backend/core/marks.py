"""Marks: what a thread's runs leave in the conversation besides messages.

How a run ended, if not simply well; what it asked; which answers it took up. They stand between
messages, and go to someone who joins in the middle as one ``CUSTOM`` event.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from ag_ui.core import EventType
from msgspec import Struct

from netra_backend.core.events import Body, Event, body_of

RUNS = "netra.runs"
"""The name of the ``CUSTOM`` event that carries the marks of a thread."""

_OF_INTEREST = frozenset({"cancelled", "interrupt"})
"""Outcomes of RUN_FINISHED that leave something to be seen."""


class Mark(Struct, frozen=True, omit_defaults=True):
    """What the run `run` has left.

    `resume` are the answers it took up, as AG-UI ``ResumeEntry``. `end` is its terminal event's
    `type` with the `outcome`, or the `code` and `message`; it stands after the message `after`,
    or before all of them. Without `end` the run has ended well, or goes on.
    """

    run: str
    resume: list[dict[str, Any]] = []
    after: str | None = None
    end: dict[str, Any] | None = None


class Marks:
    """The marks of a thread, in the order of its runs."""

    def __init__(self, marks: Iterable[Mark] = ()) -> None:
        self._marks = list(marks)

    @classmethod
    def from_value(cls, value: Any) -> "Marks":
        """Return the marks that `event` was made of. Raises msgspec.ValidationError."""
        return cls(msgspec.convert(value, list[Mark]))

    def event(self) -> Event | None:
        """Return the event that carries the marks, or None if there are none."""
        if not self._marks:
            return None
        body = {"type": EventType.CUSTOM, "name": RUNS, "value": self._marks}
        return Event(EventType.CUSTOM, msgspec.json.encode(body))

    def began(self, run: str, resume: Sequence[dict[str, Any]]) -> None:
        """Note that a run began with these answers."""
        if resume:
            self._marks.append(Mark(run, list(resume)))

    def ended(self, run: str, terminal: Event, after: str | None) -> None:
        """Note that the run that began last has ended, when `after` was the last message."""
        end = _of_interest(body_of(terminal))
        if end is None:
            return
        resume = self._marks.pop().resume if self._is_last(run) else []
        self._marks.append(Mark(run, resume, after, end))

    def replace_messages(self, before: Iterable[str], remains: Callable[[str], object]) -> None:
        """Keep the places of the marks when messages go: after the nearest one that remains."""
        if not self._marks:
            return
        place: dict[str | None, str | None] = {None: None}
        last: str | None = None
        for id in before:
            last = id if remains(id) else last
            place[id] = last
        self._marks = [
            msgspec.structs.replace(mark, after=place.get(mark.after)) for mark in self._marks
        ]

    def _is_last(self, run: str) -> bool:
        return bool(self._marks) and self._marks[-1].run == run and self._marks[-1].end is None


def _of_interest(body: Body) -> dict[str, Any] | None:
    """Return of a terminal event what people want to see later, without the run's result."""
    if body.type is EventType.RUN_ERROR:
        shown = Body(type=body.type, code=body.code, message=body.message)
    elif (body.outcome or {}).get("type") in _OF_INTEREST:
        shown = Body(type=body.type, outcome=body.outcome)
    else:
        return None
    end: dict[str, Any] = msgspec.to_builtins(shown)
    return end
