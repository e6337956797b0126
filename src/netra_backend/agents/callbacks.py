"""Callbacks: the five things that every user interface wants to know of an agent.

They are a projection of the log, never events of their own on the wire:

======================  ===============================================================
`on_agent_started`      RUN_STARTED
`on_agent_thinking`     REASONING_START; in a run that has not reasoned yet, STEP_STARTED
`on_tool_executing`     TOOL_CALL_END: the call is complete
`on_tool_completed`     TOOL_CALL_RESULT
`on_agent_completed`    RUN_FINISHED or RUN_ERROR
======================  ===============================================================

Where a run begins to reason within a step that was told already, that is the same thought, and
nothing is told: unless the step has ended, or a tool was called in between.

Each is made when its event is in the log, in the process that has written it, once or, where that
process is killed, not at all: a run that another process then ends has its `on_agent_completed`
there. A subscriber is any object that has some of these methods, plain or async, with one argument.
It has a thread and a bounded queue of its own: one that raises is logged, one that hangs misses
what its queue cannot hold.
"""

import asyncio
import inspect
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from contextvars import copy_context
from enum import StrEnum

from ag_ui.core import EventType
from msgspec import Struct
from msgspec.structs import replace

from netra_backend import jsonlog
from netra_backend.agents.terminals import status_of
from netra_backend.core.events import TERMINAL, Body, Entry, body_of
from netra_backend.core.ids import RunId, ThreadId, ThreadKey, UserId
from netra_backend.core.ports import Bus, Listener
from netra_backend.core.run import Run, RunStatus
from netra_backend.errors import ConfigError

log = jsonlog.get_logger(__name__)

QUEUED = 1_000
"""Happenings that wait for a subscriber; more are left out."""

PATIENCE = 10.0
"""Seconds an async callback may take."""


class Kind(StrEnum):
    """What happened; the method is ``on_`` and this."""

    AGENT_STARTED = "agent_started"
    AGENT_THINKING = "agent_thinking"
    TOOL_EXECUTING = "tool_executing"
    TOOL_COMPLETED = "tool_completed"
    AGENT_COMPLETED = "agent_completed"


class Happening(Struct, frozen=True):
    """What a callback gets. `at` is in milliseconds since 1970.

    `seconds` is how long the tool or the run took, `tool` and `call` are the tool's name and the
    call's id, `status` is how the run ended, as the API says it, and `code` that of its RUN_ERROR;
    `correlation` is what the run's lines in the log carry.
    """

    kind: Kind
    user: UserId
    thread: ThreadId
    run: RunId
    agent: str
    at: int
    seconds: float | None = None
    tool: str | None = None
    call: str | None = None
    status: RunStatus | None = None
    code: str | None = None
    correlation: str | None = None


class _Seen:
    """What one run has done so far."""

    def __init__(self, run: Run, began: int) -> None:
        self.agent = run.agent
        self.user = run.key.owner
        self.correlation = run.correlation
        self.started = run.started
        self.began = began
        self.reasons = False
        self.in_told_step = False
        self.tools: dict[str, str] = {}
        self.executing: dict[str, int] = {}


_TOLD = TERMINAL | {
    EventType.RUN_STARTED,
    EventType.REASONING_START,
    EventType.STEP_STARTED,
    EventType.STEP_FINISHED,
    EventType.TOOL_CALL_START,
    EventType.TOOL_CALL_END,
    EventType.TOOL_CALL_RESULT,
}


_ENDS_THOUGHT = {EventType.REASONING_START, EventType.TOOL_CALL_END, EventType.STEP_FINISHED}
"""After these, reasoning is no more the thought of the step that was told."""


