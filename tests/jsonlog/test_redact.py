"""No secret gets through, nothing harmless is hidden, and no text costs much time."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_backend.jsonlog.redact import REDACTED, is_secret_name, redact, redact_text

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"
SECRETS = [
    ("Authorization: Bearer s3cr3t-v4lue", "s3cr3t"),
    ("bearer   s3cr3t+/=", "s3cr3t"),
    (f"the token {JWT} is bad", "eyJ"),
    (f"x={JWT}", "c2lnbmF0"),
    ("eyJhbGciOiJub25lIn0.e30.", "e30"),
    ("netra.v1, netra.token.ZXlKaGJHY2lPaUpJVXpJ", "ZXlK"),
    ('"GET /ws?token=s3cr3t&x=1 HTTP/1.1" 101', "s3cr3t"),
    ("/ws?a=1&access_token=s3cr3t", "s3cr3t"),
    ("/cb?ticket=s3cr3t", "s3cr3t"),
    ("?api_key=s3cr3t&apiKey=s3cr3t&clientSecret=s3cr3t", "s3cr3t"),
    ("host=db password=s3cr3t dbname=x", "s3cr3t"),
    ("postgres://ann:s3cr3t@db/x", "s3cr3t"),
    ("redis://:s3cr3t@cache", "s3cr3t"),
    ("Headers({'cookie': 'sid=s3cr3t; b=c', 'a': 'b'})", "s3cr3t"),
    ("[(b'x', b'y'), (b'set-cookie', b'sid=s3cr3t')]", "s3cr3t"),
    ('{"password": "s3cr\\"3t", "a": 1}', "3t"),
    ("{'client_secret': 's3cr3t was cut he", "s3cr3t"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secrets_in_texts(text: str, secret: str) -> None:
    assert secret in text
    shown = redact_text(text)
    assert secret not in shown
    assert REDACTED in shown
    assert redact([text]) == [shown]
    assert secret not in json.dumps(redact({text: 1}))


def test_what_stands_around_a_secret_stays() -> None:
    assert redact_text("GET /ws?token=abc&x=1 HTTP") == f"GET /ws?token={REDACTED}&x=1 HTTP"
    assert redact_text("postgres://ann:pw@db/x") == f"postgres://ann:{REDACTED}@db/x"
    assert redact_text("Headers({'cookie': 'a', 'b': 'c'})").endswith("', 'b': 'c'})")


@pytest.mark.parametrize(
    "text",
    [
        "run started",
        "the token expired",
        "https://example.org/a:b?c=d",
        "see http://localhost:8000/path@2x",
        "monkey=1",
        "eyJ",
        "total_tokens: 12",
        "passed 3 of 4",
    ],
)
def test_harmless_texts_stay(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Authorization",
        "proxy-authorization",
        "cookie",
        "Set-Cookie",
        "cookies",
        "token",
        "access_token",
        "accessToken",
        "idToken",
        "secret",
        "client_secret",
        "clientsecret",
        "password",
        "db_password",
        "PASSWORD",
        "passwd",
        "pwd",
        "api_key",
        "apikey",
        "x-api-key",
        "X-API-Key",
        "apiKey",
        "OPENAI_API_KEY",
        "private_key",
        "credentials",
        "jwt_secret",
    ],
)
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)
    assert redact({name: "x"}) == {name: REDACTED}
    assert redact({"in": [{name: {"deep": ["x"]}}]}) == {"in": [{name: REDACTED}]}
    assert redact([[name, "x"]]) == [[name, REDACTED]]
    assert redact({name: None}) == {name: None}


@pytest.mark.parametrize("name", ["user", "key", "monkey", "secretary", "tokenizer", "passed", ""])
def test_harmless_names(name: str) -> None:
    assert not is_secret_name(name)
    assert redact({name: "x"}) == {name: "x"}


def test_numbers_of_tokens_are_no_secret() -> None:
    usage = {"total_tokens": 12, "tokens": {"in": 1, "out": [2]}, "has_token": True}
    assert redact(usage) == usage
    assert redact({"token": 12, "password": 12}) == {"token": 12, "password": REDACTED}


def test_keys_that_become_equal_are_both_kept() -> None:
    shown = redact({"bearer abc": 1, "bearer def": 2})
    assert sorted(shown.values()) == [1, 2]  # type: ignore[union-attr,type-var]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_a_secret_is_hidden_wherever_it_stands(value: object) -> None:
    shown = redact({"value": value, "last": [f"x {JWT}"]})  # type: ignore[dict-item]
    assert "c2lnbmF0" not in json.dumps(shown)


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        " ",
        "eyJ",
        "eyJa.",
        "-eyJ",
        ".eyJaa",
        "bearer ",
        "bearer\t \t",
        "netra.token.",
        "token",
        "token=",
        "token':'",
        "token\":'",
        "'token':'\\",
        "api-",
        "api_key",
        "://",
        "://a:",
        "://a:b",
        "a:b@",
        "\\",
        "'",
        "é",
    ],
)
def test_a_megabyte_costs_little(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    started = time.perf_counter()
    redact_text(text)
    assert time.perf_counter() - started < 1  # a quadratic pattern takes minutes


def test_a_long_key_costs_little() -> None:
    started = time.perf_counter()
    is_secret_name("aB" * 1_000_000)
    assert time.perf_counter() - started < 0.5
