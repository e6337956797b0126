"""JS203: structlog and loguru write what JSON refuses by its repr, which no reader can parse."""

from netra_backend.scan.finding import Severity
from netra_backend.scan.rule import Rule

RULE = Rule(
    code="JS203",
    name="lossy-log-field",
    summary="a field of a structlog or loguru call is written by its repr",
    noun="{kind}",
    severities=(Severity.NOTE,),
)
