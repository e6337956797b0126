"""What functions of the standard library and of pydantic return, where a stub cannot say it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from netra_backend.scan.arguments import argument_of, first
from netra_backend.scan.arithmetic import absolute, difference, total
from netra_backend.scan.commandline import PARSER, parsed, parsed_and_rest
from netra_backend.scan.dumping import (
    adapter,
    adapter_dump,
    as_dict,
    model_dump,
    tuple_as_dict,
)
from netra_backend.scan.fields import made, own_dict
from netra_backend.scan.futures import FUTURE_RESULTS, mapped
from netra_backend.scan.heads import (
    ClassRef,
    External,
    Found,
    FunctionRef,
    Partial,
    Scope,
    Super,
    either,
    over,
    settled,
)
from netra_backend.scan.items import each, item
from netra_backend.scan.querying import QUERY_RESULTS
from netra_backend.scan.values import (
    INT,
    NONE,
    STR,
    UNKNOWN,
    Call,
    Const,
    Dict,
    Each,
    Entry,
    Global,
    Instance,
    Seq,
    Value,
    loosened,
)

if TYPE_CHECKING:
    from netra_backend.scan.resolve import Resolver

Callee = ClassRef | FunctionRef | External
Result = Callable[["Resolver", Callee, Call, Scope], Found]


def _always(value: Value) -> Result:
    return lambda _resolver, _callee, _call, scope: (value, scope)  # type: ignore[return-value]


def _same(resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    return resolver.resolve(first(call), scope)


def _sequence(cls: str) -> Result:
    """``list(x)`` and the like: the items of what we know item by item, else any of them."""

    def make(resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
        value = first(call)
        if not call.args:
            return Seq(cls, (), call.line), scope
        head, home = resolver.resolve(value, scope)
        if isinstance(head, Seq) and head.cls != "set":
            return Seq(cls, head.entries, call.line), home
        return Instance(f"builtins.{cls}", (Each(value),), True, call.line), scope

    return make


def _iterator(cls: str) -> Result:
    def make(_resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
        args = tuple(Each(argument.value) for argument in call.args if not argument.name)
        return Instance(f"builtins.{cls}", args, True, call.line), scope

    return make


def _groups(_resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    """``itertools.groupby``: keys of which nothing is known, each with an iterator."""
    group = Instance("itertools._grouper", (Each(first(call)),), True, call.line)
    pair = Seq("tuple", (Entry(None, UNKNOWN), Entry(None, group)))
    return Instance("itertools.groupby", (pair,), True, call.line), scope


def _encoder(_resolver: "Resolver", callee: Callee, call: Call, scope: Scope) -> Found:
    return (UNKNOWN if isinstance(callee, FunctionRef) else made(callee, call, scope)), scope


def _filled(cls: str) -> Result:
    """``set(x)``, ``deque(x)``, ``islice(x, n)``: an instance whose items are those of x."""

    def make(_resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
        return Instance(cls, (Each(first(call)),), True, call.line), scope

    return make


def _one_of_items(resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    return resolver.resolve(Each(first(call)), scope)


def _least(resolver: "Resolver", callee: Callee, call: Call, scope: Scope) -> Found:
    values = [a.value for a in call.args if not a.name]
    if len(values) == 1:
        return _one_of_items(resolver, callee, call, scope)
    return either([resolver.resolve(value, scope) for value in values], scope)


def _counter(_resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    args = (Each(first(call)), INT) if call.args else ()
    return Instance("collections.Counter", args, True, call.line), scope


def _default_dict(_resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    """``defaultdict(set)``: what its function makes is what most of it is."""
    item = Call(first(call), (), call.line)
    args = () if len(call.args) != 1 or call.args[0].name else (UNKNOWN, item)
    return Instance("collections.defaultdict", args, True, call.line), scope


def _vars(resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    return over(resolver.resolve(first(call), scope), lambda one: own_dict(resolver, one))


def _cast(resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    target = first(call)
    if isinstance(target, Global):
        return Instance(target.name, (), False, call.line), scope
    return UNKNOWN, scope


def _open(_resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    mode = argument_of(call.args, "mode", 1)
    text = mode.value.value if mode is not None and isinstance(mode.value, Const) else ""
    cls = "io.BufferedReader" if isinstance(text, str) and "b" in text else "builtins.file"
    return Instance(cls, (), True, call.line), scope


def _rounded(resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    """``round(x)`` is a whole number, and ``round(x, 2)`` what x was."""
    if len(call.args) == 1 and not call.args[0].name:
        return INT, scope
    return resolver.resolve(first(call), scope)


def _new_type(resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    """``NewType``: calling it is taken for calling the class, which gives one as well."""
    argument = argument_of(call.args, "tp", 1)
    return resolver.resolve(UNKNOWN if argument is None else argument.value, scope)


def _next_item(asynchronous: bool) -> Result:
    """``queue.get()``: what the queue is declared to hold."""

    def make(resolver: "Resolver", callee: Callee, call: Call, scope: Scope) -> Found:
        head, home = _receiver(callee, scope)
        if not isinstance(head, Instance) or not head.args:
            return UNKNOWN, scope
        if asynchronous:
            return Instance("types.CoroutineType", (head.args[0],), True, call.line), home
        return resolver.resolve(head.args[0], home)

    return make


def _super(resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    if len(call.args) != 2:
        return UNKNOWN, scope
    owner = resolver.resolve(call.args[0].value, scope)[0]
    receiver = resolver.resolve(call.args[1].value, scope)
    return (Super(owner, receiver) if isinstance(owner, ClassRef) else UNKNOWN), scope


def _partial(resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    func = resolver.resolve(first(call), scope)
    return Partial(func, call.args[1:]), scope


# --- methods of builtin containers ---------------------------------------------------------


def _receiver(callee: Callee, scope: Scope) -> Found:
    receiver = None if isinstance(callee, ClassRef) else callee.receiver
    return (UNKNOWN, scope) if receiver is None else receiver


def _values(resolver: "Resolver", base: Found) -> Found:
    head, scope = base
    if isinstance(head, Dict):
        values = [e.value for e in head.entries if e.key is not None]
        if len(values) < len(head.entries):
            return UNKNOWN, scope
        return either([resolver.resolve(value, scope) for value in values], scope)
    if isinstance(head, Instance) and len(head.args) == 2:
        return resolver.resolve(head.args[1], scope)
    return UNKNOWN, scope


def _view(name: str) -> Result:
    def make(resolver: "Resolver", callee: Callee, call: Call, scope: Scope) -> Found:
        base = _receiver(callee, scope)
        keys, values = settled(each(resolver, base)), settled(_values(resolver, base))
        args = {"keys": (keys,), "values": (values,), "items": (keys, values)}[name]
        return Instance(f"builtins.dict_{name}", args, True, call.line), scope

    return make


def _get(resolver: "Resolver", callee: Callee, call: Call, scope: Scope) -> Found:
    base = _receiver(callee, scope)
    key = resolver.resolve(first(call), scope)
    found = over(base, lambda option: item(resolver, option, key[0]))
    if isinstance(base[0], Dict) and any(
        entry.key == key[0] and not entry.maybe for entry in base[0].entries
    ):
        return found
    fallback = argument_of(call.args, "default", 1)
    value = NONE if fallback is None else fallback.value
    return either([found, resolver.resolve(value, scope)], scope)


def _itself(_resolver: "Resolver", callee: Callee, _call: Call, scope: Scope) -> Found:
    return _receiver(callee, scope)


def _copied(_resolver: "Resolver", callee: Callee, call: Call, scope: Scope) -> Found:
    """A model's copy, unless it is changed on the way."""
    changed = any(argument.name != "deep" for argument in call.args)
    return (UNKNOWN, scope) if changed else _receiver(callee, scope)


