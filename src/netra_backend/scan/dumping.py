"""``asdict`` and ``model_dump``: dicts in which the fields stay what they are."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import structs

from netra_backend.scan.aliases import instance_of
from netra_backend.scan.arguments import argument_of
from netra_backend.scan.fields import Made, fields, is_excluded, item_given, setting
from netra_backend.scan.heads import (
    ClassRef,
    External,
    Found,
    FunctionRef,
    Scope,
    Settled,
    over,
    settled,
)
from netra_backend.scan.kinds import Kind
from netra_backend.scan.values import (
    NONE,
    STR,
    UNKNOWN,
    Argument,
    Attr,
    Call,
    Const,
    Dict,
    Entry,
    Global,
    Instance,
    Seq,
    Unknown,
    Value,
)

if TYPE_CHECKING:
    from netra_backend.scan.resolve import Resolver


class Dumped(Dict, frozen=True, array_like=True, tag="D"):
    """What a ``model_dump()`` that could be in JSON mode gives; lives in the link only."""

    at: int = 0
    source: str = ""
    text: str = ""


Callee = ClassRef | FunctionRef | External

_RECORDS = frozenset({Kind.DATACLASS, Kind.ATTRS})
_MODELS = frozenset({Kind.MODEL, Kind.MODEL_1, Kind.DATACLASS})
_DEEPEST = 6

Cut = list[tuple[Const, bool]]
"""Fields that ``include=`` or ``exclude=`` names, and whether it means the whole field."""


def as_dict(resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    """``dataclasses.asdict`` and that of attrs."""
    argument = argument_of(call.args, "obj", 0)
    others = [other for other in call.args if other is not argument]
    if argument is None or any(other.name != "dict_factory" for other in others):
        return UNKNOWN, scope
    found = resolver.resolve(argument.value, scope)
    plain = over(found, lambda one: _dumped(resolver, one, _RECORDS, call.line, _DEEPEST))
    if not others or others[0].value == Global("builtins.dict"):
        return plain
    return over(plain, lambda one: _made(resolver, others[0].value, one, scope))


def _made(resolver: "Resolver", factory: Value, plain: Found, scope: Scope) -> Found:
    """Return what a ``dict_factory`` makes of the pairs of key and value."""
    head, home = plain
    if not isinstance(head, Dict):
        return UNKNOWN, home
    pairs = [
        Entry(None, Seq("tuple", (Entry(None, e.key), Entry(None, e.value))))
        for e in head.entries
        if e.key is not None
    ]
    given = settled((Seq("list", tuple(pairs)), home))
    return resolver.resolve(Call(factory, (Argument("", given),), head.line), scope)


def tuple_as_dict(resolver: "Resolver", callee: Callee, _call: Call, scope: Scope) -> Found:
    """``_asdict()`` of a named tuple: its items as it was made, else as they are annotated."""
    receiver = None if isinstance(callee, ClassRef) else callee.receiver
    ref = None if receiver is None else resolver.class_of(receiver)
    if receiver is None or ref is None:
        return UNKNOWN, scope
    head, entries = receiver[0], []
    for index, (name, declared) in enumerate(fields(resolver, ref).items()):
        known = item_given(resolver, head, ref, name, index) if isinstance(head, Made) else None
        entries.append(Entry(Const(name), settled(known or declared)))
    return Dict(tuple(entries)), ref.source.scope


def model_dump(resolver: "Resolver", callee: Callee, call: Call, scope: Scope) -> Found:
    """pydantic's ``model_dump()``, unless in JSON mode or with options that are not followed."""
    receiver = None if isinstance(callee, ClassRef) else callee.receiver
    given = {argument.name: argument.value for argument in call.args}
    mode = given.pop("mode", Const("python"))
    given.pop("by_alias", None)
    asked = {name: given.pop(name, NONE) for name in ("include", "exclude")}
    cut = {
        name: _names(resolver, resolver.resolve(value, scope))
        for name, value in asked.items()
        if value != NONE
    }
    if receiver is None or mode != Const("python") or None in cut.values():
        return UNKNOWN, scope
    partly = any(name.startswith("exclude_") for name in given)
    if any(not name.startswith("exclude_") for name in given):
        return UNKNOWN, scope
    head, home = _dumped(resolver, receiver, _MODELS, call.line, _DEEPEST)
    if not isinstance(head, Dict):
        return head, home
    entries = [
        Entry(it.key, it.value if whole else UNKNOWN, maybe=partly)
        for it in head.entries
        if (whole := _is_whole(it.key, cut)) is not None
    ]
    text = ', mode="json"' if call.args else 'mode="json"'
    if callee.name.endswith(".dict"):  # pydantic 1 has no modes
        text = ""
    return Dumped(tuple(entries), head.line, call.at, scope.source.path, text), home


