"""What every record carries: the correlation id, and the fields that are bound.

Both follow the task that runs, by a context variable; `carry` takes them to another thread.
"""

import functools
import os
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import ParamSpec, TypeAlias, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def new_correlation() -> str:
    """Return a fresh correlation id: 16 hexadecimal digits, 64 random bits."""
    return os.urandom(8).hex()


PROCESS = new_correlation()
"""What is logged outside any binding belongs together too: it is of this process."""


Told: TypeAlias = tuple[object, bytes | None, int]
"""For whom bound fields were written, how, and where they begin behind what is on every line."""


class Bound:
    """The fields of one binding with those around it, and how they were last written.

    Nobody changes `fields`. A connection keeps its binding: the less it is made of, the better.
    """

    __slots__ = ("fields", "told")

    def __init__(self, fields: dict[str, object]) -> None:
        self.fields = fields
        self.told: Told = (None, None, 0)
        """It is kept as long as they are bound."""


NOTHING = Bound({})
"""What is in force outside any binding."""

_bound: ContextVar[Bound] = ContextVar("bound", default=NOTHING)

current: Callable[[], Bound] = _bound.get
"""Return the binding that is in force."""


class bind:  # noqa: N801 - it is used as a function
    """Add the fields to every record logged inside; ``correlation`` replaces the id.

    Inner bindings win over outer ones, fields of the log call over both. Tasks that start inside
    inherit them, and `asyncio.to_thread`; for other threads there is `carry`.
    """

    __slots__ = ("_fields", "_inside")

    def __init__(self, /, **fields: object) -> None:
        self._fields = fields
        self._inside: list[Token[Bound]] = []
        """Who is inside. More than one where tasks or threads share a binding, or it nests."""

    def __enter__(self) -> None:
        self._inside.append(_bound.set(Bound({**_bound.get().fields, **self._fields})))

    def __exit__(self, *_: object) -> None:
        inside = self._inside
        for token in inside[::-1]:
            try:
                _bound.reset(token)
            except (ValueError, RuntimeError):  # it is another task's, or was another thread's
                continue
            inside.remove(token)
            return
        if len(inside) == 1:  # an async generator may be closed by another task than ran it
            inside.clear()


def carry(call: Callable[P, T]) -> Callable[P, T]:
    """Return the function with the fields that are bound now, for a thread to run.

    ``Thread(target=carry(work))``, ``executor.submit(carry(work), …)``: a new thread, and one of
    a pool, knows nothing of who started it.
    """
    here = _bound.get()

    @functools.wraps(call)
    def carried(*args: P.args, **named: P.kwargs) -> T:
        token = _bound.set(here)
        try:
            return call(*args, **named)
        finally:
            _bound.reset(token)

    return carried


def bound() -> Mapping[str, object]:
    """Return the bound fields, the correlation among them if it is bound."""
    return MappingProxyType(_bound.get().fields)


def correlation() -> object:
    """Return the bound correlation id, or this process's own."""
    return _bound.get().fields.get("correlation", PROCESS)
