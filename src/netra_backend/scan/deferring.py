"""Calls of which another function is told: ``asyncio.to_thread(json.dumps, value)``."""

from collections.abc import Mapping

from netra_backend.scan.arguments import argument_of
from netra_backend.scan.heads import ClassRef, External, Found, FunctionRef
from netra_backend.scan.values import Argument, Attr, Each, Entry, Global, Seq, Value

_PLACES: Mapping[str, int] = {
    "add_task": 0,
    "async_add_executor_job": 0,
    "call_at": 1,
    "call_later": 1,
    "call_soon": 0,
    "call_soon_threadsafe": 0,
    "map": 0,
    "partial": 0,
    "run_in_executor": 1,
    "run_in_threadpool": 0,
    "run_sync": 0,
    "submit": 0,
    "to_thread": 0,
}
"""By the last name of what is told: where the function stands among its arguments. Those after
it are the function's own, of ``map`` an item of each."""

_NAMED: Mapping[str, str] = {"Process": "target", "Thread": "target", "Timer": "function"}
"""By the last name of a class: what it calls the function, its second argument. The function's own
arguments are in ``args`` and ``kwargs``."""

_LIBRARIES = frozenset({"anyio", "asyncio", "concurrent", "fastapi", "starlette"})
"""Whose functions of those names call what they are told to, for certain."""

_Told = tuple[Value, tuple[Argument, ...]]


def deferred(func: Value, args: tuple[Argument, ...]) -> _Told | None:
    """Return the function that will be called and its arguments, None if there is no such call."""
    if not isinstance(func, (Attr, Global)):
        return None
    last = func.name.rpartition(".")[2]
    told = _with_lists(_NAMED[last], args) if last in _NAMED else _in_place(last, args)
    return told if told is not None and isinstance(told[0], (Attr, Global)) else None


def _in_place(last: str, args: tuple[Argument, ...]) -> _Told | None:
    place = _PLACES.get(last)
    if place is None or len(args) <= place or any(argument.name for argument in args[: place + 1]):
        return None
    own = args[place + 1 :]
    if last == "map":
        own = tuple(Argument("", Each(it.value)) for it in own if not it.name)
    return args[place].value, own


def _with_lists(name: str, args: tuple[Argument, ...]) -> _Told | None:
    told = argument_of(args, name, 1)
    given = {argument.name: argument.value for argument in args}
    listed = given.get("args")
    own: list[Argument] = []
    if isinstance(listed, Seq):
        own += [_as_argument(entry) for entry in listed.entries]
    if "kwargs" in given:
        own.append(Argument("**", given["kwargs"]))
    return None if told is None else (told.value, tuple(own))


def _as_argument(entry: Entry) -> Argument:
    return Argument("*" if entry.spread else "", entry.value, entry.at)


def may_call(told: Found) -> bool:
    """Return whether what is told may call the function: what the project wrote is read itself."""
    head = told[0]
    ours = isinstance(head, (ClassRef, FunctionRef)) and not head.source.path.startswith("<")
    return not ours


def surely_calls(told: Found) -> bool:
    """Return whether what is told is of a library that is known to call the function."""
    head = told[0]
    return isinstance(head, External) and head.name.partition(".")[0] in _LIBRARIES
