"""An execution: one run of an agent on this node, from its first event to its terminal one.

Whatever happens (the agent returns, raises, yields what is illegal, hangs, is cancelled, the
server stops), `_end` writes the one terminal event; the first reason to end wins. The one
exception is a lost lease: then somebody else writes it.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import msgspec
from ag_ui.core import BaseEvent, EventType, RunAgentInput
from ag_ui.core import Interrupt as AguiInterrupt

from netra_backend import jsonlog
from netra_backend.agents import stream, terminals
from netra_backend.agents.base import Agent
from netra_backend.agents.conversations import Conversations
from netra_backend.agents.ingest import Ingest, Whole
from netra_backend.agents.outbox import Outbox
from netra_backend.agents.questions import (
    Unanswered,
    bind,
    concerns_calls,
    left_open,
    question_event,
    questions_of,
)
from netra_backend.agents.run_context import CURRENT, RunContext, scope
from netra_backend.agents.speech import Speech
from netra_backend.core.events import Event, body_of
from netra_backend.core.ids import ThreadKey
from netra_backend.core.ports import End, Interrupt, Runs
from netra_backend.core.positions import Position
from netra_backend.core.run import Lease, Run, RunStatus, move
from netra_backend.errors import EventError, LeaseLost, LimitReached, RunError, StoreError

log = jsonlog.get_logger(__name__)

BREATH = 32
"""Events between two looks whether the event loop has turned: an agent that never waits has to. One
that waits by itself is not disturbed, so what it yields at once leaves at once."""


class Limits(msgspec.Struct, frozen=True):
    """What one run may use: seconds in all, events, and seconds to stop when it is told to."""

    timeout: float
    events: int
    grace: float


class Node(msgspec.Struct, frozen=True):
    """What the node lends an execution: its store's runs, the conversations, limits, watchers."""

    runs: Runs
    conversations: Conversations
    limits: Limits
    watchers: Callable[[ThreadKey], int]


