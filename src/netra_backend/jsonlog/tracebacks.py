"""Exceptions as data: type, message, notes, frames, cause and members, without local variables."""

from collections.abc import Callable, Iterator
from types import CodeType, TracebackType
from typing import Any

from netra_backend.jsonlog.guard import (
    Failed,
    class_name,
    foreign,
    is_kind,
    is_large,
)
from netra_backend.jsonlog.plain import Json

MAX_EXCEPTIONS = 16
"""Exceptions of one chain or group that are described."""
OUTER_FRAMES, INNER_FRAMES = 10, 40
"""Frames of one traceback that are kept, from where it was caught and from where it was raised."""
MAX_FRAMES = 200
"""Frames of one chain or group; after them each exception has only its ends."""
MAX_NOTES = 16
MAX_NAME = 200
"""Characters that are kept of the name of a file or function, the last ones."""
MAX_PLACES = 4_096

Text = Callable[[str], str]
"""Cuts and cleans a text."""

# A subclass may shadow these names, so the values are read where BaseException keeps them.
_args = BaseException.__dict__["args"].__get__
_cause = BaseException.__dict__["__cause__"].__get__
_context = BaseException.__dict__["__context__"].__get__
_suppressed = BaseException.__dict__["__suppress_context__"].__get__
_traceback = BaseException.__dict__["__traceback__"].__get__
_attributes: Callable[[BaseException], dict[str, Any]] = BaseException.__dict__["__dict__"].__get__
_members = BaseExceptionGroup.__dict__["exceptions"].__get__


def describe(error: BaseException, text: Text) -> dict[str, Json]:
    """Return the exception as an object of plain data; each message and note went through `text`.

    The names of classes, files and functions come from source code, and are only shortened.
    """
    return _Chain(text).describe(error)


class _Chain:
    """One exception with all it leads to: each is described once, and not too many are."""

    __slots__ = ("frames", "seen", "text")

    def __init__(self, text: Text) -> None:
        self.text = text
        self.frames = MAX_FRAMES
        self.seen: set[int] = set()

    def describe(self, error: BaseException) -> dict[str, Json]:
        shown: dict[str, Json] = {"type": _name(class_name(type(error)))}
        if id(error) in self.seen:
            return {**shown, "$cut": "described above"}
        if len(self.seen) >= MAX_EXCEPTIONS:
            return {**shown, "$cut": f"more than {MAX_EXCEPTIONS} exceptions"}
        self.seen.add(id(error))
        shown["message"] = self._message(error)
        notes = _attributes(error).get("__notes__")
        if type(notes) is list:
            shown["notes"] = [self._string(note) for note in notes[:MAX_NOTES]]
        shown["frames"] = self._frames(_traceback(error))
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

    def _frames(self, traceback: TracebackType | None) -> list[Json]:
        """Return file, line and function of each frame, the innermost last."""
        steps = []
        while traceback is not None:
            steps.append(traceback)
            traceback = traceback.tb_next
        inner = max(min(INNER_FRAMES, self.frames - OUTER_FRAMES), 1)
        left_out = len(steps) - OUTER_FRAMES - inner
        if left_out > 0:
            steps = steps[:OUTER_FRAMES] + steps[-inner:]
        self.frames -= len(steps)
        shown: list[Json] = []
        known = _places
        for step in steps:
            code = step.tb_frame.f_code
            _, file, function = known.get(id(code)) or _place(code)
            shown.append({"file": file, "line": step.tb_lineno, "function": function})
        if left_out > 0:
            shown.insert(OUTER_FRAMES, {"$cut": f"{left_out} more frames"})
        return shown

    def _message(self, error: BaseException) -> str:
        return self.text("<too large>") if is_large(_args(error)) else self._string(error)

    def _string(self, value: Any) -> str:
        shown = foreign(str, value)
        return self.text(f"<str failed: {shown.why}>" if isinstance(shown, Failed) else shown)


_places: dict[int, tuple[CodeType, str, str]] = {}
"""The file and function of code by its id; the code is kept, so that its id stays its own."""


def _place(code: CodeType) -> tuple[CodeType, str, str]:
    """Return where code stands that is not known, and remember it."""
    place = (code, _name(code.co_filename), _name(code.co_qualname))
    if len(_places) < MAX_PLACES:
        _places[id(code)] = place
    return place


def _name(text: str) -> str:
    """Return a name from source code as a text that JSON can have."""
    clean = text if text.isascii() else text.encode(errors="backslashreplace").decode()
    return clean if len(clean) <= MAX_NAME else f"…{clean[-MAX_NAME:]}"


def as_text(error: dict[str, Any]) -> str:
    """Return a described exception as the interpreter prints it, its causes first."""
    return "\n".join(_lines(error))


def _lines(error: dict[str, Any]) -> Iterator[str]:
    for key, between in _CHAIN.items():
        if key in error:
            yield from _lines(error[key])
            yield f"\n{between}\n"
    if error.get("frames"):
        yield "Traceback (most recent call last):"
    for frame in error.get("frames", ()):
        if "file" in frame:
            yield f'  File "{frame["file"]}", line {frame["line"]}, in {frame["function"]}'
        else:
            yield f"  [{frame['$cut']}]"
    yield f"{error['type']}: {error.get('message', error.get('$cut', ''))}"
    yield from error.get("notes", ())
    for number, member in enumerate(error.get("exceptions", ()), 1):
        yield f"  +---------------- {number} ----------------"
        yield from (f"  | {line}" for line in _lines({"type": "", **member}))


_CHAIN = {
    "cause": "The above exception was the direct cause of the following exception:",
    "context": "During handling of the above exception, another exception occurred:",
}
