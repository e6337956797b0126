"""JS003: JSON has no form for dates and times."""

from netra_backend.scan.kinds import Kind
from netra_backend.scan.rule import Repair, Rule

_ISO = frozenset({Kind.DATETIME, Kind.DATE, Kind.TIME})

RULE = Rule(
    code="JS003",
    name="date-and-time",
    summary="a date, time, timedelta or timezone reaches JSON",
    noun="{kind}",
    kinds=_ISO | {Kind.TIMEDELTA, Kind.TIMEZONE},
    repairs=(
        Repair("Write it as ISO 8601", "", ".isoformat()", _ISO),
        Repair("Write it in seconds", "", ".total_seconds()", frozenset({Kind.TIMEDELTA})),
        Repair("Write it as a string", "str(", ")", frozenset({Kind.TIMEZONE})),
    ),
)
