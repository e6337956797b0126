"""Resume: which answer a follower gets, and that a merged backlog is the backlog."""

import json
from itertools import pairwise

import pytest
from ag_ui.core import EventType
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from netra_backend.core.events import Entry, Event, delta_event, plain_delta
from netra_backend.core.fold import Conversation
from netra_backend.core.frames import Resume
from netra_backend.core.ids import RunId
from netra_backend.core.positions import Position
from netra_backend.core.resume import MAX_MERGED_LENGTH, Piece, answer, merge, pieces
from netra_backend.errors import StoreFailed
from tests.core.test_prelude import everything
from tests.night import examples
from tests.strategies import entries, logs

PLAIN_KEYS = [{"type", "messageId", "delta"}, {"type", "toolCallId", "delta"}]


def folded(parts: list[Piece]) -> Conversation:
    conversation = Conversation()
    for piece in parts:
        conversation.apply(piece.event)
    return conversation


def deltas(*texts: str, subject: str = "m") -> list[Entry]:
    return entries(
        [{"type": "TEXT_MESSAGE_CONTENT", "messageId": subject, "delta": text} for text in texts]
    )


@settings(max_examples=examples(100), deadline=None)
@given(logs())
def test_folding_a_merge_is_folding_the_log(log: list[Entry]) -> None:
    merged = merge(log, after=0)
    assert everything(folded(merged)) == everything(folded(pieces(log)))


@settings(max_examples=examples(100), deadline=None)
@given(logs(), st.integers(0, 200), st.integers(0, 10**12))
def test_a_merge_is_dense_and_ends_where_the_log_ends(
    log: list[Entry], skip: int, shift: int
) -> None:
    log = [
        structs.replace(
            entry, position=Position(entry.position.epoch, entry.position.offset + shift)
        )
        for entry in log[skip % len(log) :]
    ]
    after = log[0].position.offset - 1
    merged = merge(log, after=after)
    assert merged[0].first == after + 1
    assert all(one.last.offset + 1 == other.first for one, other in pairwise(merged))
    assert merged[-1].last == log[-1].position
    assert merge(log, after=after, join=False) == pieces(log)
    assert {piece.last.epoch for piece in merged} == {log[0].position.epoch}


@settings(max_examples=examples(100), deadline=None)
@given(logs())
def test_only_neighbouring_plain_deltas_of_one_message_are_joined(log: list[Entry]) -> None:
    merged = merge(log, after=0)
    for piece in merged:
        joined = log[piece.first - 1 : piece.last.offset]
        if len(joined) == 1:
            assert piece.event is joined[0].event
            continue
        fields = [json.loads(entry.event.data) for entry in joined]
        about = [{k: v for k, v in each.items() if k != "delta"} for each in fields]
        assert set(fields[0]) in PLAIN_KEYS
        assert all(each == about[0] for each in about)
        whole = {**about[0], "delta": "".join(each["delta"] for each in fields)}
        assert json.loads(piece.event.data) == whole
    for one, other in pairwise(merged):
        plain = (plain_delta(one.event), plain_delta(other.event))
        same = plain[0] and plain[1] and plain[0][0] == plain[1][0]
        assert not (same and one.event.type is other.event.type)


@settings(max_examples=examples(60), deadline=None)
@given(logs())
def test_merging_again_changes_nothing(log: list[Entry]) -> None:
    once = merge(log, after=0)
    again = [
        Entry(Position(1, number), RunId("r"), 0, piece.event)
        for number, piece in enumerate(once, start=1)
    ]
    assert [piece.event for piece in merge(again, after=0)] == [piece.event for piece in once]


@settings(max_examples=examples(60), deadline=None)
@given(logs(), st.integers(0, 200))
def test_a_backlog_read_in_two_parts_is_the_backlog(log: list[Entry], cut: int) -> None:
    cut %= len(log) + 1
    parts = [*merge(log[:cut], after=0), *merge(log[cut:], after=cut)]
    assert everything(folded(parts)) == everything(folded(pieces(log)))


@pytest.mark.parametrize(
    "more",
    [
        {"metadata": {"a": 1}},
        {"timestamp": 1},
        {"subagentRunId": "s"},
        {"rawEvent": 1},
        {"x-trace": 1},
        {"messageId": "other"},
        {"type": "REASONING_MESSAGE_CONTENT"},
    ],
)
def test_a_delta_that_says_more_stays_alone(more: dict[str, object]) -> None:
    plain = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "x"}
    log = entries([plain, plain, {**plain, **more}, plain, plain])
    assert [(p.first, p.last.offset) for p in merge(log, after=0)] == [(1, 2), (3, 3), (4, 5)]


