"""The quick way writes what the careful way writes, or says no."""

import datetime as dt
import json
import logging
import sys
import types
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.websockets import WebSocketState

from netra_backend.jsonlog import bind
from netra_backend.jsonlog.attributes import NOT_SHOWN
from netra_backend.jsonlog.presets import PRESETS, layout
from netra_backend.jsonlog.quick import MAX_BODY, MAX_TEXT, Quick
from netra_backend.jsonlog.record import line
from tests.jsonlog.hostile_values import VALUES
from tests.jsonlog.test_safe import ACCEPTED
from tests.jsonlog.thoroughness import NAMES, briefly
from tests.table import each_of

CREATED = 1_700_000_000.125


def record(text: Any, args: Any = (), error: Any = None, /, **given: Any) -> logging.LogRecord:
    made = logging.LogRecord("app.part", logging.INFO, "file.py", 3, text, (), None)
    made.args, made.created = args, CREATED
    made.exc_info = None if error is None else (type(error), error, error.__traceback__)
    made.__dict__.update(given)
    return made


def both(one: logging.LogRecord, preset: str = "json") -> tuple[Any, Any]:
    shape = layout(preset)
    quick, careful = Quick(shape).line_of(one), line(one, shape=shape)
    if quick is None:
        return None, json.loads(careful)
    assert quick.endswith(b"\n")
    assert len(quick.decode().splitlines()) == 1
    shown = json.loads(quick), json.loads(careful)
    assert shown[0] != shown[1] or quick.decode() == careful
    return shown


USUAL: list[dict[str, Any]] = [
    {},
    {"run": "r-1", "count": 3, "ok": True, "ratio": 0.5, "none": None},
    {"text": "two words", "é": 1} | {"umlaut": "größer", "quote": 'a "b" \\ \n \x7f \u2028 \u202e'},
    {"state": WebSocketState.CONNECTED, "other": {WebSocketState.CONNECTED: [1]}},
    {"at": dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC), "naive": dt.datetime(1, 1, 1)},
    {"at": dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=1, seconds=7)))},
    {"id": uuid.UUID(int=5), "ids": [uuid.UUID(int=2**128 - 1)]},
    {"url": "postgres://ann:s3cr3t@db/x", "header": "Authorization: Bearer s3cr3t"},
    {"nested": {"password": "s3cr3t", "list": ["token=s3cr3t"]}},
    {"time_": "12:30:00", "eq": "a=b"},
    {"time": "12:30:00", "level": 3, "exception": "none"},
    {"big": 2**63, "small": -(2**63)},
]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("given", USUAL, ids=map(str, range(len(USUAL))))
def test_usual_records_are_written_alike(preset: str, given: dict[str, Any]) -> None:
    with bind(user="ann", state=WebSocketState.CONNECTED, correlation="c1"):
        names = {name: value for name, value in given.items() if name not in ("state", "é")}
        for _ in range(2):
            quick, careful = both(record("run started", **names), preset)
            assert quick == careful
            assert "s3cr3t" not in json.dumps(quick)


@pytest.mark.parametrize(
    "given",
    [
        {"name": "a record has that"},
        {"level": "so has a line", "level_": "and this is its other name"},
        {"password": "s3cr3t"},
        {"key": "db_password", "value": "s3cr3t"},
        {"name_": "db_password", "value": "s3cr3t"},
        {"Name": "db_password", "Value": "s3cr3t"},
        {"color_message": "\x1b[1mup"},
        {"correlation": "own"},
        {"with space": 1},
        {"nan": float("nan")},
        {"huge": 2**64},
        {"half": "\ud800"},
        {"long": "x" * (MAX_BODY + 1)},
        {"many": list(range(1_000))},
        {f"f{i}": i for i in range(100)},
    ],
)
def test_what_is_unusual_is_left_to_the_careful_way(given: dict[str, Any]) -> None:
    one = record("text")
    one.__dict__.update(given)
    if "nan" in given:
        quick, careful = both(one)
        assert quick in (None, careful)
    elif not NOT_SHOWN.intersection(given):
        assert both(one)[0] is None
    made = Quick(layout("json")).line(CREATED, 20, "app", "text", given, None, True)
    assert made is None or "nan" in given


def test_a_field_may_have_the_name_of_an_attribute_of_a_record() -> None:
    given = {"thread": "t-1", "module": "m", "lineno": 3}
    made = Quick(layout("json")).line(CREATED, 20, "app.part", "text", given, None, True)
    renamed = {f"{name}_": value for name, value in given.items()}
    assert made is not None
    assert json.loads(made) == both(record("text", **renamed))[0]


def test_bound_fields_keep_the_names_of_attributes_of_a_record() -> None:
    with bind(thread="t-1", process="p", message="m", thread_="t-2"):
        quick, careful = both(record("text"))
    assert quick is None  # a line has a message of its own
    with bind(thread="t-1", process="p"):
        quick, careful = both(record("text", run="r-1"))
        assert both(record("text", thread="t-2"))[0] is not None  # of the record, and not shown
    assert quick == careful
    assert (careful["thread"], careful["process"]) == ("t-1", "p")


def test_other_unusual_records() -> None:
    class Own(logging.LogRecord):
        pass

    assert both(record("x" * (MAX_TEXT + 1)))[0] is None
    assert both(record({"a": 1}))[0] is None
    assert both(record("%s", (object(),)))[0] is None
    assert both(record("%d", ("x",)))[0] is None
    assert both(record("text", stack_info="Stack"))[0] is None
    assert both(record("text", levelname="LOUD"))[0] is None
    assert Quick(layout("json")).line_of(Own("a", 20, "f", 1, "m", (), None)) is None
    with bind(half="a\ud800", big=2**70):
        quick, careful = both(record("text"))
        assert quick in (None, careful)
    with bind(mutable=[1]):
        assert both(record("text"))[0] is None
    with bind(run="r"):
        assert both(record("text", run="again"))[0] is None


