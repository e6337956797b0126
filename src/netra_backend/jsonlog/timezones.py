"""Which time zones may be asked for their offset: those of well-known libraries.

A ``tzinfo`` is code. One that waits would hold up whoever logs a time.
"""

import sys
from types import FunctionType
from typing import TYPE_CHECKING

from netra_backend.jsonlog.guard import bases, class_attribute

if TYPE_CHECKING:
    import datetime as dt

_LIBRARIES = ("pytz", "dateutil")


def is_known(zone: "dt.tzinfo | None") -> bool:
    """Return whether ``zone.utcoffset`` runs only code of Python, of pytz or of dateutil."""
    if zone is None or type(zone) is vars(sys.modules["datetime"])["timezone"]:
        return True
    home = sys.modules.get("zoneinfo")
    known = None if home is None else vars(home).get("ZoneInfo")
    line = bases(type(zone))
    if any(base is known for base in line):
        return line[0] is known
    offset = class_attribute(type(zone), "utcoffset")
    return type(offset) is FunctionType and _is_of_library(offset)


def _is_of_library(call: FunctionType) -> bool:
    """Return whether a function stands in a module of a library that we know."""
    name = call.__globals__.get("__name__")
    if type(name) is not str or name.partition(".")[0] not in _LIBRARIES:
        return False
    home = sys.modules.get(name)
    return home is not None and call.__globals__ is vars(home)
