"""The size of an event is told before its bytes are made."""

import json
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import Enum
from functools import cache
from typing import Any

import pytest
from ag_ui.core import AssistantMessage, EventType
from hypothesis import assume, given

from netra_backend import jsonlog
from netra_backend.agents.size import MAX_EVENT_BYTES, check_size, size_of
from netra_backend.errors import EventError
from netra_backend.jsonlog.encode import encode
from tests import strategies

CYCLE: list[Any] = ["x"]
CYCLE.append(CYCLE)
SHARED = ["x" * 1_000]
TWICE = ["x", {"y": 1}]


class Text(str):
    """A text of another class."""

    __slots__ = ()


class Long(bytes, Enum):
    """What is written by its name."""

    FILE = b"x" * 1_000


class Node:
    """What has no fields, and is written with its name and class."""

    def __init__(self) -> None:
        self.rows = ["x" * 1_000]


@dataclass(eq=False)
class Table:
    """Rows, that may hold the table again."""

    rows: list[Any] = field(default_factory=list)


def _liar(base: type) -> type:
    """Return a subclass of a container that denies what it has."""

    def fail(*_: object) -> Any:
        raise AssertionError("no code of a value's class is run")

    names = ("__len__", "__iter__", "__getitem__", "__eq__", "__hash__", "keys", "values", "items")
    return type(f"Liar_{base.__name__}", (base,), dict.fromkeys((*names, "copy"), fail))


TABLE = Table()
TABLE.rows += ["x" * 1_000, TABLE, [TABLE]]
ONE_ANOTHER: list[Any] = [["x" * 1_000], ["y" * 1_000]]
ONE_ANOTHER[0].append(ONE_ANOTHER[1])
ONE_ANOTHER[1].append(ONE_ANOTHER[0])
Pair = namedtuple("Pair", "a b")


@given(strategies.json_values(max_leaves=30))
def test_it_is_never_more_than_what_is_written(value: Any) -> None:
    assert size_of(value).least <= len(
        json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    )


@pytest.mark.parametrize(
    "value",
    [
        CYCLE,
        {"a": {"b": CYCLE}},
        [SHARED, SHARED],
        {(1, "a"): 1, None: 2, "é": b"\xff"},
        [datetime(2026, 1, 1, tzinfo=UTC), {1, 2}, float("nan"), object()],
        [AssistantMessage(id="m", content="x" * 50)],
        [OrderedDict(a=[1]), defaultdict(list, a=[2**63]), deque(["x"] * 9), Pair("a", {"b": 1})],
        [frozenset({"x", 1, 2.5}), {b"x", (1, 2)}, bytearray(b"\xff" * 50), Text("x" * 50)],
        [TABLE, TABLE],
        [Node()] * 9,
        {complex(0, number): 1 for number in range(9)},
        {frozenset(), (), datetime(1, 1, 1), b""},
        [datetime(1, 1, 1)] * 9,
        [date(1, 1, 1)] * 9,
        [ONE_ANOTHER, *ONE_ANOTHER],
        {
            "a": [Long.FILE, Node()],
            "b": [None, True, -(2**63), 2**64, 2**5_000, 9, 10, -10, 63, 64],
        },
        [10**digits + less for digits in range(20) for less in (-1, 0)],
        {10**digits: 1 for digits in range(20)},
        *([_liar(base)([Text("x"), 1])] for base in (list, tuple, deque)),
        [_liar(dict)({"a": 1}), _liar(str)("x" * 50), _liar(bytes)(b"x"), _liar(bytearray)(b"x")],
    ],
)
def test_nor_where_it_is_no_plain_json(value: Any) -> None:
    assert size_of(value).least <= len(jsonlog.dumps(value, jsonlog.WIRE_LIMITS).encode())


@given(strategies.json_values(max_leaves=30))
def test_what_is_plain_is_written_by_an_encoder_as_the_long_way(value: Any) -> None:
    assume(size_of(value).plain)  # all but integers of more than 64 bits
    assert encode(value) == jsonlog.dumps(value, jsonlog.WIRE_LIMITS)


@pytest.mark.parametrize(
    "value",
    [
        *("", "é\u2028\x7f", 0, -1, 2**64 - 1, -(2**63), 1e16, -0.0, 5e-324, True, None),
        *([], {}, (), [[]], ("a", [1, {"b": (None,)}]), {"é": {"": ""}}, EventType.CUSTOM),
        *([TWICE, TWICE], {"a": TWICE, "b": {"c": [TWICE, {}]}}),
    ],
    ids=repr,
)
def test_so_it_is_at_its_edges(value: Any) -> None:
    assert size_of(value).plain
    assert encode(value) == jsonlog.dumps(value, jsonlog.WIRE_LIMITS)