class Execution:
    """One run being executed. `task` ends when the agent has stopped and the end is written."""

    __slots__ = (
        "_agent", "_context", "_deadline", "_ending", "_given", "_hangs", "_has_begun",
        "_has_turned", "_ingest", "_lost", "_node", "_outbox", "_reaper", "_speech", "_stopper",
        "_stream", "lease", "run", "status", "task", "unwritten",
    )  # fmt: skip

    def __init__(
        self,
        run: Run,
        lease: Lease,
        agent: Agent,
        given: RunAgentInput,
        *,
        node: Node,
        ingest: Ingest,
        outbox: Outbox,
    ) -> None:
        self.run = run
        self.lease = lease
        self.status = run.status
        self._agent = agent
        self._stream: object = None
        self._given = given
        self._node = node
        self._ingest = ingest
        self._outbox = outbox
        self._ending: asyncio.Future[Position] | None = None
        self._lost = False
        self._has_begun = False  # before, a cancelled task would not wait for the end
        self._hangs = False
        self.unwritten = False
        """Whether the store failed when the end was to be written."""
        self._deadline = asyncio.get_running_loop().call_later(node.limits.timeout, self._time_out)
        self._has_turned = True
        self._speech = Speech(ingest, outbox, node.limits.events)
        self._context = RunContext(
            given,
            user=run.key.owner,
            scope=scope(run.thread, run.started.epoch),
            say=self._say,
            room=outbox.room,
            question=self._find_question,
            watchers=lambda: node.watchers(run.thread),
            cancelled=lambda: self._ending is not None,
        )
        self._stopper: asyncio.Task[None] | None = None
        self._reaper: asyncio.Task[None] | None = None
        # Not by the loop's factory: an eager one would call the agent before its run is known here.
        self.task = asyncio.Task(self._execute(), name=f"run {run.key.id}")

    async def cancel(self) -> Position:
        """End the run as cancelled; return the position after which only its end comes.

        A run that is ending already ends as it does. Raises StoreError if the end could not be
        written; then the sweep of orphans will end the run.
        """
        last = await self._stop(RunStatus.CANCELLED)
        return Position(last.epoch, last.offset - 1)

    async def stopped(self) -> None:
        """Return when the agent has stopped, or had its time to."""
        if self._reaper is not None:
            await self._reaper

    @property
    def ends_itself(self) -> bool:
        """Whether the run's end is still to be written from here, now or when the store works."""
        written = self._ending is not None and self._ending.done() and not self.unwritten
        return not (written or self._lost)

    def lose(self) -> None:
        """Stop without writing: another holder has the lease and will end the run. Idempotent."""
        if self._lost:
            return
        self._lost = True
        self._outbox.seal()
        self._deadline.cancel()
        with self._named():
            log.warning("lease lost")
        if self._ending is None and self._has_begun:  # else it was told to stop, or has done so
            self.task.cancel()

    async def _execute(self) -> None:  # noqa: C901, PLR0912 - one coroutine, for its reason
        """Be the run's task: take whatever comes of the agent, which is the border of a run.

        What an agent yields passes each coroutine between it and the task, so there is one.
        Measured with 1,000 runs: three more cost 1.7 us a delta, most of it for memory that has
        left the processor's caches since the last one. They are no context managers of
        `contextlib`, either: it assigns an error's traceback, which a frozen dataclass forbids, and
        `shutdown_asyncgens` would take them from a run that lives.
        """
        CURRENT.set(self._context)
        with self._named():
            self._has_begun = True
            try:
                if self._ending is not None or self._lost:
                    return
                self._stream = events = stream.opened(self._agent, self._given)
                speech, outbox, taken = self._speech, self._outbox, 0
                try:
                    async for yielded in events:
                        if self._ending is not None:
                            break  # it did not stop when it was told to; what it says is late
                        if not speech.take_plain(yielded) and await self._take(yielded):
                            return
                        taken += 1
                        if not outbox.has_room:
                            await outbox.room()
                        elif taken % BREATH == 0:
                            await self._breathe()
                        del yielded  # now, while all of it is at hand, not when the next one comes
                    speech.settle()
                except (Unanswered, BaseExceptionGroup, EventError, LimitReached) as error:
                    if not await self._has_ended_for(error):
                        raise
                finally:
                    await self._close(events)
            except asyncio.CancelledError:
                # Who stopped it writes the end, and awaits this task; if nobody did, the agent has
                # raised this, or cancelled the task it runs in.
                if self._ending is None and not self._lost:
                    log.exception("the agent cancelled itself")
                    await self._fail(RunError.AGENT_FAILED, "The agent cancelled itself")
            except (EventError, LimitReached) as error:
                await self._break_off(error)
            except StoreError as error:
                await self._end_refused(error)
            except BaseException:
                if not self._is_running():
                    raise  # GeneratorExit: what is left of a loop that was closed is thrown away
                # Also SystemExit: a tool that calls sys.exit() must not end the server.
                log.exception("the agent failed")
                await self._fail(RunError.AGENT_FAILED, "The agent failed")
            else:
                if self._ending is None:
                    await self._finish(None)
            finally:
                await self._leave()

    async def _leave(self) -> None:
        """Return when the end is written, if it is to be written from here."""
        self._context.close()  # it may live on in the agent, and shall not keep all this
        self._deadline.cancel()
        if self._ending is not None:
            await asyncio.wait({self._ending})

    def _named(self) -> AbstractContextManager[None]:
        """Put the run's ids on every line that is logged inside."""
        return jsonlog.bind(
            run=self.run.key.id,
            thread=self.run.thread.id,
            user=self.run.key.owner,
            agent=self.run.agent,
            correlation=self.run.correlation,
        )

    async def _end_refused(self, error: StoreError) -> None:
        """End the run because the log did not take what the agent said."""
        if isinstance(error, LeaseLost):
            log.warning("lease lost")  # with the thread, or to another holder, who writes the end
            return
        # On a full disk it is all runs at once, and their tracebacks would say nothing more.
        log.error("the log refused an event", extra={"why": str(error)})
        await self._fail(RunError.STORE_FAILED, "The log refused an event")

    async def _break_off(self, error: EventError | LimitReached) -> None:
        """End the run for what the agent has yielded."""
        if isinstance(error, LimitReached):
            self._warn(error)
            await self._fail(RunError.TOO_MANY_EVENTS, f"It said more than {error.most} events")
        else:
            about = {"at": stream.place(self._stream)}
            log.error("the agent broke the protocol", exc_info=error, extra=about)
            await self._fail(RunError.ILLEGAL_EVENT, "The agent broke the protocol")
        self._reaper = self._reaper or asyncio.create_task(self._reap())

    def _is_running(self) -> bool:
        try:
            return asyncio.current_task() is self.task
        except RuntimeError:  # no loop runs
            return False

    async def _has_ended_for(self, error: BaseException) -> bool:
        """End the run if `error` is of its rules or has questions, and return whether it does."""
        if isinstance(error, EventError | LimitReached):
            await self._break_off(error)  # before the agent is closed, which it may delay
            return True
        questions = questions_of(error)
        if questions:
            await self._ask(questions)
        return bool(questions)

    async def _take(self, yielded: BaseEvent) -> bool:
        """Take what is no plain delta; return whether it has ended the run."""
        terminal = self._speech.take(yielded, terminals.readdressed(yielded, self._given))
        if terminal is not None:
            await self._finish(terminal)
        return terminal is not None

    async def _breathe(self) -> None:
        """Let the event loop turn if it has not since this was called last."""
        if not self._has_turned:
            await asyncio.sleep(0)
        self._has_turned = False
        asyncio.get_running_loop().call_soon(setattr, self, "_has_turned", True)

    def _say(self, event: BaseEvent, urgent: bool) -> None:
        if self._ending is None:
            self._speech.say(event, urgent)

    async def _find_question(self, id: str) -> dict[str, object] | None:
        interrupt = await self._node.runs.interrupt(self.run.thread, id)
        return None if interrupt is None else msgspec.json.decode(interrupt.question)

    async def _ask(self, questions: list[AguiInterrupt]) -> None:
        """End the run with the questions of `RunContext.ask`."""
        self._speech.settle()
        for event in self._ingest.close():
            self._outbox.put(event)
        for item in self._ingest.take(question_event(self._given, questions)):
            if isinstance(item, Whole):
                await self._finish(item)

    async def _finish(self, terminal: Whole | None) -> None:
        """End the run as the agent ended it."""
        if terminal is None:
            end = terminals.finished(self._given)
            await self._end(RunStatus.FINISHED, [*self._ingest.close(), end])
        elif terminal.body.type is EventType.RUN_ERROR:
            await self._end(RunStatus.FAILED, [terminal.event])
        else:
            event = terminal.event
            body = terminal.body
            if concerns_calls(body):
                await self._outbox.settled()
                conversation, _ = await self._node.conversations.fold(self.run.thread)
                event = bind(event, conversation)
                body = body_of(event)
            questions = await left_open(self.run, body, self._node.runs)
            await self._end(terminals.status_of(body), [event], questions)

    async def _fail(self, code: RunError, said: str) -> None:
        """End the run as failed; the user learns the correlation id, not the exception's text."""
        terminal = terminals.failed(self.run, code, said)
        await self._end(RunStatus.FAILED, [*self._ingest.close(), terminal])

    def _warn(self, reached: LimitReached) -> None:
        about = {"limit": reached.limit, "most": reached.most, "at": stream.place(self._stream)}
        log.warning("a limit ends the run", extra=about)

    def _time_out(self) -> None:
        with self._named():
            self._warn(LimitReached("run_timeout", self._node.limits.timeout))
        self._stopper = asyncio.create_task(self.stop_quietly(RunStatus.TIMED_OUT))

    async def stop_quietly(self, status: RunStatus) -> None:
        """End the run from outside when nobody waits for the answer, and tell the agent to stop."""
        with self._named():
            try:
                await self._stop(status)
            except StoreError as error:
                self._tell_unwritten(error)

    async def _stop(self, status: RunStatus) -> Position:
        """End the run from outside the agent, then make the agent stop."""
        ending = self._ending
        if ending is None:
            self._outbox.seal()
            ending = self._end_once(
                status, [*self._ingest.close(), terminals.stopped(self.run, status)]
            )
            if self._has_begun and not self._lost:
                self.task.cancel()  # once: a second time would disturb it while it stops
        self._reaper = self._reaper or asyncio.create_task(self._reap())
        return await asyncio.shield(ending)

    async def _reap(self) -> None:
        """Wait for a stopped agent, as long as it may take; what it holds on to is its own."""
        _, still = await asyncio.wait({self.task}, timeout=self._node.limits.grace)
        if still:
            with self._named():
                self._tell_hanging("the agent does not stop")

    def _tell_hanging(self, what: str, error: Exception | None = None) -> None:
        """Tell, once, that the agent takes longer than it may."""
        if not self._hangs:
            self._hangs = True
            about = {"seconds": self._node.limits.grace, "at": stream.place(self._stream)}
            log.error(what, exc_info=error, extra=about)

    async def _close(self, events: object) -> None:
        """Close the agent's stream, for at most as long as it may take."""
        try:
            async with asyncio.timeout(self._node.limits.grace):
                await stream.close(events)
        except TimeoutError as error:
            self._tell_hanging("the agent does not close", error)

    async def _end(
        self, status: RunStatus, events: Sequence[Event], interrupts: Sequence[Interrupt] = ()
    ) -> None:
        """End the run from inside; a store that fails leaves it to the sweep of orphans."""
        try:
            await asyncio.shield(self._end_once(status, events, interrupts))
        except LeaseLost:
            log.warning("lease lost")  # see `_end_refused`
        except StoreError as error:
            self._tell_unwritten(error)

    def _tell_unwritten(self, error: StoreError) -> None:
        """Tell it as a warning: there is an ERROR where the store is told to have failed."""
        log.warning("the run's end could not be written; the sweep will", extra={"why": str(error)})

    def _end_once(
        self, status: RunStatus, events: Sequence[Event], interrupts: Sequence[Interrupt] = ()
    ) -> "asyncio.Future[Position]":
        """Write the end; the first caller's is written, later ones get its position."""
        if self._ending is None:
            self._assign(status)
            self._deadline.cancel()
            end = End(status, interrupts)
            self._ending = asyncio.ensure_future(self._write_end(events, end))
        return self._ending

    async def _write_end(self, events: Sequence[Event], end: End) -> Position:
        try:
            return await self._outbox.finish(events, end)
        except StoreError as error:
            self.unwritten = not isinstance(error, LeaseLost)
            raise

    def _assign(self, status: RunStatus) -> None:
        """Assign the status: the only place that does."""
        self.status = move(self.status, status)
