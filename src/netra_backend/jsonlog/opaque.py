"""Objects of which only their kind is told: never by their own ``__repr__``, which may not end."""

import re
import types
from typing import Any

from netra_backend.jsonlog.guard import class_name, foreign, is_kind

_TELLING = frozenset(
    map(
        id,
        (
            complex,
            range,
            re.Pattern,
            type(...),
            type(NotImplemented),
            types.FunctionType,
            types.BuiltinFunctionType,
            types.CodeType,
            types.CoroutineType,
            types.GeneratorType,
            types.AsyncGeneratorType,
            types.FrameType,
            types.UnionType,
        ),
    )
)
"""Built-in classes whose ``repr`` runs nobody else's code."""


def told(value: Any) -> str:
    """Return ``<module.Class object at 0x…>``, or for some built-in classes their ``repr``."""
    cls = type(value)
    if id(cls) in _TELLING:
        shown = foreign(repr, value)
        if type(shown) is str:
            return shown
    if is_kind(value, type):
        return f"<class '{class_name(value)}'>"
    if cls is types.ModuleType:
        name = vars(value).get("__name__")
        return f"<module {name if type(name) is str else ''}>"
    return f"<{class_name(cls)} object at {id(value):#x}>"
