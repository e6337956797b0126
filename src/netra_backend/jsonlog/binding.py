"""What every record carries: the correlation id, and the fields that are bound.

Both follow the task or thread that runs, by a context variable.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import MappingProxyType


def new_correlation() -> str:
    """Return a fresh correlation id: 16 hexadecimal digits, 64 random bits."""
    return os.urandom(8).hex()


_PROCESS = new_correlation()
"""What is logged outside any binding belongs together too: it is of this process."""

_bound: ContextVar[Mapping[str, object]] = ContextVar("bound", default=MappingProxyType({}))


@contextmanager
def bind(**fields: object) -> Iterator[None]:
    """Add the fields to every record logged inside; ``correlation`` replaces the id.

    Inner bindings win over outer ones, fields of the log call over both.
    """
    outer = _bound.get()
    token = _bound.set(MappingProxyType({**outer, **fields}))
    try:
        yield
    finally:
        with suppress(ValueError):  # an async generator may be closed by another task than ran it
            _bound.reset(token)


def bound() -> Mapping[str, object]:
    """Return the bound fields, the correlation among them if it is bound."""
    return _bound.get()


def correlation() -> object:
    """Return the bound correlation id, or this process's own."""
    return _bound.get().get("correlation", _PROCESS)
