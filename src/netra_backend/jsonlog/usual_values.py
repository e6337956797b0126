"""Values of fields as the encoder takes them: most need no change, and hide no secret."""

import enum
import sys
from typing import Any

from netra_backend.jsonlog.attributes import are_texts
from netra_backend.jsonlog.forms import Forms
from netra_backend.jsonlog.guard import is_kind
from netra_backend.jsonlog.plain import RECORD_LIMITS, Json, Limits
from netra_backend.jsonlog.redact import redact
from netra_backend.jsonlog.shapes import is_harmless

MAX_VALUES = 1_024
"""Texts without a secret that are remembered, and members of enums."""
MAX_TEXT = 200
"""Characters of the texts of one call that are remembered."""
MAX_ADDRESS = 64
"""Characters of a host in an address that is usual."""

_MODEST = Limits(RECORD_LIMITS.depth, nodes=200, text=2_000, total=2_000)
"""What one field may have and be usual; less than any share of `RECORD_LIMITS`."""
_modules = sys.modules


class UsualValues:
    """Tells the values of usual fields, and remembers which texts have no secret."""

    __slots__ = ("_harmless", "_time", "_utc", "_uuid")

    def __init__(self) -> None:
        self._harmless: set[str] = set()
        # What the standard library has for it, once there was a value: nothing is loaded before.
        self._time: Any = None
        self._utc: Any = None
        self._uuid: Any = None

    def __len__(self) -> int:
        return len(self._harmless)

    def plain(self, given: dict[str, Any]) -> dict[str, Any] | None:
        """Return fields as the encoder takes them, without secrets; None if one is too large.

        The dict itself, where none needs to be written otherwise.
        """
        unknown: list[str] = []
        harmless, shown = self._harmless, given
        for name, value in given.items():
            kind = type(value)
            if kind is str:
                if value not in harmless:
                    unknown.append(value)
            elif not (
                kind is int
                or kind is bool
                or value is None
                or (kind is float and value - value == 0.0)  # neither NaN nor an infinity
                # Other zones the encoder writes otherwise, and refuses a number of more bits.
                or (kind is self._time and ((zone := value.tzinfo) is None or zone is self._utc))
                or (kind is self._uuid and type(value.int) is int and value.int >> 128 == 0)
            ):
                known = _members.get(id(value))
                told = self._told(value, kind) if known is None else known[1]
                if told is None or type(name) is not str:
                    return None
                if shown is given:
                    shown = given.copy()
                shown[name] = told
        if unknown and not self._are_harmless(unknown):
            return {name: redact(one) for name, one in shown.items()} if are_texts(given) else None
        return shown

    def _are_harmless(self, strings: list[str]) -> bool:
        """Return whether no text has the shape of a secret, and remember them: they come again."""
        joined = "\n".join(strings)
        if not is_harmless(joined):
            return False
        if len(joined) <= MAX_TEXT:
            if len(self._harmless) >= MAX_VALUES:
                self._harmless.clear()
            self._harmless.update(strings)
        return True

    def _told(self, value: Any, kind: type) -> Any:
        """Return a value as the encoder takes it, without secrets; None if it is too large."""
        return [*value] if kind is tuple and _is_address(value) else self._walked(value)

    def _walked(self, value: object) -> Json:
        """Return a value as plain data without secrets; None if it is too large to be usual."""
        walk = Forms(_MODEST)
        shown = walk.value(value, 0)
        if walk.nodes <= 0 or walk.room <= 0:
            return None
        told = redact(shown)
        self._learn(value, told)
        return told

    def _learn(self, value: object, told: Json) -> None:
        """Remember a member of an enum by its name, and the classes of times and UUIDs."""
        if type(told) is not str:
            return
        kind = type(value)
        if is_kind(value, enum.Enum):
            if len(_members) < MAX_VALUES:
                _members[id(value)] = (value, told)
        elif kind is _class_of("uuid", "UUID"):
            self._uuid = kind
        elif kind is _class_of("datetime", "datetime"):
            self._time, self._utc = kind, _class_of("datetime", "UTC")


def _is_address(value: tuple[object, ...]) -> bool:
    """Return whether a tuple is a host and a port, as lines about connections have it."""
    if len(value) != 2 or type(value[1]) is not int:
        return False
    host = value[0]
    return type(host) is str and len(host) <= MAX_ADDRESS and is_harmless(host)


_members: dict[int, tuple[object, str]] = {}
"""Members of enums by their id, and what is told of them: no secret."""


def _class_of(module: str, name: str) -> Any:
    """Return what a module of the standard library has under the name, if it is loaded."""
    home = _modules.get(module)
    return None if home is None else vars(home).get(name)
