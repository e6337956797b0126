"""A test of all rows of a table, which says of each row that fails why.

For tables of hundreds: as tests of their own, their rows cost more than what is tried with them.
"""

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TypeVar

Row = TypeVar("Row")


def each_of(
    rows: Iterable[Row], name: Callable[[Row], object] = str
) -> Callable[[Callable[[Row], None]], Callable[[], None]]:
    """Return what makes one test of a check of one row; a table without rows fails."""
    table = list(rows)

    def decorate(check: Callable[[Row], None]) -> Callable[[], None]:
        @wraps(check)
        def test() -> None:
            assert table
            failed = []
            for row in table:
                try:
                    check(row)
                except Exception as error:  # noqa: BLE001 - the other rows are tried too
                    error.add_note(f"row: {name(row)}")
                    failed.append(error)
            if failed:
                raise ExceptionGroup(f"{len(failed)} of {len(table)} rows", failed)

        test.__signature__ = inspect.Signature()  # type: ignore[attr-defined]
        return test

    return decorate
