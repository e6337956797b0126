"""Where a value ends, and which words in its place are none."""

import pytest

from netra_backend.jsonlog.secret_values import (
    credentials_span,
    header_span,
    is_told,
    paired_span,
    value_span,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("abc def", "abc"),
        ("abc&x=1", "abc"),
        ("a%26b c", "a"),
        ("'a b' c", "a b"),
        ("b'a b', c", "a b"),
        ('\\"a b\\" c', "a b"),
        ("['a', 'b'] c", "['a', 'b']"),
        ("Secret(value='a b') c", "Secret(value='a b')"),
        ("|\n  a\n  b\nc: d", "|\n  a\n  b\n"),
        (" a", None),
        ("a\"b'c' d", "a\"b'c"),
    ],
)
def test_a_value_ends(text: str, value: str | None) -> None:
    span = value_span(text, 0)
    assert (None if span is None else text[slice(*span)]) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Token abc, x", "Token abc"),
        ("digest 'a b' c", "digest 'a b"),
        ("abc def", "abc"),
        ("token ", None),
        ("not valid Zm9vYmFy x", "not valid Zm9vYmFy"),
    ],
)
def test_credentials_are_a_scheme_and_what_follows(text: str, value: str | None) -> None:
    span = credentials_span(text, 0)
    assert (None if span is None else text[slice(*span)]) == value


def test_a_header_ends_with_its_line_or_the_quote_that_it_stands_in() -> None:
    for text, end in (
        ("cookie: a=b; c=d\nx", "\nx"),
        ("'cookie: a=b' x", "' x"),
        ('\\"cookie: a=\\\\\\"b\\\\\\"; c=d\\" x', '\\" x'),
    ):
        at = text.index("cookie")
        span = header_span(text, at, at + len("cookie: "))
        assert span is not None
        assert text[span[1] :] == end
    assert header_span("cookie: accepted", 0, 8) is None
    assert header_span("cookie: accepted; a=b", 0, 8) == (8, 21)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("authorization: denied for role=viewer", True),
        ("authorization: expired.\n", True),
        ("authorization: expired Zm9vYmFyYmF6cXV4", False),
        ("authorization: not valid dXNlcjpwYXNz", False),
        ("cookie: set by the server", True),
        ("cookie: set sid=hunter", False),
        (f"cookie: set {'w ' * 60}; sid=hunter2", False),
    ],
)
def test_a_header_is_shown_whose_line_only_tells_of_it(text: str, told: bool) -> None:
    name = text.partition(":")[0]
    assert (header_span(text, 0, len(name) + 2) is None) is told


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("('token', 'a b')", "a b"),
        ("[b'token', b'a']", "a"),
        ("['x', 'x-token', 'a', 'y']", "a"),
        ("['id', 'token', 'value']", None),
        ("['token', 'value', 'x']", None),
        ("['cli', 'access_token', 'a', 'x']", "a"),
        ("('token', 'a and no e", "a and no e"),
    ],
)
def test_a_pair_is_alone_in_its_brackets(text: str, value: str | None) -> None:
    at = text.index("token")
    span = paired_span(text, at, at + 5, text.index(", ", at) + 2)
    assert (None if span is None else text[slice(*span)]) == value


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("password", "too short", True),
        ("password", "Missing", True),
        ("password", "missing-1", False),
        ("password", "not.me", False),
        ("password", "none.", True),
        ("password", "failed), again", True),
        ("password", "failed)x", False),
        ("password", 'ok"hunter2', False),
        *(("password", f"no{sign}x", False) for sign in "~^?|&,!"),
        ("_auth", "off", True),
        ("authorization", "denied for ann", True),
        ("authorization", "off port=80", True),
        ("authorization", "expired Zm9vYmFy", False),
        ("authorization", "expired dxnlcjpwyxnz=", False),
        ("token", "None", True),
        ("token", "'}'", True),
        ("token", "'abcd'", False),
        ("pwd", "/home/ann", True),
        ("pwd", "/x8Kd9", False),
        ("pwd", "/app/hunter2", False),
        ("pwd", "/app/xKdP", False),
        ("pwd", "/home/ann#1", False),
        ("pass", "3", True),
        ("pass", "a3", False),
        ("ticket", "NETRA-12", True),
        ("ticket", "ST-1-abc", False),
        ("ticket", "123456789", False),
    ],
)
def test_words_that_tell_of_a_secret_are_none(name: str, value: str, told: bool) -> None:
    text = f"{name}={value}"
    assert is_told(text, name, 0, len(name) + 1) is told


@pytest.mark.parametrize("before", ["?", "&", "&support_", "%3F", "%2526"])
def test_the_number_of_a_ticket_in_a_query_is_hidden(before: str) -> None:
    at = len(before)
    assert not is_told(f"{before}ticket=12", "ticket", at, at + len("ticket="))


def test_a_path_in_a_connection_string_is_hidden() -> None:
    assert not is_told("UID=sa;PWD=/home/ann", "pwd", 7, 11)
