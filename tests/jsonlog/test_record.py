"""A record becomes one object, whatever is in it."""

import json
import logging
import re
import sys
from typing import Any, NamedTuple

import pytest
from starlette.websockets import WebSocketState

from netra_backend.jsonlog import bind, correlation
from netra_backend.jsonlog.record import MAX_FIELDS, fields, line
from tests.jsonlog.hostile_classes import HostileError, SelfLogging, raiser, with_methods
from tests.jsonlog.hostile_values import VALUES
from tests.jsonlog.thoroughness import NAMES
from tests.table import each_of


def record(msg: Any = "hello", *args: Any, **attributes: Any) -> logging.LogRecord:
    made = logging.LogRecord("app.part", logging.INFO, "file.py", 3, msg, args, None)
    made.__dict__.update(attributes)
    return made


def read(one: logging.LogRecord, **notes: Any) -> dict[str, Any]:
    text = line(one, notes)
    assert text.endswith("\n")
    assert text.count("\n") == len(text.splitlines()) == 1
    shown = json.loads(text)
    assert type(shown) is dict
    return shown


def test_what_every_line_has() -> None:
    shown = read(record("took %d ms", 5, created=1_700_000_000.1239))
    assert shown == {
        "time": "2023-11-14T22:13:20.123Z",
        "level": "INFO",
        "logger": "app.part",
        "message": "took 5 ms",
        "correlation": correlation(),
    }
    assert list(shown) == ["time", "level", "logger", "message", "correlation"]


def test_a_dict_as_the_message_is_fields() -> None:
    with bind(a=0, b="bound"):
        shown = read(record({"a": WebSocketState.CONNECTED, "password": "x", "level": 5, 2: 3}))
    assert (shown["message"], shown["a"], shown["b"]) == ("", "CONNECTED", "bound")
    assert (shown["password"], shown["level_"], shown["2"]) == ("[redacted]", 5, 3)
    assert read(record({"message": "hi", "a": 1}, a=2)).items() >= {"message": "hi", "a": 2}.items()
    assert read(record({"message": 7}))["message_"] == 7
    assert read(record({"a": 1}, "x"))["args"] == ["x"]
    assert read(record(["a"]))["message"] == "['a']"


def test_a_dict_as_structlog_hands_it_on_has_its_text_and_its_traceback() -> None:
    given = {"event": "bad", "k": 2, "exc_info": True}
    try:
        int("many")
    except ValueError:
        shown = read(record(given))
    assert (shown["message"], shown["event"], shown["k"]) == ("bad", "bad", 2)
    assert shown["exception"]["type"] == "ValueError"
    assert "exc_info_" not in shown
    outside = read(record(given))
    assert (outside["exc_info_"], "exception" in outside) == (True, False)
    assert read(record({"message": "hi", "event": "e"}))["message"] == "hi"
    assert (
        read(record({"message": 7, "event": "e"})).items()
        >= {"message_": 7, "message": "e"}.items()
    )


def test_a_key_that_cannot_be_compared_costs_no_field() -> None:
    key = with_methods(__hash__=lambda _: hash("message"), __eq__=raiser(SystemExit))
    assert list(read(record({key: "one", "a": 2})).values())[3:] == ["", correlation(), "one", 2]


def test_no_field_takes_the_place_of_another() -> None:
    shown = read(record({"message_": "one", "message": "two", "name": 1, "name_": 2}))
    assert (shown["message"], shown["message_"]) == ("two", "one")
    assert (shown["name_"], shown["name_~2"]) == (2, 1)
    shown = read(record({"message_": "one", "message": 2}, message__="x"))
    assert (shown["message"], shown["message_"], shown["message_~2"]) == ("", "one", 2)
    shown = read(record({"user": "a", "user~2": "b"}, user="c"))
    assert (shown["user"], shown["user~2"], shown["user~3"]) == ("c", "b", "a")
    shown = read(record(level=1, level_=2, **{"n" * 300: 3, "n" * 256 + "m" * 44: 4}))
    assert (shown["level_"], shown["level_~2"]) == (2, 1)
    assert [value for name, value in shown.items() if name.startswith("nn")] == [3, 4]


