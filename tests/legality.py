"""What `ag_ui_validate` calls an error in a stream, less the points where we differ on purpose.

* AGUI204, tool call arguments that are no JSON: AG-UI 1.0 keeps what a model wrote, "because
  losing it at the protocol boundary would hide the fault"; so do we.
* AGUI207, a result for an unknown call: the validator forgets a call when its run ends. Here a
  call belongs to its thread: the answer to an approval comes in a later run.
* AGUI504 for the parts of a tool result: the validator knows AG-UI 0.1, where it was a string.
"""

from collections.abc import Iterable
from typing import Any

from ag_ui_validate import Diagnostic, create_validator

JsonObject = dict[str, Any]

_PARTS = "field 'content' must be a string, got array"


def errors(events: Iterable[JsonObject | str]) -> list[Diagnostic]:
    """Return what the validator calls an error, in the order of the events."""
    validator = create_validator()
    for event in events:
        validator.feed(event)
    validator.finalize()
    report = validator.report()
    assert report.internal_errors == []
    return [finding for finding in report.diagnostics if finding.severity == "error"]


def illegal(events: Iterable[JsonObject | str], *, later_run: bool = False) -> list[str]:
    """Return the errors that are none on purpose; `later_run` if calls may be from before."""
    meant = {"AGUI204", "AGUI207"} if later_run else {"AGUI204"}
    found = errors(events)
    return [str(f) for f in found if f.rule not in meant and _PARTS not in f.message]
