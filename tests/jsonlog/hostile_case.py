"""One case of the corpus: something to log, which law it tries, and what must be seen of it."""

import enum
import logging
from collections.abc import Callable
from typing import NamedTuple, Protocol

MARK = "the mark of a case"
"""Stands in the text of each record that a case logs itself, so that it is found again."""


class Law(enum.Enum):
    """The laws of ``jsonlog`` that one record can break."""

    TOTAL = "any value is logged"
    CONSERVATIVE = "plain JSON stays what it is"
    VALID = "a record is one line"
    HARMLESS = "no call raises"
    COMPLETE = "tracebacks are there"
    SECRET = "no secret is shown"


class Log(Protocol):
    """A logging library as the corpus calls it. Each is called in the way its manual shows."""

    standard: logging.Logger | None
    """A logger of the standard library whose records take the same path; None if none does."""

    def say(self, text: str, /, **fields: object) -> None:
        """Log a text with fields."""

    def fail(self, text: str, error: BaseException, /) -> None:
        """Log a text with an exception and its traceback."""

    def flush(self) -> None:
        """Return when all that was logged is in the file."""


class Case(NamedTuple):
    """What is logged by `call`; `seen` and the mark must then stand in its lines, no `secret`."""

    name: str
    law: Law
    call: Callable[[Log], object]
    seen: tuple[str, ...] = ()
    secret: str = ""
    records: int | None = 1
    """How many records it logs; None where that is the library's affair."""
    standard: bool = False
    """Whether it needs a logger of the standard library."""


Standard = Callable[[logging.Logger], object]


def standard(name: str, call: Standard, *seen: str, law: Law = Law.HARMLESS) -> Case:
    """Return a case of one record that goes through a logger of the standard library."""

    def log(library: Log) -> None:
        assert library.standard is not None
        call(library.standard)

    return Case(name, law, log, seen, standard=True)
