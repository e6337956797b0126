"""Fields keep out of the way of what a record stores, and odd arguments mean what they mean."""

import sys
from types import MappingProxyType
from typing import Any

import pytest

from netra_backend.jsonlog.attributes import (
    NOT_SHOWN,
    STANDARD,
    error_of,
    fields_of,
    filled,
    free,
    meant,
    told_apart,
)
from tests.jsonlog.hostile_classes import BoolRaises, Colour


def test_a_field_with_the_name_of_an_attribute_gets_another() -> None:
    assert free("name", STANDARD) == "name_"
    assert free("color_message", STANDARD) == "color_message"
    assert free("color_message", NOT_SHOWN) == "color_message_"
    assert free(Colour.RED, frozenset({"RED"})) == "RED_"
    assert free(5, STANDARD) == "5"


def test_no_two_fields_get_one_name() -> None:
    given = {"name": 1, "name_": 2, "x": 3, 5: 4, "5": 5, Colour.RED: 6}
    told = told_apart(given, STANDARD, ["x", "RED"])
    assert told == {"name_~2": 1, "name_": 2, "x~2": 3, "5~2": 4, "5": 5, "RED~2": 6}
    assert told_apart({"a": 1}, STANDARD) == {"a": 1}


@pytest.mark.parametrize("extra", [[], ["ab", "cd"], [("a", 1)], "text", 0, {1: 2}.keys()])
def test_what_is_no_mapping_is_one_field(extra: object) -> None:
    assert fields_of(extra) == {"extra": extra}
    assert fields_of(MappingProxyType({"a": 1})) == fields_of({"a": 1}) == {"a": 1}


@pytest.mark.parametrize("args", [(1,), ("a", "b"), ("x" * 10,), 5, None])
def test_texts_that_do_not_fit_their_arguments(args: Any) -> None:
    assert filled("%s %s", args) == ("a b" if args == ("a", "b") else None)
    assert filled("%*d", (10**12, 1)) is None
    assert filled(b"x", ()) is None


def test_which_exception_is_meant() -> None:
    error = ValueError()
    assert error_of(error) is error_of((ValueError, error, None)) is meant(error) is error
    for nothing in (None, False, 0, "", (), (None, None, None), (1, 2)):
        assert meant(nothing) is None
    try:
        raise error
    except ValueError:
        assert sys.exc_info()[1] is error
        for something in (True, 1, "yes", BoolRaises()):
            assert meant(something) is error
        assert meant(False) is None
