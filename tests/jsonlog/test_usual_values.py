"""Which values the encoder gets as they are, what others become, and how many are remembered."""

import datetime as dt
import enum
import json
import uuid
from typing import Any

import orjson
import pytest

from netra_backend.jsonlog.safe import jsonable
from netra_backend.jsonlog.usual_values import MAX_VALUES, UsualValues


class Colour(enum.Enum):
    RED = 1


class Header(enum.StrEnum):
    AUTHORIZATION = "Bearer s3cr3t-s3cr3t"


def tampered() -> uuid.UUID:
    made = uuid.UUID(int=0)
    object.__setattr__(made, "int", 2**128)
    return made


def test_fields_of_plain_values_are_not_copied() -> None:
    given = {"run": "r-1", "count": 3, "ok": True, "ratio": 0.5, "none": None}
    values = UsualValues()
    for _ in range(2):
        assert values.plain(given) is given


@pytest.mark.parametrize(
    "value",
    [
        Colour.RED,
        float("nan"),
        float("-inf"),
        ("127.0.0.1", 80),
        dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC),
        dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=1, seconds=7))),
        uuid.UUID(int=5),
        tampered(),
        {Colour.RED: [1]},
    ],
    ids=repr,
)
def test_a_value_is_told_as_elsewhere_each_time(value: Any) -> None:
    values, given = UsualValues(), {"value": value, "run": "r"}
    for usual in (Colour.RED, dt.datetime(1, 1, 1), uuid.UUID(int=1)):
        assert values.plain({"value": usual}) is not None  # its class is known from now on
    for _ in range(2):
        shown = values.plain(given)
        assert shown is not None
        assert json.loads(orjson.dumps(shown)) == {"value": jsonable(value), "run": "r"}
        assert given == {"value": value, "run": "r"}


def test_secrets_are_not_told() -> None:
    given = {"header": "Bearer s3cr3t-s3cr3t", "list": ["password=s3cr3t"], "run": "r-1"}
    values = UsualValues()
    for some in (given, {"member": Header.AUTHORIZATION, "run": "r-1"}):
        for _ in range(2):
            shown = values.plain(some)
            assert shown is not None
            assert "s3cr3t" not in json.dumps(shown)
            assert shown["run"] == "r-1"


def test_what_is_too_large_is_left_to_others() -> None:
    assert UsualValues().plain({"value": list(range(1_000))}) is None


def test_what_is_remembered_is_bounded() -> None:
    values = UsualValues()
    for number in range(MAX_VALUES * 2):
        assert values.plain({"value": f"value {number}"})
    assert 0 < len(values) <= MAX_VALUES