@pytest.mark.parametrize(
    "value",
    [
        *(2**64 * 2, float("nan"), float("inf"), "\ud800", "\ud83d\ude00", b"x", Text("x")),
        *({1: 1}, {Text("a"): 1}, {"\ud800": 1}, {None: 1}, {1, 2}, object(), CYCLE),
        AssistantMessage(id="m", content="x"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_a_form_of_its_own_is_not_plain_wherever_it_stands(value: Any) -> None:
    for whole in (value, [value], {"a": [value]}, ["x", {"b": value}]):
        assert not size_of(whole).plain


def test_what_nests_too_deep_is_not_plain() -> None:
    value: Any = []
    for _ in range(jsonlog.WIRE_LIMITS.depth):
        value = [value]
    assert not size_of(value).plain


def test_what_is_cut_off_for_its_depth_does_not_count() -> None:
    value: Any = ["x" * (MAX_EVENT_BYTES + 1)]
    for _ in range(jsonlog.WIRE_LIMITS.depth):
        value = [value]
    check_size("CUSTOM", {"value": value})
    assert len(jsonlog.dumps({"value": value}, jsonlog.WIRE_LIMITS)) < 1_000


@cache
def rows() -> list[dict[str, Any]]:
    return [{"id": number, "name": "n" * 20} for number in range(150_000)]


FAR_TOO_BIG: dict[str, Callable[[], Any]] = {
    "a text": lambda: "x" * (MAX_EVENT_BYTES + 1),
    "nothing, often": lambda: [None] * MAX_EVENT_BYTES,
    "a key": lambda: {"a": {"x" * MAX_EVENT_BYTES: 1}},
    "three halves": lambda: [{"text": "x" * (MAX_EVENT_BYTES // 2)} for _ in range(3)],
    "a defaultdict": lambda: defaultdict(list, rows=rows()),
    "an OrderedDict": lambda: OrderedDict(rows=rows()),
    "a deque": lambda: deque(rows()),
    "a dataclass": lambda: Table(rows()),
    "a model": lambda: AssistantMessage.model_construct(content=rows()),
    "a named tuple": lambda: Pair(rows(), None),
    "a set": lambda: set(range(1_000_000)),
    "a frozenset": lambda: frozenset(range(1_000_000)),
    "numbers": lambda: list(range(1_000_000)),
    "a bytearray": lambda: bytearray(MAX_EVENT_BYTES + 1),
    "a text of another class": lambda: Text("x" * (MAX_EVENT_BYTES + 1)),
    "a list that lies": lambda: _liar(list)(rows()),
    "a dict that lies": lambda: _liar(dict)(rows=rows()),
    "one list, often": lambda: [["x" * 100]] * 300_000,
    "one list, often in lists": lambda: [[SHARED] * 100] * 100,
    "one object, often": lambda: [Node()] * 200_000,
    "one time, often": lambda: [datetime(2026, 1, 1)] * 200_000,
}
"""Made by the test: all workers collect it, and each would keep 200 MB of them."""


@pytest.mark.parametrize("name", FAR_TOO_BIG)
def test_what_is_far_too_big_is_refused_with_its_field(name: str) -> None:
    value = FAR_TOO_BIG[name]()
    with pytest.raises(EventError, match=r"^CUSTOM has at least \d+ bytes; the limit is .*'value'"):
        check_size("CUSTOM", {"type": "CUSTOM", "name": "n", "value": value})


def test_so_are_very_many_numbers_of_numpy() -> None:
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    for shape in ((2_000, 2_000, 3), (3_000_000,)):
        with pytest.raises(EventError, match="CUSTOM has at least"):
            check_size("CUSTOM", {"value": [numpy.zeros(shape, "uint8")]})


def test_and_few_are_never_more_than_what_is_written() -> None:
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    for shape in ((), (0,), (3, 0), (7,), (2, 3, 4)):
        for kind in ("uint8", "?", "float64", "complex128", "datetime64[s]", "O"):
            value = [numpy.zeros(shape, kind)]
            assert size_of(value).least <= len(jsonlog.dumps(value, jsonlog.WIRE_LIMITS))
    assert size_of([numpy.zeros(20_000_000, "uint8")]).least < 100, "only its class is written"
