"""The index of the documentation: SQLite FTS5 in memory, ranked by BM25.

A query is any text. Its words are taken apart, stop words are left out, and each remaining word
is quoted, so that nothing a person types is FTS5 syntax. The sections with most of the words come
first, and a word that stands in a code example alone counts after one that the text says; among
those a page about one rule of the scanner comes after the pages about everything; then the ones
whose headings say the words, and say little else; then those that define them, as a table does in
its first column; then prose before bare tables; and then the ones that BM25 puts first.
"""

import math
import re
import sqlite3
import weakref
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from netra_backend.agents.documentation import Section, blocks, pages, sections

MAX_QUERY_CHARACTERS = 4_000
"""Characters of a query that are looked at."""

MAX_QUERY_WORDS = 12
"""Different words of a query that are searched for: the first ones."""

MAX_WORD_CHARACTERS = 40
"""Characters of a word that are searched for."""

PASSAGE_CHARACTERS = 1_000
"""Characters of a passage, about; a block of Markdown is not cut in two to keep to it."""

WHOLE_CHARACTERS = 3_000
"""The same for a section whose heading is what was asked for: all of it is wanted."""

_STOP_WORDS = """
a about all am an and any anything are as ask at be been but by can could did do does doing
everything exist exists explain for from get give got had happen happened happening happens has
have hello help hey hi how i if in into is it its just know let like make makes many me mean
meaning means much my need needs no not of off ok on one or our please possible really say should
show so some something tell than thank thanks that the their them then there these they thing
things this those to too up us use used using very want was way we were what when where which who
why will with without work works would yes you your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that say nothing about a section."""

_WORD = re.compile(r"[^\W_]+(?:_[^\W_]+)*")
"""A word, or a name such as ``run_timeout``, which the index looks for as a phrase."""

_TOKEN = re.compile(r"[^\W_]+")
_TABLE_RULE = re.compile(r"\s*\|?[\s:|-]*-[\s:|-]*$")
_LISTED = re.compile(r"^\s*[*-] \*\*(.+?)\*\*", re.MULTILINE)
_TABLED = re.compile(r"^\|([^|]+)\|", re.MULTILINE)
_MORE = "| … |"
_OPEN, _CLOSE = "\x02", "\x03"
_COLUMNS = ("page", "heading", "listed", "tabled", "said", "body")
_SCHEMA = """
CREATE VIRTUAL TABLE section USING fts5(
    page, heading, listed, tabled, said, body, title UNINDEXED, url UNINDEXED,
    tokenize = 'porter unicode61 remove_diacritics 2'
)
"""
_RANKED = """
SELECT rowid FROM section WHERE section MATCH ?
ORDER BY bm25(section, 2, 8, 2, 2, 1, 0.2), rowid
"""
_HIT = """
SELECT title, url, snippet(section, 5, '', '', '…', 24), highlight(section, 5, ?, ?)
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

    `missing` are the words that no section has. `complete` says that every hit has all words,
    `example` that the best one has them in the code of an example only.
    """

    words: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    hits: tuple[Hit, ...] = ()
    complete: bool = True
    example: bool = False


class _Counts(NamedTuple):
    """How many of a query's words each section has, by its id.

    `all` counts them wherever they stand, `said` those in its text and headings, `headed` those in
    its own heading, `listed` and `tabled` those that its lists and tables begin with. `weight` is
    that of `headed`: a rare word weighs more than one that many sections have.
    """

    all: Counter[int]
    said: Counter[int]
    headed: Counter[int]
    listed: Counter[int]
    tabled: Counter[int]
    weight: Mapping[int, float]


class DocsIndex:
    """An index of sections. Its memory is released when it is closed or forgotten."""

    def __init__(self, content: Iterable[Section]) -> None:
        self._sections = tuple(content)
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._database.close)
        with self._database:
            self._database.execute(_SCHEMA)
            self._database.executemany(
                "INSERT INTO section (rowid, page, heading, listed, tabled, said, body, title, url)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                ((number, *_row(one)) for number, one in enumerate(self._sections)),
            )

    def __len__(self) -> int:
        """Return the number of sections."""
        (count,) = self._database.execute("SELECT count(*) FROM section").fetchone()
        return int(count)

    def search(self, query: str, limit: int = 5) -> Found:
        """Return the `limit` best sections for `query`, which may be any text."""
        words = words_of(query)
        terms = [self._term(word) for word in words]
        known = [bool(self._rows(term)) for term in terms]
        if not any(known):
            return Found(words, missing=words)
        either = " OR ".join(terms)
        counts = self._counts(terms)
        best = sorted(self._rows(either), key=lambda row: self._place(row, counts, len(words)))
        complete = counts.all[best[0]] == len(words)
        return Found(
            words,
            missing=tuple(word for word, found in zip(words, known, strict=True) if not found),
            hits=tuple(
                self._hit(row, either, self._share(row, counts, len(words)))
                for row in best[:limit]
                if counts.all[row] == len(words) or not complete
            ),
            complete=complete,
            example=counts.said[best[0]] == 0,
        )

    def close(self) -> None:
        """Release the memory."""
        self._database.close()

    def _term(self, word: str) -> str:
        """Return the FTS5 expression for a word: quoted; one that occurs nowhere as a prefix."""
        exact = f'"{word}"'
        return exact if len(word) < 5 or self._rows(exact) else f"{exact}*"

    def _place(self, row: int, counts: "_Counts", words: int) -> tuple[float, ...]:
        """Return where a section stands among those with any of the words: the least is best."""
        section = self._sections[row]
        share = self._share(row, counts, words)
        titled = share > 0
        return (
            -counts.all[row],
            -counts.said[row],
            section.is_aside and not titled,
            -counts.weight[row],
            -share,
            titled and section.heading != section.page,
            row if share == 1 else 0,  # of equal headings the one of the more general page
            -(counts.listed[row] == words),
            -(counts.tabled[row] == words),
            not _has_prose(section.body),
        )

    def _share(self, row: int, counts: "_Counts", words: int) -> float:
        """Return how much of the heading the words make up if it has all of them, else 0."""
        if counts.headed[row] < words:
            return 0
        return words / len(_TOKEN.findall(self._sections[row].heading))

    def _counts(self, terms: list[str]) -> "_Counts":
        def within(*columns: str) -> Counter[int]:
            named = f"{{{' '.join(columns)}}} : "
            return Counter(row for term in terms for row in self._rows(named + term))

        weight: defaultdict[int, float] = defaultdict(float)
        for term in terms:
            rarity = math.log(len(self._sections) / max(1, len(self._rows(term))))
            for row in self._rows(f"heading : {term}"):
                weight[row] += rarity
        return _Counts(
            within(*_COLUMNS),
            within("page", "heading", "said"),
            within("heading"),
            within("listed"),
            within("tabled"),
            weight,
        )

    def _rows(self, expression: str) -> list[int]:
        """Return the ids of the sections that match, best first."""
        return [row for (row,) in self._database.execute(_RANKED, (expression,))]

    def _hit(self, row: int, expression: str, share: float) -> Hit:
        found = self._database.execute(_HIT, (_OPEN, _CLOSE, expression, row)).fetchone()
        title, url, snippet, marked = found
        return Hit(title, url, " ".join(snippet.split()), _passage(marked, share))


