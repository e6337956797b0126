"""What differences, sums and the like are, where that depends on what they are made of."""

from typing import TYPE_CHECKING

from netra_backend.scan.heads import ClassRef, External, Found, FunctionRef, Scope, either
from netra_backend.scan.kinds import Kind
from netra_backend.scan.values import INT, UNKNOWN, Call, Each, Instance, Value

if TYPE_CHECKING:
    from netra_backend.scan.resolve import Resolver

Callee = ClassRef | FunctionRef | External

_MOMENTS = frozenset({Kind.DATETIME, Kind.DATE})
_NUMBERS = frozenset({Kind.DECIMAL, Kind.FRACTION, Kind.TIMEDELTA})
"""Kinds whose sums and absolute values are of the same kind."""


def difference(resolver: "Resolver", callee: Callee, call: Call, scope: Scope) -> Found:
    """``moment - other``: a moment again, or the time between both."""
    receiver = None if isinstance(callee, ClassRef) else callee.receiver
    if receiver is None or not call.args:
        return UNKNOWN, scope
    between: Found = (Instance("datetime.timedelta", (), True, call.line), scope)
    kind = resolver.kind(resolver.resolve(call.args[0].value, scope))
    if kind in _MOMENTS:
        return between
    return receiver if kind is Kind.TIMEDELTA else either([receiver, between], scope)


def total(resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    """``sum(x)``: 0 if there is nothing to add up."""
    if len(call.args) != 1 or call.args[0].name:
        return UNKNOWN, scope
    found = resolver.resolve(Each(call.args[0].value), scope)
    return either([_number(resolver, found), (INT, scope)], scope)


def absolute(resolver: "Resolver", _callee: Callee, call: Call, scope: Scope) -> Found:
    """``abs(x)``."""
    value: Value = call.args[0].value if call.args else UNKNOWN
    return _number(resolver, resolver.resolve(value, scope))


def _number(resolver: "Resolver", found: Found) -> Found:
    return found if resolver.kind(found) in _NUMBERS else (UNKNOWN, found[1])
