"""Secrets by their shape: what in a text is one, whatever the name of the field that holds it.

Each kind of secret has an anchor, a literal that is found at the speed of memory: of those here
in the text in small letters, of `api_keys` in the text as it is. Only at an anchor a pattern is
matched, once, without backtracking; what it took is not looked at again. So the time is linear,
and `MAX_ANCHORS` bounds what a text full of anchors costs.
"""

import binascii
import re
from collections.abc import Callable

from netra_backend.jsonlog.api_keys import MARKS, SHORTEST, Mark, begins_word, has_no_mark
from netra_backend.jsonlog.secret_places import COMMANDS, PLACES, WORDS, has_no_place, option_span
from netra_backend.jsonlog.secret_values import (
    Span,
    credentials_span,
    header_span,
    is_told,
    paired_span,
    value_span,
)

REDACTED = "[redacted]"

SHORT = 1_000
"""Characters of a text that gets a quick look before."""

MAX_ANCHORS = 4_000
"""Anchors in one text that are looked at; after that many its whole rest is taken for secret."""

NAMES = (
    *("authorization", "cookie", "credential", "passphrase", "passwd", "password", "pwd"),
    *("secret", "token", "ticket", "key"),
)
"""Words at the end of a name that make what stands after it a secret."""

_SPELLED = ("otp", "pass", "passcode", "phpsessid", "jsessionid", "sessionid", "_auth")
_ASSIGNED = ("ticket", *_SPELLED)
"""Names that tell of a secret only with a sign like ``=``: *pass: 3* and *otp, see* do not."""

KEYS = (
    *("api", "access", "private", "secret", "signing", "encryption", "account", "auth", "master"),
    "subscription",
)
"""What stands before ``key`` if it is one."""

_KEY = re.compile(rf"(?:{'|'.join(KEYS)})[_\- ]?$")

_AFTER_NAME = re.compile(
    r"(?:s|_?(?:hash|value|confirm(?:ation)?+|again|repeat|old|new|plain|key_base|\d{1,2}+))?"
    r"(?P<quote>\\{0,8}+[\"']|%(?:25)?22)?+\s{0,4}+"
    r"(?:=>|(?P<sign>[=:,>])|%(?:25)?3[ad])(?:\s|\\[nrt]|%(?:25)?22){0,8}+",
    re.IGNORECASE,
)
"""What stands between a name and its value, escaped in a URL, too, and of what is asked twice."""
_LABELLED = re.compile(
    r"s?(?:\\{0,8}+[\"'])?+(?:\s{0,8}+,)?+(?:\s|\\n){0,20}+(?:\\{0,8}+[\"'])?+value"
    r"(?:\\{0,8}+[\"'])?+\s{0,4}+[:=]\s{0,8}+",
    re.IGNORECASE,
)
"""What stands between a name that is a value and its own: ``name='token', value='…'``."""
_TAG = re.compile(r"<[\w:-]{0,40}+$")
_OPTION = re.compile(r"(?<![\w-])--?[A-Za-z0-9_-]{0,36}+$")
_AFTER_OPTION = re.compile(r"(?P<many>s)?[ \t]{1,4}+(?![\s-])", re.IGNORECASE)
_FEW = re.compile(r"\d{1,3}+(?![\w.-])")
"""How many tokens there are."""
_PLAIN_NUMBER = re.compile(r"[\d.,]++(?![\w])")

_BEARER = re.compile(
    r"[ \t]{1,8}+(?!(?:realm|scope|error|error_description|error_uri|resource_metadata"
    r"|expires_in|expires_at)="
    r"|(?:tokens?|auth|authentication|authorization|credentials?|header|scheme|format"
    r"|is|was|of|for|from|or|and|in|not|missing|required)(?![A-Za-z0-9._~+/=-]))"
    r"(?P<secret>[A-Za-z0-9._~+/=-]++)",
    re.IGNORECASE,
)
"""No secret is what a server asks for, ``Bearer realm="…"``, nor what people say of one."""
_BASIC = re.compile(r"[ \t]{1,8}+(?P<secret>[A-Za-z0-9+/_-]{4,}+={0,2}+)")
_JWT = re.compile(r"[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]*+){1,4}+")
_OWN = re.compile(r"[A-Za-z0-9._~+/=-]++")
_USERINFO = re.compile(r"[^\s/?#'\"<>]*+")
_LONG_USER = re.compile(rf"(?!{WORDS}\Z)(?=[^\d@]{{0,64}}\d)[A-Za-z0-9_-]{{20,}}+\Z")
"""No user's name, but a token in its place: of NATS, of Sentry, of git hosts."""
_PEM = re.compile(r"[A-Z0-9 ]{0,40}?private key(?: block)?-----", re.IGNORECASE)

