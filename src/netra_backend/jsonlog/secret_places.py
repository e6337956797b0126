"""Secrets by the place where a program or a protocol puts them, without a name that says so.

Each has an anchor, in small letters, and a pattern that is matched where the anchor ends, on the
text as it is; the group `secret` of it is one. What a pattern passes over is bounded.
"""

import re

_NEAR = r"[^\r\n|]{0,200}?"
"""What may stand between a program's name and its option."""
_NEAR_QUOTES = r"(?:[^\r\n|;]|;(?=[^\"';\r\n]{0,200}[\"'])){0,200}?"
"""The same of a program that takes statements in quotes, whose ``;`` ends no command."""
_OPTION = r"[\"']?,?[= ][ ]{0,4}[\"']?"
WORDS = (
    r"(?:[A-Z]?[a-z]++(?:[_.-](?:[A-Z]?[a-z]++|\d{1,4}+))*+"
    r"|[A-Z]++(?:_(?:[A-Z]++|\d{1,4}+))*+(?![.-]))"
)
"""Words and short numbers, as names are made of; a secret mixes letters and digits in one."""
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
    "<cookie ": re.compile(r"[^=>\s]{0,200}+=(?P<secret>[^\r\n>]*?)(?= for |[\r\n>]|\Z)"),
    "<morsel: ": re.compile(r"[^=>\s]{0,200}+=(?P<secret>[^\r\n>]*+)"),
    "<simplecookie: ": re.compile(r"(?P<secret>[^\r\n>]*+)"),
    # URLs that are a secret themselves.
    "/bot": re.compile(r"\d{6,12}+:(?P<secret>[A-Za-z0-9_-]{30,}+)"),  # Telegram
    "/api/webhooks/": re.compile(r"\d{6,20}+/(?P<secret>[A-Za-z0-9_-]{20,}+)"),  # Discord
    "oracle:thin:": re.compile(r"[^/\s@]{1,100}+/(?P<secret>[^@\s]{1,200}+)@"),
    # Options of commands whose names do not say what they are.
    "curl": re.compile(
        rf"{_NEAR}(?:\s|['\"])(?:(?:-u|--user){_OPTION}[^\s:'\"]{{1,64}}+:"
        rf"|-b{_OPTION}[^\s=@'\"]{{1,64}}+=)(?P<secret>[^\s'\"]++)"
    ),
    "docker login": re.compile(rf"{_NEAR}\s-p[= ]?(?P<secret>[^\s-]\S*+)"),
    "mysql": re.compile(
        rf"(?:dump|admin)?\s{_NEAR_QUOTES}(?<=\s)"
        r"-p(?!(?:ath|id|lugin|ort|refix|rint|rotocol)\b)(?P<secret>[^\s-]\S*+)"
    ),
    "redis-cli": re.compile(rf"{_NEAR}\s-a\s{{1,4}}+(?P<secret>\S++)"),
    "sshpass": re.compile(r"\s{1,4}+-p\s{0,4}+(?P<secret>[^\s-]\S*+)"),
    "-pass pass:": re.compile(r"(?P<secret>\S++)"),  # openssl
    "-passin pass:": re.compile(r"(?P<secret>\S++)"),
    "-passout pass:": re.compile(r"(?P<secret>\S++)"),
    # `invalid password 'x'`; after other words quotes hold what is called so: secret "web-env".
    "password ": re.compile(
        r"(?P<quote>[\"'`])(?P<secret>[^\"'`\r\n]{1,256}+)(?P=quote)(?!\s(?:field|label)\b)"
    ),
}


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
