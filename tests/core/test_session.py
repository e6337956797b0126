"""The session: one answer to each command, its limits, and its life."""

import re
from collections.abc import Callable
from itertools import pairwise, product

import msgspec
import pytest
from msgspec import Raw

from netra_backend.core import session as module
from netra_backend.core.frames import (
    AuthCommand,
    CancelCommand,
    ClientFrame,
    DecideCommand,
    Draining,
    ErrorFrame,
    FollowCommand,
    Limits,
    PingCommand,
    Pong,
    Ready,
    RunCommand,
    UnfollowCommand,
)
from netra_backend.core.ids import ThreadId
from netra_backend.core.positions import Position
from netra_backend.core.session import (
    CancelRun,
    Close,
    Decide,
    Effect,
    Follow,
    Refresh,
    Send,
    Session,
    SessionLimits,
    SessionState,
    StartRun,
    Unfollow,
    error_frame,
)
from netra_backend.errors import ERRORS, CloseCode, ErrorCode, FrameError, Refused, Retry

OPENING, READY, DRAINING, CLOSED = SessionState
THREADS, BAD_FRAMES = 3, 3
READY_FRAME = Ready(
    connection="c",
    user="u",
    protocol="netra.v1",
    heartbeat=1,
    limits=msgspec.convert(dict.fromkeys(Limits.__struct_fields__, 1), Limits),
    agents=[],
    when_busy={},
)


def new() -> Session:
    return Session(SessionLimits(followed_threads=THREADS, bad_frames=BAD_FRAMES))


def in_state(state: SessionState) -> Session:
    session = new()
    if state is not OPENING:
        session.open(READY_FRAME)
    if state is DRAINING:
        session.drain(1)
    if state is CLOSED:
        session.lost()
    return session


def error_of(effects: list[Effect]) -> ErrorFrame:
    """Return the one error frame that is sent."""
    (effect,) = effects
    assert isinstance(effect, Send)
    assert isinstance(effect.frame, ErrorFrame)
    return effect.frame


# --- its life ------------------------------------------------------------------------------

DOES: dict[str, Callable[[Session], object]] = {
    "open": lambda session: session.open(READY_FRAME),
    "drain": lambda session: session.drain(1),
    "close": lambda session: session.close(CloseCode.DONE),
    "lost": lambda session: session.lost(),
    "receive": lambda session: session.receive(PingCommand()),
    "unreadable": lambda session: session.unreadable(FrameError("no")),
    "unfollowed": lambda session: session.unfollowed(ThreadId("t")),
}
GOES = {
    # (from, what happens): to; everything else stays where it is
    (OPENING, "open"): READY,
    (OPENING, "drain"): CLOSED,
    (OPENING, "close"): CLOSED,
    (OPENING, "lost"): CLOSED,
    (READY, "drain"): DRAINING,
    (READY, "close"): CLOSED,
    (READY, "lost"): CLOSED,
    (DRAINING, "close"): CLOSED,
    (DRAINING, "lost"): CLOSED,
}
FAULTS = {
    # what only a fault of ours could ask for
    (READY, "open"),
    (DRAINING, "open"),
    (OPENING, "receive"),
    (OPENING, "unreadable"),
}


@pytest.mark.parametrize(("state", "what"), list(product(SessionState, DOES)))
def test_what_each_call_does_in_each_state(state: SessionState, what: str) -> None:
    session = in_state(state)
    assert session.state is state
    if (state, what) in FAULTS:
        with pytest.raises(AssertionError):
            DOES[what](session)
        assert session.state is state
    else:
        DOES[what](session)
        assert session.state is GOES.get((state, what), state)


def test_the_table_is_what_really_happens() -> None:
    assert {(now, to) for now, moves in module._MOVES.items() for to in moves} == {
        (state, to) for (state, _), to in GOES.items()
    }
    assert module._MOVES.keys() == set(SessionState)


