"""The clockwork: what the sockets of one server share instead of having it each.

A timer of its own costs a connection about a kilobyte, and ten thousand of them that fire together
keep the event loop busy without a breath. So there is one timer for each kind of deadline, and it
serves those who are due in slices.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from itertools import islice
from time import perf_counter
from typing import Any, Generic, Protocol, TypeVar

from uvicorn.server import ServerState

from netra_backend.server.metrics import PONG_SECONDS

SLICE = 0.002
"""Seconds that one kind of work for many sockets takes in a turn of the event loop.

Time and not a number of sockets: a write takes 6 us on a calm machine and 80 on a busy one.
"""

STEP = 25
"""Sockets that are served between two looks at the clock."""

GRAIN = 1 / 100
"""The part of its period by which a sweep may be late, so that many members share a turn.

With pings every 20 s it is noticed 0.2 s late that a peer is dead, and half a second is promised.
"""

TOGETHER = 64
"""Sockets that are written to in one go at most: the first of them waits for the last."""

M = TypeVar("M", bound=Hashable)


class Turns:
    """Turns of the event loop, in which many want something done: in one go, or not all at once."""

    __slots__ = ("_acts", "_begun", "_ending", "_loop", "_until", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ending = False
        self._acts: list[Callable[[], None]] = []
        self._begun = 0
        self._until = 0.0
        self._waiting: deque[Callable[[], None]] = deque()

    def at_end(self, act: Callable[[], None]) -> None:
        """Call `act` at the end of this turn, or as soon as `TOGETHER` wait for it."""
        self._acts.append(act)
        if len(self._acts) == TOGETHER:
            self._act()
        elif not self._ending:
            self._end_soon()

    def begin(self, act: Callable[[], None]) -> None:
        """Call `act` now; in a turn to come if this one has begun `STEP` others, or for a `SLICE`.

        So many clients who want something at the same moment are not all served in one turn.
        """
        if self._waiting or self._begun == STEP:
            self.later(act)
            return
        if not self._begun:
            self._until = perf_counter() + SLICE
        elif perf_counter() >= self._until:
            self.later(act)
            return
        self._begun += 1
        self._end_soon()
        act()

    def later(self, act: Callable[[], None]) -> None:
        """Call `act` in a turn to come, after those that wait already."""
        self._waiting.append(act)
        self._end_soon()

    def _end_soon(self) -> None:
        if not self._ending:
            self._ending = True
            self._loop.call_soon(self._end)

    def _end(self) -> None:
        self._ending = False
        self._act()
        self._begun = 0
        if not self._waiting:
            return
        self._until = perf_counter() + SLICE
        for _ in range(min(STEP, len(self._waiting))):
            self._begun += 1
            self._waiting.popleft()()
            if perf_counter() >= self._until:
                break
        self._end_soon()

    def _act(self) -> None:
        acts, self._acts = self._acts, []
        for act in acts:
            act()


class Sweep(Generic[M]):
    """Calls `act` once for each member when it has been in for `period` seconds, or a little more.

    As the period is one for all, who came first is due first: adding, removing and looking take
    no time that grows with the members.
    """

    __slots__ = ("_act", "_due", "_loop", "_period", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, period: float, act: Callable[[M], None]
    ) -> None:
        self._loop = loop
        self._period = period
        self._act = act
        self._due: dict[M, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, member: M) -> bool:
        return member in self._due

    def add(self, member: M) -> None:
        """Call `act` for `member` a period from now; a member that is in begins anew."""
        self._due.pop(member, None)
        self._due[member] = self._loop.time() + self._period
        if self._timer is None:
            self._timer = self._loop.call_later(self._period, self._serve)

    def remove(self, member: M) -> float | None:
        """Do nothing more for `member`; return for how many seconds it was in. Idempotent."""
        due = self._due.pop(member, None)
        return None if due is None else self._loop.time() - due + self._period

    def _serve(self) -> None:
        """Serve those that are due for one slice, then wait for the next."""
        self._timer = None
        now, until = self._loop.time(), perf_counter() + SLICE
        while late := [m for m, due in islice(self._due.items(), STEP) if due <= now]:
            for member in late:
                del self._due[member]
            for member in late:
                self._act(member)
            if perf_counter() >= until:
                break
        if self._due:
            first = next(iter(self._due.values()))
            wait = 0.0 if first <= now else max(first - now, self._period * GRAIN)
            if self._timer is not None:  # an act has added the first member again
                self._timer.cancel()
            self._timer = self._loop.call_later(wait, self._serve)


class Pinged(Protocol):
    """Whose peer is pinged."""

    def ping(self) -> None:
        """Send a ping; `Pings.keep` tells that it was answered."""
        ...

    def unanswered(self) -> None:
        """The ping was not answered in time."""
        ...


class Pings:
    """Pings each of its members every `interval` seconds, and says whose pong is not there in time.

    None for `interval` pings nobody; None for `timeout` waits for no answer. `answered` is told
    after how many seconds each pong came.
    """

    __slots__ = ("_answered", "_pings", "_pongs")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interval: float | None,
        timeout: float | None,
        answered: Callable[[float], object] = PONG_SECONDS.observe,
    ) -> None:
        self._answered = answered
        self._pings: Sweep[Any] | None = Sweep(loop, interval, self._ping) if interval else None
        self._pongs: Sweep[Any] | None = None
        if timeout:
            self._pongs = Sweep(loop, timeout, lambda member: member.unanswered())

    def keep(self, member: Pinged) -> None:
        """Ping the member's peer an interval from now: it is new, or has answered."""
        if self._pongs is not None:
            seconds = self._pongs.remove(member)
            if seconds is not None:
                self._answered(seconds)
        if self._pings is not None:
            self._pings.add(member)

    def forget(self, member: Pinged) -> None:
        """Do nothing more for the member. Idempotent."""
        for sweep in (self._pings, self._pongs):
            if sweep is not None:
                sweep.remove(member)

    def _ping(self, member: Pinged) -> None:
        member.ping()
        if self._pongs is not None:
            self._pongs.add(member)
        else:
            self.keep(member)


class Clockwork:
    """What the lanes of one server share: `pings`, and their turns, to read in and to write in."""

    __slots__ = ("pings", "reads", "writes")

    def __init__(self, interval: float | None, timeout: float | None) -> None:
        loop = asyncio.get_running_loop()
        self.pings = Pings(loop, interval, timeout)
        self.reads = Turns(loop)
        self.writes = Turns(loop)


_THINGS = "netra"

T = TypeVar("T")


def shared(server: ServerState, make: Callable[..., T], *given: object) -> T:
    """Return the one thing of this kind that all sockets of `server` have, made when first asked.

    The server itself keeps it: every opening asks twice, and a dictionary of weak references took
    three to four hundredths of its CPU time.
    """
    things: dict[object, Any] = vars(server).setdefault(_THINGS, {})
    thing: T | None = things.get(make)
    if thing is None:
        thing = things[make] = make(*given)
    return thing