def test_arguments_and_exceptions() -> None:
    quick, careful = both(record("took %d ms of %s", (5, "password=s3cr3t")))
    assert quick == careful
    assert quick["message"] == "took 5 ms of password=[redacted]"
    try:
        int("x")
    except ValueError as error:
        error.add_note("token=s3cr3t")
        for preset in PRESETS:
            quick, careful = both(record("failed", (), error, run="r"), preset)
            assert quick == careful
            assert quick["exception"]["type"] == "ValueError"
            assert "s3cr3t" not in json.dumps(quick)


@each_of(NAMES)
def test_hostile_values_are_written_alike_or_not_at_all(name: str) -> None:
    quick, careful = both(record("text", value=VALUES[name](), after="x"))
    assert quick is None or {**quick, "value": 0} == {**careful, "value": 0}


@briefly
@given(st.text(), st.dictionaries(st.sampled_from(["a", "b", "c.d", "e_f"]), ACCEPTED, max_size=4))
def test_generated_records_are_written_alike(text: str, given: dict[str, Any]) -> None:
    quick, careful = both(record(text, **given))
    assert quick is None or quick == careful


def test_a_trace_is_on_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    span = types.SimpleNamespace(trace_id=1, span_id=2, trace_flags=1)
    api = types.ModuleType("opentelemetry.trace")
    api.get_current_span = lambda: types.SimpleNamespace(get_span_context=lambda: span)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", api)
    quick, careful = both(record("text", run="r"))
    assert quick == careful
    assert quick["trace_id"] == "0" * 31 + "1"
    for preset in PRESETS:
        with bind(city="Malmö", correlation="c", run="r"):
            quick, careful = both(record("failed", (), ValueError("wrong"), step=1), preset)
        assert quick == careful


@pytest.mark.parametrize("preset", PRESETS)
def test_a_line_that_is_remembered_is_written_again_only_where_all_is_the_same(
    preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = Quick(layout(preset))

    def told(level: int = 20, logger: str = "app", error: Any = None, **given: Any) -> Any:
        asked = (CREATED, level, logger, "text", given, error, True)
        shown, alone = quick.line(*asked), Quick(layout(preset)).line(*asked)
        assert shown == alone
        assert shown is not None
        return shown

    bare = told()
    assert told(run="r") != bare
    assert told(error=ValueError()) != bare
    assert told(level=30) != bare
    assert told(logger="other") != bare
    with bind(run="r"):
        assert told() != bare
    with bind():
        assert told() == bare
    span = types.SimpleNamespace(trace_id=1, span_id=2, trace_flags=1)
    api = types.ModuleType("opentelemetry.trace")
    api.get_current_span = lambda: types.SimpleNamespace(get_span_context=lambda: span)  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "opentelemetry.trace", api)
        assert told() != bare
    assert told() == bare


@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_remembered_inside_a_binding_is_right_outside(preset: str) -> None:
    quick, alone = Quick(layout(preset)), Quick(layout(preset))
    asked = (CREATED, 20, "app", "text", {}, None, True)
    with bind(correlation="of the request", run="r"):
        assert quick.line(*asked) == alone.line(*asked)
    assert quick.line(*asked) == Quick(layout(preset)).line(*asked)


def test_what_is_remembered_is_bounded() -> None:
    quick = Quick(layout("json"))
    for number in range(3_000):
        given = {f"name{number}": f"value {number}"}
        assert quick.line(CREATED, 20, f"logger{number}", f"text {number}", given, None, True)
    texts = (quick._texts, quick._fronts, quick.wholes, quick._heads[20])
    assert all(len(one) <= 1_024 for one in (*texts, quick._names, quick._values))


@pytest.mark.parametrize("unseen", ["\x7f", "\x9b", "\u2028", "\u202e"])
def test_no_line_has_a_character_that_is_not_seen(unseen: str) -> None:
    quick, value = Quick(layout("json")), f"a{unseen}b"
    for _ in range(2):
        with bind(user=value):
            made = quick.line(CREATED, 20, "app", "text", {}, None, True)
        other = quick.line(CREATED, 20, "app", "text", {"run": value}, None, True)
        for shown, name in ((made, "user"), (other, "run")):
            assert shown is not None
            assert unseen not in shown.decode()
            assert json.loads(shown)[name] == value


def test_an_unusual_name_is_seen_among_those_that_are_remembered() -> None:
    quick = Quick(layout("json"))
    usual = {"user": "ann", "run": "r-1"}
    for _ in range(2):
        assert quick.line(CREATED, 20, "app", "text", usual, None, True) is not None
        for name in ("password", "level", "a b"):
            given = {**usual, name: "s3cr3t"}
            made = quick.line(CREATED, 20, "app", "text", given, None, True)
            assert made is None or (name == "level" and json.loads(made)["level_"] == "s3cr3t")


def test_a_time_that_is_remembered_is_that_of_its_millisecond_only() -> None:
    quick = Quick(layout("json"))
    for step in range(5_000):  # also back, as a clock that is set
        created = CREATED + (step * 37 % 5_000) / 1e6
        shown = quick.line(created, 20, "app", "text", {}, None, True)
        assert shown is not None
        alone = Quick(layout("json")).line(created, 20, "app", "text", {}, None, True)
        assert shown == alone
