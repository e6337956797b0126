"""What futures, tasks, executors and ``asyncio`` give of the functions that they are handed."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from netra_backend.scan.arguments import first
from netra_backend.scan.heads import ClassRef, External, Found, FunctionRef, Scope
from netra_backend.scan.values import (
    UNKNOWN,
    Argument,
    Awaited,
    Call,
    Each,
    Entry,
    Instance,
    Seq,
    Value,
    union,
)

if TYPE_CHECKING:
    from netra_backend.scan.resolve import Resolver

Callee = ClassRef | FunctionRef | External
Result = Callable[["Resolver", Callee, Call, Scope], Found]

_COROUTINE = "types.CoroutineType"
_FUTURE = "concurrent.futures.Future"
_GENERATOR = "types.GeneratorType"


def _awaited(cls: str) -> Result:
    """``create_task(coroutine)`` and the like: an instance that gives what the coroutine does."""

    def make(_resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
        return Instance(cls, (Awaited(first(call)),), True, call.line), scope

    return make


def _run(resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    return resolver.resolve(Awaited(first(call)), scope)


def _called(cls: str, place: int = 0) -> Result:
    """``submit(function, …)`` and the like, with the function at a place among the arguments."""

    def make(_resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
        before = call.args[: place + 1]
        result: Value = UNKNOWN
        if len(before) > place and not any(argument.name for argument in before):
            result = Call(before[place].value, call.args[place + 1 :], call.line)
        return Instance(cls, (result,), True, call.line), scope

    return make


def mapped(cls: str) -> Result:
    """``map(function, iterable, …)``: what the function gives of each item."""

    def make(_resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
        if any(argument.name == "*" for argument in call.args):
            return Instance(cls, (), True, call.line), scope
        items = tuple(Argument("", Each(a.value)) for a in call.args[1:] if not a.name)
        return Instance(cls, (Call(first(call), items, call.line),), True, call.line), scope

    return make


def _gathered(_resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    """``asyncio.gather``: what each of the arguments gives, or also exceptions."""
    known = [argument for argument in call.args if argument.name in ("", "*")]
    entries = []
    for argument in known:
        value: Value = Awaited(Each(argument.value) if argument.name else argument.value)
        if len(known) < len(call.args):
            value = union([value, UNKNOWN])
        entries.append(Entry(None, value, maybe=bool(argument.name)))
    results = Seq("list", tuple(entries), call.line)
    return Instance("asyncio.Future", (results,), True, call.line), scope


def _completed(_resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    return Instance(_GENERATOR, (Each(first(call)),), True, call.line), scope


def _waited(asynchronous: bool) -> Result:
    """``wait(futures)``: those that are done, and those that are not."""

    def make(_resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
        some = Entry(None, Instance("builtins.set", (Each(first(call)),), True, call.line))
        both = Seq("tuple", (some, some), call.line)
        return (Instance(_COROUTINE, (both,), True) if asynchronous else both), scope

    return make


def _result(resolver: "Resolver", callee: Callee, _call: Call, scope: Scope) -> Found:
    head, home = (None, scope) if isinstance(callee, ClassRef) else callee.receiver or (None, scope)
    if not isinstance(head, Instance) or not head.args:
        return UNKNOWN, scope
    return resolver.resolve(head.args[0], home)


FUTURE_RESULTS: Mapping[str, Result] = {
    "asyncio.as_completed": _completed,
    "asyncio.create_task": _awaited("asyncio.Task"),
    "asyncio.ensure_future": _awaited("asyncio.Task"),
    "asyncio.gather": _gathered,
    "asyncio.run": _run,
    "asyncio.run_coroutine_threadsafe": _awaited(_FUTURE),
    "asyncio.shield": _awaited(_COROUTINE),
    "asyncio.to_thread": _called(_COROUTINE),
    "asyncio.wait": _waited(asynchronous=True),
    "asyncio.wait_for": _awaited(_COROUTINE),
    "asyncio.AbstractEventLoop.create_task": _awaited("asyncio.Task"),
    "asyncio.AbstractEventLoop.run_in_executor": _called("asyncio.Future", 1),
    "asyncio.AbstractEventLoop.run_until_complete": _run,
    "asyncio.TaskGroup.create_task": _awaited("asyncio.Task"),
    "asyncio.Future.result": _result,
    "asyncio.Task.result": _result,
    "anyio.to_thread.run_sync": _called(_COROUTINE),
    "concurrent.futures.as_completed": _completed,
    "concurrent.futures.wait": _waited(asynchronous=False),
    "fastapi.concurrency.run_in_threadpool": _called(_COROUTINE),
    "starlette.concurrency.run_in_threadpool": _called(_COROUTINE),
    f"{_FUTURE}.result": _result,
    **{
        f"concurrent.futures.{executor}.{method}": result
        for executor in ("Executor", "ProcessPoolExecutor", "ThreadPoolExecutor")
        for method, result in (("map", mapped(_GENERATOR)), ("submit", _called(_FUTURE)))
    },
}
"""By the dotted name of what is called; methods by that of their class."""
