"""What in a value plain ``json.dumps`` refuses, and what `jsonable` could not keep whole.

No log call needs this. It is for tests and reviews, which want to know before the outage.
"""

import enum
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from netra_backend.jsonlog.encode import encode
from netra_backend.jsonlog.forms import Forms, is_json
from netra_backend.jsonlog.guard import class_name, is_kind
from netra_backend.jsonlog.plain import LIMITS, Json, Limits
from netra_backend.jsonlog.safe import jsonable
from netra_backend.jsonlog.walk import Key

MAX_LOSSES = 100
"""Losses of one value that are listed."""

SHOWN = 120
"""Characters of a value that its loss shows."""


class Loss(NamedTuple):
    """One place in a value, and what happens to it there.

    As a text: ``extra.connection.state: WebSocketState.CONNECTED (json.dumps refuses …)``.
    """

    path: str
    """``extra.connection.state``, ``items[3]``; of a key that is refused, its text."""
    value: str
    """What stands there, shortened: ``WebSocketState.CONNECTED``."""
    reason: str
    """``json.dumps refuses starlette.websockets.WebSocketState``, ``cycle``, ``5 more items``."""
    lossy: bool
    """Whether the line has less than the value; else it has one documented form for all of it."""

    def __str__(self) -> str:
        return f"{self.path}: {self.value} ({self.reason})"


def losses(
    value: object, path: str = "value", limits: Limits = LIMITS, *, only_lossy: bool = False
) -> list[Loss]:
    """Return what `jsonable` changes in the value, in the order of the walk; never raises.

    Empty if and only if ``json.dumps`` accepts the value, strict JSON allows it, and it is
    within the limits. With `only_lossy` what is written whole, in another form, is no loss. At most
    `MAX_LOSSES` are listed.
    """
    audit = _Audit(limits, path, only_lossy=only_lossy)
    try:
        audit.value(value, 0)
    except Exception:  # noqa: BLE001 - only an exhausted stack or memory leads here
        audit.lost("no stack or memory left")
    return audit.found


class _Audit(Forms):
    """A walk that notes where what it writes is not what it found."""

    __slots__ = ("current", "depth", "found", "only_lossy", "quiet", "steps")

    def __init__(self, limits: Limits, path: str, *, only_lossy: bool) -> None:
        super().__init__(limits)
        self.only_lossy = only_lossy
        self.found: list[Loss] = []
        self.steps = [path]
        self.depth = 0
        self.current: object = None
        self.quiet = False

    def value(self, value: Any, depth: int) -> Json:
        outer = self.depth, self.current
        self.depth, self.current = depth, value
        try:
            if not is_json(type(value)):
                self.refuse(f"json.dumps refuses {class_name(type(value))}")
            return super().value(value, depth)
        finally:
            self.depth, self.current = outer

    def lost(self, what: str) -> str:
        self._note(what, lossy=True)
        return what

    def refuse(self, why: str) -> None:
        self._note(why, lossy=False)

    def items(self, value: object, size: int, items: Iterable[Any], depth: int) -> Json:
        return super().items(value, size, self._numbered(items, depth), depth)

    def names(self, pairs: list[tuple[Any, Any]], depth: int) -> Iterator[str]:
        for name in super().names(pairs, depth):
            self.steps[depth + 1 :] = [f".{name}"]
            yield name

    def key(self, key: object, depth: int) -> Key:
        outer = self.quiet, self.depth
        self.quiet = True  # what a key consists of is told by the key as a whole
        try:
            made = super().key(key, depth)
        finally:
            self.quiet, self.depth = outer
        if not made.native:
            self.steps[depth:] = [f".{made.text}"]
            self.depth, self.current = depth, key
            if type(key) is str:
                self._note("a key that is cut, or has half a surrogate pair", lossy=True)
            else:
                self._note(f"json.dumps refuses it as a key: {class_name(type(key))}", lossy=False)
            self.depth = outer[1]
        return made

    def _numbered(self, items: Iterable[Any], depth: int) -> Iterator[Any]:
        for number, item in enumerate(items):
            self.steps[depth + 1 :] = [f"[{number}]"]
            yield item

    def _note(self, reason: str, *, lossy: bool) -> None:
        wanted = lossy or not self.only_lossy
        if wanted and not self.quiet and len(self.found) < MAX_LOSSES:
            path = "".join(self.steps[: self.depth + 1])
            self.found.append(Loss(path, _shown(self.current), reason, lossy))


_BRIEF = Limits(depth=3, nodes=8, text=SHOWN, total=SHOWN, opaque=SHOWN)


def _shown(value: object) -> str:
    """Return a short text of a value: ``WebSocketState.CONNECTED``, ``datetime 2026-01-02``."""
    plain = jsonable(value, _BRIEF)
    if type(value) is float:
        text = repr(value)
    elif is_json(type(value)):
        text = encode(plain)
    elif type(plain) is dict and type(plain.get("$repr")) is str:
        text = str(plain["$repr"])
    else:
        name = class_name(type(value)).rpartition(".")[2]
        enumerated = type(plain) is str and is_kind(value, enum.Enum)
        text = f"{name}.{plain}" if enumerated else f"{name} {encode(plain)}"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
