"""Each mark is known to the quick look, needs enough behind it, and stands where a word begins."""

import pytest

from netra_backend.jsonlog.api_keys import MARKS, SHORTEST, Mark, begins_word, has_no_mark
from netra_backend.jsonlog.shapes import REDACTED, redact_text
from tests.jsonlog.hostile_secrets import API_KEYS


@pytest.mark.parametrize("key", API_KEYS.values(), ids=API_KEYS)
def test_a_key_is_hidden_whatever_stands_around_it(key: str) -> None:
    assert not has_no_mark(key)
    assert len(key) >= SHORTEST
    for before, after in (("", ""), ("the key ", " failed"), ("(", ")"), ("k='", "'"), ("_", "\n")):
        shown = redact_text(f"{before}{key}{after}")
        assert shown.startswith(before)
        assert shown.endswith(f"{REDACTED}{after}")


@pytest.mark.parametrize("mark", MARKS, ids=[mark.begin for mark in MARKS])
def test_a_mark_alone_is_no_key(mark: Mark) -> None:
    begin = mark.begin
    assert not has_no_mark(begin)
    for text in (begin, f"see {begin} there", f"{begin}short"):
        assert redact_text(text) == text


def test_where_a_word_begins() -> None:
    for text in ("sk-", " sk-", "_sk-", "=sk-", "\\nsk-", "\\u003dsk-", "\\x1bsk-", "a%3Dsk-"):
        assert begins_word(text, text.index("sk-"))
    for text in ("task-", "é9sk-", "\\\u00e9sk-", "3Dsk-"):
        assert not begins_word(text, text.index("sk-"))
