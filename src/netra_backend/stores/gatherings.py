"""Gatherings: a question to several, and their answers, which come in a bounded time or not."""

import asyncio
import itertools
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

from msgspec import Struct

ANSWER_SECONDS = 3.0
"""How long the others have to answer. Less than half of what a Prometheus waits for a scrape."""

H = TypeVar("H", bound=Hashable)


class _Gathering(Struct, Generic[H]):
    """A question under way: `answers` are None of those who are still waited for."""

    answers: dict[H, bytes | None]
    waited_for: set[H]
    done: Callable[[Mapping[H, bytes | None]], None]
    late: asyncio.TimerHandle


class Gatherings(Generic[H]):
    """The questions that are not answered by all yet."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._open: dict[int, _Gathering[H]] = {}

    def begin(
        self,
        asked: Iterable[H],
        ask: Callable[[H, int], None],
        done: Callable[[Mapping[H, bytes | None]], None],
    ) -> None:
        """Ask each, with the number of the question; call `done` once with what they answered.

        That is None of who could not answer, left, or did not in `ANSWER_SECONDS`.
        """
        all_asked = list(asked)
        number = next(self._numbers)
        late = asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._end, number)
        self._open[number] = _Gathering(dict.fromkeys(all_asked), set(all_asked), done, late)
        for one in all_asked:
            ask(one, number)
        self._end_if_answered(number)

    def answered(self, by: H, number: int, answer: bytes | None) -> None:
        """Take an answer; one that comes too late is nothing."""
        gathering = self._open.get(number)
        if gathering is not None and by in gathering.waited_for:
            gathering.waited_for.discard(by)
            gathering.answers[by] = answer
            self._end_if_answered(number)

    def leave(self, one: H) -> None:
        """Wait for this one no more."""
        for number in list(self._open):
            self.answered(one, number, None)

    def _end_if_answered(self, number: int) -> None:
        if not self._open[number].waited_for:
            self._end(number)

    def _end(self, number: int) -> None:
        gathering = self._open.pop(number)
        gathering.late.cancel()
        gathering.done(gathering.answers)
