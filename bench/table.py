"""The table: what the questions answered, one figure a line."""

from collections.abc import Iterable, Iterator
from statistics import median
from typing import NamedTuple


class Row(NamedTuple):
    """One figure: what it is of, the figure with its unit, and how far the rounds were apart."""

    what: str
    figure: str
    spread: str = ""


def row(what: str, unit: str, rounds: Iterable[float], *, digits: int = 2) -> Row:
    """Return the median of the rounds as a row, with the least and the most of them."""
    values = list(rounds)
    spread = f"{min(values):,.{digits}f} to {max(values):,.{digits}f}" if len(values) > 1 else ""
    return Row(what, f"{median(values):,.{digits}f} {unit}".rstrip(), spread)


def lines(question: str, rows: Iterable[Row]) -> Iterator[str]:
    """Yield the question, and each row, aligned, as soon as it is there."""
    yield question
    for one in rows:
        spread = f"  ({one.spread})" if one.spread else ""
        yield f"  {one.what:<52} {one.figure:>18}{spread}"
