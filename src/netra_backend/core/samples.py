"""Samples: what is measured, as processes tell each other, and its sum over them.

The words are those of Prometheus: a family is a metric with all its samples, and a sample is told
apart by its name and its labels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

LASTING = frozenset({"counter", "histogram"})
"""The types of what only grows: what was counted stays true when who counted it is gone."""


class Sample(Struct, frozen=True, array_like=True):
    """One number; that of a histogram's bucket has the label ``le``."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


class Family(Struct, frozen=True, array_like=True):
    """A metric of a `type`, ``counter``, ``histogram`` or ``gauge``, with its samples."""

    name: str
    type: str
    meaning: str
    samples: Sequence[Sample]


def summed(parts: Iterable[Sequence[Family]]) -> list[Family]:
    """Return the families of all parts: of each sample the sum over those that have it.

    A gauge whose sum means nothing has a label that tells the parts apart.
    """
    sums: dict[str, _Sum] = {}
    for part in parts:
        for family in part:
            sums.setdefault(family.name, _Sum(family)).add(family)
    return [one.family() for one in sums.values()]


def lasting(families: Iterable[Family]) -> list[Family]:
    """Return those that stay true when their process is gone."""
    return [family for family in families if family.type in LASTING]


@dataclass
class _Sum:
    """A family that grows: in the order in which samples were met, which is that of buckets."""

    first: Family
    values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)

    def add(self, family: Family) -> None:
        for name, labels, value in ((s.name, s.labels, s.value) for s in family.samples):
            self.values[name, labels] = self.values.get((name, labels), 0.0) + value

    def family(self) -> Family:
        samples = [Sample(name, labels, value) for (name, labels), value in self.values.items()]
        return Family(self.first.name, self.first.type, self.first.meaning, samples)
