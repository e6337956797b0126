"""`jsonable` is total, keeps the law, and gives what JSON lacks one form each."""

import collections
import contextlib
import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import pathlib
import sys
import threading
import time
import unicodedata
import uuid
from typing import Any

import attrs
import msgspec
import orjson
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.websockets import WebSocket, WebSocketState

from netra_backend.jsonlog import LIMITS, RECORD_LIMITS, Limits, dumps, jsonable
from netra_backend.jsonlog.encode import encode
from netra_backend.jsonlog.forms import LARGEST_NUMBER
from tests.jsonlog.hostile_classes import Colour, Day, Level, Mode, Named, Pet
from tests.jsonlog.hostile_values import LARGE, VALUES
from tests.jsonlog.thoroughness import NIGHTLY, briefly
from tests.table import each_of

PLAIN = (type(None), bool, int, float, str, list, dict)


def strict(text: str) -> Any:
    """Return what two strict parsers read."""

    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} is not JSON")

    value = json.loads(text, parse_constant=refuse)
    orjson.loads(text)
    return value


def assert_plain(value: object) -> None:
    todo = [value]
    while todo:
        one = todo.pop()
        assert type(one) in PLAIN
        if type(one) is dict:
            assert all(type(key) is str for key in one)
            todo.extend(one.values())
        elif type(one) is list:
            todo.extend(one)


def assert_one_line(line: str) -> None:
    assert line.splitlines() == [line]
    assert {unicodedata.category(one) for one in line}.isdisjoint({"Cc", "Cs", "Zl", "Zp"})


# --- total ---------------------------------------------------------------------------------


def small(limits: Limits, name: str) -> Limits:
    """Return limits that let through less of a large value; by night the limits themselves."""
    large = name.startswith(LARGE) and not NIGHTLY
    return limits._replace(nodes=10_000, text=100_000, total=100_000) if large else limits


@each_of(VALUES)
def test_every_hostile_value_becomes_one_line_of_strict_json(name: str) -> None:
    value = VALUES[name]()
    for limits in (small(LIMITS, name), RECORD_LIMITS):
        started = time.process_time()
        shown = jsonable({"value": [value]}, limits)
        assert time.process_time() - started < 30
        assert_plain(shown)
        line = encode(shown)
        assert list(strict(line)) == ["value"]
        assert_one_line(line)
    assert len(line) < 1_000_000


def test_the_corpus_is_large() -> None:
    assert len(VALUES) >= 60


def test_it_answers_on_an_almost_exhausted_stack() -> None:
    seen = []

    def descend() -> None:
        with contextlib.suppress(RecursionError):
            descend()
        try:
            seen.append(strict_or_none(dumps({"state": WebSocketState.CONNECTED, "x": [[[1]]]})))
        except RecursionError:  # there was no frame left for the call itself
            seen.append(None)

    def strict_or_none(text: str) -> Any:
        return json.loads(text)

    descend()
    assert seen[-1] == {"state": "CONNECTED", "x": [[[1]]]}
    assert {json.dumps(one) for one in seen} >= {json.dumps(seen[-1])}


def test_near_the_end_of_the_stack_only_the_deep_part_is_lost() -> None:
    def at(depth: int) -> Any:
        return jsonable({"a": 1, "deep": [[[[[[[[1]]]]]]]]}) if depth == 0 else at(depth - 1)

    frames = len(_frames())
    shown = [at(sys.getrecursionlimit() - frames - left) for left in range(20, 60, 2)]
    assert shown[-1] == {"a": 1, "deep": [[[[[[[[1]]]]]]]]}
    assert all(type(one) is dict for one in shown)
    assert any(one != shown[-1] for one in shown)


def _frames() -> list[object]:
    frame, frames = sys._getframe(), []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back  # type: ignore[assignment]
    return frames


def test_a_dict_that_another_thread_changes_is_written_or_said_to_be_unreadable() -> None:
    shared: dict[int, int] = {}
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            shared[number] = number
            shared.pop(number - 50, None)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(300):
            assert type(strict(dumps(shared))) is dict
    finally:
        stop.set()
        thread.join()


