"""The index of the documentation: SQLite FTS5 in memory, ranked by BM25.

A query is any text. Its words are taken apart, stop words are left out, and each remaining word
is quoted, so that nothing a person types is FTS5 syntax. The sections with most of the words come
first; among those the ones with prose before bare tables and code, and then the ones that BM25
puts first, for which a word in a heading counts most.
"""

import re
import sqlite3
import weakref
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from netra_backend.agents.documentation import Section, blocks, pages, sections

MAX_QUERY_CHARACTERS = 4_000
"""Characters of a query that are looked at."""

MAX_QUERY_WORDS = 12
"""Different words of a query that are searched for: the first ones."""

MAX_WORD_CHARACTERS = 40
"""Characters of a word that are searched for."""

PASSAGE_CHARACTERS = 1_000
"""Characters of a passage, about; a block of Markdown is not cut in two to keep to it."""

_STOP_WORDS = """
a about all am an and any anything are as ask at be been but by can could did do does doing
everything explain for from get give got had happen happened happening happens has have hello help
hey hi how i if in into is it its just know let like make makes many me much my need needs no not
of off ok on one or our please possible really say should show so some something tell than thank
thanks that the their them then there these they thing things this those to too up us use used
using very want was way we were what when where which who why will with without work works would
yes you your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that say nothing about a section."""

_WORD = re.compile(r"[^\W_]+")
_TABLE_RULE = re.compile(r"\s*\|?[\s:|-]*-[\s:|-]*$")
_OPEN, _CLOSE = "\x02", "\x03"
_SCHEMA = """
CREATE VIRTUAL TABLE section USING fts5(
    page, heading, body, title UNINDEXED, url UNINDEXED, prose UNINDEXED,
    tokenize = 'porter unicode61 remove_diacritics 2'
)
"""
_RANKED = """
SELECT rowid FROM section WHERE section MATCH ?
ORDER BY prose DESC, bm25(section, 2.0, 8.0, 1.0), rowid
"""
_HIT = """
SELECT title, url, snippet(section, 2, '', '', '…', 24), highlight(section, 2, ?, ?)
FROM section WHERE section MATCH ? AND rowid = ?
"""


@dataclass(frozen=True, slots=True)
class Hit:
    """A section that was found: `snippet` is one line of text, `passage` Markdown to quote."""

    title: str
    url: str
    snippet: str
    passage: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a search gave: the words searched for, and the hits, best first.

    `missing` are the words that no section has. `complete` says that every hit has all words.
    """

    words: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    hits: tuple[Hit, ...] = ()
    complete: bool = True


class DocsIndex:
    """An index of sections. Its memory is released when it is closed or forgotten."""

    def __init__(self, content: Iterable[Section]) -> None:
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._database.close)
        with self._database:
            self._database.execute(_SCHEMA)
            self._database.executemany(
                "INSERT INTO section (page, heading, body, title, url, prose) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (one.page, one.heading, one.body, one.title, one.url, _has_prose(one.body))
                    for one in content
                ),
            )

    def __len__(self) -> int:
        """Return the number of sections."""
        (count,) = self._database.execute("SELECT count(*) FROM section").fetchone()
        return int(count)

    def search(self, query: str, limit: int = 5) -> Found:
        """Return the `limit` best sections for `query`, which may be any text."""
        words = words_of(query)
        terms = [self._term(word) for word in words]
        rows = [self._rows(term) for term in terms]
        words_in = Counter(row for found in rows for row in found)
        if not words_in:
            return Found(words, missing=words)
        most = max(words_in.values())
        complete = most == len(words)
        either = " OR ".join(terms)
        best = [row for row in self._rows(either) if words_in[row] == most or not complete]
        best.sort(key=lambda row: -words_in[row])
        return Found(
            words,
            missing=tuple(word for word, found in zip(words, rows, strict=True) if not found),
            hits=tuple(self._hit(row, either) for row in best[:limit]),
            complete=complete,
        )

    def close(self) -> None:
        """Release the memory."""
        self._database.close()

    def _term(self, word: str) -> str:
        """Return the FTS5 expression for a word: quoted; one that occurs nowhere as a prefix."""
        exact = f'"{word}"'
        return exact if len(word) < 5 or self._rows(exact) else f"{exact}*"

    def _rows(self, expression: str) -> list[int]:
        """Return the ids of the sections that match, best first."""
        return [row for (row,) in self._database.execute(_RANKED, (expression,))]

    def _hit(self, row: int, expression: str) -> Hit:
        found = self._database.execute(_HIT, (_OPEN, _CLOSE, expression, row)).fetchone()
        title, url, snippet, marked = found
        return Hit(title, url, " ".join(snippet.split()), _passage(marked))


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


def _has_prose(body: str) -> bool:
    return any(not block.lstrip().startswith(("|", "```", "~~~")) for block in blocks(body))


def _passage(marked: str) -> str:
    """Return what to quote of a section: all of it, or the block with most matches and more."""
    parts = blocks(marked)
    start = 0
    if len(marked) > PASSAGE_CHARACTERS:
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
