"""What a test says of the names in it, for the branch where it holds and the one where not."""

import ast

from netra_backend.scan.environment import Names, path_of
from netra_backend.scan.frame import Frame
from netra_backend.scan.values import NONE, UNKNOWN, Present, Value, is_harmless


def narrowed(frame: Frame, test: ast.expr) -> tuple[Names, Names]:
    """Return the names to rebind where the test holds, and where it does not."""
    if isinstance(test, (ast.Name, ast.Attribute)):
        return _there(frame, test), {}
    if isinstance(test, ast.NamedExpr):
        return _there(frame, test.target), {}
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        positive, negative = narrowed(frame, test.operand)
        return negative, positive
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return _compared(frame, test)
    if isinstance(test, ast.BoolOp):
        known: tuple[Names, Names] = ({}, {})
        side = 0 if isinstance(test.op, ast.And) else 1
        for part in test.values:
            known[side].update(narrowed(frame, part)[side])
        return known
    return {}, {}


def truth(frame: Frame, test: ast.expr) -> bool | None:
    """Return what the test gives whenever it is made, None if that depends."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = truth(frame, test.operand)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        sides = [truth(frame, part) for part in test.values]
        decisive = isinstance(test.op, ast.Or)
        if decisive in sides:
            return decisive
        return None if None in sides else not decisive
    return False if frame.is_empty(test) else None


def _there(frame: Frame, node: ast.expr) -> Names:
    path = path_of(node)
    value = frame.value(node) if path else UNKNOWN
    return {} if is_harmless_or_plain(value) else {path: Present(value)}


def is_harmless_or_plain(value: Value) -> bool:
    """Return whether a test for None says nothing new of the value."""
    return isinstance(value, Present) or is_harmless(value)


def _compared(frame: Frame, test: ast.Compare) -> tuple[Names, Names]:
    left, right, operator = test.left, test.comparators[0], test.ops[0]
    if isinstance(left, ast.NamedExpr):
        left = left.target
    if not (isinstance(right, ast.Constant) and right.value is None):
        return {}, {}
    there = _there(frame, left)
    absent: Names = dict.fromkeys(there, NONE)
    if isinstance(operator, (ast.Is, ast.Eq)):
        return absent, there
    if isinstance(operator, (ast.IsNot, ast.NotEq)):
        return there, absent
    return {}, {}
