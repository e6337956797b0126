"""The fields of classes that declare them, from the libraries people use."""

import dataclasses

import attrs
import msgspec
import pydantic
import pytest

from netra_backend.jsonlog.fields import field_names
from tests.jsonlog import hostile_classes as of


@dataclasses.dataclass
class Data:
    a: int
    b: int = 1


@attrs.define
class Attrs:
    a: int
    b: int = 1


class Model(pydantic.BaseModel):
    a: int
    b: int = 1
    secret: int = pydantic.Field(default=1, exclude=True)


@pydantic.dataclasses.dataclass
class PydanticData:
    a: int
    b: int = 1


class Struct(msgspec.Struct):
    a: int
    b: int = 1


@pytest.mark.parametrize("cls", [Data, Attrs, Model, PydanticData, Struct])
def test_the_declared_fields_in_order(cls: type) -> None:
    assert field_names(cls) == ["a", "b"]


def test_other_classes_have_none() -> None:
    for cls in (object, int, type, of.FakeDataclass, of.OfHostileMeta):
        assert field_names(cls) is None