@pytest.mark.parametrize(("now", "to"), list(product(SessionState, SessionState)))
def test_each_pair_of_states(now: SessionState, to: SessionState) -> None:
    session = in_state(now)
    if to in module._MOVES[now]:
        session._move(to)
        assert session.state is to
    else:
        with pytest.raises(AssertionError, match=f"from {now.name} to {to.name}"):
            session._move(to)
        assert session.state is now


def test_the_picture_is_the_table() -> None:
    """Arrows of the first line are moves; what hangs on the line below it goes to its arrow."""
    assert module.__doc__ is not None
    lines = module.__doc__.splitlines()
    at = next(number for number, line in enumerate(lines) if "──►" in line)
    upper, stems, lower = lines[at : at + 3]
    states = [(match.start(), match[0]) for match in re.finditer(r"\b[A-Z]{4,}\b", upper)]
    moves = {(one[1], two[1]) for one, two in pairwise(states)}
    calls = re.findall(r"──(\w+)\(\)──►", upper)
    assert len(calls) == len(moves)
    close = re.search(r"(\w+)\(\).*──► (\w+)", lower)
    assert close is not None
    for stem in re.finditer("│", stems):
        above = next(name for start, name in states if start <= stem.start() <= start + len(name))
        moves.add((above, close[2]))
    assert moves == {(now.name, to.name) for now, ways in module._MOVES.items() for to in ways}
    assert [*calls, close[1]] == ["open", "drain", "close"]


def test_ready_comes_first_and_only_once() -> None:
    session = new()
    assert session.open(READY_FRAME) == [Send(READY_FRAME)]
    with pytest.raises(AssertionError):
        session.open(READY_FRAME)


def test_a_session_that_was_closed_before_it_began_stays_closed() -> None:
    session = new()
    assert session.drain(1) == [Close(CloseCode.RESTARTING)]
    assert session.open(READY_FRAME) == []
    assert session.state is CLOSED


def test_draining_is_told_once() -> None:
    session = in_state(READY)
    assert session.drain(500) == [Send(Draining(retry_after_ms=500))]
    assert session.drain(500) == []
    assert session.close(CloseCode.RESTARTING) == [Close(CloseCode.RESTARTING)]
    assert session.close(CloseCode.RESTARTING) == []


# --- commands ------------------------------------------------------------------------------

GIVEN = Raw(b"{}")
COMMANDS: list[tuple[ClientFrame, Effect]] = [
    (
        RunCommand(request="1", input=GIVEN, thread="t", agent="a"),
        StartRun("1", GIVEN, ThreadId("t"), "a"),
    ),
    (RunCommand(request="1", input=GIVEN), StartRun("1", GIVEN, None, None)),
    (
        FollowCommand(request="1", thread="t", after="3-4"),
        Follow("1", ThreadId("t"), Position(3, 4)),
    ),
    (FollowCommand(request="1", thread="t"), Follow("1", ThreadId("t"), None)),
    (UnfollowCommand(request="1", thread="t"), Unfollow("1", ThreadId("t"))),
    (CancelCommand(request="1", run="r"), CancelRun("1", "r")),  # type: ignore[arg-type]
    (
        DecideCommand(request="1", thread="t", interrupt="any text", payload=GIVEN),
        Decide("1", ThreadId("t"), "any text", "resolved", GIVEN),
    ),
    (AuthCommand(token="x", request="1"), Refresh("1", "x")),
    (AuthCommand(token="x"), Refresh(None, "x")),
    (PingCommand(request="1"), Send(Pong(request="1"))),
    (PingCommand(), Send(Pong())),
]


@pytest.mark.parametrize(("command", "effect"), COMMANDS)
@pytest.mark.parametrize("state", [READY, DRAINING])
def test_a_command_has_one_effect(
    state: SessionState, command: ClientFrame, effect: Effect
) -> None:
    effects = in_state(state).receive(command)
    if state is DRAINING and isinstance(command, RunCommand):
        assert error_of(effects).code is ErrorCode.DRAINING
    else:
        assert effects == [effect]


