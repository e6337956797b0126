"""Plain data as strict JSON text.

orjson does it where it can, because it is several times as fast as the standard encoder. It may
be given exact plain types only: on others it runs their code, and has been seen to crash the
process when that raised. msgspec, which the server has, is as fast, but writes a time in UTC with
another suffix than ``isoformat``, and whoever installs this package alone would need it.

orjson loads with the first text, not with the import: it brings `dataclasses` and `uuid` along.
"""

import functools
import re
from collections.abc import Callable
from typing import Any

from netra_backend.jsonlog.plain import UNSEEN, Json

_UNSEEN = re.compile(f"[{UNSEEN}]")


def encode(plain: Json) -> str:
    """Return plain data as strict JSON: one line without control characters; never raises."""
    try:
        return seen(plain_text(plain))
    except Exception:  # noqa: BLE001 - only an exhausted stack or memory leads here
        return '{"$cut":"no stack or memory left"}'


def plain_text(plain: Json) -> str:
    """Return plain data as JSON; raises RecursionError or MemoryError where there is no room."""
    quick, slow, _ = encoders()
    try:
        return quick(plain).decode()
    except TypeError:  # an integer beyond 64 bits
        return slow(plain)


def seen(text: str) -> str:
    """Return JSON text with the characters escaped that JSON allows and a line must not have."""
    if text.isascii() and "\x7f" not in text:
        return text
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def utf8(text: str) -> bytes:
    """Return a text in UTF-8 (RFC 8259 section 8.1), with half a surrogate pair as its escape."""
    return text.encode("utf-8", "backslashreplace")


@functools.cache
def encoders() -> tuple[Callable[..., bytes], Callable[[Any], str], int]:
    """Return orjson's encoder, the standard one, and orjson's option to end with a newline.

    The standard one takes integers of any size.
    """
    import json  # noqa: PLC0415 - loads with the first text

    import orjson  # noqa: PLC0415

    slow = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
    ).encode
    return orjson.dumps, slow, orjson.OPT_APPEND_NEWLINE
