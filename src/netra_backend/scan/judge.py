"""Judges a value as an encoder would: which parts of it raise, and how sure that is."""

from collections.abc import Iterator

from msgspec import structs

from netra_backend.scan.declarations import Trait
from netra_backend.scan.dumping import Dumped
from netra_backend.scan.encoders import Encoder
from netra_backend.scan.fields import Made, declares_items, fields, item_given
from netra_backend.scan.finding import Severity
from netra_backend.scan.heads import (
    Alternatives,
    ClassRef,
    Found,
    FunctionRef,
    Head,
    Open,
    Partial,
    Scope,
    settled,
)
from netra_backend.scan.kinds import VAGUE, Kind
from netra_backend.scan.problem import (
    Leaf,
    Problem,
    function_line,
    line_of,
    repairable_alike,
    step,
    weakened,
)
from netra_backend.scan.resolve import Resolver
from netra_backend.scan.values import (
    INT,
    UNKNOWN,
    Attr,
    Call,
    Const,
    Dict,
    Each,
    Entry,
    Global,
    Instance,
    Seq,
    Text,
    Value,
    weaken,
)

_DEEPEST = 12
_DEEPEST_FIELDS = 3
"""Typed dicts hold each other in many fields."""
_MOST_PROBLEMS = 10


class Judge:
    """One judgement; `open` is whether a part of the value is for the callers to say."""

    def __init__(
        self, resolver: Resolver, encoder: Encoder, converted: frozenset[str] = frozenset()
    ) -> None:
        self._resolver = resolver
        self._encoder = encoder
        self._converted = converted
        self._within: list[str] = []
        self.open = False

    def problems(self, value: Value, scope: Scope, at: int) -> list[Problem]:
        """Return what raises in the value, in the order of its source."""
        self._resolver.asked_callers = False
        found = self._resolver.resolve(value, scope)
        place = Leaf("", at, scope, Severity.ERROR, line_of(value))
        problems = list(self._value(found, place, 0))[:_MOST_PROBLEMS]
        self.open |= self._resolver.asked_callers
        return problems

    def _value(self, found: Found, place: Leaf, depth: int) -> Iterator[Problem]:
        head, scope = found
        if depth > _DEEPEST:
            return
        if isinstance(head, Open):
            self.open = True
        elif isinstance(head, Alternatives):
            yield from self._alternatives(head, place, depth)
        elif isinstance(head, Instance):
            yield from self._instance(found, head, place, depth)
        elif isinstance(head, Dumped):
            for problem in self._dict(head, scope, place, depth):
                yield structs.replace(
                    problem,
                    dump_at=head.at,
                    dump_source=head.source,
                    dump_text=head.text,
                )
        elif isinstance(head, Dict):
            yield from self._dict(head, scope, place, depth)
        elif isinstance(head, Seq):
            yield from self._sequence(head, scope, place, depth)
        elif isinstance(head, (ClassRef, FunctionRef, Partial)):
            yield from self._reference(found, place)

    def _alternatives(self, head: Alternatives, place: Leaf, depth: int) -> Iterator[Problem]:
        """Yield what raises in the alternatives: for certain only if each of them does."""
        results = [list(self._value(option, place, depth + 1)) for option in head.options]
        certain = all(any(p.severity is Severity.ERROR for p in result) for result in results)
        results = repairable_alike(results)
        seen = set()
        for result in results:
            for problem in result:
                key = problem.path, problem.kind, problem.name, problem.is_key
                # a function that is asked for one of both, sync or async, knows which
                mixed = problem.kind is Kind.COROUTINE and not certain
                if key in seen or mixed:
                    continue
                seen.add(key)
                yield problem if certain else weakened(problem)
            if certain:
                return

    def _instance(self, found: Found, head: Instance, place: Leaf, depth: int) -> Iterator[Problem]:
        kind = self._resolver.kind(found)
        if kind in (Kind.MAPPING, Kind.ARRAY):
            yield from self._generic(found, head, kind, place, depth)
        elif kind in self._encoder.values:
            if kind is Kind.OBJECT and not head.exact:
                return
            if self._converted and self._is_converted(found, head):
                return
            if kind is Kind.ENUM and not head.exact and not self._has_members(found):
                return
            # many who declare os.PathLike are given text as well
            sure = head.cls != "os.PathLike"
            place = place if sure else place.maybe()
            yield self._problem(kind, head.cls, found, place, is_key=False)

    def _is_converted(self, found: Found, head: Instance) -> bool:
        """Return whether the ``default=`` function takes the class or one that it inherits."""
        project = self._resolver.project
        name = project.canonical(head.cls, found[1].source)
        return not self._converted.isdisjoint(project.ancestors(name))

    def _has_members(self, found: Found) -> bool:
        """Return whether an enum has members; one without is inherited from, perhaps beside str."""
        ref = self._resolver.class_of(found)
        return ref is not None and any(
            not name.startswith("_") and attribute.assigned is not UNKNOWN
            for name, attribute in ref.declared.attributes.items()
        )

    def _generic(
        self, found: Found, head: Instance, kind: Kind, place: Leaf, depth: int
    ) -> Iterator[Problem]:
        """Yield what raises in a container of which it is known what is in it, if anything is."""
        if depth > _DEEPEST // 2:
            return
        if not head.args:
            yield from self._declared(found, kind, place, depth)
            return
        scope = found[1]
        item = Leaf(f"{place.path}[]", 0, place.scope, Severity.WARNING, place.line)
        inner = self._resolver.resolve(head.args[-1], scope)
        yield from self._value(inner, item, depth + 1)
        if kind is Kind.MAPPING and len(head.args) == 2:
            key = self._resolver.resolve(head.args[0], scope)
            yield from self._key(key, place.maybe())

    def _declared(self, found: Found, kind: Kind, place: Leaf, depth: int) -> Iterator[Problem]:
        """Yield what raises in the fields of a named tuple or typed dict, whose may be absent."""
        ref = self._resolver.class_of(found)
        if ref is None or depth > _DEEPEST_FIELDS or not declares_items(self._resolver, ref):
            return
        if ref.name in self._within:
            return
        self._within.append(ref.name)
        head = found[0]
        for index, (name, declared) in enumerate(fields(self._resolver, ref).items()):
            known = None
            if isinstance(head, Made):
                known = item_given(self._resolver, head, ref, name, index)
            at = f"[{index}]" if kind is Kind.ARRAY else step(Const(name))
            reach = place.severity if kind is Kind.ARRAY else Severity.WARNING
            inner = Leaf(f"{place.path}{at}", 0, place.scope, reach, place.line)
            yield from self._value(known or declared, inner, depth + 1)
        self._within.pop()

    def _dict(self, head: Dict, scope: Scope, place: Leaf, depth: int) -> Iterator[Problem]:
        entries = self._flattened(head, scope, 0)
        for index, (entry, home, sure, brought) in enumerate(entries):
            key = self._resolver.resolve(entry.key or UNKNOWN, home)
            reach = place.severity if sure and not entry.maybe else Severity.WARNING
            line = line_of(entry.key or UNKNOWN)
            yield from self._key(key, Leaf(place.path, entry.key_at, home, reach, line))
            fate = self._fate(key, entries[index + 1 :], brought=brought)
            if fate == "replaced":
                continue
            reach = Severity.WARNING if fate == "perhaps" else reach
            path = f"{place.path}{step(key[0])}"
            found = self._resolver.resolve(entry.value, home)
            inner = Leaf(path, entry.at, home, reach, line_of(entry.value))
            yield from self._value(found, inner, depth + 1)
            yield from self._text(entry.value, home, inner)

    def _text(self, value: Value, scope: Scope, place: Leaf) -> Iterator[Problem]:
        """Note ``str(member)``: it cannot raise, and says neither the name nor the value."""
        if isinstance(value, Call) and value.func == Global("builtins.str") and value.args:
            found = self._resolver.resolve(value.args[0].value, scope)
            if self._resolver.kind(found) is Kind.ENUM and isinstance(found[0], Instance):
                note = structs.replace(place, severity=Severity.NOTE)
                yield self._problem(Kind.ENUM, found[0].cls, found, note, is_key=False)

    def _as_pairs(self, found: Found) -> Found:
        """Return what ``dict(…)`` takes keys and values from: of a pydantic model its fields."""
        head = found[0]
        if isinstance(head, Instance) and head.cls == "builtins.enumerate" and head.args:
            return Instance(head.cls, (INT, *head.args), True, head.line), found[1]
        ref = self._resolver.class_of(found)
        if ref is None or self._resolver.kind(found) not in (Kind.MODEL, Kind.MODEL_1):
            return found
        own = settled(found)
        names = fields(self._resolver, ref)
        return Dict(tuple(Entry(Const(name), Attr(own, name)) for name in names)), found[1]

    def _flattened(self, head: Dict, scope: Scope, depth: int) -> "list[_Flat]":
        """Return the entries with those that ``**`` brings; unknown ones have an unknown key."""
        result: list[_Flat] = []
        sure = True
        for entry in head.entries:
            if not entry.spread:
                result.append((entry, scope, sure, depth > 0))
                continue
            inner, home = self._as_pairs(self._resolver.resolve(entry.value, scope))
            if isinstance(inner, Dict) and depth < _DEEPEST:
                result.extend(self._flattened(inner, home, depth + 1))
            elif isinstance(inner, Instance) and inner.args and len(inner.args) == 2:
                spread = Entry(inner.args[0], inner.args[1], entry.at, True)
                result.append((spread, home, sure, True))
            else:
                self.open |= isinstance(inner, Open)
                # a receiver that may be no dict at all may convert what is stored in it
                is_dict = self._resolver.kind((inner, home)) is Kind.MAPPING
                sure = sure and (is_dict or not entry.maybe or isinstance(inner, Open))
                result.append((Entry(None, UNKNOWN, maybe=True), home, sure, True))
                result.extend(self._perhaps_spread(inner, depth))
        return result

    def _perhaps_spread(self, head: Head, depth: int) -> "Iterator[_Flat]":
        """Yield what ``**`` may bring of several dicts, or of what may be no dict we know."""
        for option, home in head.options if isinstance(head, Alternatives) else ():
            if isinstance(option, Dict) and depth < _DEEPEST:
                for entry, inner, *_ in self._flattened(option, home, depth + 1):
                    yield weaken(entry), inner, False, True

    def _fate(self, key: Found, later: "list[_Flat]", *, brought: bool) -> str:
        """Return what later entries do to the value of an earlier one.

        Whoever replaces what a spread has `brought`, be it under a condition, converts it.
        """
        fate = "stays"
        for entry, home, *_ in later:
            other = self._resolver.resolve(entry.key, home) if entry.key is not None else None
            if other is not None and isinstance(key[0], Const) and isinstance(other[0], Const):
                if key[0] == other[0]:
                    if brought or not entry.maybe:
                        return "replaced"
                    fate = "perhaps"
            elif other is None or _same_kind(key, other):
                if other is None:
                    return "replaced"  # a spread of which nothing is known: no promise
                fate = "perhaps"
        return fate

    def _sequence(self, head: Seq, scope: Scope, place: Leaf, depth: int) -> Iterator[Problem]:
        if head.cls in ("set", "frozenset"):
            instance = Instance(f"builtins.{head.cls}", (), True, head.line)
            if Kind.SET in self._encoder.values:
                yield self._problem(Kind.SET, instance.cls, (instance, scope), place, is_key=False)
            return
        sure = True
        for index, entry in enumerate(head.entries):
            reach = Severity.WARNING if entry.maybe else place.severity
            value: Value = Each(entry.value) if entry.spread else entry.value
            found = self._resolver.resolve(value, scope)
            if entry.spread:
                sure, reach = False, Severity.WARNING
            path = f"{place.path}[{index if sure and not entry.maybe else ''}]"
            inner = Leaf(path, entry.at, scope, reach, line_of(entry.value))
            yield from self._value(found, inner, depth + 1)

    def _reference(self, found: Found, place: Leaf) -> Iterator[Problem]:
        head = found[0]
        kind = Kind.CLASS if isinstance(head, ClassRef) else Kind.CALLABLE
        if isinstance(head, FunctionRef) and head.function.traits & Trait.DECORATED:
            return
        if not isinstance(head, (ClassRef, FunctionRef)) or _is_bound_anew(head):
            return
        if kind in self._encoder.values:
            yield self._problem(kind, head.name, found, place, is_key=False)

    def _key(self, found: Found, place: Leaf) -> Iterator[Problem]:
        head, scope = found
        if isinstance(head, Open):
            self.open = True
        elif isinstance(head, Alternatives):
            results = [list(self._key(option, place)) for option in head.options]
            certain, results = all(results), repairable_alike(results)
            for result in results[: 1 if certain else None]:
                yield from (p if certain else weakened(p) for p in result)
        elif isinstance(head, Seq) and head.cls == "tuple":
            if Kind.ARRAY in self._encoder.keys:
                instance = Instance("builtins.tuple", (), True, head.line)
                yield self._problem(Kind.ARRAY, instance.cls, (instance, scope), place, is_key=True)
        elif isinstance(head, Const):
            kind = _kind_of_constant(head)
            if kind in self._encoder.keys:
                name = f"builtins.{type(head.value).__name__}"
                yield self._problem(kind, name, (Instance(name), scope), place, is_key=True)
        elif isinstance(head, Instance):
            kind = self._resolver.kind(found)
            vague = kind in VAGUE and not head.exact
            if kind in self._encoder.keys and not vague and self._may_be_key(kind, found, head):
                yield self._problem(kind, head.cls, found, place, is_key=True)

    def _may_be_key(self, kind: Kind, found: Found, head: Instance) -> bool:
        if kind is Kind.ARRAY:
            return head.cls == "builtins.tuple"
        return kind is not Kind.ENUM or head.exact or self._has_members(found)

    def _problem(self, kind: Kind, cls: str, found: Found, place: Leaf, *, is_key: bool) -> Problem:
        head, scope = found
        origins = (
            scope.brought or place.scope.brought or ("", 0),
            (place.scope.source.path, place.line),
            (scope.source.path, int(getattr(head, "line", 0))),
        )
        return Problem(
            kind,
            cls.rpartition(".")[2],
            place.severity,
            place.path,
            is_key,
            tuple(origin for origin in origins if origin[1]),
            place.at,
            place.scope.source.path,
            function_line(place.scope),
        )


def _is_bound_anew(head: ClassRef | FunctionRef) -> bool:
    """Return whether the module has something else by the name: ``settings = settings()``."""
    own = head.name.removeprefix(f"{head.source.module}.")
    return own in head.source.declared.names


_Flat = tuple[Entry, Scope, bool, bool]


def _same_kind(one: Found, other: Found) -> bool:
    """Return whether two keys, not both constant, may be equal."""
    texts = [
        isinstance(found[0], (Const, Text)) or getattr(found[0], "cls", "") == "builtins.str"
        for found in (one, other)
    ]
    unknown = [not isinstance(found[0], (Const, Text, Instance)) for found in (one, other)]
    return all(texts) or any(unknown)


def _kind_of_constant(head: Const) -> Kind:
    if head.value is None:
        return Kind.NOTHING
    return Kind.TEXT if isinstance(head.value, str) else Kind.NUMBER
