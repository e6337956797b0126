"""Secrets: values under names that say so, and texts that have the `shapes` of one."""

import re

from netra_backend.jsonlog.plain import Json
from netra_backend.jsonlog.secret_names import is_secret_name, names_a_count
from netra_backend.jsonlog.shapes import REDACTED, redact_text

_LABEL = re.compile(r"(name|key)_?(~\d+)?", re.IGNORECASE)
_VALUE = re.compile(r"value(~\d+)?", re.IGNORECASE)
_VALUES = frozenset(("value", "Value", "VALUE"))
"""Also as they are renamed where a line, or a dict, has such a name already.

With capitals, too: cloud APIs write ``{"Name": "DB_PASSWORD", "Value": …}``.
"""


def redact(plain: Json) -> Json:
    """Return plain data without secrets: a copy where something was replaced or nested."""
    if type(plain) is str:
        return redact_text(plain)
    if type(plain) is list:
        return _redact_list(plain)
    if type(plain) is dict:
        return redact_pairs(plain)
    return plain


def redact_pairs(pairs: dict[str, Json]) -> dict[str, Json]:
    """Return an object without secrets, in its keys, under them and in their values.

    Of ``{"name": "DB_PASSWORD", "value": …}`` the second is what stands under the first.
    """
    shown: dict[str, Json] = {}
    if not _VALUES.isdisjoint(pairs):
        pairs = _redact_labelled(pairs)
    for key, value in pairs.items():
        name = redact_text(key)
        if name in shown:
            name = f"{name}~{len(shown)}"
        shown[name] = redact_under(key, value)
    return shown


def _redact_labelled(pairs: dict[str, Json]) -> dict[str, Json]:
    """Return the pairs without what stands under ``value`` if one of them calls it a secret."""
    told = [one for name, one in pairs.items() if _LABEL.fullmatch(name)]
    label = next((one for one in told if type(one) is str and is_secret_name(one)), None)
    if label is None:
        return pairs
    return {
        name: redact_under(label, one) if _VALUE.fullmatch(name) else one
        for name, one in pairs.items()
    }


def redact_under(name: str, value: Json) -> Json:
    """Return what may be shown under a name."""
    if value is None or type(value) is bool or not is_secret_name(name):
        return redact(value)
    if _is_count(value) and names_a_count(name):
        return value
    return REDACTED


def _redact_list(items: list[Json]) -> Json:
    """Return a list; in a header, ``["cookie", "…"]``, and a command, the value is the next."""
    if len(items) == 2 and type(items[0]) is str and type(items[1]) is str:
        return [redact_text(items[0]), redact_under(items[0], items[1])]
    shown = [redact(item) for item in items]
    for at, item in enumerate(items[:-1]):
        if type(item) is str and item.startswith("-") and item[-1:].isalnum():
            shown[at + 1] = redact_under(item, items[at + 1])
    return shown


def _is_count(value: Json) -> bool:
    """Return whether there are only numbers."""
    if type(value) is dict:
        return all(_is_count(item) for item in value.values())
    if type(value) is list:
        return all(_is_count(item) for item in value)
    return type(value) is not str
