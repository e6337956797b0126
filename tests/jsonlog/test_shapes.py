"""Secrets have shapes: they are found in any text, harmless texts stay, and no text costs much."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_backend.jsonlog.api_keys import MARKS, Mark, has_no_mark
from netra_backend.jsonlog.secret_places import COMMANDS, PLACES
from netra_backend.jsonlog.shapes import (
    MAX_ANCHORS,
    NAMES,
    REDACTED,
    SHORT,
    is_harmless,
    redact_text,
    secret_spans,
)
from tests.jsonlog.hostile_secrets import SECRETS as HIDDEN
from tests.jsonlog.hostile_secrets import TEXTS
from tests.jsonlog.real_lines import SECRET
from tests.jsonlog.thoroughness import briefly
from tests.night import NIGHTLY
from tests.table import each_of

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
    ("Authorization: Basic YW5uOnMzY3IzdA==", "YW5u"),
    ("Cookie: theme=dark; sid=s3cr3t", "s3cr3t"),
    ("X-API-Key: s3cr3t", "s3cr3t"),
    ("next=%2Fcb%3Ftoken%3Ds3cr3t%26x", "s3cr3t"),
    ("postgres://ann:p@s3cr3t@db/x", "s3cr3t"),
    ("postgres://ann:s3cr3t… (9 more characters)", "s3cr3t"),
    ('{"body": "{\\"password\\": \\"s3cr3t\\"}"}', "s3cr3t"),
    ('{"tokens": [["s3cr3t"], "s3cr3t"]}', "s3cr3t"),
    ("password='a s3cr3t' host=db", "s3cr3t"),
    ("login failed, password: s3cr3t", "s3cr3t"),
    ("-----BEGIN RSA PRIVATE KEY-----\\ns3cr3t\\n", "s3cr3t"),
    ("the key sk-proj-s3cr3ts3cr3ts3cr3t failed", "s3cr3t"),
    ("İ password=s3cr3t", "s3cr3t"),
    (repr('{"password": "a\\"s3cr3t"}'), "s3cr3t"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secrets_in_texts(text: str, secret: str) -> None:
    assert secret in text
    shown = redact_text(text)
    assert secret not in shown
    assert REDACTED in shown


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
        "basic training",
        "ticket: 12",
        "the key: of the matter",
        "max_tokens=100, tokens: 5",
        "-----BEGIN CERTIFICATE-----",
        "task-list-of-an-ordinary-length",
        "disk-usage-of-the-largest-volumes",
        "high_resolution_timestamps_of_github_com",
        "npm_config_registry_of_this_project",
        "pypi-publish-workflow-for-release",
        "shf_0123456789 and a task_test_of_something",
        "EURASIAPACIFICREGION and MALAYSIAAIRLINES",
        "xoxo-hugs",
        "run --max-tokens 100 --user ann",
        "a non-password authentication - password required",
        "--password --user ann",
        "see --token-file a.txt",
        "--ticket 12",
    ],
)
def test_harmless_texts_stay(text: str) -> None:
    assert redact_text(text) == text


@each_of(TEXTS)
def test_the_secrets_of_the_corpus(name: str) -> None:
    text = TEXTS[name]
    for one in (text, f"é {text}", f"{'x ' * SHORT}{text}"):
        shown = redact_text(one)
        assert not [secret for secret in HIDDEN if secret in shown]
        assert not is_harmless(one)


LEAST = (*(f"{name}=abc" for name in NAMES if name != "key"), "Basic YWJjOmQ=", "password `abc`")


@each_of((*TEXTS.values(), *SECRET, *LEAST))
def test_the_quick_look_sees_whatever_is_least_of_a_secret(text: str) -> None:
    """Of each text the least that is still found, without what else could give it away."""
    text = text[-SHORT:]
    assert secret_spans(text)
    assert not is_harmless(text)
    size = len(text)
    while size:
        for at in range(0, len(text), size):
            less = text[:at] + text[at + size :]
            if secret_spans(less):
                assert not is_harmless(less), less
                text = less
                break
        else:
            size //= 2


@pytest.mark.parametrize("mark", MARKS, ids=[mark.begin for mark in MARKS])
def test_the_quick_look_sees_each_mark(mark: Mark) -> None:
    for rest in ("0a" * 30, "0A" * 30, "a-" + "0a" * 20, f"{'0a' * 10}.{'0a' * 10}", "Ag" * 20):
        text = f"{mark.begin}{rest}"
        assert not (secret_spans(text) and is_harmless(text))
        assert not has_no_mark(mark.begin)


PIECES = st.sampled_from(
    (
        *(
            "token",
            "=",
            ":",
            "'",
            '"',
            "\\",
            " ",
            "s3cr3t",
            "://",
            "@",
            "eyJ",
            ".",
            "%3D",
            "[",
            "]",
        ),
        *(
            "bearer",
            "basic",
            "-----BEGIN PRIVATE KEY-----",
            "\n",
            "sk-",
            "password",
            "key",
            "İ",
            "é",
            "0a1b2c3d4e5f6a7b8c9d",
            "AKIA",
            "ghp_",
            "%",
            "--",
        ),
        *(
            "curl -u",
            "a:",
            "sig=",
            "?code=",
            "<",
            ">",
            "value",
            "none",
            "`",
            "pass=",
            "(",
            ")",
            ",",
        ),
        *(
            "<cookie ",
            "a=",
            "authorization",
            "digest ",
            "mysql -p",
            "pwd=/srv",
            "otp=",
            "/bot1234567:",
        ),
    )
)


@briefly
@given(st.lists(PIECES).map("".join))
def test_spans_are_in_order_and_a_quick_look_is_right(text: str) -> None:
    spans = secret_spans(text)
    ends = [0, *(place for span in spans for place in span), len(text)]
    assert ends == sorted(ends)
    assert all(start < end for start, end in spans)
    assert not (spans and is_harmless(text))
    if not spans:
        assert redact_text(text) == text


def test_a_text_full_of_anchors_is_taken_for_secret_at_some_point() -> None:
    text = "token " * (MAX_ANCHORS + 10)
    shown = redact_text(text)
    assert shown == f"{'token ' * MAX_ANCHORS}{REDACTED}"
    for first, many in (("password=s3cr3t", "basic"), ("sk-s3cr3ts3cr3ts3cr3t", "key")):
        shown = redact_text(f"{first} {f'{many} ' * (MAX_ANCHORS + 10)}{first}")
        assert "s3cr3t" not in shown
        assert shown.startswith(("password=[", REDACTED))


ADVERSE = (
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
    "token=[",
    "password='\\'",
    "cookie: ",
    "basic YTpi",
    "-----begin private key-----",
    "İ",
    "api-",
    "api_key",
    "://",
    "://a:",
    "://a:b",
    "a:b@",
    "\\",
    "'",
    "é",
    "İa",
    "😀",
    *(mark.begin for mark in MARKS),
    *(f"{mark.begin} " for mark in MARKS),
    "sk-abc.",
    "%3Dsk-",
    "--token ",
    "-token x",
    "-",
    "0123456789abcdef ",
    *PLACES,
    *COMMANDS,
    *(f"{name} {'-' * 200}" for name in COMMANDS),
    *(f"{name}{' -u x' * 40}" for name in COMMANDS),
    *(f"{anchor}a" for anchor in PLACES),
    *(f"{anchor} " for anchor in PLACES),
    "curl -u ",
    "mysql -a -",
    "<cookie a=b\n",
    "oracle:thin:a/",
    "cookie: none ",
    "cookie: none\n",
    "authorization=digest ",
    "token value: ",
    "name='token', ",
    "('token', '",
    "('token', \"",
    "<token>",
    "pwd=/srv/a",
    "token=a('",
    "secret: |\n a\n",
    "://aaaaaaaaaaaaaaaaaaaa1",
    "'cookie: a\\\\\\\\b",
    '\\\\\\\\\\\\\\\\\\\\"cookie: a\n',
    '"cookie: a\n',
    "'authorization: a\\b",
    "('token', 'a\\",
    "password='\\'",
    'curl " -u x',
    "mysql ;",
    "cookie: set ",
)
"""What a text is full of that would cost much were it looked at again and again."""


LARGE = 1_000_000 if NIGHTLY else 250_000
"""Characters of a text for which a quadratic pattern takes minutes, or a good many seconds."""


@pytest.mark.parametrize("piece", ADVERSE)
def test_a_large_text_costs_little(piece: str) -> None:
    text = piece * (LARGE // len(piece))
    started = time.process_time()
    redact_text(text)
    assert time.process_time() - started < 1


@each_of(ADVERSE)
def test_the_cost_grows_as_the_text_does(piece: str) -> None:
    for tail in ("", "x", "\\"):
        few, many = (piece * n + tail * (20 * n) for n in (200, 1_600))
        tries = ((_cost(few), _cost(many)) for _ in range(5))
        # Linear is eight times as much, quadratic 64.
        assert any(more < 24 * less + 0.001 for less, more in tries)


def _cost(text: str) -> float:
    started = time.process_time()
    secret_spans(text)
    return time.process_time() - started
