"""The index of the documentation: SQLite FTS5 in memory, ranked by BM25.

A query is any text. Its words are taken apart, stop words are left out, and each remaining word
is quoted, so that nothing a person types is FTS5 syntax. Sections with all words come first; if
there are none, sections with any of them do.
"""

import re
import sqlite3
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from netra_backend.agents.documentation import Section, blocks, pages, sections

MAX_QUERY_CHARACTERS = 4_000
"""Characters of a query that are looked at."""

MAX_QUERY_WORDS = 12
"""Different words of a query that are searched for: the first ones."""

MAX_WORD_CHARACTERS = 40
"""Characters of a word that are searched for."""

PASSAGE_CHARACTERS = 900
"""Characters of a passage, about; a block of Markdown is not cut in two to keep to it."""

_STOP_WORDS = """
a about all am an and any are as ask at be been but by can could did do does doing for from get
give got had has have hello help hey hi how i if in into is it its just know let like make makes me
my need needs no not of off ok on one or our please say should show so some something tell than
thank thanks that the their them then there these they thing things this those to too us use used
using want was way we were what when where which who why will with without work works would yes
you your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that say nothing about a section."""

_WORD = re.compile(r"[^\W_]+")
_TABLE_RULE = re.compile(r"\s*\|?[\s:|-]*-[\s:|-]*$")
_OPEN, _CLOSE = "\x02", "\x03"
_TITLE_WEIGHT, _BODY_WEIGHT = 6.0, 1.0
_SCHEMA = """
CREATE VIRTUAL TABLE section USING fts5(
    title, body, url UNINDEXED, tokenize = 'porter unicode61 remove_diacritics 2'
)
"""
_SEARCH = f"""
SELECT title, url, snippet(section, 1, '', '', '…', 24), highlight(section, 1, ?, ?)
FROM section WHERE section MATCH ?
ORDER BY bm25(section, {_TITLE_WEIGHT}, {_BODY_WEIGHT}), rowid LIMIT ?
"""  # noqa: S608 - the weights are constants


@dataclass(frozen=True, slots=True)
class Hit:
    """A section that was found: `snippet` is one line of text, `passage` Markdown to quote."""

    title: str
    url: str
    snippet: str
    passage: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a search gave: the words searched for, the hits, best first, and how they match.

    `complete` says that every hit has all the words, and not only some of them.
    """

    words: tuple[str, ...]
    hits: tuple[Hit, ...]
    complete: bool


class DocsIndex:
    """An index of sections. Its memory is released when it is closed or forgotten."""

    def __init__(self, content: Iterable[Section]) -> None:
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._database.close)
        with self._database:
            self._database.execute(_SCHEMA)
            self._database.executemany(
                "INSERT INTO section (title, body, url) VALUES (?, ?, ?)",
                ((one.title, one.body, one.url) for one in content),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Return the number of sections."""
        (count,) = self._database.execute("SELECT count(*) FROM section").fetchone()
        return int(count)

    def search(self, query: str, limit: int = 5) -> Found:
        """Return the `limit` best sections for `query`, which may be any text."""
        words = words_of(query)
        if not words:
            return Found((), (), complete=True)
        terms = [self._term(word) for word in words]
        hits = self._match(" AND ".join(terms), limit)
        if hits or len(words) == 1:
            return Found(words, hits, complete=True)
        return Found(words, self._match(" OR ".join(terms), limit), complete=False)

    def close(self) -> None:
        """Release the memory."""
        self._database.close()

    def _term(self, word: str) -> str:
        """Return the FTS5 expression for a word: quoted; one that occurs nowhere as a prefix."""
        exact = f'"{word}"'
        return exact if len(word) < 5 or self._match(exact, limit=1) else f"{exact}*"

    def _match(self, expression: str, limit: int) -> tuple[Hit, ...]:
        rows = self._database.execute(_SEARCH, (_OPEN, _CLOSE, expression, limit))
        return tuple(
            Hit(title, url, " ".join(snippet.split()), _passage(marked))
            for title, url, snippet, marked in rows
        )


def index_of(root: Path) -> DocsIndex:
    """Return a fresh index of the pages below `root`; reads the files."""
    return DocsIndex(
        section
        for name, path in pages(root).items()
        for section in sections(name, path.read_text(encoding="utf-8"))
    )


def words_of(query: str) -> tuple[str, ...]:
    """Return the words of `query` to search for: in order, lower case, each once, no stop words."""
    found = _WORD.findall(query[:MAX_QUERY_CHARACTERS].lower())
    words = dict.fromkeys(word[:MAX_WORD_CHARACTERS] for word in found)
    kept = [word for word in words if word not in STOP_WORDS and len(word) > 1]
    return tuple(kept[:MAX_QUERY_WORDS])


def _passage(marked: str) -> str:
    """Return the part of a section to quote: the block with most matches and what follows it."""
    parts = blocks(marked)
    start = max(range(len(parts)), key=lambda number: parts[number].count(_OPEN))
    chosen: list[str] = []
    size = 0
    for part in parts[start:]:
        plain = _fitting(part).replace(_OPEN, "").replace(_CLOSE, "")
        if chosen and size + len(plain) > PASSAGE_CHARACTERS:
            break
        chosen.append(plain)
        size += len(plain)
    return "\n\n".join(chosen)


def _fitting(block: str) -> str:
    """Return a block as it is, of a long table only the rows with matches."""
    lines = block.splitlines()
    if len(block) <= PASSAGE_CHARACTERS or len(lines) < 3 or not _TABLE_RULE.match(lines[1]):
        return block
    return "\n".join([*lines[:2], *(row for row in lines[2:] if _OPEN in row)])
