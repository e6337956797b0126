"""A session beside a model of it, in any order of everything."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from netra_backend.core.frames import (
    AuthCommand,
    CancelCommand,
    ClientFrame,
    DecideCommand,
    Draining,
    ErrorFrame,
    FollowCommand,
    PingCommand,
    RunCommand,
    UnfollowCommand,
)
from netra_backend.core.ids import ThreadId
from netra_backend.core.session import (
    Close,
    Effect,
    Follow,
    Send,
    Unfollow,
)
from netra_backend.errors import CloseCode, ErrorCode, FrameError
from tests.core.test_session import (
    BAD_FRAMES,
    CLOSED,
    DRAINING,
    GIVEN,
    OPENING,
    READY,
    READY_FRAME,
    THREADS,
    new,
)
from tests.night import examples

names = st.sampled_from(["t0", "t1", "t2", "t3", "t4", "a b", "..", ""])
requests = st.sampled_from(["1", "2", "3"])
commands: st.SearchStrategy[ClientFrame] = st.one_of(
    st.builds(RunCommand, requests, st.just(GIVEN), st.none() | names, st.none() | st.just("a")),
    st.builds(FollowCommand, requests, names, st.sampled_from([None, "1-2", "x"])),
    st.builds(UnfollowCommand, requests, names),
    st.builds(CancelCommand, requests, names),
    st.builds(
        DecideCommand,
        requests,
        names,
        st.just("i"),
        st.just(GIVEN),
        st.sampled_from(["resolved", "cancelled", "x"]),
    ),
    st.builds(AuthCommand, st.just("token"), st.none() | requests),
    st.builds(PingCommand, st.none() | requests),
)


chance = st.integers(0, 5)


class SessionMachine(RuleBasedStateMachine):
    """A session beside a model of it."""

    def __init__(self) -> None:
        super().__init__()
        self.session = new()
        self.state = OPENING
        self.followed: set[str] = set()
        self.bad = 0

    @precondition(lambda self: self.state is OPENING)
    @rule()
    def open(self) -> None:
        assert self.session.open(READY_FRAME) == [Send(READY_FRAME)]
        self.state = READY

    @precondition(lambda self: self.state is not OPENING)
    @rule(command=commands)
    def receive(self, command: ClientFrame) -> None:
        effects = self.session.receive(command)
        if self.state is CLOSED:
            assert effects == []
            return
        self.bad = 0
        (effect,) = effects  # exactly one: the answer, or what leads to it
        assert not isinstance(effect, Close)
        if isinstance(effect, Send):
            assert effect.frame.request == command.request  # type: ignore[attr-defined]
        else:
            assert effect.request == command.request
        self.note(command, effect)

    def note(self, command: ClientFrame, effect: Effect) -> None:
        is_refused = isinstance(effect, Send) and isinstance(effect.frame, ErrorFrame)
        code = effect.frame.code if is_refused else None  # type: ignore[union-attr]
        if isinstance(command, RunCommand):
            assert (self.state is DRAINING) == (code is ErrorCode.DRAINING)
        else:
            assert code is not ErrorCode.DRAINING
        if isinstance(command, PingCommand | AuthCommand):
            assert not is_refused
        if isinstance(command, FollowCommand):
            full = command.thread not in self.followed and len(self.followed) >= THREADS
            assert (code is ErrorCode.TOO_MANY) <= full
            assert isinstance(effect, Follow) <= (not full)
        if isinstance(effect, Follow):
            self.followed.add(effect.thread)
        if isinstance(effect, Unfollow):
            self.followed.discard(effect.thread)

    @precondition(lambda self: self.state is not OPENING)
    @rule(request=st.none() | requests)
    def unreadable(self, request: str | None) -> None:
        effects = self.session.unreadable(FrameError("no", request=request))
        if self.state is CLOSED:
            assert effects == []
            return
        self.bad += 1
        told = effects[0]
        assert isinstance(told, Send)
        assert told.frame == ErrorFrame(
            code=ErrorCode.BAD_FRAME, message="no", retry=False, request=request, where="$"
        )
        closes = [Close(CloseCode.BAD_FRAME)] if self.bad >= BAD_FRAMES else []
        assert effects[1:] == closes
        if closes:
            self.state = CLOSED

    @rule(thread=names)
    def unfollowed(self, thread: str) -> None:
        self.session.unfollowed(ThreadId(thread))
        self.followed.discard(thread)

    @rule(seldom=chance)
    def drain(self, seldom: int) -> None:
        if seldom:
            return
        told = {
            OPENING: [Close(CloseCode.RESTARTING)],
            READY: [Send(Draining(retry_after_ms=9))],
        }
        assert self.session.drain(9) == told.get(self.state, [])
        if self.state in (OPENING, READY):
            self.state = CLOSED if self.state is OPENING else DRAINING

    @rule(code=st.sampled_from(CloseCode), seldom=chance)
    def close(self, code: CloseCode, seldom: int) -> None:
        if seldom:
            return
        assert self.session.close(code) == ([] if self.state is CLOSED else [Close(code)])
        self.state = CLOSED

    @rule(seldom=chance)
    def lost(self, seldom: int) -> None:
        if seldom:
            return
        self.session.lost()
        self.state = CLOSED

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.session.state is self.state
        assert repr(self.session).endswith(f" {len(self.followed)} threads>")
        assert len(self.followed) <= THREADS


TestSessionMachine = SessionMachine.TestCase
TestSessionMachine.settings = settings(
    max_examples=examples(100), stateful_step_count=25, deadline=None
)
