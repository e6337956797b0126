"""Objects that are only named, without a word of their own."""

import re
import sys
from typing import Any

import pytest

from netra_backend.jsonlog.opaque import told
from tests.jsonlog import hostile_classes as of


@pytest.mark.parametrize("value", [1 + 2j, range(3), re.compile("a"), ..., NotImplemented, len])
def test_what_is_built_in_is_shown(value: Any) -> None:
    assert told(value) == repr(value)


def test_others_are_named() -> None:
    class Thing:
        def __repr__(self) -> str:
            raise AssertionError("was called")

    one = Thing()
    assert told(one) == f"<{__name__}.{Thing.__qualname__} object at {id(one):#x}>"
    assert told(Thing) == f"<class '{__name__}.{Thing.__qualname__}'>"
    assert told(of.OfHostileMeta).startswith("<class '")
    assert told(sys) == "<module sys>"
