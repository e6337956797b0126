"""Records as text: readable, and unable to steer the terminal."""

import pytest

from netra_backend.jsonlog.plain import Json
from netra_backend.jsonlog.terminal import render

RECORD: dict[str, Json] = {
    "time": "2023-11-14T22:13:20.123Z",
    "level": "WARNING",
    "logger": "app",
    "message": "two words",
    "correlation": "c1",
    "text": "a b",
    "number": 3,
    "inner": {"state": "CONNECTED"},
}


def test_one_line_a_record() -> None:
    assert render(RECORD, colour=False) == (
        '22:13:20.123Z WARNING  app two words correlation=c1 text="a b" number=3 '
        'inner={"state":"CONNECTED"}\n'
    )


def test_colour_is_put_around_and_never_inside() -> None:
    text = render(RECORD, colour=True)
    assert "\x1b[33mWARNING \x1b[0m" in text
    assert text.count("\x1b[0m") == text.count("\x1b[") / 2


def test_an_exception_stands_below() -> None:
    frame: Json = {"file": "a.py", "line": 3, "function": "f"}
    error: Json = {
        "type": "ValueError",
        "message": "no",
        "notes": ["a note"],
        "frames": [frame, {"$cut": "9 more frames"}],
        "cause": {"type": "KeyError", "message": "k", "frames": []},
        "exceptions": [{"type": "TypeError", "$cut": "described above"}],
    }
    text = render({**RECORD, "exception": error, "stack": "Stack\n  x"}, colour=False)
    assert text.splitlines()[1:] == [
        "    ValueError: no",
        "      note: a note",
        "      a.py:3 f",
        '      {"$cut":"9 more frames"}',
        "    caused by KeyError: k",
        "    member TypeError: described above",
        "    Stack",
        "      x",
    ]
    assert "    : old" in render({**RECORD, "exception": {"text": "old"}}, colour=False)


@pytest.mark.parametrize("place", ["time", "level", "logger", "message", "correlation", "text"])
def test_control_characters_are_shown(place: str) -> None:
    text = render({**RECORD, place: "0123456789T\x1b[2J\r\n\x9b\u2028\u202e"}, colour=False)
    assert text[:-1].isprintable()


def test_control_characters_in_names_and_exceptions_are_shown() -> None:
    bad = "\x1b[2J\n"
    error: Json = {"type": bad, "message": bad, "notes": [bad], "frames": [bad]}
    text = render({**RECORD, bad: [bad, {bad: bad}], "exception": error}, colour=False)
    assert all(row.isprintable() for row in text.split("\n"))
    assert len(text.splitlines()) == 4


def test_what_is_missing_is_left_out() -> None:
    assert render({}, colour=False) == "          \n".replace(" " * 10, " " + " " * 8 + "  ")
