"""Lines made quickly, for records in which everything is as usual.

What `record.line` writes, from the same functions, but with nothing done twice: times, heads and
texts are remembered, bound fields are written once, and one call of the encoder writes all fields
of a call. Whatever is unusual about a record, the answer is None, and `record.line` writes it.
"""

import enum
import logging
import sys
from collections import defaultdict
from typing import Any, TypeAlias, TypeVar

from netra_backend.jsonlog import tracing
from netra_backend.jsonlog.attributes import (
    NAME_LIMITS,
    NOT_SHOWN,
    OPTIONS,
    SCALARS,
    STANDARD,
    are_texts,
    error_of,
    filled,
)
from netra_backend.jsonlog.binding import NOTHING, PROCESS, Bound, Told, current
from netra_backend.jsonlog.clock import Clock
from netra_backend.jsonlog.encode import encode, encoders, seen
from netra_backend.jsonlog.forms import Forms
from netra_backend.jsonlog.guard import class_name, is_kind
from netra_backend.jsonlog.plain import RECORD_LIMITS, Json
from netra_backend.jsonlog.presets import Layout
from netra_backend.jsonlog.record import exception, no_objects
from netra_backend.jsonlog.redact import redact_pairs
from netra_backend.jsonlog.safe import jsonable
from netra_backend.jsonlog.shapes import redact_text
from netra_backend.jsonlog.tracing import TRACING
from netra_backend.jsonlog.usual_names import UsualNames
from netra_backend.jsonlog.usual_values import UsualValues

T = TypeVar("T")

MAX_REMEMBERED = 1_024
"""Texts and heads that are remembered, of each kind."""
MAX_TEXT = 2_000
"""Characters of a message that is usual."""
MAX_REMEMBERED_TEXT = 200
MAX_BODY = 8_000
"""Bytes of all fields of a call that is usual."""
MAX_FIELDS = 32

_DELETE = 0x7F
"""The one character of ASCII that JSON allows and a line must not have."""
_modules = sys.modules

_Front: TypeAlias = tuple[int, str, bytes]
"""A level, a logger, and what of a line with them and a text is the same each time."""


