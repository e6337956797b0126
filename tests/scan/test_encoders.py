"""The table of what encoders refuse is what they do."""

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import importlib
import ipaddress
import json
import pathlib
import uuid
from collections.abc import Callable
from typing import Any

import attrs
import msgspec
import pydantic
import pydantic.v1
import pytest

from netra_backend.scan import encoders
from netra_backend.scan.kinds import Kind


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass(frozen=True)
class Data:
    x: int = 1


@attrs.frozen
class Attrs:
    x: int = 1


class Record(msgspec.Struct, frozen=True):
    x: int = 1


class Model(pydantic.BaseModel, frozen=True):
    x: int = 1


class Model1(pydantic.v1.BaseModel):
    x: int = 1


class Thing:
    pass


SAMPLES: dict[Kind, Any] = {
    Kind.ENUM: Color.RED,
    Kind.DATETIME: dt.datetime(2020, 1, 1),
    Kind.DATE: dt.date(2020, 1, 1),
    Kind.TIME: dt.time(1),
    Kind.TIMEDELTA: dt.timedelta(1),
    Kind.TIMEZONE: dt.UTC,
    Kind.UUID: uuid.UUID(int=1),
    Kind.DECIMAL: decimal.Decimal(1),
    Kind.FRACTION: fractions.Fraction(1, 3),
    Kind.COMPLEX: 1j,
    Kind.BYTES: b"a",
    Kind.BUFFER: bytearray(b"a"),
    Kind.PATH: pathlib.PurePosixPath("a"),
    Kind.SET: frozenset({1}),
    Kind.DEQUE: collections.deque([1]),
    Kind.VIEW: {}.keys(),
    Kind.ITERATOR: range(2),
    Kind.EXCEPTION: ValueError("a"),
    Kind.DATACLASS: Data(),
    Kind.ATTRS: Attrs(),
    Kind.STRUCT: Record(),
    Kind.MODEL: Model(),
    Kind.MODEL_1: Model1(),
    Kind.CALLABLE: len,
    Kind.CLASS: Thing,
    Kind.MODULE: json,
    Kind.OPAQUE: ipaddress.ip_address("::1"),
    Kind.OBJECT: Thing(),
    Kind.ARRAY: (1,),
    Kind.NUMBER: 1,
    Kind.NOTHING: None,
}


def encode(module: str) -> Callable[[Any], Any]:
    loaded = pytest.importorskip(module, reason=f"{module} is not installed")
    return loaded.encode if module == "msgspec.json" else loaded.dumps  # type: ignore[no-any-return]


def refuses(write: Callable[[Any], Any], value: Any) -> bool:
    try:
        write(value)
    except Exception:  # noqa: BLE001 - every encoder has its own
        return True
    return False


TABLES = {
    "json": encoders.STDLIB,
    "orjson": encoders.ORJSON,
    "ujson": encoders.UJSON,
    "simplejson": encoders.SIMPLEJSON,
    "msgspec.json": encoders.MSGSPEC,
}


@pytest.mark.parametrize("module", TABLES)
def test_whatever_the_table_says_is_refused_is_refused(module: str) -> None:
    write, table = encode(module), TABLES[module]
    for kind in table.values & SAMPLES.keys():
        assert refuses(write, [SAMPLES[kind]]), f"{module} writes a {kind.value}"
    for kind in table.keys & SAMPLES.keys():
        try:
            data = {SAMPLES[kind]: 1}
        except TypeError:  # not hashable: no key at all
            continue
        assert refuses(write, data), f"{module} writes the key {kind.value}"


def test_nothing_that_json_refuses_is_left_out() -> None:
    for kind, sample in SAMPLES.items():
        assert refuses(json.dumps, [sample]) == (kind in encoders.STDLIB.values), kind


def test_the_standard_library_has_no_other_kinds_of_buffers() -> None:
    assert refuses(json.dumps, [array.array("b", b"a")])
    assert importlib.import_module("json") is json
