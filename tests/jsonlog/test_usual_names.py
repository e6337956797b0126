"""Which names need no other look, and how many are remembered."""

import pytest

from netra_backend.jsonlog.usual_names import MAX_NAMES, UsualNames


@pytest.mark.parametrize(
    ("name", "usual"),
    [
        ("run", True),
        ("http.route_2", True),
        ("thread", True),
        ("level", False),  # reserved here
        ("a b", False),
        ("2nd", False),
        ("größe", False),
        ("n" * 65, False),
        ("", False),
        ("Name", False),  # it may say what is under `value`
        ("api_key", False),
        ("password", False),
    ],
)
def test_a_name_is_usual(name: str, *, usual: bool) -> None:
    names = UsualNames(frozenset(("level",)))
    for _ in range(2):
        assert names.are_all(["user", name]) is usual
        assert names.are_all([]) is True


def test_what_is_remembered_is_bounded() -> None:
    names = UsualNames(frozenset())
    assert names.are_all([f"n{number}" for number in range(MAX_NAMES + 9)])
    assert len(names) == MAX_NAMES
    assert names.are_all([f"n{number}" for number in range(MAX_NAMES + 9)])
