"""The size of an event is told before its bytes are made."""

import json
from datetime import UTC, datetime
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
    ],
    ids=repr,
)
def test_so_it_is_at_its_edges(value: Any) -> None:
    assert size_of(value).plain
    assert encode(value) == jsonlog.dumps(value, jsonlog.WIRE_LIMITS)


class Text(str):
    """A text of another class."""

    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [
        *(2**64 * 2, float("nan"), float("inf"), "\ud800", "\ud83d\ude00", b"x", Text("x")),
        *({1: 1}, {Text("a"): 1}, {"\ud800": 1}, {None: 1}, {1, 2}, object(), CYCLE),
        [SHARED, SHARED],
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


@pytest.mark.parametrize(
    "value",
    [
        "x" * (MAX_EVENT_BYTES + 1),
        [None] * MAX_EVENT_BYTES,
        {"a": {"x" * MAX_EVENT_BYTES: 1}},
        [{"text": "x" * (MAX_EVENT_BYTES // 2)} for _ in range(3)],
    ],
    ids=["a text", "a list", "a key", "texts"],
)
def test_what_is_far_too_big_is_refused_with_its_field(value: Any) -> None:
    with pytest.raises(EventError, match=r"^CUSTOM has at least \d+ bytes; the limit is .*'value'"):
        check_size("CUSTOM", {"type": "CUSTOM", "name": "n", "value": value})
