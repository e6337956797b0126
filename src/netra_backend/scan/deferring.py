"""Calls of which another function is told: ``asyncio.to_thread(json.dumps, value)``."""

from collections.abc import Mapping

from netra_backend.scan.heads import ClassRef, External, Found, FunctionRef
from netra_backend.scan.values import Argument, Attr, Global, Value

_PLACES: Mapping[str, int] = {
    "add_task": 0,
    "async_add_executor_job": 0,
    "call_at": 1,
    "call_later": 1,
    "call_soon": 0,
    "call_soon_threadsafe": 0,
    "run_in_executor": 1,
    "run_in_threadpool": 0,
    "run_sync": 0,
    "submit": 0,
    "to_thread": 0,
}
"""By the last name of what is told: where the function stands among its arguments. Those after
it are the function's own."""

_LIBRARIES = frozenset({"anyio", "asyncio", "concurrent", "fastapi", "starlette"})
"""Whose functions of those names call what they are told to, for certain."""


def deferred(func: Value, args: tuple[Argument, ...]) -> tuple[Value, tuple[Argument, ...]] | None:
    """Return the function that will be called and its arguments, None if there is no such call."""
    if not isinstance(func, (Attr, Global)):
        return None
    place = _PLACES.get(func.name.rpartition(".")[2])
    if place is None or len(args) <= place or any(argument.name for argument in args[: place + 1]):
        return None
    told = args[place].value
    return (told, args[place + 1 :]) if isinstance(told, (Attr, Global)) else None


def may_call(told: Found) -> bool:
    """Return whether what is told may call the function: what the project wrote is read itself."""
    head = told[0]
    ours = isinstance(head, (ClassRef, FunctionRef)) and not head.source.path.startswith("<")
    return not ours


def surely_calls(told: Found) -> bool:
    """Return whether what is told is of a library that is known to call the function."""
    head = told[0]
    return isinstance(head, External) and head.name.partition(".")[0] in _LIBRARIES
