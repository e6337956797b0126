"""What SQLAlchemy's sessions find: instances of the class that a query asks for.

A query, and what it finds, is an instance of a class of the library whose one argument is the
class asked for; of several classes, or of columns, nothing is known.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from netra_backend.scan.arguments import argument_of
from netra_backend.scan.heads import ClassRef, External, Found, FunctionRef, Scope
from netra_backend.scan.values import (
    NONE,
    UNKNOWN,
    Call,
    Instance,
    Union,
    Value,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from netra_backend.scan.resolve import Resolver

    Callee = ClassRef | FunctionRef | External
    Result = Callable[[Resolver, Callee, Call, Scope], Found]

SELECT = "sqlalchemy.sql.selectable.Select"
QUERY = "sqlalchemy.orm.Query"
SCALARS = "sqlalchemy.engine.ScalarResult"
ROWS = "sqlalchemy.engine.Result"

_SESSIONS = ("sqlalchemy.orm.Session", "sqlalchemy.ext.asyncio.AsyncSession")


def _asked(resolver: "Resolver", call: Call, scope: Scope) -> Value | None:
    """Return an instance of the one class that is asked for, None if it is not one."""
    if len(call.args) != 1:
        return None
    head = resolver.resolve(call.args[0].value, scope)[0]
    return Instance(head.name) if isinstance(head, ClassRef) else None


def _query(cls: str) -> "Result":
    """``select(User)``, ``session.query(User)``."""

    def make(resolver: "Resolver", _callee: "Callee", call: Call, scope: Scope) -> Found:
        asked = _asked(resolver, call, scope)
        found = UNKNOWN if asked is None else Instance(cls, (asked,), True, call.line)
        return found, scope

    return make


def _itself(_resolver: "Resolver", callee: "Callee", _call: Call, scope: Scope) -> Found:
    """``.where(…)`` and the like."""
    receiver = None if isinstance(callee, ClassRef) else callee.receiver
    return (UNKNOWN, scope) if receiver is None else receiver


def _in_form(value: Value, form: str) -> Value:
    """Return the value in the form in which it is asked for; nothing is known of nothing."""
    if value is UNKNOWN and form != "rows":
        return UNKNOWN
    match form:
        case "all":
            return Instance("builtins.list", (value,))
        case "maybe":
            return Union((value, NONE))
        case "scalars":
            return Instance(SCALARS, (value,))
        case "rows":
            return Instance(ROWS, (value,))
    return value


def _of_session(form: str, *, asynchronous: bool) -> "Result":
    """``session.scalars(select(User))``, ``session.get(User, 1)`` and the like."""

    def give(resolver: "Resolver", _callee: "Callee", call: Call, scope: Scope) -> Found:
        argument = argument_of(call.args, "statement", 0)
        head = resolver.resolve(UNKNOWN if argument is None else argument.value, scope)[0]
        asked: Value = UNKNOWN
        if isinstance(head, Instance) and head.cls == SELECT:
            asked = head.args[0]
        elif isinstance(head, ClassRef):
            asked = Instance(head.name)
        found = _in_form(asked, form)
        if asynchronous:
            found = Instance("types.CoroutineType", (found,), True, call.line)
        return resolver.resolve(found, scope)

    return give


def _of_receiver(form: str) -> "Result":
    """``.all()``, ``.first()`` of a query or of what was found."""

    def give(resolver: "Resolver", callee: "Callee", _call: Call, scope: Scope) -> Found:
        receiver = None if isinstance(callee, ClassRef) else callee.receiver
        if receiver is None or not isinstance(receiver[0], Instance) or not receiver[0].args:
            return UNKNOWN, scope
        return resolver.resolve(_in_form(receiver[0].args[0], form), receiver[1])

    return give


_CHAINED = (
    "where",
    "filter",
    "filter_by",
    "order_by",
    "limit",
    "offset",
    "options",
    "distinct",
    "join",
    "outerjoin",
    "group_by",
    "having",
    "with_for_update",
    "execution_options",
    "unique",
)
_GIVEN = {"all": "all", "first": "maybe", "one": "one", "one_or_none": "maybe", "fetchall": "all"}

QUERY_RESULTS: Mapping[str, "Result"] = {
    "sqlalchemy.select": _query(SELECT),
    "sqlalchemy.future.select": _query(SELECT),
    "sqlalchemy.orm.Session.query": _query(QUERY),
    **{f"{cls}.{name}": _itself for cls in (SELECT, QUERY, SCALARS) for name in _CHAINED},
    **{
        f"{cls}.{name}": _of_receiver(form)
        for cls in (QUERY, SCALARS)
        for name, form in _GIVEN.items()
    },
    f"{ROWS}.scalars": _of_receiver("scalars"),
    f"{ROWS}.scalar": _of_receiver("maybe"),
    f"{ROWS}.scalar_one": _of_receiver("one"),
    f"{ROWS}.scalar_one_or_none": _of_receiver("maybe"),
    **{
        f"{session}.{name}": _of_session(form, asynchronous=".ext." in session)
        for session in _SESSIONS
        for name, form in (
            ("execute", "rows"),
            ("scalars", "scalars"),
            ("scalar", "maybe"),
            ("get", "maybe"),
            ("get_one", "one"),
        )
    },
}
"""By the dotted name of what is called; methods by that of their class."""
