"""Patterns of paths, written as in .gitignore: https://git-scm.com/docs/gitignore#_pattern_format.

Own code, because the library for it (pathspec) takes longer to import than one file to scan.
"""

import re
from collections.abc import Iterable

from msgspec import Struct


class Pattern(Struct, frozen=True):
    """One line of a .gitignore; `regex` matches a whole relative path with ``/``."""

    regex: re.Pattern[str]
    negated: bool
    only_folders: bool


def parse_pattern(line: str) -> Pattern | None:
    """Return the pattern of a line, or None for a blank line, a comment or a broken pattern."""
    text = re.sub(r"(?<!\\)\s+$", "", line)
    negated = text.startswith("!")
    if not text or text.startswith("#"):
        return None
    text = text.removeprefix("!")
    only_folders = text.endswith("/")
    text = text.rstrip("/")
    anchored = "/" in text
    body = _regex(text.removeprefix("/"))
    if not body:
        return None
    try:
        regex = re.compile(body if anchored else f"(?:.*/)?{body}", re.DOTALL)
    except re.error:
        return None
    return Pattern(regex, negated, only_folders)


def parse_patterns(lines: Iterable[str]) -> tuple[Pattern, ...]:
    """Return the patterns of the lines that have one."""
    return tuple(pattern for line in lines if (pattern := parse_pattern(line)) is not None)


def decide(patterns: Iterable[Pattern], path: str, *, is_folder: bool) -> bool | None:
    """Return whether the last pattern that matches includes or (``!``) excludes; None if none does.

    `path` is relative to where the patterns stand.
    """
    verdict: bool | None = None
    for pattern in patterns:
        if (is_folder or not pattern.only_folders) and pattern.regex.fullmatch(path):
            verdict = not pattern.negated
    return verdict


def covers(patterns: Iterable[Pattern], path: str) -> bool:
    """Return whether the patterns match the file or one of the folders it is in."""
    known = tuple(patterns)
    parts = path.split("/")
    folders = ("/".join(parts[:end]) for end in range(1, len(parts)))
    if any(decide(known, folder, is_folder=True) for folder in folders):
        return True
    return bool(decide(known, path, is_folder=False))


_PIECE = (
    r"(?s)(?P<deep>\A\*\*/|/\*\*/|/\*\*\Z)"
    r"|(?P<star>\*+)"
    r"|(?P<one>\?)"
    r"|\[(?P<not>[!^]?)(?P<set>\][^\]]*|[^\]]+)\]"
    r"|\\(?P<escaped>.)"
    r"|(?P<plain>.)"
)
_DEEP = {"**/": "(?:.*/)?", "/**/": "/(?:.*/)?", "/**": "/.*"}


def _regex(text: str) -> str:
    """Return the regular expression, or nothing for a pattern that matches nothing."""
    tokens = list(re.finditer(_PIECE, text))
    if any(token["plain"] == "[" for token in tokens):
        return ""  # a bracket that is not closed
    return "".join(map(_translate, tokens))


def _translate(token: re.Match[str]) -> str:
    if token["deep"]:
        return _DEEP[token["deep"]]
    if token["star"]:
        return "[^/]*"
    if token["one"]:
        return "[^/]"
    if token["set"]:
        members = token["set"].replace("\\", r"\\").replace("]", r"\]").replace("[", r"\[")
        return f"[{'^' if token['not'] else ''}{members}]"
    return re.escape(token["escaped"] or token["plain"])