# --- the law -------------------------------------------------------------------------------

TEXT = st.text() | st.text(alphabet='\x00\x1f\x7f\x85\u2028\u202e\ufeff😀é"\\', max_size=8)
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-LARGEST_NUMBER, LARGEST_NUMBER)
    | st.sampled_from([-LARGEST_NUMBER, LARGEST_NUMBER])
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.sampled_from([Pet.CAT, Level.LOW])
    | TEXT.map(type("OwnStr", (str,), {}))
    | st.integers().map(type("OwnInt", (int,), {}))
    | st.floats(allow_nan=False, allow_infinity=False).map(type("OwnFloat", (float,), {}))
)
KEY = TEXT | st.none() | st.booleans() | st.integers() | st.floats(-1e300, 1e300)
KEYS = KEY | st.sampled_from([Pet.CAT, Level.LOW])
Pair = collections.namedtuple("Pair", "a b")
FEW = 5
"""Items of a container that is drawn: without a limit, drawing takes twice as long."""
ACCEPTED = st.recursive(
    SCALAR,
    lambda inner: (
        st.lists(inner, max_size=FEW)
        | st.lists(inner, max_size=FEW).map(tuple)
        | st.tuples(inner, inner).map(lambda two: Pair(*two))
        | st.dictionaries(KEYS, inner, max_size=FEW)
        | st.dictionaries(KEYS, inner, max_size=FEW).map(collections.OrderedDict)
    ),
    max_leaves=30,
)


@briefly
@given(ACCEPTED)
def test_what_json_dumps_accepts_is_written_equal(value: object) -> None:
    theirs = json.loads(json.dumps(value, allow_nan=False))
    ours = json.loads(dumps(value))
    assert ours == theirs
    assert repr(ours) == repr(theirs)  # 1, 1.0 and True are equal, but not the same


@briefly
@given(
    st.recursive(
        SCALAR
        | st.floats()
        | st.text(st.characters())
        | st.binary()
        | st.datetimes(timezones=st.timezones())
        | st.timedeltas()
        | st.decimals()
        | st.uuids()
        | st.complex_numbers()
        | st.sampled_from(list(WebSocketState)),
        lambda inner: (
            st.lists(inner, max_size=FEW)
            | st.dictionaries(
                KEYS | st.sampled_from(list(WebSocketState)) | st.binary(), inner, max_size=FEW
            )
            | st.frozensets(st.integers() | st.text() | st.binary())
            | st.builds(ValueError, inner)
        ),
        max_leaves=30,
    )
)
def test_everything_else_is_strict_json_on_one_line(value: object) -> None:
    assert_plain(jsonable(value))
    line = dumps(value)
    strict(line)
    assert_one_line(line)


def test_the_last_of_equal_keys_wins_as_when_json_is_read() -> None:
    assert jsonable({1: "a", "1": "b"}) == {"1": "b"}


def test_nesting_is_kept_down_to_the_limit() -> None:
    value: object = 1
    for _ in range(LIMITS.depth):
        value = [value]
    assert jsonable(value) == value
    assert '"$cut":"depth"' in dumps([value])


# --- the forms -----------------------------------------------------------------------------


class Size(enum.Enum):
    SMALL = 1


@dataclasses.dataclass
class Point:
    x: int
    state: WebSocketState
    late: int = dataclasses.field(init=False, default=7)


@attrs.define
class Attrs:
    x: int
    state: WebSocketState


