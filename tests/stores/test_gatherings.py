"""Gatherings: everybody is asked once, and nobody is waited for longer than the bound."""

import asyncio
from collections.abc import Mapping

import pytest

from netra_backend.stores import gatherings
from netra_backend.stores.gatherings import Gatherings
from tests.eventually import until

pytestmark = pytest.mark.anyio

Answers = Mapping[str, bytes | None]


class Asked:
    """A question that was asked of some."""

    def __init__(self, gathered: Gatherings[str], *asked: str) -> None:
        self.asked: list[tuple[str, int]] = []
        self.answers: list[Answers] = []
        gathered.begin(asked, lambda *each: self.asked.append(each), self.answers.append)

    @property
    def number(self) -> int:
        return self.asked[0][1]


async def test_it_is_done_when_all_have_answered() -> None:
    gathered = Gatherings[str]()
    first, second = Asked(gathered, "a", "b"), Asked(gathered, "b", "a")
    assert [who for who, _ in first.asked] == ["a", "b"]
    gathered.answered("a", first.number, b"1")
    gathered.answered("a", first.number, b"again")
    gathered.answered("c", first.number, b"nobody asked")
    assert first.answers == []
    gathered.answered("b", first.number, b"2")
    gathered.answered("b", first.number, b"too late")
    assert first.answers == [{"a": b"1", "b": b"2"}]
    gathered.answered("b", second.number, None)
    gathered.answered("a", second.number, b"3")
    assert second.answers == [{"b": None, "a": b"3"}]


async def test_where_nobody_is_asked_it_is_done_at_once() -> None:
    assert Asked(Gatherings[str]()).answers == [{}]


async def test_who_leaves_is_missing() -> None:
    gathered = Gatherings[str]()
    questions = [Asked(gathered, "a", "b"), Asked(gathered, "b")]
    gathered.answered("a", questions[0].number, b"1")
    gathered.leave("b")
    assert [one.answers for one in questions] == [[{"a": b"1", "b": None}], [{"b": None}]]


async def test_who_says_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gatherings, "ANSWER_SECONDS", 0.01)
    gathered = Gatherings[str]()
    one = Asked(gathered, "a", "b")
    gathered.answered("a", one.number, b"1")
    await until(lambda: one.answers)
    assert one.answers == [{"a": b"1", "b": None}]
    gathered.answered("b", one.number, b"too late")
    await asyncio.sleep(0)
    assert len(one.answers) == 1
