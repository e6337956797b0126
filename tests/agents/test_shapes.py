"""Shapes: which states fit which classes, and that one of somebody else fits none."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field
from pydantic.dataclasses import dataclass as checked
from typing_extensions import TypedDict

from netra_backend.agents import shapes
from netra_backend.agents.shapes import shaped
from netra_backend.errors import AgentError

THEIRS = {"$type": "object", "page": 2}


@dataclass
class Basket:
    things: list[str] = field(default_factory=list)


class Shelf(BaseModel):
    things: list[str] = Field(default=[], alias="theThings")


class Box(TypedDict, total=False):
    things: list[str]


@dataclass
class Hooked:
    """A shape of which there is no JSON Schema."""

    count: int = 0
    hook: Callable[[int], int] = abs


@checked(config=ConfigDict(arbitrary_types_allowed=True))
class Locked:
    count: int = 0
    lock: threading.Event = field(default_factory=threading.Event)


@dataclass
class Inner:
    size: Annotated[int, Field(alias="theSize")] = 0


@dataclass
class Named:
    count: Annotated[int, Field(alias="theCount")] = 0
    first: int = Field(default=0, validation_alias=AliasChoices("one", AliasPath("all", 0)))
    last: Annotated[int, Field(validation_alias=AliasPath("rest", "last"))] = 0
    inner: Inner = field(default_factory=Inner)
    more: "list[Named]" = field(default_factory=list)


@checked(config=ConfigDict(alias_generator=str.upper))
class Loud:
    count: int = 0


@pytest.mark.parametrize(("shape", "name"), [(Basket, "things"), (Shelf, "theThings")])
def test_what_a_state_has_beside_the_fields_is_left_out(shape: type, name: str) -> None:
    assert shaped(None, shape) == shaped({}, shape) == shape()
    found = shaped({name: ["a"], "page": 2}, shape)
    assert found.things == ["a"]
    assert not hasattr(found, "page")


def test_a_state_may_be_a_plain_dict_of_some_keys() -> None:
    assert shaped({"things": ["a"], "page": 2}, Box) == {"things": ["a"]}
    assert shaped(None, Box) == shaped({}, Box) == {}


def test_a_field_that_does_not_fit_is_named() -> None:
    with pytest.raises(AgentError, match=r"^the state does not fit: things\.1: "):
        shaped({"things": ["a", 5]}, Basket)


@pytest.mark.parametrize("shape", [Basket, Shelf, Box])
def test_a_state_of_somebody_else_does_not_fit(shape: type) -> None:
    with pytest.raises(AgentError, match=f"none of the fields of {shape.__name__}, but .*page"):
        shaped(THEIRS, shape)
    assert shaped(THEIRS, dict) == THEIRS


@pytest.mark.parametrize("shape", [Hooked, Locked])
def test_a_shape_without_a_json_schema_is_a_shape(shape: type) -> None:
    assert shaped({"count": 3}, shape).count == 3
    with pytest.raises(AgentError, match="none of the fields"):
        shaped({"page": 2}, shape)


@pytest.mark.parametrize(
    ("shape", "state", "fits"),
    [
        (Named, {"theCount": 1}, True),
        (Named, {"one": 1}, True),
        (Named, {"all": [1]}, True),
        (Named, {"rest": {"last": 1}}, True),
        (Named, {"last": 1}, True),
        (Named, {"theSize": 1}, False),
        (Loud, {"COUNT": 1}, True),
        (Loud, {"Count": 1}, False),
    ],
)
def test_a_field_of_a_dataclass_is_found_by_its_aliases(
    shape: type, state: dict, fits: bool
) -> None:
    if fits:
        assert isinstance(shaped(state, shape), shape)
    else:
        with pytest.raises(AgentError, match="none of the fields"):
            shaped(state, shape)


def test_aliases_are_looked_for_only_where_no_name_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "_aliases", None)
    assert shaped({"things": ["a"]}, Basket).things == ["a"]
