"""What the patterns of a ``match`` say of its subject, and of the names that they bind."""

import ast
from collections.abc import Iterable, Sequence

from netra_backend.scan.environment import Names, path_of
from netra_backend.scan.frame import Frame, member
from netra_backend.scan.values import (
    UNKNOWN,
    Const,
    Global,
    Instance,
    Item,
    Present,
    Value,
    union,
)

_ASKING = frozenset({"callable", "hasattr", "isinstance", "issubclass", "type"})


class Matching:
    """One ``match``.

    Who asks of which class its subject is treats it specially: then no more is known of it than
    the class for which a case stands. The same is true of its parts.
    """

    def __init__(self, frame: Frame, node: ast.Match) -> None:
        self._frame = frame
        self._path = path_of(node.subject)
        self._subject = self._parts = frame.value(node.subject)
        if any(map(_asks, node.cases)):
            frame.guard(node.subject)
            self._subject = UNKNOWN
        if any(_asks_of_parts(case) for case in node.cases):
            self._parts = UNKNOWN

    def known(self, pattern: ast.pattern) -> Names:
        """Return what the names stand for where the pattern has matched."""
        names = self._bound(pattern, self._subject, self._parts)
        if self._path and not (takes_all(pattern) and self._subject is self._parts):
            names.setdefault(self._path, self._narrowed(pattern, self._subject))
        if isinstance(pattern, ast.MatchSingleton) and self._subject is not UNKNOWN:
            self._subject = Present(self._subject)  # in the cases that follow
        return names

    def _bound(self, pattern: ast.pattern, value: Value, parts: Value) -> Names:
        """Return what is bound where the pattern matches the value, whose parts are `parts`."""
        match pattern:
            case ast.MatchAs(name=str(name), pattern=inner):
                names = {} if inner is None else self._bound(inner, value, parts)
                return {**names, name: self._narrowed(pattern, value)}
            case ast.MatchMapping(keys=keys, patterns=inner, rest=rest):
                items = [_item(parts, self._frame.value(key), key.lineno) for key in keys]
                return {**self._each(inner, items), **({rest: UNKNOWN} if rest else {})}
            case ast.MatchSequence(patterns=inner):
                return self._each(inner, _spread(parts, inner))
            case ast.MatchClass(kwd_attrs=attributes, kwd_patterns=named, patterns=placed):
                cls = UNKNOWN if self._parts is UNKNOWN else self._narrowed(pattern, UNKNOWN)
                items = [member(cls, name, pattern.lineno) for name in attributes]
                names = self._each(named, items)
                return {**names, **self._each(placed, [UNKNOWN] * len(placed))}
        return dict.fromkeys(_captured(pattern), UNKNOWN)

    def _each(self, patterns: Sequence[ast.pattern], values: Iterable[Value]) -> Names:
        names: Names = {}
        for pattern, value in zip(patterns, values, strict=False):
            names |= self._bound(pattern, value, value)
        return names

    def _narrowed(self, pattern: ast.pattern, value: Value) -> Value:
        """Return what the value is where the pattern matches it."""
        match pattern:
            case ast.MatchAs(pattern=None):
                return value
            case ast.MatchAs() | ast.MatchOr():
                return union([self._narrowed(it, value) for it in options(pattern)])
            case ast.MatchClass(cls=cls):
                meant = self._frame.value(cls)
                if isinstance(meant, Global):
                    return Instance(meant.name, (), False, pattern.lineno)
            case ast.MatchValue(value=equal):
                return self._frame.value(equal)
            case ast.MatchSingleton(value=only):
                return Const(only)
        return UNKNOWN


def takes_all(pattern: ast.pattern) -> bool:
    """Return whether the pattern matches whatever there is."""
    return isinstance(pattern, ast.MatchAs) and pattern.pattern is None


def options(pattern: ast.pattern) -> list[ast.pattern]:
    """Return what the subject is compared with, without the names that are given to it."""
    if isinstance(pattern, ast.MatchOr):
        return [it for option in pattern.patterns for it in options(option)]
    if isinstance(pattern, ast.MatchAs) and pattern.pattern is not None:
        return options(pattern.pattern)
    return [pattern]


def _asks(case: ast.match_case) -> bool:
    """Return whether the case is one for some classes of the subject."""
    plain = (ast.MatchValue, ast.MatchSingleton, ast.MatchAs)
    return not all(isinstance(it, plain) for it in options(case.pattern)) or _tests(case.guard)


def _tests(guard: ast.expr | None) -> bool:
    """Return whether the guard of a case asks what something is."""
    calls = [] if guard is None else [it for it in ast.walk(guard) if isinstance(it, ast.Call)]
    return any(path_of(call.func) in _ASKING for call in calls)


def _asks_of_parts(case: ast.match_case) -> bool:
    """Return whether the case is one for some classes of what the subject holds."""
    asking = (ast.MatchClass, ast.MatchSingleton)
    asked = [it for it in ast.walk(case.pattern) if isinstance(it, asking)]
    return any(it not in options(case.pattern) for it in asked) or _tests(case.guard)


def _captured(pattern: ast.pattern) -> list[str]:
    """Return the names that the pattern binds."""
    names = [getattr(it, "name", None) or getattr(it, "rest", None) for it in ast.walk(pattern)]
    return [name for name in names if name]


def _item(whole: Value, key: Value, line: int) -> Value:
    return UNKNOWN if whole is UNKNOWN else Item(whole, key, line)


def _spread(whole: Value, patterns: Sequence[ast.pattern]) -> list[Value]:
    """Return what stands in a sequence for each of the patterns; after a ``*`` nobody can tell."""
    items: list[Value] = []
    for index, pattern in enumerate(patterns):
        if isinstance(pattern, ast.MatchStar):
            return items + [UNKNOWN] * (len(patterns) - index)
        items.append(_item(whole, Const(index), pattern.lineno))
    return items
