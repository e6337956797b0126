"""Where a secret ends that stands after its name, and what stands there instead of one.

Nothing here looks back further than a name is long, or at a character more than a few times.
"""

import functools
import itertools
import re
import string

Span = tuple[int, int]

MAX_BRACKETS = 2_000
"""Brackets in one value that are looked at; one with more goes on to the end of its text."""

_QUOTED = re.compile(r"(?:[bru]{1,2})?(?P<escape>\\{0,8}+)(?P<quote>[\"'])", re.IGNORECASE)
_BARE = re.compile(r"[^\s&;,'\"<>\])}%\\]++(?:%(?!26|0[ad]|2526)[^\s&;,'\"<>\])}%\\]*+)*+", re.I)
_QUOTE_INSIDE = re.compile(r"(?:\\{0,8}+[\"'](?=[^\W_])[^\s&;,'\"<>\])}\\]++)++")
_BRACKET = re.compile(r"[\[({]")
_BRACKETS = re.compile(r"[\[\](){}]")
_BLOCK = re.compile(r"[|>][+-]?[ \t]*+(?:\\n|\r?\n)(?:[ \t]++[^\r\n]*+(?:\r?\n)?+)++")
"""A text of several lines as YAML writes it."""
_LINE = re.compile(r"[^\r\n]*+")
_STATES = (
    r"(?:none|null|nil|true|false|yes|no|on|off|ok|undefined|unknown|empty|missing|required"
    r"|optional|valid|invalid|expired|enabled|disabled|accepted|denied|granted|rejected|refused"
    r"|failed|changed|unchanged|sent|set|unset|not|too|must)"
)
"""Words that tell of a secret how it is: ``password: too short``, ``cookies=enabled``."""
_STATE = re.compile(rf"{_STATES}(?=[.,)\]}}\"']{{0,8}}+(?:\s|\Z))", re.IGNORECASE)
_STATED = re.compile(
    rf"(?i:{_STATES})(?:[ \t]{{1,4}}+[a-z]{{1,16}}+(?:=[a-z]{{1,16}}+)?+)*+"
    r"[ \t.,)\]}\"']{0,8}+(?=[\r\n]|\Z)"
)
"""A line that only tells of a header, in words of small letters: ``denied for role=viewer``."""
_BESIDE = re.compile(rf"(?i:{_STATES})[ \t]{{1,4}}+[a-z_]{{1,32}}+=(?![=\s]|\Z)")
"""What is told of an authorization beside other fields: ``authorization=off port=80``."""
_SCHEME = re.compile(
    r"(?:(?:apikey|api-key|aws4-[a-z0-9-]++|basic|bearer|bot|digest|dpop|hawk|negotiate|ntlm|token"
    rf"|{_STATES})[ \t]++){{1,4}}+",
    re.IGNORECASE,
)
"""What stands before the credentials in a header (RFC 9110 section 11.4), or is said of them."""
_PATH = re.compile(
    r"/(?:(?:app|builds?|code|data|etc|home|mnt|opt|private|root|runner|srv|tmp|usr|Users|var|work"
    r"|workspace)(?:/[a-z._-]*+)*+)?+(?![^\s,'\"\])}])"
)
"""The directory that a shell says in PWD and OLDPWD, where it could be no password."""
_ISSUE = re.compile(r"#?(?:[A-Za-z]{2,10}-)?\d{1,7}(?![\w-])")
"""A ticket that people work on, and link to without a query."""
_IN_QUERY = re.compile(r"(?:[?&]|%(?:25)?(?:3f|26))[\w-]{0,32}\Z", re.IGNORECASE)
_ARN = re.compile(r"arn:[a-z-]{3,12}:secretsmanager:[a-z0-9-]{0,20}:\d{0,12}:\Z")
"""What AWS calls a secret by, in what it says of who may not read it."""
_SECONDS = re.compile(r"\d{1,6}\.\d{1,9}+(?:m?s)?+(?![\w.-])")
"""When the first token came, as those measure who ask a model."""
_NUMBER = re.compile(r"[\d.,]++(?![\w])")
_MAX_ESCAPE = 8
_ITEMS = ("token", "key")
_MAX_NAME = 64
_NAME = string.ascii_letters + string.digits + "-_"
_BEFORE = re.compile(r"(?P<escape>\\{0,8})(?P<quote>[\"'])[\w-]*\Z", re.ASCII)
_OPENS = re.compile(r"[\[(]\s?(?:[bru]{1,2})?\\{0,8}[\"']$", re.IGNORECASE)
_CLOSES = re.compile(r"\\{0,8}[\"']\s?[\])]")
_SHORTEST_TOKEN = 4
"""Characters of a quoted token. Parsers quote shorter ones: ``unexpected token: '}'``."""


