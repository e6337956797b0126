"""What the commands share: the address of a server, its refusals, and how an event looks."""

import io
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from rich.console import Console

from netra_backend.cli.client import Server, ServerError, reach, show
from netra_backend.errors import ConfigError


def test_a_server_is_reached_with_the_token_given(tmp_path: Path) -> None:
    server = reach("https://example.org/", "alice", "a token", tmp_path)
    assert server == Server("https://example.org", "a token")
    assert server.socket_url == "wss://example.org/ws"
    assert reach("http://127.0.0.1:8000", "a", "t", None).socket_url == "ws://127.0.0.1:8000/ws"


@pytest.mark.parametrize(
    "url",
    [
        "example.org",
        "ws://example.org",
        "http://",
        "",
        "http://[::1",
        "http://h:99999",
        "http://a b",
    ],
)
def test_what_is_no_address_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--url"):
        reach(url, "alice", "a token", tmp_path)


@pytest.mark.parametrize("token", ["", " "])
def test_an_empty_token_is_named_as_such(token: str) -> None:
    with pytest.raises(ConfigError, match="--token is empty"):
        reach("http://h", "alice", token, None)


def test_without_a_key_a_token_may_be_given_instead(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"start the server there first.* with --token"):
        reach("http://h", "alice", None, tmp_path)


@pytest.mark.parametrize("token", ["secret\nsecret", "secr\u00e9t"])
def test_what_is_no_token_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ConfigError, match="--token") as refused:
        reach("http://127.0.0.1:8000", "alice", token, None)
    assert "secr" not in str(refused.value)


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(ServerError, match=r"no answer from http://127\.0\.0\.1:1"):
        Server("http://127.0.0.1:1", "t").get("/threads")


class Elsewhere(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_no_thread_is_said_to_be_missing_where_no_netra_answers() -> None:
    with HTTPServer(("127.0.0.1", 0), Elsewhere) as elsewhere:
        asked = Thread(target=elsewhere.handle_request)
        asked.start()
        with pytest.raises(ServerError, match=r"\Athe server answered 404\Z"):
            list(Server(f"http://127.0.0.1:{elsewhere.server_port}", "token").events("t1"))
        asked.join()


def test_an_event_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    chunk = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "[red]a\nb\x1b[2J"}
    show(Console(highlight=False, width=40), "1-42", chunk, as_json=False)
    show(Console(), "1-42", chunk, as_json=True)
    text, as_json = capsys.readouterr().out.splitlines()
    assert text.split()[:2] == ["1-42", "TEXT_MESSAGE_CONTENT"]
    assert "[red]a\\nb\\u001b[2J" in text
    assert json.loads(as_json) == {"id": "1-42", "chunk": chunk}


def test_the_progress_of_a_run_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    far = {"text": "Zählen", "done": 3, "total": 12}
    chunk = {"type": "CUSTOM", "name": "netra.progress", "value": far}
    show(Console(highlight=False), "1-3", chunk, as_json=False)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split(maxsplit=2)[2] == "Zählen (3 of 12)"
    assert line.split()[:2] == ["1-3", "PROGRESS"]


@pytest.mark.parametrize(
    "odd", [None, "x", {}, {"text": 7}, {"text": "a", "done": "1"}, {"done": 1, "total": 2}]
)
def test_a_progress_of_another_shape_is_shown_as_any_event(
    odd: object, capsys: pytest.CaptureFixture[str]
) -> None:
    chunk = {"type": "CUSTOM", "name": "netra.progress", "value": odd}
    show(Console(highlight=False), "1-3", chunk, as_json=False)
    assert "netra.progress" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    [
        "你好 café",
        "שלום مرحبا",
        "نمی‌خواهم",  # with a joiner that is part of the spelling
        "क्‍ष 👩‍💻 🇳🇴",
    ],
)
def test_text_of_any_script_is_readable(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    show(Console(highlight=False), "1-1", {"type": "CUSTOM", "value": [text]}, as_json=False)
    assert f'value=["{text}"]' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("char", "escaped"),
    [
        ("\x1b", r"\u001b"),
        ("\x7f", r"\u007f"),
        ("\x9b", r"\u009b"),  # the start of a control sequence in one character
        ("\u202e", r"\u202e"),  # turns the direction of what follows
        ("\u2066", r"\u2066"),
        ("\u200f", r"\u200f"),
        ("\u2028", r"\u2028"),
        ("\ufeff", r"\ufeff"),
        ("\ud800", r"\ud800"),
        ("\ue000", r"\ue000"),
        ("\uffff", r"\uffff"),
        ("\U000e0041", r"\udb40\udc41"),  # an unseen tag
    ],
)
def test_what_steers_a_terminal_is_escaped(
    char: str, escaped: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chunk = {"type": "CUSTOM", f"k{char}": char}
    show(Console(highlight=False), "1-1", chunk, as_json=False)
    out = capsys.readouterr().out
    assert f'k{escaped}="{escaped}"' in out
    assert char not in out
    show(Console(), "1-1", chunk, as_json=True)
    out = capsys.readouterr().out
    assert char not in out
    assert json.loads(out)["chunk"] == chunk


def test_a_terminal_of_another_encoding_gets_escapes() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    show(Console(file=file), "1-1", {"type": "CUSTOM", "value": "你 café"}, as_json=False)
    file.seek(0)
    assert 'value="\\u4f60 café"' in file.read()