_RUN = b"w" * SHORTEST
_RUNS = bytes(b"w"[0] if chr(one).isalnum() or one in b"+-./=_" else 32 for one in range(128))
_RUNS += b" " * 128
"""Makes the characters of API keys all the same, so that one search tells whether there is one."""


def secret_spans(text: str) -> list[Span]:
    """Return where in the text secrets stand: pairs of begin and end, in order, apart."""
    found: list[Span] = []
    left, end = MAX_ANCHORS, len(text)
    small, searches = _searches(text)
    for where, anchor, look in searches:
        at, done = where.find(anchor, 0, end), 0
        while at >= 0:
            left -= 1
            if left < 0:
                found.append((at, len(text)))
                end = at  # what stands before it is still to be looked at for other anchors
                break
            span = look(text, small, at, at + len(anchor)) if at >= done else None
            if span is not None:
                found.append(span)
                done = span[1]
            at = where.find(anchor, max(at + len(anchor), done), end)
    return _merged(found)


def _searches(text: str) -> tuple[str, list[tuple[str, str, "Look"]]]:
    """Return the text in small letters, and what to look for where of what it may have."""
    data = text.encode("latin-1", "replace")  # a byte for each character, so that places stay
    small = data.lower().decode("latin-1")
    searches = [(small, *one) for one in _LOOKS if one[0][0] in small and one[0][-1] in small]
    if _RUN in data.translate(_RUNS):
        searches += [(text, *one) for one in _KEY_LOOKS if one[0][0] in text and one[0][-1] in text]
    return small, searches


def redact_text(text: str) -> str:
    """Return the text with what has the shape of a secret replaced by `REDACTED`."""
    if len(text) <= SHORT and is_harmless(text):
        return text
    spans = secret_spans(text)
    if not spans:
        return text
    parts: list[str] = []
    begin = 0
    for start, end in spans:
        parts += (text[begin:start], REDACTED)
        begin = end
    return "".join((*parts, text[begin:]))


def _merged(spans: list[Span]) -> list[Span]:
    """Return the spans in order, those that touch as one, and none that is empty."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if start == end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


# --- what stands at an anchor: each takes the text, it in small letters, and the anchor's ends ----


def _named(text: str, small: str, at: int, end: int) -> Span | None:
    """Find the value after a name: ``password=…``, ``"token": "…"``, ``Cookie: …``."""
    name = small[at:end]
    if name == "key" and not _KEY.search(small, max(0, at - 13), at):
        return None
    if name in _SPELLED and not _is_spelled(text, small, at, end):
        return None
    after = _AFTER_NAME.match(text, end)
    if after is None or after["sign"] == ",":
        return _beside(text, name, at, end, after)
    begin, sign = after.end(), after["sign"]
    if sign == ">" and not _TAG.search(text, max(0, at - 42), at):
        return None
    if name in _ASSIGNED and sign not in ("=", None):
        return None
    if sign == ":" and after["quote"] is None and name in ("cookie", "authorization"):
        return header_span(text, at, begin)
    if is_told(text, name, at, begin):
        return None
    return credentials_span(text, begin) if name == "authorization" else value_span(text, begin)


def _beside(text: str, name: str, at: int, end: int, after: re.Match[str] | None) -> Span | None:
    """Find the value that stands beside a name that is one itself, or an option."""
    if name in _ASSIGNED:
        return None
    labelled = _LABELLED.match(text, end)
    if labelled is not None:
        begin = labelled.end()
        counted = name == "token" and _FEW.match(text, begin)
        return None if counted or is_told(text, name, at, begin) else value_span(text, begin)
    if after is None:
        return _option(text, at, end)
    return None if after["quote"] is None else paired_span(text, at, end, after.end())


def _is_spelled(text: str, small: str, at: int, end: int) -> bool:
    """Return whether a short name is a word, and not sessionId: so agents name a conversation."""
    spelled = text[at:end]
    return not text[at - 1 : at].isalpha() and spelled in (small[at:end], spelled.upper())


def _option(text: str, at: int, end: int) -> Span | None:
    """Find the value after an option of a command: ``--password …``."""
    after = _AFTER_OPTION.match(text, end)
    if after is None or not _OPTION.search(text, max(0, at - 40), at):
        return None
    if after["many"] and _PLAIN_NUMBER.match(text, after.end()):
        return None
    return value_span(text, after.end())


def _after(pattern: re.Pattern[str]) -> "Look":
    def look(text: str, _small: str, _at: int, end: int) -> Span | None:
        found = pattern.match(text, end)
        return None if found is None else found.span(found.lastgroup or 0)

    return look


def _command(name: str) -> "Look":
    def look(text: str, small: str, _at: int, end: int) -> Span | None:
        return option_span(text, small, name, end)

    return look


def _own(text: str, small: str, at: int, end: int) -> Span | None:
    """Find the token that a browser sends as a subprotocol, whose names are case-sensitive."""
    found = _OWN.match(text, end)
    return None if found is None or text[at:end] != small[at:end] else found.span()


def _basic(text: str, _small: str, _at: int, end: int) -> Span | None:
    """Find RFC 7617's credentials: base64 of ``user:password``, not any word after *basic*."""
    found = _BASIC.match(text, end)
    if found is None:
        return None
    data = found["secret"].rstrip("=").translate({45: 43, 95: 47})
    whole = data[:-1] if len(data) % 4 == 1 else data  # a text may be cut anywhere
    return found.span("secret") if b":" in binascii.a2b_base64(f"{whole}==") else None


