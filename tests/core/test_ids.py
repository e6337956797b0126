"""Ids: what is one, what is none, and that no two are alike."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_backend.core.ids import (
    MAX_ID_LENGTH,
    ThreadId,
    ThreadKey,
    ThreadName,
    UserId,
    full_name,
    name_for,
    new_id,
    parse_id,
    parse_thread,
    thread_key,
)
from netra_backend.errors import ErrorCode, FrameError
from tests.strategies import ids

ALLOWED = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:~@+=|-")


@given(ids())
def test_an_id_is_returned_as_it_is_and_needs_no_escape(text: str) -> None:
    assert parse_id("thread", text) == text
    assert json.dumps(text) == f'"{text}"'


@pytest.mark.parametrize("text", ["a", "...", "..a", "a.", "a" * MAX_ID_LENGTH, "user@x|1"])
def test_what_can_be_an_id(text: str) -> None:
    assert parse_id("run", text) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(".", id="this directory"),
        pytest.param("..", id="the directory above"),
        pytest.param("a" * (MAX_ID_LENGTH + 1), id="129 characters"),
        pytest.param("a\n", id="a newline at the end"),
        pytest.param(".\n", id="a dot and a newline"),
        pytest.param("a b", id="a space"),
        pytest.param("a/b", id="a path"),
        pytest.param("a\\b", id="a backslash"),
        pytest.param('a"b', id="a quote"),
        pytest.param("a\0", id="a NUL"),
        pytest.param("\u0661\u0662\u0663", id="Arabic digits"),
        pytest.param("\uff11\uff12", id="full-width digits"),
        pytest.param("é", id="a letter that is not ASCII"),
        pytest.param("ﬁ", id="a ligature"),
        pytest.param("\ud800", id="a lone surrogate"),
        pytest.param("a\u202eb", id="a change of direction"),
        pytest.param("%2e%2e", id="an encoded dot"),
        pytest.param("a,b", id="a comma"),
    ],
)
def test_what_cannot_be_an_id(text: str) -> None:
    with pytest.raises(FrameError) as refused:
        parse_id("thread", text)
    assert refused.value.code is ErrorCode.BAD_INPUT
    assert refused.value.where == "$.thread"
    assert refused.value.message.isascii() or "…" in refused.value.message
    assert len(refused.value.message) < 600


@given(st.text(max_size=140))
def test_an_id_has_only_allowed_characters(text: str) -> None:
    good = 1 <= len(text) <= MAX_ID_LENGTH and set(text) <= ALLOWED and text not in (".", "..")
    if good:
        assert parse_id("run", text) == text
    else:
        with pytest.raises(FrameError):
            parse_id("run", text)


def test_new_ids_are_ids_and_no_two_are_alike() -> None:
    made = {new_id("run") for _ in range(1_000)}
    assert len(made) == 1_000
    assert all(parse_id("run", id) == id and id.startswith("run_") for id in made)
    assert {len(id) for id in made} == {len("run_") + 24}


@given(ids(), ids(), ids())
def test_a_name_leads_to_its_thread_whoever_says_it(user: str, owner: str, id: str) -> None:
    thread = ThreadKey(UserId(owner), ThreadId(id))
    for name in (full_name(thread), name_for(UserId(user), thread)):
        assert parse_thread("thread", name) == name
        assert thread_key(UserId(user), name) == thread
    assert name_for(thread.owner, thread) == id
    assert thread_key(UserId(user), ThreadName(id)) == ThreadKey(UserId(user), ThreadId(id))


@pytest.mark.parametrize("text", ["", ",", "a,", ",a", "a,b,c", "a, b", "..,a", "a,.", "a\n,b"])
def test_what_names_no_thread(text: str) -> None:
    with pytest.raises(FrameError) as refused:
        parse_thread("thread", text)
    assert (refused.value.code, refused.value.where) == (ErrorCode.BAD_INPUT, "$.thread")
