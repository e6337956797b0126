"""Secrets by their shape: what in a text is one, whatever the name of the field that holds it.

Each kind of secret has an anchor, a literal that is found at the speed of memory: of those here
in the text in small letters, of `api_keys` in the text as it is. Only at an anchor a pattern is
matched, once, without backtracking; what it took is not looked at again. So the time is linear,
and `MAX_ANCHORS` bounds what a text full of anchors costs.
"""

import binascii
import itertools
import re
from collections.abc import Callable

from netra_backend.jsonlog.api_keys import MARKS, SHORTEST, Mark, begins_word, has_no_mark

REDACTED = "[redacted]"

SHORT = 1_000
"""Characters of a text that gets a quick look before."""

MAX_BRACKETS = 2_000
"""Brackets in one value that are looked at; one with more goes on to the end of its text."""

MAX_ANCHORS = 4_000
"""Anchors in one text that are looked at; after that many its whole rest is taken for secret."""

NAMES = (
    *("authorization", "cookie", "credential", "passphrase", "passwd", "password", "pwd"),
    *("secret", "token", "ticket", "key"),
)
"""Words at the end of a name that make what stands after it a secret."""

KEYS = (
    *("api", "access", "private", "secret", "signing", "encryption", "account", "auth", "master"),
    "subscription",
)
"""What stands before ``key`` if it is one."""

_KEY = re.compile(rf"(?:{'|'.join(KEYS)})[_\- ]?$")

_AFTER_NAME = re.compile(
    r"s?(?P<quote>\\{0,8}+[\"'])?+\s{0,4}+(?:=>|(?P<sign>[=:,])|%(?:25)?3d)\s{0,8}+", re.IGNORECASE
)
_OPTION = re.compile(r"(?<![\w-])--?[A-Za-z0-9_-]{0,36}+$")
_AFTER_OPTION = re.compile(r"(?P<many>s)?[ \t]{1,4}+(?![\s-])", re.IGNORECASE)
_QUOTED = re.compile(r"(?:[bru]{1,2})?(?P<escape>\\{0,8}+)(?P<quote>[\"'])", re.IGNORECASE)
_BARE = re.compile(r"[^\s&;,'\"<>\])}%\\]++(?:%(?!26|0[ad]|2526)[^\s&;,'\"<>\])}%\\]*+)*+", re.I)
_PLAIN_NUMBER = re.compile(r"[\d.,]++(?![\w])")
_LINE = re.compile(r"[^\r\n]*+")
_BRACKETS = re.compile(r"[\[\](){}]")

_BEARER = re.compile(r"[ \t]{1,8}+(?P<secret>[A-Za-z0-9._~+/=-]++)")
_BASIC = re.compile(r"[ \t]{1,8}+(?P<secret>[A-Za-z0-9+/_-]{4,}+={0,2}+)")
_JWT = re.compile(r"[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]*+){1,4}+")
_OWN = re.compile(r"[A-Za-z0-9._~+/=-]++")
_USERINFO = re.compile(r"[^\s/?#'\"<>]*+")
_PEM = re.compile(r"[A-Z0-9 ]{0,40}?private key-----", re.IGNORECASE)

_RUN = b"w" * SHORTEST
_RUNS = bytes(b"w"[0] if chr(one).isalnum() or one in b"+-./=_" else 32 for one in range(128))
_RUNS += b" " * 128
"""Makes the characters of API keys all the same, so that one search tells whether there is one."""

Span = tuple[int, int]


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
    after = _AFTER_NAME.match(text, end)
    if after is None:
        return None if name == "ticket" else _option(text, at, end)
    begin, sign, quote = after.end(), after["sign"], after["quote"]
    if name == "ticket" and sign != "=" and sign is not None:
        return None
    if sign == "," and quote is None:
        return None
    if sign == ":" and quote is None and name in ("cookie", "authorization"):
        return begin, _line_end(text, at, begin)
    if name == "token" and small.startswith("s", end) and _PLAIN_NUMBER.match(text, begin):
        return None
    return _value(text, begin, quoted_only=sign == ",")


def _option(text: str, at: int, end: int) -> Span | None:
    """Find the value after an option of a command: ``--password …``."""
    after = _AFTER_OPTION.match(text, end)
    if after is None or not _OPTION.search(text, max(0, at - 40), at):
        return None
    if after["many"] and _PLAIN_NUMBER.match(text, after.end()):
        return None
    return _value(text, after.end(), quoted_only=False)


def _value(text: str, begin: int, *, quoted_only: bool) -> Span | None:
    """Find the value that begins there: quoted, in brackets, or up to what ends a word."""
    quoted = _QUOTED.match(text, begin)
    if quoted is not None:
        return quoted.end(), _quote_end(text, quoted.end(), quoted["quote"], len(quoted["escape"]))
    if quoted_only:
        return None
    if text[begin : begin + 1] in ("[", "{", "("):
        return begin, _bracket_end(text, begin)
    bare = _BARE.match(text, begin)
    return None if bare is None else bare.span()


def _quote_end(text: str, begin: int, quote: str, escape: int) -> int:
    """Return where the quoted text ends: at a quote with no more backslashes before it."""
    at = text.find(quote, begin)
    while at >= 0:
        slashes = at
        while slashes > begin and text[slashes - 1] == "\\":
            slashes -= 1
        count = at - slashes
        if count <= escape:
            return slashes
        # In the repr of a text, an escaped quote has two backslashes before it.
        if escape == 0 and count % 2 == 0 and not text[at + 1 : at + 2].isalnum():
            return at
        at = text.find(quote, at + 1)
    return len(text)


def _bracket_end(text: str, begin: int) -> int:
    """Return where the brackets that open here are closed, or the text ends."""
    depth = 0
    for found in itertools.islice(_BRACKETS.finditer(text, begin), MAX_BRACKETS):
        depth += 1 if found[0] in "[({" else -1
        if depth == 0:
            return found.end()
    return len(text)


def _line_end(text: str, at: int, begin: int) -> int:
    """Return where a header ends: with its line, or at the quote that it stands in."""
    line = _LINE.match(text, begin)
    end = begin if line is None else line.end()
    while at > 0 and (text[at - 1].isalnum() or text[at - 1] in "-_"):
        at -= 1
    quote = text[at - 1 : at]
    if quote in ("'", '"'):
        closed = text.find(quote, begin, end)
        return closed if closed >= 0 else end
    return end


def _after(pattern: re.Pattern[str]) -> "Look":
    def look(text: str, _small: str, _at: int, end: int) -> Span | None:
        found = pattern.match(text, end)
        return None if found is None else found.span(found.lastgroup or 0)

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
    with_rest = data[: len(data) // 4 * 4]  # a text may be cut anywhere
    return found.span("secret") if b":" in binascii.a2b_base64(with_rest) else None


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
    *((name, _named) for name in NAMES),
)
_KEY_LOOKS: tuple[tuple[str, Look], ...] = tuple((mark.begin, _key(mark)) for mark in MARKS)


def is_harmless(text: str) -> bool:
    """Return whether a text surely holds no secret of such a shape.

    A quick look, for texts that are short: that it says no does not mean that there is one.
    """
    if "." in text and ("eyJ" in text or "token." in text):
        return False
    if "-----" in text or not has_no_mark(text):
        return False
    separated = ":" in text or "=" in text or "%" in text or "'" in text or '"' in text
    if not separated:
        if " " not in text and "\t" not in text:
            return True
        separated = "-" in text  # as the options of a command are
    small = text.lower()
    if "bearer" in small or "basic" in small:
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
    )
