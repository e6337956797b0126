"""The index of the documentation: SQLite FTS5 in memory, and how its sections are ranked.

A query is any text. Its words are taken apart, stop words are left out, and each remaining word
is quoted, so that nothing a person types is FTS5 syntax. Each word weighs as much as it is rare,
and a section gets of that weight what the place is worth where it says the word: most in its
heading, less in its text, little in a code example. What one block says together, and a heading
that says little else, counts besides. A section that has less than `ENOUGH` of the weight of all
words is no answer.
"""

import math
import re
import sqlite3
import weakref
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from netra_backend.agents.docs_passage import CLOSE, OPEN, has_prose, is_code, is_table, passage
from netra_backend.agents.docs_words import STOP_WORDS, alternatives, words_of
from netra_backend.agents.documentation import Section, blocks, pages, sections

ENOUGH = 0.34
"""The share of the words' weight that a section must have to be an answer at all."""

_WORTH = {"heading": 1.0, "tabled": 0.5, "listed": 0.6, "page": 0.3, "said": 0.3, "body": 0.1}
"""What of a word's weight a section gets for the best place where it has the word."""

_TOGETHER = 0.5
"""What of their weight the words count besides that one block of the text has together."""

_ALONE = 0.75
"""What a heading counts besides that consists of the words; one of half of them half."""

_TITLES = ("heading", "page")

_LONG, _SHORT = 0.05, 1_000
"""How much less a word counts with each doubling of a text beyond so many characters."""

_ALIKE = 0.75
"""What an alternative of a word counts, beside the word itself."""

_ASIDE = 0.6
"""What a page about one rule of the scanner counts, unless its heading is asked for."""

_OVERVIEW = 0.7
"""The same for a page that points to the others."""

_BARE = 0.95
"""What a table counts about which nothing is said."""

_RARE = 1.5
"""The power of a word's rarity that is its weight."""

_COVERED = 0.75
"""The power of the share of the words that a section has: to lack a rare one costs much."""