class Quick:
    """What makes usual lines of one layout."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        taken = layout.reserved | {f"{name}_" for name in layout.objects}
        self._clashing = layout.reserved | STANDARD
        self._objects = layout.objects
        self._bound_names = UsualNames(taken)
        self._values = UsualValues()
        self._names = UsualNames(taken | NOT_SHOWN | OPTIONS | {"correlation"})
        self._fixed = redact_pairs(dict(layout.fixed))
        self._clock = Clock()
        self._dumps, _, self._newline = encoders()
        self._begin = f'{{"{layout.time}":"'
        self.stamp = (0.0, 0.0, b"")
        """From when to when, and the text of the times between; replaced as one, for threads."""
        self._heads: dict[int, dict[str, tuple[str, str]]] = defaultdict(dict)
        self._texts: dict[str, str] = {}
        self._fronts: dict[str, _Front] = {}
        """By the text: what stands between the time and the tail."""
        self.wholes: dict[str, _Front] = {}
        """By the text: all that follows on the time in a line without fields, outside any binding
        and trace. For `direct.said`."""

    def line(
        self,
        created: float,
        level: int,
        logger: str,
        text: str,
        given: dict[str, Any],
        error: BaseException | None,
        fixed: bool,
    ) -> bytes | None:
        """Return the line of a record without notes, in UTF-8; None if it is unusual.

        `text` is an exact string, and likely to come again if it is `fixed`; `given` is an exact
        dict.
        """
        try:
            front = self._fronts.get(text)
            if front is None or front[0] != level or front[1] != logger:
                front = self._front(level, logger, text, fixed=fixed)
                if front is None:
                    return None
            since, until, stamp = self.stamp
            if not since <= created < until:
                stamp = self._stamped(created)
            bound = current()
            told = bound.told
            if told[0] is not self:
                told = self._tell(bound)
            tail = told[1]
            body = self._body(given, bound) if given else b"}\n"
            if tail is None or body is None:
                return None
            if error is not None or TRACING in _modules:
                tail = self._put_in(tail, told[2], error)
            return b"".join((stamp, front[2], tail, body))
        except Exception:  # noqa: BLE001 - part of the border around one log record
            return None

    def line_of(self, record: logging.LogRecord) -> bytes | None:
        """Return the line of a LogRecord; None if there is anything unusual about it."""
        if type(record) is not logging.LogRecord:
            return None
        try:
            stored = record.__dict__
            if not _is_usual_record(stored):
                return None
            text, fixed = stored["msg"], not stored["args"]
            if not fixed:
                text = filled(text, stored["args"])
            given = {name: one for name, one in stored.items() if name not in NOT_SHOWN}
            level, name, error = stored["levelno"], stored["name"], error_of(stored["exc_info"])
            return self.line(stored["created"], level, name, text, given, error, fixed)
        except Exception:  # noqa: BLE001 - part of the border around one log record
            return None

    def forget_heads(self) -> None:
        """Ask anew what levels are called."""
        for kept in (self._heads, self._fronts, self.wholes):
            kept.clear()

    def _stamped(self, created: float) -> bytes:
        """Return what a line begins with, its time last; remember it for the same millisecond."""
        stamp = f"{self._begin}{self._clock.text(created)}".encode()
        number = int(created * 1000)
        # Less at both ends than a millisecond, as its ends are no exact numbers.
        self.stamp = ((number + 0.001) / 1000, (number + 0.999) / 1000, stamp)
        return stamp

    def _head(self, level: int, logger: str) -> tuple[str, str]:
        """Return what stands between the time and the message, and what right behind it."""
        layout = self._layout
        shown: dict[str, Json] = {
            layout.level: layout.level_of(level, str(logging.getLevelName(level)))
        }
        name, behind = {layout.logger: jsonable(logger, NAME_LIMITS)}, ""
        if layout.logger_behind:
            behind = f",{encode(redact_pairs(name))[1:-1]}"
        else:
            shown |= name
        head = f'",{encode(redact_pairs({**shown, "message": 0}))[1:-2]}'  # without the 0
        self._remember(self._heads[level], logger, (head, behind))
        return head, behind

    def _front(self, level: int, logger: str, text: str, *, fixed: bool) -> _Front | None:
        """Return what stands between the time and the tail, and remember it for a fixed text."""
        head, behind = self._heads[level].get(logger) or self._head(level, logger)
        message = self._texts.get(text) or self._message(text, fixed=fixed)
        if message is None:
            return None
        front = (level, logger, f"{head}{message}{behind}".encode())
        if fixed and len(text) <= MAX_REMEMBERED_TEXT:
            self._remember(self._fronts, text, front)
            told = NOTHING.told
            tail = (told if told[0] is self else self._tell(NOTHING))[1]
            if tail is not None:
                self._remember(self.wholes, text, (level, logger, front[2] + tail + b"}\n"))
        return front

    def _message(self, text: str, *, fixed: bool) -> str | None:
        """Return the message as JSON."""
        if len(text) > MAX_TEXT:
            return None
        shown = encode(redact_text(Forms(RECORD_LIMITS).text(text)))
        if fixed and len(text) <= MAX_REMEMBERED_TEXT:
            self._remember(self._texts, text, shown)
        return shown

    def _tell(self, bound: Bound) -> Told:
        """Return, and keep, what stands on every line of a binding; None if it may change."""
        unusual = bound.told = (self, None, 0)
        # Not `binding.correlation()`: another binding may be in force than the one that is told.
        given = {"correlation": PROCESS, **bound.fields}
        if len(given) > MAX_FIELDS or not are_texts(given):
            return unusual
        if not all(map(_is_constant, given.values())):
            return unusual
        correlation = given["correlation"]
        if type(correlation) is not str or len(correlation) > NAME_LIMITS.text:
            given["correlation"] = jsonable(correlation, NAME_LIMITS)
        plain = self._values.plain(given)
        if plain is None or not self._bound_names.are_all(plain):
            return unusual
        if self._objects and not self._objects.isdisjoint(plain):
            plain = self._renamed(given, plain)
        first = self._shown({**self._fixed, "correlation": plain.pop("correlation")})
        tail = first + self._shown(plain) if plain else first
        told = bound.told = (self, tail, len(first))
        return told

    def _shown(self, plain: dict[str, Any]) -> bytes:
        shown = self._dumps(plain)
        if not shown.isascii() or _DELETE in shown:
            shown = _visible(shown)
        return b"," + shown[1:-1]

    def _body(self, given: dict[str, Any], bound: Bound) -> bytes | None:
        """Return the rest of a line with the fields of a call; None if one is unusual."""
        shown = self._values.plain(given) if len(given) <= MAX_FIELDS else None
        if shown is None:
            return None
        # First of all, as it refuses names that are no exact strings: hashing them may run code.
        body = self._dumps(shown, None, self._newline)
        if len(body) > MAX_BODY:
            return None
        if bound.fields or self._objects or not self._names.known.issuperset(given):
            named = self._named(given, shown, bound)
            if named is None:
                return None
            if named is not shown:
                body = self._dumps(named, None, self._newline)
        if not body.isascii() or _DELETE in body:
            body = _visible(body)
        return body.replace(b"{", b",", 1)  # behind what is on every line

    def _named(
        self, given: dict[str, Any], shown: dict[str, Any], bound: Bound
    ) -> dict[str, Any] | None:
        """Return the fields under their names on a line; None if one is unusual, or bound, too."""
        names = given if self._names.are_all(given) else self._other_names(given)
        if names is None or (bound.fields and not bound.fields.keys().isdisjoint(names)):
            return None
        if self._objects and not self._objects.isdisjoint(names):
            return self._renamed(given, dict(zip(names, shown.values(), strict=True)))
        return shown if names is given else dict(zip(names, shown.values(), strict=True))

    def _other_names(self, given: dict[str, Any]) -> dict[str, None] | None:
        """Return usual names for fields of which some clash; None if there are none."""
        names = {f"{name}_" if name in self._clashing else name: None for name in given}
        return names if len(names) == len(given) and self._names.are_all(names) else None

    def _renamed(self, given: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
        """Return fields under names that are not those of objects, where they are none."""
        others = {*no_objects(given, self._objects)}
        return {f"{name}_" if name in others else name: one for name, one in shown.items()}

    def _put_in(self, tail: bytes, place: int, error: BaseException | None) -> bytes:
        """Return the tail with the trace and the exception at that place, before what is bound."""
        told = self._trace() if TRACING in _modules else b""
        if error is not None:
            told += self._error(error)
        return tail[:place] + told + tail[place:]

    def _error(self, error: BaseException) -> bytes:
        told = exception(error)
        return _within(encode({**self._layout.error(told), "exception": told}))

    def _trace(self) -> bytes:
        trace = tracing.current()
        return b"" if trace is None else _within(encode(self._layout.trace(trace)))

    @staticmethod
    def _remember(kept: dict[str, T], key: str, made: T) -> None:
        if len(kept) >= MAX_REMEMBERED:
            kept.clear()
        kept[key] = made


def _visible(data: bytes) -> bytes:
    """Return JSON with the characters escaped that it allows and a line must not have."""
    return seen(data.decode()).encode()


def _within(text: str) -> bytes:
    """Return what is in an object of JSON, behind a comma."""
    return f",{text[1:-1]}".encode()


def _is_usual_record(stored: dict[str, Any]) -> bool:
    """Return whether the attributes are what `logging` itself stores, and no trouble is told."""
    level = stored["levelno"]
    return (
        stored["exc_text"] is stored["stack_info"] is None
        and type(stored["args"]) is tuple
        and type(stored["msg"]) is type(stored["name"]) is type(stored["levelname"]) is str
        and type(level) is int
        and type(stored["created"]) is float
        and logging.getLevelName(level) == stored["levelname"]
    )


def _is_constant(value: object) -> bool:
    """Return whether a value is always written the same."""
    kind = type(value)
    return id(kind) in SCALARS or is_kind(value, enum.Enum) or class_name(kind) == "uuid.UUID"
