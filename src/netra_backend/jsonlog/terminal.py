"""A record as readable text, for a person at a terminal."""

import re
from collections.abc import Iterator

from netra_backend.jsonlog.encode import encode
from netra_backend.jsonlog.plain import UNSEEN, Json

_COLOURS = {"DEBUG": "36", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
_DIM = "2"

_HEAD = ("time", "level", "logger", "message", "exception", "stack")
_PLAIN_TEXT = re.compile(r"[^\s\"'=,{}\[\]]{1,200}")
_CONTROL = re.compile(f"[\x00-\x1f{UNSEEN}]")


def render(fields: dict[str, Json], *, colour: bool) -> str:
    """Return the fields of a record as a line, and one line for each frame of its exception."""
    level = str(fields.get("level", ""))
    parts = [
        _paint(_one_line(str(fields.get("time", ""))[11:]), _DIM, colour),
        _paint(f"{_one_line(level):8}", _COLOURS.get(level, "0"), colour),
        _paint(_one_line(str(fields.get("logger", ""))), _DIM, colour),
        _one_line(str(fields.get("message", ""))),
    ]
    for name, value in fields.items():
        if name not in _HEAD:
            parts.append(_paint(f"{_one_line(name)}=", _DIM, colour) + _value(value))
    text = " ".join(parts) + "\n"
    below = [*_exception(fields.get("exception"), ""), *_stack(fields.get("stack"))]
    return text + "".join(f"    {_one_line(row)}\n" for row in below)


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text


def _one_line(text: str) -> str:
    """Return the text with everything visible that would move the cursor."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _value(value: Json) -> str:
    if type(value) is str and _PLAIN_TEXT.fullmatch(value):
        return _one_line(value)
    return encode(value)


def _exception(error: Json, label: str) -> Iterator[str]:
    """Yield an exception as in a traceback, but the type first: it is what one looks for."""
    if type(error) is not dict:
        return
    told = error.get("message", error.get("text", error.get("$cut", "")))
    yield f"{label}{error.get('type', '')}: {told}"
    for note in _rows(error.get("notes")):
        yield f"  note: {note}"
    for frame in _rows(error.get("frames")):
        yield f"  {_frame(frame)}"
    yield from _exception(error.get("cause"), "caused by ")
    yield from _exception(error.get("context"), "while handling ")
    for member in _rows(error.get("exceptions")):
        yield from _exception(member, "member ")


def _frame(frame: Json) -> str:
    if type(frame) is not dict or "file" not in frame:
        return encode(frame)
    return f"{frame['file']}:{frame['line']} {frame['function']}"


def _rows(value: Json) -> list[Json]:
    return value if type(value) is list else []


def _stack(stack: Json) -> list[str]:
    return stack.splitlines() if type(stack) is str else []
