"""The words of a question: which are searched for, and which others may answer them."""

import pytest

from netra_backend.agents.docs_words import (
    MAX_QUERY_WORDS,
    MAX_WORD_CHARACTERS,
    STOP_WORDS,
    alternatives,
    words_of,
)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("How do I cancel a run?", ("cancel", "run")),
        ("Cancel, cancel: CANCEL", ("cancel",)),
        ("what is run_timeout?", ("run_timeout",)),
        ("behind nginx", ("nginx",)),
        ("how do I?", ()),
        ("x" * 100, ("x" * MAX_WORD_CHARACTERS,)),
    ],
)
def test_what_is_searched_for(query: str, words: tuple[str, ...]) -> None:
    assert words_of(query) == words


def test_not_more_words_than_a_bound() -> None:
    assert len(words_of(" ".join(f"word{number}" for number in range(100)))) == MAX_QUERY_WORDS


def test_words_that_mean_the_same_stand_for_each_other_also_in_the_plural() -> None:
    assert "thread" in alternatives("chat")
    assert alternatives("chats") == alternatives("chat")
    assert "chat" in alternatives("thread")
    assert alternatives("zebra") == ()


def test_no_word_that_says_nothing_stands_for_another() -> None:
    named = {one for word in ("limit", "cancel", "image", "size") for one in alternatives(word)}
    assert named
    assert not STOP_WORDS & (named - {"most"})
