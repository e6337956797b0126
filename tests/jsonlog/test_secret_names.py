"""Which names are those of secrets: each entry of the table, and what it must not take along."""

import time

import pytest

from netra_backend.jsonlog.plain import Json
from netra_backend.jsonlog.redact import redact
from netra_backend.jsonlog.secret_names import (
    ANYWHERE,
    COUNTS,
    COUNTS_OF_TOKENS,
    DESCRIPTIONS,
    ENDINGS,
    HARMLESS,
    LAST,
    is_secret_name,
)
from netra_backend.jsonlog.shapes import REDACTED


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
        "jwt",
        "userJwt",
        "bearer",
        "auth",
        "proxy_auth",
        "otp",
        "otp_code",
        "csrf",
        "sessionid",
        "JSESSIONID",
        "next_refresh_token",
    ],
)
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)
    assert redact({name: "x"}) == {name: REDACTED}
    assert redact({"in": [{name: {"deep": ["x"]}}]}) == {"in": [{name: REDACTED}]}
    assert redact([[name, "x"]]) == [[name, REDACTED]]
    assert redact({name: None}) == {name: None}


@pytest.mark.parametrize(
    "name",
    [
        *("user", "key", "monkey", "secretary", "tokenizer", "passed", ""),
        *("next_token", "NextToken", "page_token", "nextPageToken", "ContinuationToken"),
        *("session_id", "sessionId", "auth_mode", "jwt_issuer", "csrf_mode", "author", "oauth_url"),
        *("eos_token", "stop_tokens", "tokenExpiresAt", "password_changed_at", "token_scopes"),
    ],
)
def test_harmless_names(name: str) -> None:
    assert not is_secret_name(name)
    assert redact({name: "x"}) == {name: "x"}


def test_each_word_of_the_table_counts_where_it_says() -> None:
    for word in ANYWHERE:
        assert is_secret_name(f"my_{word}")
        assert is_secret_name(f"{word}s_old")
    for word in LAST:
        assert is_secret_name(f"my-{word}")
        assert not is_secret_name(f"{word}_mode")
    for ending in ENDINGS:
        assert is_secret_name(f"my{ending}")
    for name in HARMLESS:
        assert not is_secret_name(name)
        assert is_secret_name(f"{name}_secret")


@pytest.mark.parametrize("word", DESCRIPTIONS)
def test_what_is_told_about_a_secret_is_none(word: str) -> None:
    for name in (f"token_{word}", f"cookie-{word}", f"accessToken{word.title()}"):
        assert redact({name: "x"}) == {name: "x"}
        assert redact({name: "Bearer abc123"}) == {name: f"Bearer {REDACTED}"}
        assert is_secret_name(f"{name}_token")


def test_each_entry_of_the_table_has_a_reason() -> None:
    for table in (ANYWHERE, LAST, ENDINGS, HARMLESS, DESCRIPTIONS, COUNTS, COUNTS_OF_TOKENS):
        assert all(table.values())


@pytest.mark.parametrize("word", COUNTS)
def test_numbers_that_count_are_no_secret(word: str) -> None:
    assert redact({f"password_{word}": 3}) == {f"password_{word}": 3}
    assert redact({f"password_{word}": "3"}) == {f"password_{word}": REDACTED}


@pytest.mark.parametrize("word", COUNTS_OF_TOKENS)
def test_some_words_count_only_tokens(word: str) -> None:
    counts: dict[str, Json] = {f"token_{word}": 3, f"{word}_token": [3, {"in": 4}]}
    assert redact(counts) == counts
    assert redact({f"token_{word}": "3"}) == {f"token_{word}": REDACTED}
    for secret in ("password", "secret", "credential"):
        assert redact({f"{secret}_{word}": {"pin": 4711}}) == {f"{secret}_{word}": REDACTED}
        assert redact({f"{secret}_{word}": 4711}) == {f"{secret}_{word}": REDACTED}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("totaltokens", 5), ("maxtokens", 5), ("inputtokens", 7), ("INPUTTOKENS", 7)),
        *(("token_ids", [101, 7592]), ("token_type_ids", [0, 1]), ("token_budget", 100)),
        *(("max_token", 5), ("num_token", 5), ("token_rate", 0.5), ("token_offset", 3)),
        *(("token_lifetime", 60), ("token_expires_in", 3600), ("eos_token_id", 2)),
        *(("time_to_first_token", 0.2), ("first_token_ms", 120), ("time_per_output_token", 0.01)),
    ],
)
def test_numbers_as_tokenizers_and_clients_name_them_are_shown(name: str, value: Json) -> None:
    assert redact({name: value}) == {name: value}
    assert redact({name: "x"}) == {name: REDACTED}


def test_numbers_of_tokens_are_no_secret() -> None:
    usage: dict[str, Json] = {
        "total_tokens": 12,
        "tokens": {"in": 1, "out": [2]},
        "completion_tokens_details": {"reasoning": 0},
        "max_tokens": 5,
        "has_token": True,
    }
    assert redact(usage) == usage


@pytest.mark.parametrize("name", ["token", "reset_token", "otp", "otp_token", "password", "cookie"])
def test_a_number_that_may_be_a_secret_is_hidden(name: str) -> None:
    assert redact({name: 482_913}) == {name: REDACTED}


def test_a_cursor_that_has_the_shape_of_a_secret_is_hidden() -> None:
    shown = redact({"next_token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"})
    assert shown == {"next_token": REDACTED}


def test_a_long_key_costs_little() -> None:
    started = time.process_time()
    is_secret_name("aB" * 1_000_000)
    assert time.process_time() - started < 0.5