def test_a_message_that_is_a_large_dict_pushes_out_no_field_of_the_call() -> None:
    shown = read(record({f"k{number}": number for number in range(MAX_FIELDS * 2)}, run="r-1"))
    assert (shown["run"], shown["$cut"]) == ("r-1", f"{MAX_FIELDS + 1} more fields")


def test_fields_of_the_call_win_over_bound_ones() -> None:
    with bind(run="r", user="bound", correlation="c"):
        shown = read(record(user="call", state=WebSocketState.CONNECTED))
    assert shown["correlation"] == "c"
    assert (shown["run"], shown["user"], shown["state"]) == ("r", "call", "CONNECTED")
    assert read(record(correlation="own"))["correlation"] == "own"


def test_a_field_cannot_take_the_place_of_ours() -> None:
    with bind(time="t", args="a", message="m"):
        shown = read(
            record(level="l", logger="x", exception="e", stack="s", dropped="d"),
            dropped={"INFO": 4},
        )
    assert shown["level"] == "INFO"
    assert shown["message"] == "hello"
    assert shown["dropped"] == {"INFO": 4}
    names = ("time_", "args_", "message_", "level_", "logger_", "exception_", "stack_", "dropped_")
    assert [shown[name] for name in names] == ["t", "a", "m", "l", "x", "e", "s", "d"]


def test_arguments_that_do_not_fit_are_shown_beside_the_template() -> None:
    shown = read(record("%s is %s", "x"))
    assert (shown["message"], shown["args"]) == ("%s is %s", ["x"])
    shown = read(record("%d items", WebSocketState.CONNECTED))
    assert (shown["message"], shown["args"]) == ("%d items", ["CONNECTED"])
    shown = read(record("%s", VALUES["repr raises"]()))
    assert shown["message"] == "%s"
    assert " object at 0x" in shown["args"][0]["$repr"]


@pytest.mark.parametrize("msg", [None, 3, [WebSocketState.CONNECTED], ValueError("x")])
def test_the_message_may_be_any_object(msg: Any) -> None:
    assert read(record(msg))["message"] == str(msg)


def test_a_message_without_a_text_says_so() -> None:
    hostile = type("Hostile", (), {"__str__": raiser(SystemExit)})()
    assert read(record(hostile))["message"] == "<str failed: SystemExit>"


def test_an_exception_is_structured() -> None:
    try:
        int("x")
    except ValueError:
        shown = read(record(exc_info=sys.exc_info(), stack_info="Stack:\n  a"))
    assert shown["exception"]["type"] == "ValueError"
    assert shown["exception"]["frames"][0]["function"] == "test_an_exception_is_structured"
    assert shown["stack"] == "Stack:\n  a"
    error = HostileError()
    assert read(record(exc_info=error))["exception"]["message"] == "<str failed: SystemExit>"
    assert read(record(exc_text="Traceback"))["exception"] == {"text": "Traceback"}


@pytest.mark.parametrize("info", [True, (None, None, None), (1, 2), "x", (1, 2, 3)])
def test_odd_exception_infos_are_no_exception(info: Any) -> None:
    assert "exception" not in read(record(exc_info=info))


@pytest.mark.parametrize("created", [float("nan"), float("inf"), 1e300, None, "x"])
def test_an_impossible_time_is_now(created: Any) -> None:
    assert re.fullmatch(r"20\d\d-.*\.\d{3}Z", read(record(created=created))["time"])


FORGED = 'x\r\n{"level":"ERROR"}\n\u2028\u2029\x85\x0b\x0c\x1c\x1b[2J\x9b2J'


def test_no_text_forges_a_line() -> None:
    try:
        raise ValueError(FORGED)  # noqa: TRY301
    except ValueError as error:
        error.add_note(FORGED)
        shown = read(record(FORGED, exc_info=error, **{FORGED: FORGED}, name=FORGED))
    assert shown["message"] == FORGED
    assert shown[FORGED] == FORGED
    assert "\x1b" not in line(record(FORGED, FORGED, stack_info=FORGED, levelname=FORGED))


