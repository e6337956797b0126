"""What is quoted of a section."""

import pytest

from netra_backend.agents.docs_passage import (
    CLOSE,
    OPEN,
    PASSAGE_CHARACTERS,
    WHOLE_CHARACTERS,
    has_prose,
    is_code,
    is_table,
    passage,
)

LONG = "Much else is told here. " * 50
CODE = "```nginx\nlisten 80;\n\nproxy 1;\n```"


def marked(word: str) -> str:
    return f"{OPEN}{word}{CLOSE}"


def test_a_short_section_is_quoted_whole_and_without_marks() -> None:
    assert passage(f"One.\n\nA {marked('zebra')}.", 0) == "One.\n\nA zebra."


def test_a_long_one_from_the_block_with_most_different_words_on() -> None:
    same = " ".join([marked("zebra")] * 5)
    body = f"{LONG}{same}\n\nA {marked('zebra')} and a {marked('heron')}.\n\nAn end."

    assert passage(body, 0) == "A zebra and a heron.\n\nAn end."


def test_one_whose_heading_was_asked_for_from_its_start() -> None:
    body = f"One.\n\n{LONG}\n\nA {marked('zebra')}."

    assert passage(body, 0.5) == "One."
    assert passage(body, 1) == f"One.\n\n{LONG.strip()} \n\nA zebra."


def test_what_leads_to_a_block_is_quoted_with_it() -> None:
    body = f"{LONG}\n\nFor {marked('nginx')}:\n\n{CODE}\n\nAn end."

    assert passage(body, 0) == f"For nginx:\n\n{CODE}\n\nAn end."


def test_what_leads_to_a_block_without_room_is_left_out_with_it() -> None:
    code = "```\n" + "x" * WHOLE_CHARACTERS + "\n```"

    assert passage(f"One.\n\nAs in:\n\n{code}", 1) == "One."


@pytest.mark.parametrize("share", [0, 0.5])
def test_a_table_without_room_has_its_head_and_says_that_there_is_more(share: float) -> None:
    rows = "\n".join(f"| {n} | a row of some length {marked('zebra')} |" for n in range(99))
    found = passage(f"| n | row |\n|---|---|\n{rows}", share)

    assert found.startswith("| n | row |\n|---|---|\n| 0 |")
    assert found.endswith("| … |")
    assert len(found) <= PASSAGE_CHARACTERS


def test_what_blocks_are() -> None:
    table = "| a |\n|---|\n| b |"

    assert is_code(CODE)
    assert not is_code(table)
    assert is_table(table)
    assert not is_table("| a | in a text")
    assert has_prose(f"{CODE}\n\nWords.")
    assert not has_prose(f"{CODE}\n\n{table}")