def adapter(_resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    """pydantic's ``TypeAdapter(type)``."""
    told = argument_of(call.args, "type", 0)
    declared = UNKNOWN if told is None else instance_of(told.value)
    return Instance("pydantic.TypeAdapter", (declared,), True, call.line), scope


def adapter_dump(resolver: "Resolver", callee: Callee, call: Call, scope: Scope) -> Found:
    """``TypeAdapter(type).dump_python(…)``: the fields of the type, unless in JSON mode."""
    head, home = (None, scope) if isinstance(callee, ClassRef) else callee.receiver or (None, scope)
    given = {argument.name: argument.value for argument in call.args}
    told = given.keys() <= {"", "instance", "mode", "by_alias"}
    if not told or given.get("mode", Const("python")) != Const("python"):
        return UNKNOWN, scope
    if not isinstance(head, Instance) or not head.args:
        return UNKNOWN, scope
    declared = resolver.resolve(head.args[0], home)
    dumped = _each_dumped(resolver, declared, _MODELS, call.line, _DEEPEST)
    return over(dumped, lambda one: _dumped_by(one, call, scope))


def _dumped_by(found: Found, call: Call, scope: Scope) -> Found:
    """Return what was dumped, be it many, as that of a call that could be in JSON mode."""
    head, home = found
    if isinstance(head, Dict):
        at, source = call.at, scope.source.path
        return Dumped(head.entries, head.line, at, source, ', mode="json"'), home
    if not isinstance(head, Instance):
        return found
    args = tuple(
        settled(_dumped_by(it.found, call, scope)) if isinstance(it, Settled) else it
        for it in head.args
    )
    return structs.replace(head, args=args), home


def _names(resolver: "Resolver", found: Found) -> Cut | None:
    """Return the fields that a set or dict names, None if not all of them are known."""
    head, home = found
    if not isinstance(head, (Dict, Seq)) or any(it.maybe or it.spread for it in head.entries):
        return None
    named: Cut = []
    for it in head.entries:
        name = resolver.resolve(it.value if it.key is None else it.key, home)[0]
        if not isinstance(name, Const):
            return None
        named.append((name, it.key is None or _means_whole(it.value)))
    return named


def _means_whole(value: Value) -> bool:
    return value == Const(True) or getattr(value, "cls", "") == "builtins.ellipsis"


def _is_whole(key: Value | None, cut: Mapping[str, Cut | None]) -> bool | None:
    """Return whether a dump has the field as it is, None if it has not got it."""
    only, without = cut.get("include"), cut.get("exclude") or ()
    if (only is not None and all(name != key for name, _ in only)) or (key, True) in without:
        return None
    return (key, False) not in [*(only or ()), *without]


def _dumped(
    resolver: "Resolver", found: Found, records: frozenset[Kind], line: int, depth: int
) -> Found:
    head, scope = found
    if not isinstance(head, Instance) or depth == 0:
        return found if depth else (UNKNOWN, scope)
    kind = resolver.kind(found)
    if kind in records:
        return _fields(resolver, found, records, line, depth)
    if kind in (Kind.MAPPING, Kind.ARRAY) and head.args:
        args = tuple(
            settled(_each_dumped(resolver, resolver.resolve(arg, scope), records, line, depth - 1))
            for arg in head.args
        )
        return Instance(head.cls, args, head.exact, head.line), scope
    return found


def _each_dumped(
    resolver: "Resolver", found: Found, records: frozenset[Kind], line: int, depth: int
) -> Found:
    return over(found, lambda one: _dumped(resolver, one, records, line, depth))


def _fields(
    resolver: "Resolver", found: Found, records: frozenset[Kind], line: int, depth: int
) -> Found:
    scope = found[1]
    ref = resolver.class_of(found)
    if ref is None or setting(resolver, ref, "serializer"):
        return UNKNOWN, scope
    as_values = setting(resolver, ref, "use_enum_values")
    entries = []
    for name, declared in fields(resolver, ref).items():
        if is_excluded(resolver, ref, name):
            continue
        vague = isinstance(declared[0], Unknown)
        field = resolver.resolve(Attr(settled(found), name), scope) if vague else declared
        value = _each_dumped(resolver, field, records, line, depth - 1)
        if as_values and _has_enum(resolver, value):
            value = (STR, scope)
        entries.append(Entry(Const(name), settled(value)))
    return Dict(tuple(entries), line), scope


def _has_enum(resolver: "Resolver", found: Found) -> bool:
    options = getattr(found[0], "options", (found,))
    return any(resolver.kind(option) is Kind.ENUM for option in options)
