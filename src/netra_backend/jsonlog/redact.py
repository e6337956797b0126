"""Secrets: values under names that say so, and texts that have the shape of one.

Every pattern runs in linear time: repetitions are possessive or bounded, and none begins where
another one has just failed.
"""

import functools
import re

from netra_backend.jsonlog.plain import Json

REDACTED = "[redacted]"

MAX_NAME = 256
"""Characters of a key that are looked at."""

_WORDS = frozenset(
    (
        "authorization",
        "cookie",
        "credential",
        "passphrase",
        "passwd",
        "password",
        "pwd",
        "secret",
        "token",
    )
)
_ENDINGS = tuple(sorted(_WORDS - {"pwd"}))
_KEYS = ("apikey", "accesskey", "privatekey", "secretkey", "signingkey", "encryptionkey")

_SPLIT = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NAME = (
    r"(?:authorization|cookie|credential|passphrase|passwd|password|pwd|secret|token|ticket"
    r"|(?:api|access|private|secret|signing)[_-]?key)s?"
)
_JWT_PART = r"[A-Za-z0-9_-]"

_TEXTS = (
    # The subprotocol that carries a browser's token.
    ("netra.token.", re.compile(r"(netra\.token\.)[A-Za-z0-9._~+/=-]++")),
    # RFC 6750 section 2.1.
    ("bearer", re.compile(r"(?i)\b(bearer[ \t]{1,8})[A-Za-z0-9._~+/=-]++")),
    # RFC 7519: the base64url of an object begins with ``eyJ``; two parts or more.
    ("eyj", re.compile(rf"()(?<!{_JWT_PART})eyJ{_JWT_PART}++(?:\.{_JWT_PART}*+){{1,4}}+")),
    # ``?token=…`` in a URL, ``password=…`` in a connection string or a message.
    ("=", re.compile(rf"(?i)({_NAME}=)[^\s&;,'\"<>\])}}]++")),
    # ``scheme://user:password@host``: RFC 3986 section 3.2.1.
    ("://", re.compile(r"(://[^\s:/?#@]{0,128}+:)[^\s/?#@]{1,256}+(?=@)")),
    # ``'cookie': '…'`` and ``(b'cookie', b'…')`` in the repr of headers; the end may be cut off.
    ("'", re.compile(rf"(?i)({_NAME}['\"] ?[:,] ?b?')(?:[^'\\]|\\.)*+")),
    ('"', re.compile(rf'(?i)({_NAME}[\'"] ?[:,] ?b?")(?:[^"\\]|\\.)*+')),
)
"""What stands in every text that the pattern changes, in small letters; the pattern, of which only
the first group stays."""


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
    """Return an object without secrets, in its keys, under them and in their values."""
    shown: dict[str, Json] = {}
    for key, value in pairs.items():
        name = redact_text(key)
        if name in shown:
            name = f"{name}~{len(shown)}"
        shown[name] = _redact_under(key, value)
    return shown


def redact_text(text: str) -> str:
    """Return the text with what has the shape of a secret replaced."""
    small = text.lower()
    for hint, pattern in _TEXTS:
        if hint in small:
            text = pattern.sub(rf"\1{REDACTED}", text)
    return text


def is_secret_name(name: str) -> bool:
    """Return whether what stands under the name is a secret: ``x-api-key``, ``accessToken``."""
    return _is_secret(name[:MAX_NAME])


@functools.lru_cache(maxsize=1_024)
def _is_secret(name: str) -> bool:
    words = [word.lower().removesuffix("s") for word in _SPLIT.findall(name)]
    squeezed = "".join(words)
    return (
        not _WORDS.isdisjoint(words)
        or squeezed.endswith(_ENDINGS)
        or any(key in squeezed for key in _KEYS)
    )


def _redact_list(items: list[Json]) -> Json:
    """Return a list; of a header as a pair, ``["cookie", "…"]``, the second is the value."""
    if len(items) == 2 and type(items[0]) is str and type(items[1]) is str:
        return [redact_text(items[0]), _redact_under(items[0], items[1])]
    return [redact(item) for item in items]


def _redact_under(name: str, value: Json) -> Json:
    if value is None or type(value) is bool or not is_secret_name(name):
        return redact(value)
    if "token" in name.lower() and _is_count(value):
        return value
    return REDACTED


def _is_count(value: Json) -> bool:
    """Return whether there are only numbers: how many tokens were used is no secret."""
    if type(value) is dict:
        return all(_is_count(item) for item in value.values())
    if type(value) is list:
        return all(_is_count(item) for item in value)
    return type(value) is not str
