"""Foreign code fails as a value, and looking at an object runs none."""

import pytest

from netra_backend.jsonlog.guard import (
    MISSING,
    NESTED_CALLS,
    Failed,
    class_attribute,
    class_name,
    foreign,
    is_kind,
    is_large,
    own_attribute,
    own_attributes,
)
from tests.jsonlog import hostile_classes as of


@pytest.mark.parametrize("error", [ValueError, RecursionError, SystemExit, KeyboardInterrupt])
def test_a_failing_call_is_a_value(error: type[BaseException]) -> None:
    assert foreign(of.raiser(error)) == Failed(error.__name__)


def test_a_call_that_leads_to_itself_ends() -> None:
    depths: list[int] = []

    def again(depth: int) -> object:
        depths.append(depth)
        return foreign(again, depth + 1)

    assert foreign(again, 1) == Failed("nested too deeply")
    assert depths == list(range(1, NESTED_CALLS + 1))
    assert foreign(len, "abc") == 3


def test_classes_are_named_whatever_their_metaclass_does() -> None:
    assert class_name(type(of.OfHostileMeta())).endswith("hostile_classes.OfHostileMeta")
    assert class_name(int) == "int"
    assert class_name(type("Odd", (), {"__module__": 3})) == "Odd"


def test_the_real_class_counts_not_the_claimed_one() -> None:
    assert is_kind(True, int)
    assert not is_kind(of.LyingClass(), int)
    assert not is_kind(of.OfHostileMeta(), int)


def test_attributes_are_read_without_the_class_noticing() -> None:
    one = of.NoAttributes()
    own_attributes(one)["x"] = 5
    assert own_attribute(one, "x") == 5
    assert own_attribute(of.Slotted(7), "x") == 7
    assert own_attribute(object.__new__(of.Slotted), "x") is MISSING
    assert own_attribute(of.Colour.RED, "_name_") == "RED"
    assert own_attribute(3, "real") is MISSING
    assert own_attributes(3) == {}


def test_a_plain_default_on_the_class_counts_and_a_property_does_not() -> None:
    class Defaults:
        plain = 3

        @property
        def computed(self) -> int:
            raise AssertionError("was called")

    assert own_attribute(Defaults(), "plain") == 3
    assert own_attribute(Defaults(), "computed") is MISSING
    assert class_attribute(Defaults, "nothing") is MISSING


def test_shared_and_cyclic_containers_are_large() -> None:
    laughs: object = "ha"
    for _ in range(60):
        laughs = {"a": [laughs], "b": (laughs,)}
    assert is_large(laughs)
    cycle: list[object] = []
    cycle.append(cycle)
    assert is_large(cycle)
    assert is_large(set(range(20_000)))
    assert not is_large([{"a": (1, {2})}] * 100)
    assert not is_large(range(10**9))
