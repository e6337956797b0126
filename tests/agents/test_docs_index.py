"""The documentation's sections and the index of them."""

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_backend.agents.docs_index import (
    MAX_QUERY_WORDS,
    PASSAGE_CHARACTERS,
    STOP_WORDS,
    DocsIndex,
    index_of,
    words_of,
)
from netra_backend.agents.documentation import Section, documentation_root, pages


def section(page: str, heading: str, body: str) -> Section:
    url = f"docs/{page.lower()}"
    if heading != page:
        url += f"#{heading.lower().replace(' ', '-')}"
    return Section(page, heading, url, body)


SECTIONS = (
    section("Protocol", "Protocol", "Frames are JSON texts on a socket."),
    section("Protocol", "Close codes", "Why a socket was closed."),
    section("Operations", "Cancelling", "A cancelled run ends."),
    section("Stores", "SQLite", "The log mentions a socket and frames once."),
)


INDEX = DocsIndex(SECTIONS)


@pytest.fixture
def index() -> DocsIndex:
    with closing(DocsIndex(SECTIONS)) as made:
        yield made


@pytest.mark.parametrize(
    ("query", "url"),
    [
        ("close code", "docs/protocol#close-codes"),  # the title counts more than the text
        ("CANCELLED", "docs/operations#cancelling"),  # case and stem
        ("cancellations of runs", "docs/operations#cancelling"),
        ("sqlit", "docs/stores#sqlite"),  # the beginning of a word
        ("what is a frame?", "docs/protocol"),  # stop words say nothing
        ("söcket closed", "docs/protocol#close-codes"),  # accents do not matter
    ],
)
def test_the_best_section_comes_first(index: DocsIndex, query: str, url: str) -> None:
    found = index.search(query)

    assert found.complete
    assert found.hits[0].url == url


def test_sections_with_all_words_are_preferred_to_those_with_some(index: DocsIndex) -> None:
    found = index.search("frames log")

    assert found.complete
    assert [hit.url for hit in found.hits] == ["docs/stores#sqlite"]


def test_sections_with_some_words_are_found_and_said_to_be_incomplete(index: DocsIndex) -> None:
    found = index.search("cancelling elephants")

    assert not found.complete
    assert found.missing == ("elephants",)
    assert [hit.url for hit in found.hits] == ["docs/operations#cancelling"]


def test_more_of_the_words_count_more_than_the_rank_of_one(index: DocsIndex) -> None:
    found = index.search("cancelling, frames, log")

    assert (found.complete, found.missing) == (False, ())
    assert found.hits[0].url == "docs/stores#sqlite"
    assert "docs/operations#cancelling" in [hit.url for hit in found.hits]


@pytest.mark.parametrize("query", ["", "   ", "how do I", "🦊🦊", "?!*", "\x00", "\ud800", "a b c"])
def test_a_query_without_a_word_finds_nothing(index: DocsIndex, query: str) -> None:
    found = index.search(query)

    assert (found.words, found.hits) == ((), ())


@pytest.mark.parametrize(
    "query",
    [
        'socket"',
        '"socket" "',
        "socket OR",
        "AND NOT socket",
        "NEAR(socket frames, 2)",
        "title:socket",
        "socket*",
        "^socket",
        "-socket",
        "(socket",
        "socket'; DROP TABLE section; --",
        "{title body}: socket",
        "socket + + frames",
    ],
)
def test_fts5_syntax_is_only_text(index: DocsIndex, query: str) -> None:
    found = index.search(query)

    assert "socket" in found.words
    assert found.hits
    assert len(index) == len(SECTIONS)


def test_a_long_query_is_cut(index: DocsIndex) -> None:
    found = index.search("socket " + "word " * 20_000 + "x" * 100_000)
    many = words_of(" ".join(f"word{number}" for number in range(100)))

    assert found.hits
    assert len(many) == MAX_QUERY_WORDS


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text_can_be_searched_for(query: str) -> None:
    found = INDEX.search(query)

    assert len(found.hits) <= len(SECTIONS)
    assert not STOP_WORDS.intersection(found.words)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30).filter(words_of))
def test_what_was_indexed_is_found_by_its_own_words(word: str) -> None:
    one = section("Page", "Page", "Something else.\n\n" + " ".join(words_of(word)))
    with closing(DocsIndex([one])) as index:
        found = index.search(word)

    # SQLite's tables of letters and Python's differ for some; ASCII is the same in both.
    assert found.hits or not word.isascii()


def test_prose_comes_before_a_bare_table() -> None:
    table = section("Reference", "Zebra", "| field | type |\n|---|---|\n| `zebra` | string |")
    prose = section("Guide", "Animals", "It is long, but it tells what a zebra is.\n\n```\nx\n```")
    with closing(DocsIndex([table, prose])) as index:
        found = index.search("zebra")

    assert [hit.url for hit in found.hits] == ["docs/guide#animals", "docs/reference#zebra"]


def test_a_short_section_is_its_own_passage() -> None:
    with closing(DocsIndex([section("Page", "Page", "One.\n\nTwo.\n\nThree.")])) as index:
        (hit,) = index.search("two").hits

    assert hit.passage == "One.\n\nTwo.\n\nThree."


def test_a_passage_of_a_long_section_begins_at_the_block_with_the_words() -> None:
    before = "An introduction.\n\n- a list\n- of things\n\n"
    passage = "```toml\nlimit = 5\n\nsecond = 1\n```\n\nAn end."
    with closing(DocsIndex([section("Page", "Page", "x" * 1_000 + before + passage)])) as index:
        (hit,) = index.search("limit").hits

    assert hit.passage == passage


def test_a_passage_of_a_long_table_has_its_head_and_the_rows_that_match() -> None:
    rows = "\n".join(f"| 44{number:02} | reason number {number} |" for number in range(99))
    body = f"| code | reason |\n|---|---|\n{rows}"
    assert len(body) > PASSAGE_CHARACTERS
    with closing(DocsIndex([section("Codes", "Codes", body)])) as index:
        (hit,) = index.search("4408").hits

    assert hit.passage == "| code | reason |\n|---|---|\n| 4408 | reason number 8 |"


def test_the_projects_own_documentation_is_indexed() -> None:
    names = pages(documentation_root())
    with closing(index_of(documentation_root())) as index:
        found = index.search("write your own agent generator")

    assert {"agents", "tutorial"} <= set(names)
    assert found.hits[0].url.startswith("docs/agents")


def test_an_index_of_a_folder_without_pages_is_empty(tmp_path: Path) -> None:
    with closing(index_of(tmp_path)) as index:
        assert len(index) == 0
        assert index.search("anything").hits == ()