def test_a_merged_delta_is_at_most_so_long() -> None:
    half = "x" * (MAX_MERGED_LENGTH // 2)
    merged = merge(deltas(half, half, "y", half, half + "z"), after=0)
    assert [(p.first, p.last.offset) for p in merged] == [(1, 2), (3, 4), (5, 5)]
    big = "x" * (2 * MAX_MERGED_LENGTH)
    assert [p.first for p in merge(deltas("a", big, "b"), after=0)] == [1, 2, 3]


def test_empty_deltas_stay_legal() -> None:
    (piece,) = merge(deltas("", ""), after=0)
    assert piece.event == delta_event(EventType.TEXT_MESSAGE_CONTENT, "m", "")
    assert json.loads(piece.event.data)["delta"] == ""


def test_nothing_is_merged_of_nothing() -> None:
    assert merge([], after=7) == []
    assert pieces([]) == []


@settings(max_examples=examples(60), deadline=None)
@given(logs(), st.integers(0, 200), st.sampled_from(["lost", "doubled", "swapped", "epoch"]))
def test_a_log_with_a_hole_is_refused(log: list[Entry], at: int, fault: str) -> None:
    log = [*log, *log, *log][:3] if len(log) < 3 else log
    log = [structs.replace(e, position=Position(1, n)) for n, e in enumerate(log, start=1)]
    at = 1 + at % (len(log) - 2)
    broken = list(log)
    if fault == "lost":
        del broken[at]
    elif fault == "doubled":
        broken.insert(at, broken[at])
    elif fault == "swapped":
        broken[at - 1], broken[at] = broken[at], broken[at - 1]
    else:
        broken[at] = structs.replace(broken[at], position=Position(2, at + 1))
    assert len(merge(log, after=0)) >= 1
    with pytest.raises(StoreFailed, match="where offset"):
        merge(broken, after=0)


@pytest.mark.parametrize("after", [0, 4, 6])
def test_a_backlog_that_begins_elsewhere_is_refused(after: int) -> None:
    log = entries([{"type": "CUSTOM", "name": "n", "value": 1}], first=6)
    assert len(merge(log, after=5)) == 1
    with pytest.raises(StoreFailed):
        merge(log, after=after)


HEAD = Position(3, 100)


@pytest.mark.parametrize(
    ("after", "head", "expected"),
    [
        (None, Position(3, 0), Resume.CAUGHT_UP),
        (None, Position(3, 10), Resume.REPLAY),
        (None, Position(3, 11), Resume.SNAPSHOT),
        (Position(3, 0), Position(3, 10), Resume.REPLAY),
        (Position(3, 100), HEAD, Resume.CAUGHT_UP),
        (Position(3, 99), HEAD, Resume.REPLAY),
        (Position(3, 90), HEAD, Resume.REPLAY),
        (Position(3, 89), HEAD, Resume.SNAPSHOT),
        (Position(3, 0), HEAD, Resume.SNAPSHOT),
        (Position(3, 101), HEAD, Resume.GAP),
        (Position(2, 100), HEAD, Resume.GAP),
        (Position(2, 5), HEAD, Resume.GAP),
        (Position(4, 5), HEAD, Resume.GAP),
        (Position(4, 0), HEAD, Resume.GAP),
    ],
)
def test_the_answer(after: Position | None, head: Position, expected: Resume) -> None:
    assert answer(after, head, replay_entries=10) is expected


numbers = st.integers(0, 30)


@given(st.builds(Position, numbers, numbers), st.builds(Position, numbers, numbers), numbers)
def test_every_position_gets_one_of_four_answers(
    after: Position, head: Position, replay: int
) -> None:
    given = answer(after, head, replay_entries=replay)
    in_history = after.epoch == head.epoch and after.offset <= head.offset
    assert (given is Resume.GAP) == (not in_history)
    assert (given is Resume.CAUGHT_UP) == (after == head)
    if given is Resume.REPLAY:
        assert 0 < head.offset - after.offset <= replay
    if given is Resume.SNAPSHOT:
        assert head.offset - after.offset > replay


def test_live_pieces_are_the_entries() -> None:
    log = deltas("a", "b")
    assert pieces(log) == [
        Piece(1, Position(1, 1), log[0].event),
        Piece(2, Position(1, 2), log[1].event),
    ]
    assert isinstance(log[0].event, Event)
