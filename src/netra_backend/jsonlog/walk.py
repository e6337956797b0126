"""One walk through a value: within limits, into no cycle, past what another thread changes."""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias, TypeVar

from netra_backend.jsonlog.encode import plain_text
from netra_backend.jsonlog.guard import bases, class_name
from netra_backend.jsonlog.plain import Json, Limits

T = TypeVar("T")

MAX_ATTEMPTS = 8
"""How often the items are taken again of a container that another thread changes."""

_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]")


_NUMBERS = frozenset(map(id, (int, float, type(None))))


class Key(NamedTuple):
    """A key as text, and whether ``json.dumps`` writes it so."""

    text: str
    native: bool


class Walk:
    """One conversion: what is left of the limits, and the containers we are inside of.

    `losses` overrides `lost`, `refuse` and the steps of the walk, to hear what happens where.
    """

    __slots__ = ("inside", "limits", "nodes", "room")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.nodes = limits.nodes
        self.room = limits.total
        self.inside: set[int] = set()

    def form(self, cls: type) -> "Form":
        """Return what writes the instances of a class."""
        raise NotImplementedError

    def value(self, value: Any, depth: int) -> Json:
        """Return the plain form of a value that stands `depth` containers deep."""
        self.nodes -= 1
        cls = type(value)
        try:
            return self.form(cls)(self, value, depth)
        except Exception as error:  # noqa: BLE001 - one bad value must not cost its neighbours
            return {
                "$type": self.text(class_name(cls)),
                "$repr": f"<{self.lost(f'unreadable: {class_name(type(error))}')}>",
            }

    def text(self, text: str) -> str:
        """Return an exact string within the limits, with lone surrogates escaped."""
        text = str.__str__(text)
        size, room = len(text), min(self.limits.text, max(self.room, 0))
        self.room -= min(size, room)
        if size > room:
            text = f"{text[:room]}… ({self.lost(f'{size - room} more characters')})"
        return text if text.isascii() else _SURROGATES.sub(self._escape_surrogate, text)

    def lost(self, what: str) -> str:
        """Return the text that stands for what is left out here."""
        return what

    def refuse(self, why: str) -> None:
        """Hear that strict JSON has no such value."""

    def _escape_surrogate(self, found: re.Match[str]) -> str:
        """Return the character of a pair, or the visible escape of a lone half."""
        text = found[0]
        if len(text) == 1:
            self.lost("half a surrogate pair")
            return f"\\u{ord(text):04x}"
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")

    # --- containers --------------------------------------------------------------------------

    def items(self, value: object, size: int, items: Iterable[Any], depth: int) -> Json:
        """Return the items of a container as a list."""
        instead = self.enter(value, depth)
        if instead is not None:
            return instead
        try:
            shown: list[Json] = []
            for item in items:
                if self.nodes <= 0:
                    break
                shown.append(self.value(item, depth + 1))
            if len(shown) < size:
                shown.append({"$cut": self.lost(f"{size - len(shown)} more items")})
            return shown
        finally:
            self.inside.discard(id(value))

    def pairs(self, value: object, size: int, pairs: list[tuple[Any, Any]], depth: int) -> Json:
        """Return the pairs of a container as an object."""
        instead = self.enter(value, depth)
        if instead is not None:
            return instead
        try:
            shown: dict[str, Json] = {}
            done = 0
            for name, (_, item) in zip(self.names(pairs, depth), pairs, strict=True):
                if self.nodes <= 0:
                    break
                shown[name] = self.value(item, depth + 1)
                done += 1
            if done < size:
                shown["$cut"] = self.lost(f"{size - done} more items")
            return shown
        finally:
            self.inside.discard(id(value))

    def names(self, pairs: list[tuple[Any, Any]], depth: int) -> Iterator[str]:
        """Yield the keys of the pairs as distinct texts."""
        return distinct([self.key(key, depth + 1) for key, _ in pairs])

    def enter(self, value: object, depth: int) -> Json:
        """Return None when the container may be walked, else what to write instead."""
        if id(value) in self.inside:
            return {"$type": self.text(class_name(type(value))), "$cut": self.lost("cycle")}
        if depth >= self.limits.depth:
            return {"$type": self.text(class_name(type(value))), "$cut": self.lost("depth")}
        self.inside.add(id(value))
        return None

    def take(self, iterate: Callable[[], Iterable[T]]) -> list[T]:
        """Return as many items as there is room for, of what another thread may be changing."""
        for _ in range(MAX_ATTEMPTS):
            try:
                return list(itertools.islice(iterate(), max(self.nodes, 0)))
            except RuntimeError:  # it changed during the iteration
                continue
        raise RuntimeError("it never stood still")

    def key(self, key: object, depth: int) -> Key:
        """Return a key as text: as ``json.dumps`` writes it, else the form its value has."""
        if type(key) is str:
            text = self.text(key)
            return Key(text, text == key)
        plain = self.value(key, depth)
        if type(plain) is not dict and type(plain) is not list:
            self.nodes += 1  # only the values count
        if type(plain) is str:
            return Key(plain, str in bases(type(key)) and str.__eq__(plain, key) is True)
        if type(plain) is float:
            return Key(repr(plain), True)  # the encoder writes exponents in another way
        if type(plain) is dict:
            return Key(str(plain.get("$repr") or plain_text(plain)), False)
        return Key(plain_text(plain), any(base in _NUMBERS for base in map(id, bases(type(key)))))


Form: TypeAlias = "Callable[[Any, Any, int], Json]"


def distinct(keys: list[Key]) -> Iterator[str]:
    """Yield the texts; of keys that are not native, no two and no other's are the same."""
    used = {key.text for key in keys if key.native}
    number: dict[str, int] = {}
    for text, native in keys:
        name = text
        while not native and name in used:
            number[text] = number.get(text, 1) + 1
            name = f"{text}~{number[text]}"
        used.add(name)
        yield name
