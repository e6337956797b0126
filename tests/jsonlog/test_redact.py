"""No secret gets through, nothing harmless is hidden, and no text costs much time."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_backend.jsonlog.redact import is_secret_name, redact
from netra_backend.jsonlog.shapes import REDACTED
from tests.jsonlog.thoroughness import briefly

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"


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


def test_what_stands_beside_a_secret_stays() -> None:
    command = ["psql", "--host", "db", "--password", "x", "--user", "ann", "-v", "y"]
    assert redact([*command]) == [*command[:4], REDACTED, *command[5:]]
    assert redact(["--max-tokens", 5, "x"]) == ["--max-tokens", 5, "x"]
    variable = {"name": "DB_PASSWORD", "value": "x", "scope": "all"}
    assert redact({**variable}) == {**variable, "value": REDACTED}
    assert redact({"name": "ann", "value": "x"}) == {"name": "ann", "value": "x"}
    assert redact({"key": "secret", "value": None}) == {"key": "secret", "value": None}


def test_keys_that_become_equal_are_both_kept() -> None:
    shown = redact({"bearer abc": 1, "bearer def": 2})
    assert sorted(shown.values()) == [1, 2]  # type: ignore[union-attr,type-var]


@briefly
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_a_secret_is_hidden_wherever_it_stands(value: object) -> None:
    shown = redact({"value": value, "last": [f"x {JWT}"]})  # type: ignore[dict-item]
    assert "c2lnbmF0" not in json.dumps(shown)


def test_a_long_key_costs_little() -> None:
    started = time.process_time()
    is_secret_name("aB" * 1_000_000)
    assert time.process_time() - started < 0.5
