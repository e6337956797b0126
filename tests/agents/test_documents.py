"""Documents: what patches make of a state, and how much they may make of it."""

from typing import Any

import jsonpatch
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_backend.agents.documents import Document
from netra_backend.errors import EventError
from tests.night import examples
from tests.strategies import json_values

AMPLE = 1_000_000


def test_a_patch_changes_the_document_and_nothing_else() -> None:
    given = {"list": [1]}
    value = {"x": [2]}
    document = Document(given, limit=AMPLE)
    assert document.value is given
    document.patch([{"op": "add", "path": "/list/-", "value": value}])
    document.patch([{"op": "add", "path": "/list/1/x/-", "value": 3}])

    assert document.value == {"list": [1, {"x": [2, 3]}]}
    assert (given, value) == ({"list": [1]}, {"x": [2]})


OPERATIONS = st.one_of(
    st.builds(
        lambda path, value: {"op": "add", "path": path, "value": value},
        st.sampled_from(["", "/a", "/b", "/a/x", "/b/y"]),
        json_values(),
    ),
    st.builds(
        lambda source, path: {"op": "copy", "from": source, "path": path},
        st.sampled_from(["", "/a", "/b"]),
        st.sampled_from(["/a", "/b", "/a/c", "/b/c"]),
    ),
    st.builds(
        lambda path: {"op": "remove", "path": path}, st.sampled_from(["/a", "/b", "/a/c", "/b/c"])
    ),
)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.lists(OPERATIONS, max_size=4), max_size=6))
def test_patches_make_what_the_library_makes_of_them(patches: list[Any]) -> None:
    expected: Any = {"a": {}, "b": []}
    document = Document(expected, limit=AMPLE)
    for patch in patches:
        try:
            expected = jsonpatch.apply_patch(expected, patch)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError):
            with pytest.raises(EventError, match="does not apply"):
                document.patch(patch)
            return
        document.patch(patch)
        assert document.value == expected


def test_one_that_doubles_with_every_operation_is_stopped_before_it_is_large() -> None:
    """Forty copies of 1 KB would be 1 PB; the document is looked at before each."""
    double = [{"op": "copy", "from": "/a", "path": "/a/-"}]
    document = Document({"a": ["x" * 1_000]}, limit=100_000)
    with pytest.raises(EventError, match="more than 100000 bytes"):
        document.patch(double * 40)


def test_one_that_grows_a_little_at_a_time_is_stopped_at_the_limit() -> None:
    document = Document({}, limit=10_000)
    sizes = []

    def grow() -> None:
        for number in range(1_000):
            document.patch([{"op": "add", "path": f"/{number}", "value": "x" * 90}])
            sizes.append(len(msgspec.json.encode(document.value)))

    with pytest.raises(EventError, match="more than 10000 bytes"):
        grow()
    assert 9_800 < sizes[-1] <= 10_000


def test_what_was_removed_makes_room_again() -> None:
    document = Document({}, limit=10_000)
    for number in range(1_000):
        document.patch([{"op": "add", "path": "/a", "value": "x" * 5_000 + str(number)}])
        document.patch([{"op": "remove", "path": "/a"}])

    assert document.value == {}