@pytest.mark.parametrize("command", [command for command, _ in COMMANDS])
def test_nothing_happens_after_the_end(command: ClientFrame) -> None:
    session = in_state(CLOSED)
    assert session.receive(command) == []
    assert session.unreadable(FrameError("no")) == []
    assert session.drain(1) == []
    assert session.close(CloseCode.DONE) == []


@pytest.mark.parametrize(
    ("command", "where"),
    [
        (RunCommand(request="7", input=GIVEN, thread="a b"), "$.thread"),
        (FollowCommand(request="7", thread=".."), "$.thread"),
        (FollowCommand(request="7", thread="t", after="soon"), "$.after"),
        (UnfollowCommand(request="7", thread=""), "$.thread"),
        (CancelCommand(request="7", run="r\n"), "$.run"),
        (DecideCommand(request="7", thread="/", interrupt="i"), "$.thread"),
        (DecideCommand(request="7", thread="t", interrupt="i", status="maybe"), "$.status"),
    ],
)
def test_a_command_with_a_wrong_value_is_answered_by_its_request(
    command: ClientFrame, where: str
) -> None:
    frame = error_of(in_state(READY).receive(command))
    assert (frame.code, frame.where, frame.request) == (ErrorCode.BAD_INPUT, where, "7")
    assert not frame.retry


def test_threads_are_followed_up_to_the_limit() -> None:
    session = in_state(READY)
    for number in range(THREADS):
        assert isinstance(session.receive(follow(number))[0], Follow)
    frame = error_of(session.receive(follow(THREADS)))
    assert (frame.code, frame.request, frame.retry) == (ErrorCode.TOO_MANY, "1", True)
    assert str(THREADS) in frame.message
    assert isinstance(session.receive(follow(0))[0], Follow)  # again: it counts once
    session.receive(UnfollowCommand(request="1", thread="t0"))
    assert isinstance(session.receive(follow(THREADS))[0], Follow)
    assert error_of(session.receive(follow(0))).code is ErrorCode.TOO_MANY
    session.unfollowed(ThreadId("t1"))
    assert isinstance(session.receive(follow(0))[0], Follow)


def follow(number: int, after: str | None = None) -> FollowCommand:
    return FollowCommand(request="1", thread=f"t{number}", after=after)


def test_a_follow_that_is_refused_does_not_count() -> None:
    session = in_state(READY)
    for _ in range(THREADS + 1):
        error_of(session.receive(follow(0, after="nowhere")))
        error_of(session.receive(FollowCommand(request="1", thread="a b")))
    for number in range(THREADS):
        assert isinstance(session.receive(follow(number))[0], Follow)


def test_bad_frames_in_a_row_end_the_session() -> None:
    session = in_state(READY)
    bad = FrameError("no", where="$.x", request="7")
    for _ in range(3):
        for _ in range(BAD_FRAMES - 1):
            frame = error_of(session.unreadable(bad))
            assert (frame.code, frame.where, frame.request) == (ErrorCode.BAD_FRAME, "$.x", "7")
        session.receive(PingCommand())  # not in a row
    for _ in range(BAD_FRAMES - 1):
        session.unreadable(bad)
    told, close = session.unreadable(bad)
    assert isinstance(told, Send)
    assert close == Close(CloseCode.BAD_FRAME)
    assert session.state is CLOSED


@pytest.mark.parametrize("code", ErrorCode)
def test_an_error_frame_says_what_the_table_says(code: ErrorCode) -> None:
    retry = ERRORS[code].retry is not Retry.NEVER
    frame = error_frame(Refused(code), "7")
    assert frame == ErrorFrame(code=code, message=ERRORS[code].meaning, retry=retry, request="7")
    frame = error_frame(FrameError("no", code=code, where="$.a"), None)
    assert frame == ErrorFrame(code=code, message="no", retry=retry, where="$.a")


def test_a_session_shows_its_state() -> None:
    session = in_state(READY)
    session.receive(follow(0))
    assert repr(session) == "<Session READY, 1 threads>"
