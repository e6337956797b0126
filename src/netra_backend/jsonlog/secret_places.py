"""Secrets by the place where a program or a protocol puts them, without a name that says so.

Each has an anchor, in small letters, and a pattern that is matched where the anchor ends, on the
text as it is; the group `secret` of it is one. What a pattern passes over is bounded.
"""

import re
from typing import NamedTuple

_OPTION = r"[\"']?,?[= ][ ]{0,4}[\"']?"
WORDS = (
    r"(?:[A-Z]?[a-z]++(?:[_.-](?:[A-Z]?[a-z]++|\d{1,4}+))++"
    r"|[A-Z]++(?:_(?:[A-Z]++|\d{1,4}+))++(?![.-]))"
)
"""Several words and short numbers, as names are made of; a secret mixes letters and digits."""
_SIGNS = "[A-Za-z0-9%+/=_~.-]"
_LONG = rf"(?!{WORDS}(?!{_SIGNS}))(?P<secret>{_SIGNS}{{16,}}+)"
_CODE = rf"(?!{WORDS}(?!{_SIGNS}|&state=))(?P<secret>{_SIGNS}{{16,}}+)"


PLACES: dict[str, re.Pattern[str]] = {
    # Signed URLs of S3, Google's storage and Azure: who has one may do what it says.
    "signature=": re.compile(rf"[\"']?{_LONG}"),
    "?sig=": re.compile(_LONG),
    "&sig=": re.compile(_LONG),
    # RFC 6749 section 4.1.2, RFC 7636 section 4.5, SAML 2.0 bindings section 3.5.
    "?code=": re.compile(_CODE),
    "&code=": re.compile(_CODE),
    "code_verifier=": re.compile(_LONG),
    "samlresponse=": re.compile(_LONG),
    # The value of a cookie in the `repr` of http.cookiejar and http.cookies.
    "<cookie ": re.compile(r"[^=>\s]{0,200}+=(?P<secret>[^\r\n> ]*+(?: ++(?!for )[^\r\n> ]*+)*+)"),
    "<morsel: ": re.compile(r"[^=>\s]{0,200}+=(?P<secret>[^\r\n>]*+)"),
    "<simplecookie: ": re.compile(r"(?P<secret>[^\r\n>]*+)"),
    # URLs that are a secret themselves.
    "/bot": re.compile(r"\d{6,12}+:(?P<secret>[A-Za-z0-9_-]{30,}+)"),  # Telegram
    "/api/webhooks/": re.compile(
        rf"\d{{6,20}}+/(?!{WORDS}(?![\w-]))(?P<secret>[\w-]{{20,}}+)"
    ),  # Discord
    "oracle:thin:": re.compile(r"[^/\s@]{1,100}+/(?P<secret>[^@\s]{1,200}+)@"),
    "sshpass": re.compile(r"\s{1,4}+-p\s{0,4}+(?P<secret>[^\s-]\S*+)"),
    "-pass pass:": re.compile(r"(?P<secret>\S++)"),  # openssl
    "-passin pass:": re.compile(r"(?P<secret>\S++)"),
    "-passout pass:": re.compile(r"(?P<secret>\S++)"),
    # `invalid password 'x'`; after other words quotes hold what is called so: secret "web-env".
    "password ": re.compile(
        r"(?P<quote>[\"'`])(?P<secret>[^\"'`\r\n]{1,256}+)(?P=quote)(?!\s(?:field|label)\b)"
    ),
}


class Command(NamedTuple):
    """A program that takes a secret as an option whose name does not say so."""

    option: re.Pattern[str]
    over: re.Pattern[str] = re.compile(r"[\r\n|]")
    """Where its arguments end at the latest."""


NEAR = 240
"""Characters after a command in which its option is looked for."""
_LONGEST_OPTION = 80
"""Characters of an option up to its secret."""

COMMANDS: dict[str, Command] = {
    "curl": Command(
        re.compile(
            rf"[\s'\"]-(?:(?:u|-user){_OPTION}[^\s:'\"]{{1,64}}+:"
            rf"|b{_OPTION}[^\s=@'\"]{{1,64}}+=)(?P<secret>[^\s'\"]++)"
        )
    ),
    "docker login": Command(re.compile(r"\s-p[= ]?(?P<secret>[^\s-]\S*+)")),
    "mysql": Command(
        re.compile(r"\s-p(?!(?:ath|id|lugin|ort|refix|rint|rotocol)\b)(?P<secret>[^\s-]\S*+)"),
        re.compile(r"[\r\n|]|;(?![^\"';\r\n]{0,200}[\"'])"),  # none in a quoted statement
    ),
    "redis-cli": Command(re.compile(r"\s-a\s{1,4}+(?P<secret>\S++)")),
}


def option_span(text: str, small: str, name: str, begin: int) -> tuple[int, int] | None:
    """Find the secret among the arguments, which begin there, of one of the `COMMANDS`."""
    command = COMMANDS[name]
    end = begin + NEAR
    again = small.find(name, begin, end)
    if again >= 0:  # what stands further behind that is found from there
        end = min(end, again + _LONGEST_OPTION)
    over = command.over.search(text, begin, end)
    end = end if over is None else over.start()
    found = command.option.search(text, begin, end)
    if found is not None and found.end() == end:
        found = command.option.match(text, found.start())
    return None if found is None else found.span("secret")


def has_no_place(text: str, small: str) -> bool:
    """Return whether there is surely none of the places: a quick look, for texts that are short."""
    if "-" in text and ("curl" in small or "docker" in small or "mysql" in small):
        return False
    if "-" in text and "redis" in small:
        return False
    if "/" in text and ("bot" in small or "hooks" in small or "thin:" in small):
        return False
    if "<" in text and "morsel" in small:
        return False
    return not ("=" in text and ("sig" in small or "code" in small or "saml" in small))