def index_of(root: Path) -> DocsIndex:
    """Return a fresh index of the pages below `root`; reads the files."""
    texts = {name: path.read_text(encoding="utf-8") for name, path in pages(root).items()}
    return DocsIndex(one for name in _in_order(texts) for one in sections(name, texts[name]))


def _in_order(texts: Mapping[str, str]) -> list[str]:
    """Return the names of the pages, the README first, then as the page ``index`` names them."""
    named = re.findall(r"\(([^()\s#]+)\.md[)#]", texts.get("index", ""))
    return list(dict.fromkeys(name for name in ("readme", *named, *texts) if name in texts))


def words_of(query: str) -> tuple[str, ...]:
    """Return the words of `query` to search for: in order, lower case, each once, no stop words."""
    found = _WORD.findall(query[:MAX_QUERY_CHARACTERS].lower())
    words = dict.fromkeys(word[:MAX_WORD_CHARACTERS] for word in found)
    kept = [word for word in words if word not in STOP_WORDS and len(word) > 1]
    return tuple(kept[:MAX_QUERY_WORDS])


def _row(section: Section) -> tuple[str, ...]:
    """Return what the index has of a section: what each of `_COLUMNS` is searched for, and more."""
    body = section.body
    listed, tabled = "\n".join(_LISTED.findall(body)), "\n".join(_TABLED.findall(body))
    said = _said(body)
    return section.page, section.heading, listed, tabled, said, body, section.title, section.url


def _said(body: str) -> str:
    """Return a section without its code examples."""
    return "\n\n".join(block for block in blocks(body) if not _is_code(block))


def _has_prose(body: str) -> bool:
    return any(not (_is_code(block) or block.lstrip().startswith("|")) for block in blocks(body))


def _is_code(block: str) -> bool:
    return block.lstrip().startswith(("```", "~~~"))


def _passage(marked: str, share: float) -> str:
    """Return what to quote of a section: all, or the blocks from the one with most matches on.

    One whose heading has all the words is quoted from its start; one whose heading is nothing else
    (`share` 1) at some length.
    """
    parts = blocks(marked)
    limit = WHOLE_CHARACTERS if share == 1 else PASSAGE_CHARACTERS
    start = 0
    if len(marked) > limit and share == 0:
        start = max(range(len(parts)), key=lambda number: parts[number].count(_OPEN))
    chosen: list[str] = []
    size = 0
    for part in parts[start:]:
        plain = _fitting(part, limit - size, only_matches=share == 0)
        plain = plain.replace(_OPEN, "").replace(_CLOSE, "")
        if chosen and size + len(plain) > limit:
            break
        chosen.append(plain)
        size += len(plain)
    if len(chosen) > 1 and start + len(chosen) < len(parts) and chosen[-1].endswith(":"):
        chosen.pop()  # it leads to what is left out
    return "\n\n".join(chosen)


def _fitting(block: str, room: int, *, only_matches: bool) -> str:
    """Return a block as it is; of a table that has no room the rows with matches, or the first."""
    lines = block.splitlines()
    if len(block) <= room or len(lines) < 3 or not _TABLE_RULE.match(lines[1]):
        return block
    rows = [row for row in lines[2:] if _OPEN in row and only_matches] or lines[2:]
    ends = accumulate((len(row) + 1 for row in rows), initial=len(lines[0]) + len(lines[1]) + 3)
    kept = [row for row, end in zip(rows, list(ends)[1:], strict=True) if end + len(_MORE) <= room]
    kept = kept or rows[:1]
    return "\n".join([*lines[:2], *kept, *([_MORE] if len(kept) < len(rows) else [])])
