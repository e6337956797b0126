"""Of lines that servers really write, none is hidden that is innocent, and no secret is shown."""

import io
import json
import logging

import pytest

from netra_backend import jsonlog
from netra_backend.jsonlog.shapes import REDACTED, is_harmless, redact_text
from tests.jsonlog.hostile_secrets import SECRETS
from tests.jsonlog.real_lines import INNOCENT, SECRET


@pytest.mark.parametrize("text", INNOCENT)
def test_an_innocent_line_stays(text: str) -> None:
    assert redact_text(text) == text
    assert redact_text(f"é {text}") == f"é {text}"


@pytest.mark.parametrize("text", SECRET)
def test_a_secret_is_hidden(text: str) -> None:
    hidden = [secret for secret in SECRETS if secret in text]
    assert hidden
    for one in (text, f"é {text}", repr(text), json.dumps({"body": text})):
        shown = redact_text(one)
        assert not [secret for secret in hidden if secret in shown]
        assert REDACTED in shown
        assert not is_harmless(one)


@pytest.mark.usefixtures("clean_logging")
def test_on_the_way_through_the_log() -> None:
    stream = io.StringIO()
    jsonlog.configure("INFO", "json", stream)
    for text in (*INNOCENT, *SECRET):
        jsonlog.get_logger("real").info("line", text=text)
        logging.getLogger("real").info("%s", text)
        logging.getLogger("real").info(text)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    innocent, secret = lines[: 3 * len(INNOCENT)], lines[3 * len(INNOCENT) :]
    assert [line.get("text", line["message"]) for line in innocent] == [
        text for text in INNOCENT for _ in range(3)
    ]
    assert len(secret) == 3 * len(SECRET)
    assert not [line for line in secret if any(one in json.dumps(line) for one in SECRETS)]