def _jwt(text: str, _small: str, at: int, end: int) -> Span | None:
    """Find RFC 7519: the base64url of an object begins with ``eyJ``; two parts or more."""
    if text[at:end] != "eyJ" or not begins_word(text, at) or text[at - 1 : at] in ("_", "-"):
        return None
    found = _JWT.match(text, at)
    return None if found is None else found.span()


def _userinfo(text: str, _small: str, _at: int, end: int) -> Span | None:
    """Find the password in ``scheme://user:password@host`` (RFC 3986 section 3.2.1).

    Up to the last ``@``, because people forget to escape it; where the text is cut, up to there.
    """
    found = _USERINFO.match(text, end)
    told = "" if found is None else found[0]
    colon, last = told.find(":"), told.rfind("@")
    if last < 0 and "…" in told:
        last = told.rfind("…")
    user = told[: colon if 0 <= colon < last else last]
    if last >= 0 and _LONG_USER.match(user):
        return end, end + last
    return (end + colon + 1, end + last) if 0 <= colon < last else None


def _private_key(text: str, small: str, _at: int, end: int) -> Span | None:
    """Find a private key in PEM (RFC 7468), with its line breaks or their escapes."""
    found = _PEM.match(text, end)
    if found is None:
        return None
    closed = small.find("-----end", found.end())
    return found.end(), closed if closed >= 0 else len(text)


def _key(mark: Mark) -> "Look":
    def look(text: str, _small: str, at: int, end: int) -> Span | None:
        if mark.alone and not begins_word(text, at):
            return None
        found = mark.rest.match(text, end)
        return None if found is None else (at, found.end())

    return look


Look = Callable[[str, str, int, int], Span | None]

_LOOKS: tuple[tuple[str, Look], ...] = (
    ("netra.token.", _own),  # the subprotocol that carries a browser's token
    ("bearer", _after(_BEARER)),  # RFC 6750 section 2.1
    ("basic", _basic),
    ("eyj", _jwt),
    ("://", _userinfo),
    ("-----begin ", _private_key),
    *((name, _named) for name in (*NAMES, *_SPELLED)),
    *((anchor, _after(pattern)) for anchor, pattern in PLACES.items()),
    *((name, _command(name)) for name in COMMANDS),
)
_KEY_LOOKS: tuple[tuple[str, Look], ...] = tuple((mark.begin, _key(mark)) for mark in MARKS)


def is_harmless(text: str) -> bool:
    """Return whether a text surely holds no secret of such a shape.

    A quick look, for texts that are short: that it says no does not mean that there is one.
    """
    if "." in text and ("eyJ" in text or "token." in text):
        return False
    if not has_no_mark(text):
        return False
    separated = ":" in text or "=" in text or "%" in text or "'" in text or '"' in text
    separated = separated or "<" in text or "`" in text
    if not separated:
        if " " not in text and "\t" not in text:
            return "/" not in text or has_no_place(text, text.lower())
        separated = "-" in text  # as the options of a command are
    small = text.lower()
    if "bearer" in small or "basic" in small:
        return False
    if not has_no_place(text, small):
        return False
    return not separated or not (
        "://" in small
        or "key" in small
        or "token" in small
        or "pass" in small
        or "secret" in small
        or "cookie" in small
        or "auth" in small
        or "pwd" in small
        or "credential" in small
        or "ticket" in small
        or "otp" in small
        or "sess" in small
    )
