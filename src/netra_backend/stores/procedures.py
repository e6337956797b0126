"""Procedures: the methods of a store, called by another process of the same machine.

How arguments and results are written comes from the annotations of `core.ports`, so a method that
is added there can be called at once.
"""

import inspect
from collections.abc import Awaitable, Mapping
from types import GenericAlias
from typing import Any, NamedTuple, get_args, get_type_hints

from msgspec import Raw, msgpack

from netra_backend.core.ports import Store
from netra_backend.core.run import IllegalMove
from netra_backend.errors import LeaseLost, Refused, StoreFailed
from netra_backend.stores.line import Raised

NOT_CALLED = frozenset({"open", "close"})
"""What the owner of a store does with it, and nobody else."""

_encode = msgpack.Encoder().encode


class Procedure(NamedTuple):
    """A method of a store: how its arguments and its result are written and read."""

    name: str
    signature: inspect.Signature
    arguments: msgpack.Decoder[tuple[Any, ...]]
    result: msgpack.Decoder[Any]

    def pack(self, *args: Any, **named: Any) -> Raw:
        """Return the arguments of a call, in the order of the parameters."""
        bound = self.signature.bind(None, *args, **named)
        bound.apply_defaults()
        return Raw(_encode(list(bound.arguments.values())[1:]))

    def unpack(self, packed: Raw) -> dict[str, Any]:
        """Return the arguments by the names of their parameters."""
        names = list(self.signature.parameters)[1:]
        return dict(zip(names, self.arguments.decode(packed), strict=True))

    def call(self, store: Store, given: Mapping[str, Any]) -> Awaitable[Any]:
        """Call it on `store`; return what is to be awaited."""
        awaited: Awaitable[Any] = getattr(store, self.name)(**given)
        return awaited


def _procedure(name: str) -> Procedure:
    method = getattr(Store, name)
    signature, hints = inspect.signature(method), get_type_hints(method)
    (result,) = get_args(hints.pop("return"))
    types = tuple(hints[parameter] for parameter in list(signature.parameters)[1:])
    kind: Any = GenericAlias(tuple, types)
    return Procedure(name, signature, msgpack.Decoder(kind), msgpack.Decoder(result))


PROCEDURES = {
    name: _procedure(name)
    for name, _ in inspect.getmembers(Store, inspect.isfunction)
    if not name.startswith("_") and name not in NOT_CALLED
}
"""What can be called, by name."""

_ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind for kind in (LeaseLost, StoreFailed, IllegalMove, ValueError)
}


def raised(number: int, error: BaseException) -> Raised:
    """Return the message that tells of `error`."""
    code = error.code if isinstance(error, Refused) else None
    return Raised(number, type(error).__name__, str(error), code)


def error_of(message: Raised) -> Exception:
    """Return what the call raised; an error of no known kind is a StoreFailed that names it."""
    if message.code is not None:
        return Refused(message.code, message.text)
    kind = _ERRORS.get(message.kind)
    return kind(message.text) if kind else StoreFailed(f"{message.kind}: {message.text}")


def result(value: Any) -> Raw:
    """Return the result of a call for its message."""
    return Raw(_encode(value))
