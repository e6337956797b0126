"""No secret gets through, nothing harmless is hidden, and no text costs much time."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_backend.jsonlog.redact import redact
from netra_backend.jsonlog.shapes import REDACTED
from tests.jsonlog.thoroughness import briefly

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"


def test_what_stands_beside_a_secret_stays() -> None:
    command = ["psql", "--host", "db", "--password", "x", "--user", "ann", "-v", "y"]
    assert redact([*command]) == [*command[:4], REDACTED, *command[5:]]
    assert redact(["--max-tokens", 5, "x"]) == ["--max-tokens", 5, "x"]
    variable = {"name": "DB_PASSWORD", "value": "x", "scope": "all"}
    assert redact({**variable}) == {**variable, "value": REDACTED}
    for label, value in (("Name", "Value"), ("NAME", "VALUE"), ("Key", "Value"), ("key", "Value")):
        of_a_cloud = {label: "DB_PASSWORD", value: "x"}
        assert redact([{**of_a_cloud}]) == [{**of_a_cloud, value: REDACTED}]
    assert redact({"name": "ann", "value": "x"}) == {"name": "ann", "value": "x"}
    assert redact({"key": "secret", "value": None}) == {"key": "secret", "value": None}


@pytest.mark.parametrize("label", ["name", "key", "name_", "key_", "name~2", "name_~2"])
def test_a_value_is_hidden_by_the_name_beside_it_however_that_is_renamed(label: str) -> None:
    shown = redact({"name": "ann", label: "DB_PASSWORD", "value": "x", "value~2": "y", "values": 3})
    assert shown == {
        "name": "ann",
        label: "DB_PASSWORD",
        "value": REDACTED,
        "value~2": REDACTED,
        "values": 3,
    }
    assert redact({label: "max_tokens", "value": 3}) == {label: "max_tokens", "value": 3}


def test_keys_that_become_equal_are_both_kept() -> None:
    shown = redact({"bearer abc": 1, "bearer def": 2})
    assert sorted(shown.values()) == [1, 2]  # type: ignore[union-attr,type-var]


@briefly
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
        max_leaves=30,
    )
)
def test_a_secret_is_hidden_wherever_it_stands(value: object) -> None:
    shown = redact({"value": value, "last": [f"x {JWT}"]})  # type: ignore[dict-item]
    assert "c2lnbmF0" not in json.dumps(shown)
