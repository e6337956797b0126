"""Any Python object as JSON-safe data: `jsonable` is total.

Its law: whatever ``json.dumps`` accepts and strict JSON allows is written equal after parsing.
What it rejects gets one form each; ``docs/json-safety.md`` lists them.
"""

from netra_backend.jsonlog.encode import encode
from netra_backend.jsonlog.forms import Forms
from netra_backend.jsonlog.plain import LIMITS, Json, Limits


def jsonable(value: object, limits: Limits = LIMITS) -> Json:
    """Return the value as data of plain types that strict JSON can write; never raises."""
    try:
        return Forms(limits).value(value, 0)
    except Exception:  # noqa: BLE001 - only an exhausted stack or memory leads here
        return {"$cut": "no stack or memory left"}


def dumps(value: object, limits: Limits = LIMITS) -> str:
    """Return `jsonable(value)` as strict JSON: one line without control characters."""
    return encode(jsonable(value, limits))
