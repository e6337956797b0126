"""Losses name the place, and there are none where ``json.dumps`` would do."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from starlette.websockets import WebSocketState

from netra_backend.jsonlog import Limits, Loss, losses
from netra_backend.jsonlog.losses import MAX_LOSSES
from tests.jsonlog.hostile_classes import Colour, Level, Pet, Point
from tests.jsonlog.hostile_makers import cyclic_list
from tests.jsonlog.hostile_values import VALUES
from tests.jsonlog.test_safe import ACCEPTED
from tests.jsonlog.thoroughness import NAMES, briefly
from tests.table import each_of


def told(value: object, **limits: Any) -> list[tuple[str, str, bool]]:
    return [(one.path, one.value, one.lossy) for one in losses(value, "extra", **limits)]


def test_a_state_deep_inside_is_named_with_its_path() -> None:
    (one,) = losses({"connection": {"state": WebSocketState.CONNECTED}}, "extra")
    assert str(one) == (
        "extra.connection.state: WebSocketState.CONNECTED "
        "(json.dumps refuses starlette.websockets.WebSocketState)"
    )
    assert isinstance(one, Loss)
    assert not one.lossy


def test_every_place_of_one_value() -> None:
    value = {
        "fine": [1, "a", None, {"b": (True, 1.5)}],
        "members": [1, Colour.RED, {"deep": Colour.RED}],
        Colour.RED: "key",
        (1, 2): "key",
        "cycle": cyclic_list(),
        "nan": math.nan,
        "half": "a\ud800",
        "point": Point(1, object()),
    }
    found = told(value)
    assert [(path, lossy) for path, _, lossy in found] == [
        ("extra.RED", False),
        ("extra.[1,2]", False),
        ("extra.members[1]", False),
        ("extra.members[2].deep", False),
        ("extra.cycle[1]", True),
        ("extra.nan", False),
        ("extra.half", True),
        ("extra.point", False),
        ("extra.point.y", False),
        ("extra.point.y", True),
    ]
    assert found[2][1] == "Colour.RED"
    assert found[5][1] == "nan"


def test_what_limits_cut_is_lossy() -> None:
    small = Limits(depth=2, nodes=4, text=5, total=100)
    assert told({"a": [1, 2, 3, 4, 5, 6]}, limits=small) == [("extra.a", "[1,2,3,4,5,6]", True)]
    assert told({"a": "x" * 9}, limits=small) == [("extra.a", '"xxxxxxxxx"', True)]
    assert told({"a": [[]]}, limits=small)[0][0] == "extra.a[0]"
    assert told({"k" * 9: 1}, limits=small)[0][2]


def test_the_list_is_bounded() -> None:
    assert len(losses([Colour.RED] * 1_000)) == MAX_LOSSES


@pytest.mark.parametrize("value", [Pet.CAT, {Level.LOW: Pet.CAT}, (1, 2), {1: 2, None: 3}, 2**70])
def test_what_json_dumps_accepts_loses_nothing(value: object) -> None:
    assert losses(value) == []


@briefly
@given(ACCEPTED)
def test_nothing_that_json_dumps_accepts_is_listed(value: object) -> None:
    assert losses(value) == []


ENDLESS = "billion laughs"
"""What ``json.dumps`` would never be done with."""
OWN_CODE = ("hostile dict", "hostile list", "hostile tuple", "endless list")
"""Subclasses whose own iteration ``json.dumps`` runs; `jsonable` reads the items past it."""


@each_of(name for name in NAMES if name not in OWN_CODE)
def test_every_hostile_value_is_listed_if_json_dumps_would_fail(name: str) -> None:
    found = losses(VALUES[name](), name)
    assert all(one.path.startswith(name) for one in found)
    if name == ENDLESS:
        assert found
        return
    try:
        json.dumps(VALUES[name](), allow_nan=False)
    except BaseException:  # noqa: BLE001 - whatever it raises would have reached the caller
        assert found
