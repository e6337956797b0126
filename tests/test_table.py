"""A test of a table fails when any row does, and says which."""

import pytest

from tests.table import each_of


def test_each_row_that_fails_is_named_and_the_others_are_tried() -> None:
    tried = []

    @each_of([1, 2, 3, 4])
    def is_odd(row: int) -> None:
        tried.append(row)
        assert row % 2

    with pytest.raises(ExceptionGroup, match="2 of 4 rows") as failed:
        is_odd()
    assert tried == [1, 2, 3, 4]
    assert [error.__notes__ for error in failed.value.exceptions] == [["row: 2"], ["row: 4"]]


def test_a_table_without_rows_fails() -> None:
    with pytest.raises(AssertionError):
        each_of([])(print)()


@each_of(["a", "b"])
def test_it_is_collected_as_one_test(row: str) -> None:
    assert row in "ab"
