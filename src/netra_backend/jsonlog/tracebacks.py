"""Exceptions as data: type, message, notes, frames, cause and members, without local variables."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from netra_backend.jsonlog.guard import (
    Failed,
    class_name,
    foreign,
    is_kind,
    is_large,
    own_attributes,
)
from netra_backend.jsonlog.plain import Json

MAX_EXCEPTIONS = 16
"""Exceptions of one chain or group that are described."""
OUTER_FRAMES, INNER_FRAMES = 10, 40
"""Frames of one traceback that are kept, from where it was caught and from where it was raised."""
MAX_NOTES = 16

Text = Callable[[str], str]
"""Cuts and cleans a text."""

# A subclass may shadow these names, so the values are read where BaseException keeps them.
_args = BaseException.__dict__["args"].__get__
_cause = BaseException.__dict__["__cause__"].__get__
_context = BaseException.__dict__["__context__"].__get__
_suppressed = BaseException.__dict__["__suppress_context__"].__get__
_traceback = BaseException.__dict__["__traceback__"].__get__
_members = BaseExceptionGroup.__dict__["exceptions"].__get__


def describe(error: BaseException, text: Text) -> dict[str, Json]:
    """Return the exception as an object of plain data; each string went through `text`."""
    return _Chain(text).describe(error)


class _Chain:
    """One exception with all it leads to: each is described once, and not too many are."""

    __slots__ = ("seen", "text")

    def __init__(self, text: Text) -> None:
        self.text = text
        self.seen: set[int] = set()

    def describe(self, error: BaseException) -> dict[str, Json]:
        shown: dict[str, Json] = {"type": self.text(class_name(type(error)))}
        if id(error) in self.seen:
            return {**shown, "$cut": "described above"}
        if len(self.seen) >= MAX_EXCEPTIONS:
            return {**shown, "$cut": f"more than {MAX_EXCEPTIONS} exceptions"}
        self.seen.add(id(error))
        shown["message"] = self._message(error)
        notes = own_attributes(error).get("__notes__")
        if type(notes) is list:
            shown["notes"] = [self._string(note) for note in notes[:MAX_NOTES]]
        shown["frames"] = _frames(_traceback(error), self.text)
        shown.update(self._related(error))
        return shown

    def _related(self, error: BaseException) -> Iterator[tuple[str, Json]]:
        cause, context = _cause(error), _context(error)
        if cause is not None:
            yield "cause", self.describe(cause)
        elif context is not None and not _suppressed(error):
            yield "context", self.describe(context)
        if is_kind(error, BaseExceptionGroup):
            members = _members(error)
            shown: list[Json] = [self.describe(one) for one in members[:MAX_EXCEPTIONS]]
            if len(members) > MAX_EXCEPTIONS:
                shown.append({"$cut": f"{len(members) - MAX_EXCEPTIONS} more items"})
            yield "exceptions", shown

    def _message(self, error: BaseException) -> str:
        return self.text("<too large>") if is_large(_args(error)) else self._string(error)

    def _string(self, value: Any) -> str:
        shown = foreign(str, value)
        return self.text(f"<str failed: {shown.why}>" if isinstance(shown, Failed) else shown)


def _frames(traceback: TracebackType | None, text: Text) -> list[Json]:
    """Return file, line and function of each frame, the innermost last."""
    steps = []
    while traceback is not None:
        steps.append((traceback.tb_frame.f_code, traceback.tb_lineno))
        traceback = traceback.tb_next
    left_out = len(steps) - OUTER_FRAMES - INNER_FRAMES
    shown: list[Json] = [
        {"file": text(code.co_filename), "line": line, "function": text(code.co_qualname)}
        for code, line in (steps if left_out <= 0 else steps[:OUTER_FRAMES] + steps[-INNER_FRAMES:])
    ]
    if left_out > 0:
        shown.insert(OUTER_FRAMES, {"$cut": f"{left_out} more frames"})
    return shown