def _popped(resolver: "Resolver", callee: Callee, _call: Call, scope: Scope) -> Found:
    return each(resolver, _receiver(callee, scope))


def _fewer(_resolver: "Resolver", callee: Callee, _call: Call, scope: Scope) -> Found:
    """Set operations: a set again, of which nothing is sure to be left."""
    head, home = _receiver(callee, scope)
    if isinstance(head, Seq):
        return loosened(head), home
    return head, home


def _joined(cls: str) -> Result:
    """``one + other``: any of the items of both."""

    def make(resolver: "Resolver", callee: Callee, call: Call, scope: Scope) -> Found:
        own, others = each(resolver, _receiver(callee, scope)), Each(first(call))
        item = settled(either([own, resolver.resolve(others, scope)], scope))
        return Instance(f"builtins.{cls}", (item,), True, call.line), scope

    return make


def _merged(_resolver: "Resolver", callee: Callee, call: Call, scope: Scope) -> Found:
    """``one | other``, of dicts."""
    both = settled(_receiver(callee, scope)), first(call)
    return Dict(tuple(Entry(None, one, spread=True) for one in both), call.line), scope


def _chained(resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    lists = [Each(it.value) if it.name == "*" else it.value for it in call.args]
    item = settled(either([resolver.resolve(Each(one), scope) for one in lists], scope))
    return Instance(_GENERATOR, (item,), True, call.line), scope


def _filtered(_resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    """``filter(None, x)``: items of x. Another test may leave those of one class."""
    args = call.args
    known = len(args) == 2 and args[0].value == NONE and not args[1].name
    items = (Each(args[1].value),) if known else ()
    return Instance("builtins.filter", items, True, call.line), scope


def _from_keys(_resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    entry = Entry(Each(first(call)), UNKNOWN, maybe=True)
    return Dict((entry,), call.line), scope


_SET_OPERATIONS = (
    "union",
    "intersection",
    "difference",
    "symmetric_difference",
    "__or__",
    "__and__",
    "__sub__",
)

_MODELS = (
    "pydantic.BaseModel",
    "pydantic.main.BaseModel",
    "pydantic_settings.BaseSettings",
    "sqlmodel.SQLModel",
)

_GENERATOR = "types.GeneratorType"
"""For what no encoder takes either: of an iterator of `itertools` nothing else matters."""

RESULTS: Mapping[str, Result] = {
    "builtins.list": _sequence("list"),
    "builtins.tuple": _sequence("tuple"),
    "builtins.sorted": _sequence("list"),
    "builtins.set": _filled("builtins.set"),
    "builtins.frozenset": _filled("builtins.frozenset"),
    "builtins.reversed": _iterator("reversed"),
    "builtins.enumerate": _iterator("enumerate"),
    "builtins.zip": _iterator("zip"),
    "builtins.map": mapped("builtins.map"),
    "builtins.filter": _filtered,
    "builtins.iter": _same,
    "builtins.next": _one_of_items,
    "builtins.abs": absolute,
    "builtins.round": _rounded,
    "builtins.sum": total,
    "builtins.min": _least,
    "builtins.max": _least,
    "builtins.str": _always(STR),
    "builtins.str.encode": _always(Instance("builtins.bytes", (), True)),
    "builtins.open": _open,
    "builtins.type": _always(UNKNOWN),
    "builtins.object": _always(UNKNOWN),
    "builtins.super": _super,
    "builtins.vars": _vars,
    "builtins.dict.items": _view("items"),
    "builtins.dict.keys": _view("keys"),
    "builtins.dict.values": _view("values"),
    "builtins.dict.get": _get,
    "builtins.dict.pop": _get,
    "builtins.dict.__or__": _merged,
    "builtins.dict.copy": _itself,
    "builtins.dict.fromkeys": _from_keys,
    "builtins.list.__add__": _joined("list"),
    "builtins.list.__mul__": _itself,
    "builtins.list.copy": _itself,
    "builtins.list.pop": _popped,
    "builtins.set.copy": _itself,
    **{f"builtins.set.{name}": _fewer for name in _SET_OPERATIONS},
    "builtins.tuple.__add__": _joined("tuple"),
    "collections.deque": _filled("collections.deque"),
    "collections.Counter": _counter,
    "collections.defaultdict": _default_dict,
    "copy.copy": _same,
    "copy.deepcopy": _same,
    "dataclasses.replace": _same,
    "datetime.date.__sub__": difference,
    "datetime.datetime.__sub__": difference,
    "dataclasses.asdict": as_dict,
    "attr.asdict": as_dict,
    "attrs.asdict": as_dict,
    **QUERY_RESULTS,
    "pydantic.TypeAdapter": adapter,
    "pydantic.TypeAdapter.dump_python": adapter_dump,
    "collections.namedtuple._asdict": tuple_as_dict,
    "typing.NamedTuple._asdict": tuple_as_dict,
    "typing.NewType": _new_type,
    "typing.cast": _cast,
    "functools.partial": _partial,
    f"{PARSER}.parse_args": parsed,
    f"{PARSER}.parse_known_args": parsed_and_rest,
    "itertools.chain": _chained,
    "itertools.groupby": _groups,
    "itertools.islice": _filled(_GENERATOR),
    "json.JSONEncoder": _encoder,
    **FUTURE_RESULTS,
    "asyncio.Queue.get": _next_item(asynchronous=True),
    "asyncio.Queue.get_nowait": _next_item(asynchronous=False),
    "contextvars.ContextVar.get": _next_item(asynchronous=False),
    "queue.Queue.get": _next_item(asynchronous=False),
    "queue.Queue.get_nowait": _next_item(asynchronous=False),
    **{
        f"{base}.{method}": result
        for base in _MODELS
        for method, result in (
            ("copy", _copied),
            ("dict", model_dump),
            ("model_copy", _copied),
            ("model_dump", model_dump),
        )
    },
    **{
        f"{base}.{method}": result
        for base in ("pydantic.v1.BaseModel", "pydantic.v1.main.BaseModel")
        for method, result in (("copy", _copied), ("dict", model_dump))
    },
}
"""By the dotted name of what is called; methods by that of their class."""