def value_span(text: str, begin: int) -> Span | None:
    """Find the value that begins there: quoted, in brackets, or up to what ends a word."""
    quoted = quoted_span(text, begin)
    if quoted is not None:
        return quoted
    if text[begin : begin + 1] in ("[", "{", "("):
        return begin, _bracket_end(text, begin)
    block = _BLOCK.match(text, begin)
    if block is not None:
        return block.span()
    bare = _BARE.match(text, begin)
    if bare is None:
        return None
    end = bare.end()
    opened = _BRACKET.search(text, begin, end) if text[end : end + 1] in ("'", '"') else None
    if opened is not None:
        return begin, _bracket_end(text, opened.start())
    inside = _QUOTE_INSIDE.match(text, end)
    return begin, end if inside is None else inside.end()


def quoted_span(text: str, begin: int) -> Span | None:
    """Find what is in the quotes that begin there."""
    quoted = _QUOTED.match(text, begin)
    if quoted is None:
        return None
    inside = _in_quotes(quoted["quote"], len(quoted["escape"]))
    return quoted.end(), _matched_end(inside, text, quoted.end())


def credentials_span(text: str, begin: int) -> Span | None:
    """Find the value of an authorization that is no line of its own: scheme and credentials."""
    scheme = _SCHEME.match(text, begin)
    if scheme is None:
        return value_span(text, begin)
    found = value_span(text, scheme.end())
    return None if found is None else (begin, found[1])


def header_span(text: str, at: int, begin: int) -> Span | None:
    """Find the value of a header, whose name begins at `at`: the rest of its line."""
    told = _STATED.match(text, begin)
    if told and not ("=" in told[0] and text[at : at + len("cookie")].lower() == "cookie"):
        return None
    return begin, _line_end(text, at, begin)


def paired_span(text: str, at: int, end: int, begin: int) -> Span | None:
    """Find the value behind the comma after a quoted name: of a header, an option, an argument.

    Some names may stand in a list themselves, ``['id', 'token', 'value']``: after those there is a
    value where the two are alone in their brackets.
    """
    start = _name_begin(text, at)
    if text[start:end].lower() not in _ITEMS:
        return quoted_span(text, begin)
    if not _OPENS.search(text, max(0, start - 12), start):
        return None
    found = quoted_span(text, begin)
    if found is None or found[1] >= len(text) or _CLOSES.match(text, found[1]):
        return found
    return None


def is_told(text: str, name: str, at: int, begin: int) -> bool:
    """Return whether what stands behind a name, which begins at `at`, is surely no secret."""
    if name == "authorization":
        return any(one.match(text, begin) for one in (_STATED, _BESIDE))
    if name == "ticket":
        asked = _IN_QUERY.search(text, max(0, at - _MAX_NAME), at)
        return asked is None and _ISSUE.match(text, begin) is not None
    if name == "pwd" and text[at - 1 : at] != ";" and _PATH.match(text, begin):
        return True
    counted = name == "pass" and _NUMBER.match(text, begin)
    if counted or (name == "secret" and _ARN.search(text, max(0, at - _MAX_NAME), at)):
        return True
    if name == "token":
        if _SECONDS.match(text, begin):
            return True
        if text[at + 5 : at + 6] in ("s", "S") and _NUMBER.match(text, begin):
            return True
        quoted = _QUOTED.match(text, begin)
        if quoted is not None:
            closed = text.find(quoted["quote"], quoted.end(), quoted.end() + _SHORTEST_TOKEN)
            return closed >= 0 and text[closed - 1] != "\\"
    return _STATE.match(text, begin) is not None


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
    opened = _BEFORE.search(text, max(0, _name_begin(text, at) - _MAX_ESCAPE - 1), at)
    if opened is None:
        return _matched_end(_LINE, text, begin)
    return _matched_end(_in_quotes(opened["quote"], len(opened["escape"]), r"\r\n"), text, begin)


def _name_begin(text: str, at: int) -> int:
    """Return where the name begins of which a part stands there."""
    name = text[max(0, at - _MAX_NAME) : at]
    return at - len(name) + len(name.rstrip(_NAME))


@functools.cache
def _in_quotes(quote: str, escape: int, stop: str = "") -> re.Pattern[str]:
    """Return what is in quotes: up to a quote with no more backslashes before it, or a `stop`.

    In the repr of a text, an escaped quote has two backslashes before it.
    """
    more = rf"\\{{{escape + 1},}}+{quote}"
    if escape == 0:
        even = r"(?:\\\\)"
        more = rf"{even}*+\\{quote}|{even}++(?:{quote}(?=[^\W_])|(?={quote}))"
    return re.compile(rf"(?:[^\\{quote}{stop}]++|{more}|\\++(?!{quote}))*+")


def _matched_end(pattern: re.Pattern[str], text: str, begin: int) -> int:
    """Return where the pattern, which may match nothing, ends."""
    found = pattern.match(text, begin)
    return begin if found is None else found.end()
