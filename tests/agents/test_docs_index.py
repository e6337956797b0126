"""The documentation's sections and the index of them."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_backend.agents.docs_index import DocsIndex, index_of
from netra_backend.agents.docs_passage import PASSAGE_CHARACTERS, WHOLE_CHARACTERS
from netra_backend.agents.docs_words import MAX_QUERY_WORDS, STOP_WORDS, words_of
from netra_backend.agents.documentation import Section, documentation_root, pages
from tests.agents.docs_questions import ASKED, FIRST, LATER, OTHERS, UNSEEN, WRONG
from tests.night import examples


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


def test_more_of_the_words_count_more_than_the_rank_of_one() -> None:
    one = section("Page", "One", "A zebra, a zebra, a zebra.")
    two = section("Page", "Two", "A long text that has a zebra, and much later a heron.")
    with closing(DocsIndex([one, two])) as index:
        found = index.search("zebra heron gnat")

    assert (found.complete, found.missing) == (False, ("gnat",))
    assert found.hits[0].url == "docs/page#two"


def test_a_heading_counts_more_than_words_in_passing(index: DocsIndex) -> None:
    found = index.search("cancelling, frames, log")

    assert found.missing == ()
    assert [hit.url for hit in found.hits][:2] == [
        "docs/operations#cancelling",
        "docs/stores#sqlite",
    ]


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    common = [section("Page", f"Server {n}", "A server.") for n in range(9)]
    rare = section("Page", "Other", "Somewhere it says zebra.")
    with closing(DocsIndex([*common, rare])) as index:
        assert index.search("server zebra").hits[0].url == "docs/page#other"


def test_a_word_is_answered_by_one_that_means_the_same() -> None:
    silence = section("Page", "Ignore a finding", "Write a comment.")
    with closing(DocsIndex([silence, *SECTIONS])) as index:
        found = index.search("suppress a finding")

    assert (found.complete, found.missing) == (True, ())
    assert found.hits[0].url == "docs/page#ignore-a-finding"


def test_a_section_with_little_of_the_question_is_no_answer(index: DocsIndex) -> None:
    found = index.search("do elephants win a cup in a socket?")

    assert found.missing == ("elephants", "win", "cup")
    assert found.hits == ()


def test_the_first_column_of_a_table_defines_and_its_head_does_not() -> None:
    head = section("Page", "Head", "| zebra | meaning |\n|---|---|\n| one | a horse |")
    row = section("Page", "Row", "| animal | meaning |\n|---|---|\n| zebra | a horse |")
    with closing(DocsIndex([head, row])) as index:
        assert index.search("zebra").hits[0].url == "docs/page#row"


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
    assert found.hits or found.missing  # then what is known is too little to be an answer
    assert len(index) == len(SECTIONS)


def test_a_long_query_is_cut(index: DocsIndex) -> None:
    found = index.search("sockets " * 20_000 + "x" * 100_000)
    many = words_of(" ".join(f"word{number}" for number in range(100)))

    assert found.hits
    assert len(many) == MAX_QUERY_WORDS


@settings(max_examples=examples(300), deadline=None)
@given(st.text(max_size=60))
def test_any_text_can_be_searched_for(query: str) -> None:
    found = INDEX.search(query)

    assert len(found.hits) <= len(SECTIONS)
    assert not STOP_WORDS.intersection(found.words)


@settings(max_examples=examples(100), deadline=None)
@given(st.text(max_size=30).filter(words_of))
def test_what_was_indexed_is_found_by_its_own_words(word: str) -> None:
    one = section("Page", "Page", "Something else.\n\n" + " ".join(words_of(word)))
    with closing(DocsIndex([one])) as index:
        found = index.search(word)

    # SQLite's tables of letters and Python's differ for some; ASCII is the same in both.
    assert found.hits or not word.isascii()


def test_prose_comes_before_a_bare_table() -> None:
    table = section("Reference", "Fields", "| field | type |\n|---|---|\n| `animal` | a zebra |")
    prose = section("Guide", "Animals", "It is long, but it tells what a zebra is.\n\n```\nx\n```")
    with closing(DocsIndex([table, prose])) as index:
        found = index.search("zebra")

    assert [hit.url for hit in found.hits] == ["docs/guide#animals", "docs/reference#fields"]


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


def test_a_passage_has_what_a_line_with_a_colon_leads_to() -> None:
    code = "```nginx\nproxy_pass 1;\n\nserver zebra;\n```"
    body = f"One.\n\n{'Much else. ' * 99}\n\nnginx with a zebra:\n\n{code}\n\nAn end."
    with closing(DocsIndex([section("Page", "Page", body)])) as index:
        (hit,) = index.search("nginx zebra").hits

    assert hit.passage == f"nginx with a zebra:\n\n{code}\n\nAn end."


def test_a_passage_does_not_end_with_what_leads_to_more() -> None:
    body = "One.\n\nTwo, as in:\n\n" + "x" * WHOLE_CHARACTERS
    with closing(DocsIndex([section("Page", "Page", body)])) as index:
        (hit,) = index.search("page").hits

    assert hit.passage == "One."


def test_a_passage_of_a_long_table_has_its_head_and_the_rows_that_match() -> None:
    rows = "\n".join(f"| 44{number:02} | reason number {number} |" for number in range(99))
    body = f"| code | reason |\n|---|---|\n{rows}"
    assert len(body) > PASSAGE_CHARACTERS
    with closing(DocsIndex([section("Codes", "Codes", body)])) as index:
        (hit,) = index.search("4408").hits

    assert hit.passage == "| code | reason |\n|---|---|\n| 4408 | reason number 8 |"


@pytest.fixture(scope="module")
def own() -> Iterator[DocsIndex]:
    with closing(index_of(documentation_root())) as made:
        yield made


def asked() -> list[object]:
    """Return each question with the sections that answer it; those that are wrong must be wrong."""
    why = pytest.mark.xfail(strict=True, reason="answered with another section")
    return [
        pytest.param(question, answers, marks=[why] if question in WRONG else [])
        for question, answers in {**FIRST, **ASKED, **OTHERS, **LATER, **UNSEEN}.items()
    ]


@pytest.mark.parametrize(("question", "answers"), asked())
def test_a_question_about_netra_leads_to_the_section_that_answers_it(
    own: DocsIndex, question: str, answers: tuple[str, ...]
) -> None:
    found = own.search(question)

    assert not found.example
    assert [hit.url for hit in found.hits[:1]] in [[url] for url in answers] or (
        not found.hits and not answers
    )


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("what error codes are there?", ("`bad_frame`", "`internal`")),
        ("what close codes are there?", ("| 1000 |", "| 4429 |")),
        ("which settings are there?", ("`data_dir`", "| … |")),
        ("what is when_busy?", ("`when_busy`",)),
    ],
)
def test_a_question_for_a_table_gets_its_rows(
    own: DocsIndex, question: str, rows: tuple[str, ...]
) -> None:
    passage = own.search(question).hits[0].passage

    assert all(row in passage for row in rows)
    assert len(passage) <= WHOLE_CHARACTERS


def test_what_only_an_example_has_is_said_to_be_no_more(own: DocsIndex) -> None:
    found = own.search("What is the weather in Oslo?")

    assert found.words == ("weather", "oslo")
    assert found.example


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
