"""The examples of docs/json-safety.md run, and its table of forms is what comes out."""

import inspect
import io
import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from uuid import UUID

import pytest
from starlette.websockets import WebSocketState

from netra_backend import jsonlog
from netra_backend.jsonlog.presets import PRESETS, layout
from netra_backend.jsonlog.writer import EXIT_SECONDS, RING_BYTES
from tests.jsonlog.conftest import clean_logging  # noqa: F401 - a fixture

PAGE = (Path(__file__).parents[2] / "docs" / "json-safety.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
LINE = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
ROWS = PAGE.partition("## What becomes what")[2].partition("\n## ")[0]
FORMS = re.findall(r"^\| `(.+?)`(?: \(.+\))? \| `(.+?)`( in a record)? \|$", ROWS, re.MULTILINE)


@dataclass
class Point:
    x: int
    y: int


NAMES = {
    "Decimal": Decimal,
    "HTTPStatus": HTTPStatus,
    "Point": Point,
    "PurePosixPath": PurePosixPath,
    "UTC": UTC,
    "UUID": UUID,
    "WebSocketState": WebSocketState,
    "date": date,
    "datetime": datetime,
    "timedelta": timedelta,
}


@pytest.mark.usefixtures("clean_logging")
def test_the_examples_run_and_write_what_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    websocket = SimpleNamespace(client_state=WebSocketState.CONNECTED)
    names: dict[str, object] = {"websocket": websocket}
    for example in EXAMPLES:
        exec(example, names)  # noqa: S102 - our own page
    assert jsonlog.flush(10)
    jsonlog.unconfigure()
    first, failed, standard = [json.loads(one) for one in stream.getvalue().splitlines()]
    shown = json.loads(LINE[0])
    assert list(first) == list(shown)
    changing = ("time", "correlation")
    assert {k: v for k, v in first.items() if k not in changing} == {
        k: v for k, v in shown.items() if k not in changing
    }
    assert failed["connection"] == {"state": "CONNECTED"}
    assert failed["exception"]["type"] == "ValueError"
    assert (standard["message"], standard["state"]) == ("state x", "CONNECTED")
    assert json.loads(str(names["text"])) == names["data"] == {"state": "CONNECTED"}


@pytest.mark.parametrize(("value", "form", "in_a_record"), FORMS)
def test_each_value_has_the_form_that_the_table_says(
    value: str, form: str, in_a_record: str
) -> None:
    limits = jsonlog.RECORD_LIMITS if in_a_record else jsonlog.LIMITS
    made = eval(value, dict(NAMES))  # noqa: S307 - our own page
    assert jsonlog.jsonable(made, limits) == json.loads(form)


def test_the_table_was_found() -> None:
    assert len(FORMS) == ROWS.count("\n| ") - 1  # all but the head
    assert len(EXAMPLES) > 3


def test_the_figures_are_those_of_the_code() -> None:
    assert f"once {RING_BYTES // 1_000_000} MB wait" in PAGE
    assert f"at most {EXIT_SECONDS:g} seconds" in PAGE


def test_the_settings_and_presets_are_those_of_the_code() -> None:
    settings = PAGE.partition("## Settings")[2].partition("## ")[0]
    for name in inspect.signature(jsonlog.configure).parameters:
        assert f"| `{name}` |" in settings
    for preset in PRESETS:
        (row,) = [row for row in settings.splitlines() if row.startswith(f"| `{preset}` |")]
        shape = layout(preset)
        assert row.startswith(
            f"| `{preset}` | `{shape.time}` | `{shape.level}` | `{shape.logger}` |"
        )
        errors = shape.error({"type": "", "message": "", "frames": []})
        assert all(f"`{name}`" in row for name in (*errors, *shape.fixed))