class Base(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", populate_by_name=True)
    x: int = pydantic.Field(alias="theX")
    state: WebSocketState
    hidden: str = pydantic.Field(default="", exclude=True)


class Struct(msgspec.Struct):
    x: int
    state: WebSocketState


FIELDS = {"x": 1, "state": "CONNECTED"}
FORMS: list[tuple[object, object]] = [
    (WebSocketState.CONNECTED, "CONNECTED"),
    ({WebSocketState.CONNECTED: WebSocketState.DISCONNECTED}, {"CONNECTED": "DISCONNECTED"}),
    (Mode.READ | Mode.WRITE, "READ|WRITE"),
    (Named.A, "A"),
    (Day.FIRST, "FIRST"),
    (Pet.CAT, "cat"),
    (Level.LOW, 1),
    ({Level.LOW: Pet.CAT}, {"1": "cat"}),
    (dt.datetime(2020, 1, 2, 3, 4, 5, 6, dt.UTC), "2020-01-02T03:04:05.000006+00:00"),
    (dt.date(2020, 1, 2), "2020-01-02"),
    (dt.time(3, 4), "03:04:00"),
    (dt.timedelta(days=1, seconds=2), "1 day, 0:00:02"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (pathlib.PurePosixPath("/a/b"), "/a/b"),
    (decimal.Decimal("1.10"), "1.10"),
    (math.nan, "NaN"),
    ([math.inf, -math.inf], ["Infinity", "-Infinity"]),
    (2**70, 2**70),
    (16**4_000, f"0x1{'0' * 4_000}"),
    (LARGEST_NUMBER + 1, str(LARGEST_NUMBER + 1)),
    (10**400, f"1{'0' * 400}"),
    ("a\ud800b", "a\\ud800b"),
    ("\ud83d\ude00", "😀"),
    ({"\udfff": 1}, {"\\udfff": 1}),
    ("text é".encode(), "text é"),
    (bytearray(b"x"), "x"),
    (memoryview(b"abcd")[::2], "ac"),
    (b"\xff\x00", {"$base64": "/wA="}),
    ({10, 9, 1, "b", "a", None}, [1, 9, 10, "a", "b", None]),
    (frozenset([Size.SMALL]), ["SMALL"]),
    (collections.deque([1, Size.SMALL]), [1, "SMALL"]),
    (Point(1, WebSocketState.CONNECTED), {**FIELDS, "late": 7}),
    (Attrs(1, WebSocketState.CONNECTED), FIELDS),
    (Base(x=1, state=WebSocketState.CONNECTED, more=b"m"), {**FIELDS, "more": "m"}),
    (Struct(1, WebSocketState.CONNECTED), FIELDS),
    ({(1, "a"): 1, None: 2, True: 3, b"k": 4}, {'[1,"a"]': 1, "null": 2, "true": 3, "k": 4}),
    ({Colour.RED: 1, "RED": 2, b"RED": 3}, {"RED~2": 1, "RED": 2, "RED~3": 3}),
    (1 + 2j, {"$type": "complex", "$repr": "(1+2j)"}),
    (
        ValueError("no"),
        {"type": "ValueError", "message": "no", "frames": []},
    ),
]


@pytest.mark.parametrize(("value", "form"), FORMS, ids=map(str, range(len(FORMS))))
def test_what_json_lacks_has_one_form(value: object, form: object) -> None:
    assert jsonable(value) == form
    assert json.loads(dumps(value)) == form


@pytest.mark.parametrize("state", list(WebSocketState), ids=lambda state: state.name)
def test_every_websocket_state_is_written_by_its_name(state: WebSocketState) -> None:
    assert json.loads(dumps({"state": state, state: 1})) == {"state": state.name, state.name: 1}


def test_a_websocket_is_named_and_not_entered() -> None:
    socket = WebSocket({"type": "websocket", "secret": "inside"}, None, None)  # type: ignore[arg-type]
    shown: Any = jsonable(socket)
    assert list(shown) == ["$type", "$repr"]
    assert shown["$type"] == "starlette.websockets.WebSocket"
    assert "inside" not in shown["$repr"]


def test_no_repr_is_asked() -> None:
    class Bad:
        def __repr__(self) -> str:
            raise AssertionError("was called")

    one = Bad()
    shown: Any = jsonable(one)
    assert shown["$repr"] == f"<{shown['$type']} object at {id(one):#x}>"


def test_a_zone_of_the_program_costs_only_the_offset() -> None:
    shown = jsonable(VALUES["hostile zone"]())
    assert str(shown).startswith("2020-01-01T00:00:00 <tzinfo ")


def test_numpys_numbers_are_numbers() -> None:
    numpy = pytest.importorskip("numpy", reason="LOUD: numpy is not installed")
    value = {"int": numpy.int64(5), "float": numpy.float32(0.5), "bool": numpy.bool_(True)}
    assert jsonable(value) == {"int": 5, "float": 0.5, "bool": True}
    assert jsonable(numpy.array([[1, 2], [3, 4]])) == [[1, 2], [3, 4]]
    assert jsonable({numpy.int64(5): numpy.array(7)}) == {"5": 7}
    for odd in (numpy.datetime64("2026-01-02"), numpy.zeros(10_000_000), numpy.array([object()])):
        assert list(jsonable(odd)) == ["$type", "$repr"]  # type: ignore[arg-type]


# --- bounds --------------------------------------------------------------------------------

SMALL = Limits(depth=3, nodes=10, text=20, total=60, opaque=10)


def test_what_is_cut_says_so() -> None:
    assert jsonable("x" * 25, SMALL) == "x" * 20 + "… (5 more characters)"
    assert jsonable(list(range(12)), SMALL) == [*range(9), {"$cut": "3 more items"}]
    assert jsonable({str(i): i for i in range(12)}, SMALL) == {
        **{str(i): i for i in range(9)},
        "$cut": "3 more items",
    }
    assert jsonable({i: i for i in range(12)}, SMALL) == {
        **{str(i): i for i in range(9)},
        "$cut": "3 more items",
    }
    assert jsonable([[[[1]]]], SMALL) == [[[{"$type": "list", "$cut": "depth"}]]]
    assert jsonable(set(range(30)), SMALL)[-1] == {"$cut": "21 more items"}  # type: ignore[index]
    assert jsonable(b"\xff" * 30, SMALL) == {
        "$base64": "/////////////////////"[:20],
        "$cut": "15 more bytes",
    }
    assert jsonable(b"x" * 30, SMALL) == "x" * 20 + "… (10 more bytes)"
    assert jsonable(1 << 100_000, SMALL) == "<an integer of 10000… (7 more characters)"
    assert jsonable(["x" * 1_000, "small"], SMALL)[-1] == "small"  # type: ignore[index]
    assert jsonable(["x" * 20] * 5, SMALL)[-1] == "… (20 more characters)"  # type: ignore[index]


def test_a_cycle_is_marked_where_it_closes_and_shared_parts_are_not() -> None:
    items: list[object] = [1]
    items.append({"again": items})
    assert jsonable(items) == [1, {"again": {"$type": "list", "$cut": "cycle"}}]
    part = [1]
    assert jsonable([part, part]) == [[1], [1]]


def test_characters_that_forge_a_line_are_escaped() -> None:
    text = "a\r\n\u2028\u2029\x85\x0b\x1b[31m\x9b\x7f\u202e\ufeff"
    line = dumps({text: text})
    assert line.isprintable()
    assert json.loads(line) == {text: text}


def test_times_are_times_while_a_test_has_put_heirs_in_the_place_of_their_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)

    class Frozen(dt.datetime):
        """What freezegun puts there."""

    class FrozenDay(dt.date):
        """The same for a day."""

    value = [real, Frozen(2026, 1, 3), real.date(), FrozenDay(2026, 1, 4)]
    told = ["2026-01-02T00:00:00+00:00", "2026-01-03T00:00:00", "2026-01-02", "2026-01-04"]
    monkeypatch.setattr("netra_backend.jsonlog.forms._known", {})  # as in a new process
    with monkeypatch.context() as patch:
        patch.setattr(dt, "datetime", Frozen)
        patch.setattr(dt, "date", FrozenDay)
        assert jsonable(value) == told
    assert jsonable(value) == told