def test_no_secret_gets_out() -> None:
    secret = "s3cr3t"
    with bind(authorization=secret, headers={"Cookie": f"sid={secret}"}):
        try:
            raise ValueError(f"Bearer {secret}")  # noqa: TRY301
        except ValueError as error:
            text = line(
                record(
                    f"GET /ws?token={secret} %s",
                    f"password={secret}",
                    exc_info=error,
                    stack_info=f"netra.token.{secret}",
                    scope={"headers": [(b"authorization", secret.encode())]},
                    api_key=secret,
                )
            )
    assert secret not in text
    assert text.count("[redacted]") == 8


@each_of(NAMES)
def test_every_hostile_value_in_every_place(name: str) -> None:
    value = VALUES[name]()
    attributes: dict[str, Any] = {"levelname": value, "stack_info": None, "field": value}
    with bind(bound=value, correlation=value):
        shown = read(record(value, **attributes))
        assert set(shown) >= {"time", "level", "logger", "message", "correlation", "field"}
        read(record("%s %d", value, value, exc_info=value, name=value, created=value))
        read(record("%(a)s", {"a": value}))


def test_a_repr_that_logs_does_not_run_away(caplog: pytest.LogCaptureFixture) -> None:
    depth = []

    class Renderer(logging.Handler):
        def emit(self, one: logging.LogRecord) -> None:
            depth.append(1)
            read(one)

    logger = logging.getLogger("hostile")
    renderer = Renderer()
    logger.addHandler(renderer)
    logger.propagate = False
    try:
        read(record("%r", SelfLogging()))
    finally:
        logger.removeHandler(renderer)
        logger.propagate = True
    assert 0 < len(depth) < 50


def test_an_enormous_record_is_cut() -> None:
    wide = {f"key {i}": "x" * 1_000 for i in range(10_000)}
    text = line(record("m" * 10_000_000, wide=wide, deep=[[wide] * 100] * 100))
    assert len(text) < 300_000
    assert "$cut" in fields(record(wide=list(range(10_000))))["wide"][-1]  # type: ignore[index,operator]


def test_large_fields_do_not_push_out_others() -> None:
    with bind(state=list(range(10_000)), run="r"):
        shown = read(record(wide=dict.fromkeys(range(10000), "x" * 100), size=3))
    assert (shown["run"], shown["size"]) == ("r", 3)
    left_out = 10_000 - len(shown["state"]) + 1
    assert shown["state"][-1] == {"$cut": f"{left_out} more items"}
    assert len(shown["state"]) > 1_000
    assert len(shown["wide"]) > 100


def test_many_fields_and_odd_names() -> None:
    many = {f"f{i}": "x" * 10_000 for i in range(1_000)}
    text = line(record(**many))
    assert len(text) < 300_000
    assert json.loads(text)["$cut"] == f"{1_000 - MAX_FIELDS} more fields"
    odd = record()
    odd.__dict__[3] = "three"  # type: ignore[index]
    odd.__dict__["n" * 1_000] = 1
    shown = read(odd)
    assert shown["3"] == "three"
    assert shown["n" * 256 + "… (744 more characters)"] == 1


class Variable(NamedTuple):
    name: str
    value: str


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("headers %s", ({"authorization": "Bearer hunter2"},)),
        ("to %s with %r", ("db", {"name": "DB_PASSWORD", "value": "hunter2"})),
        ("env %s", ([{"Name": "DB_PASSWORD", "Value": "hunter2"}],)),
        ("%(user)s with %(password)s", ({"user": "ann", "password": "hunter2"},)),
        ("%(count)d in %(env)s", ({"count": 1, "env": [["cookie", "hunter2"]]},)),
        ("%s", ({"env": ("psql", "--password", "hunter2")},)),
        ("%s, %d more", ([0] * 5_000 + [{"key": "token", "value": "hunter2"}], 3)),
    ],
)
def test_an_argument_shows_no_more_than_a_field_would(text: str, args: Any) -> None:
    shown = read(logging.LogRecord("app", logging.INFO, "file.py", 3, text, args, None))
    assert "hunter2" not in str(shown)
    assert "args" not in shown


def test_an_argument_without_a_secret_stays_as_python_writes_it() -> None:
    given = {"user": "ann", "at": (1, None), "state": WebSocketState.CONNECTED}
    assert read(record("got %s of %r", given, Variable("a", "b")))["message"] == (
        f"got {given} of {Variable('a', 'b')}"
    )