_TOKEN = re.compile(r"[^\W_]+")
_LISTED = re.compile(r"^\s*[*-] (\*\*.+?\*\*|`[^`\n]+`)", re.MULTILINE)
_SCHEMA = """
CREATE VIRTUAL TABLE section USING fts5(
    page, heading, listed, tabled, said, body, title UNINDEXED, url UNINDEXED,
    tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE VIRTUAL TABLE block USING fts5(
    text, section UNINDEXED, tokenize = 'porter unicode61 remove_diacritics 2'
);
"""
_RANKED = """
SELECT rowid FROM section WHERE section MATCH ?
ORDER BY bm25(section, 2, 8, 2, 2, 1, 0.2), rowid
"""
_BLOCKS = "SELECT rowid, section FROM block WHERE block MATCH ?"
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

    `missing` are the words that no section has. `complete` says that the best hit has all words, or
    most of their weight in its heading while no word is missing; `example` that the best one has
    them in the code of an example only.
    """

    words: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    hits: tuple[Hit, ...] = ()
    complete: bool = True
    example: bool = False


class _Term(NamedTuple):
    """A word as FTS5 expressions: its own, those of its alternatives, and what it weighs."""

    own: str
    others: tuple[str, ...]
    weight: float
    known: bool

    @property
    def ways(self) -> Iterator[tuple[str, float]]:
        """The expressions, each with what it counts."""
        yield self.own, self.weight
        for other in self.others:
            yield other, self.weight * _ALIKE

    @property
    def either(self) -> str:
        """The expression that any of them matches."""
        return " OR ".join((self.own, *self.others))


@dataclass(slots=True)
class _Match:
    """What one section has of a query's words, by their numbers.

    `worth` is what each is worth where it stands, `weight` what it weighs wherever it stands, and
    `headed` the same of those in the heading; `said` is whether any stands outside of code, and
    `together` the most weight that one block has.
    """

    worth: dict[int, float] = field(default_factory=dict)
    headed: dict[int, float] = field(default_factory=dict)
    weight: dict[int, float] = field(default_factory=dict)
    said: bool = False
    together: float = 0.0


class DocsIndex:
    """An index of sections. Its memory is released when it is closed or forgotten."""

    def __init__(self, content: Iterable[Section]) -> None:
        self._sections = tuple(content)
        self._length = tuple(_brevity(section.body) for section in self._sections)
        parts = [blocks(section.body) for section in self._sections]
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._database.close)
        with self._database:
            self._database.executescript(_SCHEMA)
            self._database.executemany(
                "INSERT INTO section (rowid, page, heading, listed, tabled, said, body, title, url)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                ((n, *_row(one, parts[n])) for n, one in enumerate(self._sections)),
            )
            self._database.executemany(
                "INSERT INTO block (text, section) VALUES (?, ?)",
                ((text, n) for n, of_one in enumerate(parts) for text in _spoken(of_one)),
            )

    def __len__(self) -> int:
        """Return the number of sections."""
        (count,) = self._database.execute("SELECT count(*) FROM section").fetchone()
        return int(count)

    def search(self, query: str, limit: int = 5) -> Found:
        """Return the `limit` best sections for `query`, which may be any text."""
        words = words_of(query)
        terms = [self._term(word) for word in words]
        missing = tuple(word for word, term in zip(words, terms, strict=True) if not term.known)
        matches = self._matches(terms)
        total = sum(term.weight for term in terms)
        rows = [row for row in matches if _mass(matches[row]) >= ENOUGH * total]
        if not rows:
            return Found(words, missing=missing)
        either = " OR ".join(term.either for term in terms)
        order = {row: number for number, row in enumerate(self._rows(either))}
        best = sorted(rows, key=lambda row: (-self._score(row, matches[row], total), order[row]))
        whole = len(matches[best[0]].worth) == len(words)
        if whole:
            best = [row for row in best if len(matches[row].worth) == len(words)]
        return Found(
            words,
            missing=missing,
            hits=tuple(
                self._hit(row, either, self._share(row, matches[row], terms))
                for row in best[:limit]
            ),
            complete=whole or (not missing and self._share(best[0], matches[best[0]], terms) > 0),
            example=not matches[best[0]].said,
        )

    def close(self) -> None:
        """Release the memory."""
        self._database.close()

    def _term(self, word: str) -> _Term:
        """Return a word as it is searched for: one that occurs nowhere as a prefix."""
        exact = f'"{word}"'
        own = exact if len(word) < 5 or self._rows(exact) else f"{exact}*"
        others = tuple(f'"{other}"' for other in alternatives(word) if self._rows(f'"{other}"'))
        rows = len(self._rows(" OR ".join((own, *others))))
        rarity = math.log(1 + len(self._sections) / max(1, rows))
        return _Term(own, others, float(rarity**_RARE), rows > 0)

    def _matches(self, terms: list[_Term]) -> dict[int, _Match]:
        """Return what each section has that has any of the words."""
        found: defaultdict[int, _Match] = defaultdict(_Match)
        for number, term in enumerate(terms):
            for expression, weight in term.ways:
                self._add(found, number, expression, weight)
        for row, weight in self._together(terms).items():
            found[row].together = weight
        return dict(found)

    def _add(self, found: dict[int, _Match], number: int, expression: str, weight: float) -> None:
        for column, worth in _WORTH.items():
            for row in self._rows(f"{column} : {expression}"):
                match = found[row]
                worthy = weight * worth * (1.0 if column in _TITLES else self._length[row])
                match.worth[number] = max(match.worth.get(number, 0.0), worthy)
                match.weight[number] = max(match.weight.get(number, 0.0), weight)
                match.said |= column != "body"
                if column == "heading":
                    match.headed[number] = max(match.headed.get(number, 0.0), weight)

    def _together(self, terms: list[_Term]) -> Mapping[int, float]:
        """Return the most weight of words that one block of each section has."""
        weights: defaultdict[tuple[int, int], float] = defaultdict(float)
        for term in terms:
            best: dict[tuple[int, int], float] = {}
            for expression, weight in term.ways:
                for block in self._database.execute(_BLOCKS, (expression,)):
                    best[block] = max(best.get(block, 0.0), weight)
            for block, weight in best.items():
                weights[block] += weight
        most: defaultdict[int, float] = defaultdict(float)
        for (_, section), weight in weights.items():
            most[section] = max(most[section], weight)
        return most

    def _score(self, row: int, match: _Match, total: float) -> float:
        """Return what a section is worth as an answer to words that weigh `total`."""
        section = self._sections[row]
        headed = sum(match.headed.values())
        alone = headed * len(match.headed) / max(1, len(_TOKEN.findall(section.heading)))
        score = sum(match.worth.values()) + _TOGETHER * match.together + _ALONE * alone
        if headed < total / 2:
            score *= _ASIDE if section.is_aside else _OVERVIEW if section.is_overview else 1.0
        if not has_prose(section.body):
            score *= _BARE
        return float(score * (_mass(match) / total) ** _COVERED)

    def _share(self, row: int, match: _Match, terms: list[_Term]) -> float:
        """Return how much of the heading the words make up, if it has most of their weight."""
        if sum(match.headed.values()) < sum(term.weight for term in terms) / 2:
            return 0
        share = len(match.headed) / _length(self._sections[row].heading)
        return min(share, 1.0 if len(match.headed) == len(terms) else 0.5)

    def _rows(self, expression: str) -> list[int]:
        """Return the ids of the sections that match, best first."""
        return [row for (row,) in self._database.execute(_RANKED, (expression,))]

    def _hit(self, row: int, expression: str, share: float) -> Hit:
        found = self._database.execute(_HIT, (OPEN, CLOSE, expression, row)).fetchone()
        title, url, snippet, marked = found
        return Hit(title, url, " ".join(snippet.split()), passage(marked, share))


def index_of(root: Path) -> DocsIndex:
    """Return a fresh index of the pages below `root`; reads the files."""
    texts = {name: path.read_text(encoding="utf-8") for name, path in pages(root).items()}
    return DocsIndex(one for name in _in_order(texts) for one in sections(name, texts[name]))


def _brevity(body: str) -> float:
    """Return what a word counts in a text of this length: one that says much says every word."""
    return 1 / (1 + _LONG * math.log2(max(1.0, len(body) / _SHORT)))


def _length(heading: str) -> int:
    """Return how many words of a heading say something, at least one."""
    words = [word for word in _TOKEN.findall(heading.lower()) if word not in STOP_WORDS]
    return max(1, len(words))


def _mass(match: _Match) -> float:
    return sum(match.weight.values())


def _in_order(texts: Mapping[str, str]) -> list[str]:
    """Return the names of the pages, the README first, then as the page ``index`` names them."""
    named = re.findall(r"\(([^()\s#]+)\.md[)#]", texts.get("index", ""))
    return list(dict.fromkeys(name for name in ("readme", *named, *texts) if name in texts))


def _row(section: Section, parts: list[str]) -> tuple[str, ...]:
    """Return what the index has of a section with these blocks, in the order of its columns."""
    body = section.body
    listed = "\n".join(_LISTED.findall(body))
    tabled = "\n".join(
        row.split("|")[1] for block in parts if is_table(block) for row in block.splitlines()[2:]
    )
    said = "\n\n".join(block for block in parts if not is_code(block))
    return section.page, section.heading, listed, tabled, said, body, section.title, section.url


def _spoken(parts: list[str]) -> Iterator[str]:
    """Yield the blocks of a section that are no code; of tables and lists each row."""
    for block in parts:
        if is_table(block):
            yield from block.splitlines()[2:]
        elif re.match(r"\s*[*-] ", block):
            yield from re.split(r"\n(?=\s*[*-] )", block)
        elif not is_code(block):
            yield block