class Projection:
    """Makes happenings of entries. `observe` is for this package, `subscribe` for everybody."""

    def __init__(self) -> None:
        self._runs: dict[tuple[ThreadKey, RunId], _Seen] = {}
        self._observers: list[Callable[[Happening], None]] = [_logged]
        self._subscribers: list[Subscriber] = []

    def observe(self, observer: Callable[[Happening], None]) -> None:
        """Call `observer` at once with each happening; it must neither raise nor wait."""
        self._observers.append(observer)

    def subscribe(self, target: object) -> Callable[[], None]:
        """Call the methods of `target` from now on; return what ends that.

        Raises ConfigError for what would never be called.
        """
        _check(target)
        subscriber = Subscriber(target)
        self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)
                subscriber.close()

        return unsubscribe

    def close(self) -> None:
        """End the threads once they have told what waits. Idempotent.

        Who subscribed stays: an application that is started again in this process tells them.
        """
        for subscriber in self._subscribers:
            subscriber.close()

    def begin(self, run: Run, *, began: int = 0) -> None:
        """Learn which agent executes the run, before its entries come.

        `began` is when, in milliseconds since 1970, if another process was told so. One of the same
        name may be known, whose end never came: its thread was deleted.
        """
        key = run.thread, run.key.id
        seen = self._runs.get(key)
        if seen is None or seen.started < run.started:
            self._runs[key] = _Seen(run, began)

    def forget(self, run: Run) -> None:
        """Learn that this process writes no more of the run, whose end it may not have written."""
        key = run.thread, run.key.id
        seen = self._runs.get(key)
        if seen is not None and seen.started == run.started:
            del self._runs[key]

    def see(self, thread: ThreadKey, entries: Sequence[Entry]) -> None:
        """Take what was appended to the thread."""
        for entry in entries:
            if entry.event.type not in _TOLD:
                continue
            key = thread, entry.run
            seen = self._runs.get(key)
            if seen is not None:
                self._take(thread, entry, seen, body_of(entry.event))
                if entry.event.type in TERMINAL:
                    del self._runs[key]

    def _take(self, thread: ThreadKey, entry: Entry, seen: _Seen, body: Body) -> None:
        call = body.tool_call_id or ""
        first = Happening(
            Kind.AGENT_STARTED,
            seen.user,
            thread.id,
            entry.run,
            seen.agent,
            entry.at,
            correlation=seen.correlation,
        )

        def tell(kind: Kind, **more: object) -> None:
            self._tell(replace(first, kind=kind, **more))

        is_told = seen.in_told_step
        seen.in_told_step = is_told and body.type not in _ENDS_THOUGHT
        match body.type:
            case EventType.RUN_STARTED:
                seen.began = entry.at
                tell(Kind.AGENT_STARTED)
            case EventType.REASONING_START:
                seen.reasons = True
                if not is_told:
                    tell(Kind.AGENT_THINKING)
            case EventType.STEP_STARTED if not seen.reasons:
                seen.in_told_step = True
                tell(Kind.AGENT_THINKING)
            case EventType.TOOL_CALL_START:
                seen.tools[call] = body.tool_call_name or ""
            case EventType.TOOL_CALL_END:
                seen.executing[call] = entry.at
                tell(Kind.TOOL_EXECUTING, tool=seen.tools.get(call), call=call)
            case EventType.TOOL_CALL_RESULT:
                took = _seconds(seen.executing.pop(call, None), entry.at)
                tool = seen.tools.pop(call, None)
                tell(Kind.TOOL_COMPLETED, tool=tool, call=call, seconds=took)
            case EventType.RUN_FINISHED | EventType.RUN_ERROR:
                took = _seconds(seen.began or None, entry.at)
                code = body.code if body.type is EventType.RUN_ERROR else None
                tell(Kind.AGENT_COMPLETED, seconds=took, status=status_of(body), code=code)

    def _tell(self, happening: Happening) -> None:
        for observer in self._observers:
            observer(happening)
        for subscriber in self._subscribers:
            subscriber.put(happening)


class Subscriber:
    """A target, the queue of what it has to be told, and the thread that tells it."""

    def __init__(self, target: object) -> None:
        self._target = target
        self._room = QUEUED
        self._queue: queue.Queue[Happening | None] | None = None
        self.missed = 0
        """Happenings that the queue could not hold."""

    def put(self, happening: Happening) -> None:
        """Take what is to be told; never waits."""
        if self._queue is None:
            self._queue = queue.Queue(self._room)
            served = (self._queue,)
            threading.Thread(target=self._serve, args=served, name="callbacks", daemon=True).start()
        try:
            self._queue.put_nowait(happening)
        except queue.Full:
            self.missed += 1
            if self.missed == 1:
                log.warning("a subscriber is too slow", extra={"subscriber": self._name})

    def close(self) -> None:
        """End the thread once all is told; one that hangs is left behind. `put` begins another."""
        ending, self._queue = self._queue, None
        if ending is None:
            return
        try:
            ending.put_nowait(None)
        except queue.Full:
            log.warning("a subscriber hangs", extra={"subscriber": self._name})

    @property
    def _name(self) -> str:
        return type(self._target).__qualname__

    def _serve(self, happenings: "queue.Queue[Happening | None]") -> None:
        with asyncio.Runner() as runner:
            while (happening := happenings.get()) is not None:
                method = getattr(self._target, f"on_{happening.kind}", None)
                if method is None:
                    continue
                with _bound(happening):
                    self._call(method, happening, runner)

    def _call(
        self, method: Callable[[Happening], object], happening: Happening, runner: asyncio.Runner
    ) -> None:
        try:
            told = method(happening)
            if inspect.isawaitable(told):
                runner.run(asyncio.wait_for(told, PATIENCE), context=copy_context())
        except BaseException:
            # The border around one callback: what it raises is its owner's to read. SystemExit and
            # CancelledError, too: they would end the thread, and nothing more would be told.
            log.exception("a callback failed", extra={"subscriber": self._name})


class ObservedBus:
    """A bus that shows a projection what this process publishes."""

    def __init__(self, bus: Bus, projection: Projection) -> None:
        self._bus = bus
        self._projection = projection

    def publish(self, thread: ThreadKey, entries: Sequence[Entry]) -> None:
        """Publish, then show; see `Bus.publish`."""
        self._bus.publish(thread, entries)
        self._projection.see(thread, entries)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """See `Bus.subscribe`."""
        return self._bus.subscribe(listener)


def _check(target: object) -> None:
    name = getattr(target, "__qualname__", type(target).__qualname__)
    if inspect.isclass(target):
        raise ConfigError(f"callbacks: {name} is a class; give an object, such as {name}()")
    names = [f"on_{kind}" for kind in Kind]
    if not any(hasattr(target, known) for known in names):
        raise ConfigError(f"callbacks: {name} has none of the methods {', '.join(names)}")


def _logged(happening: Happening) -> None:
    fields = {
        name: value
        for name in ("tool", "call", "status", "code", "seconds")
        if (value := getattr(happening, name)) is not None
    }
    with _bound(happening):
        log.info(happening.kind.replace("_", " "), extra=fields)


def _bound(happening: Happening) -> AbstractContextManager[None]:
    """Put the ids of the run on every line that is logged inside."""
    return jsonlog.bind(
        run=happening.run,
        thread=happening.thread,
        user=happening.user,
        agent=happening.agent,
        correlation=happening.correlation,
    )


def _seconds(since: int | None, until: int) -> float | None:
    return None if since is None else max(0, until - since) / 1000
