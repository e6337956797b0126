"""An execution: whatever the agent does, the run has exactly one terminal event, and it is last."""

import asyncio
import logging
import sys
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self

import pytest
from ag_ui.core import (
    BaseEvent,
    CustomEvent,
    RawEvent,
    RunAgentInput,
    RunErrorEvent,
    RunFinishedEvent,
    StateDeltaEvent,
    StateSnapshotEvent,
    TextMessageContentEvent,
    TextMessageStartEvent,
    ToolCallResultEvent,
)

from netra_backend.agents.loading import adapt
from netra_backend.agents.run_context import RunContext, current_run
from netra_backend.agents.run_request import run_request
from netra_backend.agents.runner import Runner
from netra_backend.core.ids import RunId, RunKey
from netra_backend.core.run import RunStatus
from netra_backend.errors import StoreFailed
from netra_backend.jsonlog.binding import bound
from netra_backend.stores.local_bus import LocalBus
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing import Gate, ScriptedAgent, asking
from netra_backend.testing.scripted_agent import Script, answer, endless, events, failure, tool_call
from tests.agents.running import ALICE, POLICY, Clock, Running, ask, running
from tests.collector import no_collector
from tests.conftest import Lines
from tests.eventually import until

pytestmark = pytest.mark.anyio

R1 = RunKey(ALICE, RunId("r1"))
START = TextMessageStartEvent(message_id="m")
FAR = 1 << 53
"""A time by which every lease has run out."""


async def start(house: Running) -> None:
    await house.start(ALICE, asking("hi", thread_id="t1", run_id="r1"))


async def the_end(house: Running) -> dict[str, object]:
    """Return the terminal event, after asserting that it is the only one, the last, and legal."""
    run = await house.ended("r1")
    chunks = await house.chunks()
    terminal = [c for c in chunks if c["type"] in ("RUN_FINISHED", "RUN_ERROR")]
    assert terminal == chunks[-1:]
    assert run.ended is not None
    assert run.ended.offset == len(chunks)
    types = [chunk["type"] for chunk in chunks]
    assert types.count("TEXT_MESSAGE_START") == types.count("TEXT_MESSAGE_END")
    assert types.count("TOOL_CALL_START") == types.count("TOOL_CALL_END")
    return chunks[-1]


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (answer("a", "b"), RunStatus.FINISHED, None),
        (tool_call("f", "{}", result="1"), RunStatus.FINISHED, None),
        (events(START), RunStatus.FINISHED, None),
        (
            events(RunFinishedEvent(thread_id="made up", run_id="too")),
            RunStatus.FINISHED,
            None,
        ),
        (events(START, RunErrorEvent(message="no", code="mine")), RunStatus.FAILED, "mine"),
        (failure("a", error=RuntimeError("a secret")), RunStatus.FAILED, "agent_failed"),
        (events(ValueError("a secret")), RunStatus.FAILED, "agent_failed"),
        (
            events(TextMessageContentEvent(message_id="m", delta="x")),
            RunStatus.FAILED,
            "illegal_event",
        ),
        (
            events(START, StateDeltaEvent(delta=[{"op": "remove", "path": "/a"}])),
            RunStatus.FAILED,
            "illegal_event",
        ),
        (events(START, START), RunStatus.FAILED, "illegal_event"),
    ],
)
async def test_the_end_of_a_run(script: Script, status: RunStatus, code: str | None) -> None:
    async with running(ScriptedAgent(script)) as house:
        await start(house)
        chunks_end = await the_end_of_any(house)
        assert (await house.ended("r1")).status is status
        assert chunks_end.get("code") == code
        assert "secret" not in str(await house.chunks())
        if chunks_end["type"] == "RUN_FINISHED":
            assert (chunks_end["threadId"], chunks_end["runId"]) == ("t1", "r1")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 has no eager tasks")
async def test_an_agent_that_fails_at_once_ends_its_run_where_tasks_are_eager() -> None:
    loop = asyncio.get_running_loop()
    async with running(ScriptedAgent(events(ValueError("a secret")))) as house:
        loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - mypy's is 3.11
        try:
            await start(house)
        finally:
            loop.set_task_factory(None)
        assert (await the_end(house))["code"] == "agent_failed"


async def the_end_of_any(house: Running) -> dict[str, object]:
    """Return the terminal event; an agent that says RUN_ERROR itself may leave things open."""
    await house.ended("r1")
    chunks = await house.chunks()
    if chunks[-1].get("code") == "mine":
        return chunks[-1]
    return await the_end(house)


async def test_the_traceback_is_in_the_log_under_the_id_that_the_user_got(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(ScriptedAgent(failure("a", error=RuntimeError("a secret")))) as house:
        with caplog.at_level(logging.ERROR):
            await start(house)
            end = await the_end(house)
        run = await house.store.run(R1)
    assert run is not None
    assert run.correlation in str(end["message"])
    (record,) = [r for r in caplog.records if r.message == "the agent failed"]
    assert record.exc_info is not None
    assert "a secret" in str(record.exc_info[1])


@contextmanager
def listening(listener: Callable[[logging.LogRecord], None]) -> Iterator[None]:
    """Give the agents' logger a handler of the application's own."""

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            listener(record)

    handler, logger = Listener(logging.ERROR), logging.getLogger("netra_backend.agents")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


async def test_a_line_about_a_failure_says_whose_run_of_which_agent_it_was() -> None:
    told: list[dict[str, object]] = []
    with listening(lambda record: told.append({**bound(), "says": record.getMessage()})):
        async with running(ScriptedAgent(failure("a", error=ValueError("no")))) as house:
            await start(house)
            await the_end(house)
            run = await house.store.run(R1)
    assert run is not None
    ids = {"run": "r1", "thread": "t1", "user": "alice", "agent": "agent"}
    assert told == [{"says": "the agent failed", **ids, "correlation": run.correlation}]


@pytest.mark.strict_logs("off")
async def test_a_handler_of_the_application_that_raises_keeps_no_run_from_its_end() -> None:
    """Also where nobody has called `jsonlog.configure`: an error path must not fail itself."""

    def refuse(record: logging.LogRecord) -> None:
        raise TypeError(f"{record.levelname} is not JSON serializable")

    with listening(refuse):
        async with running(ScriptedAgent(failure("a", error=ValueError("no")))) as house:
            await start(house)
            assert (await the_end(house))["code"] == "agent_failed"


async def test_after_the_acknowledgement_of_a_cancel_comes_only_the_end() -> None:
    gate = Gate()
    agent = ScriptedAgent(tool_call("f", '{"a":', gate, "1}"))
    async with running(agent) as house:
        await start(house)
        await gate.reached()
        position = await house.runner.cancel(R1)
        gate.open()
        end = await the_end(house)
        assert end["outcome"] == {"type": "cancelled"}
        assert position.offset == len(await house.chunks()) - 1
        await asyncio.wait_for(agent.stopped(), 5)
        ended = await house.ended("r1")
        assert ended.status is RunStatus.CANCELLED
        assert await house.runner.cancel(R1) in (position, ended.ended)


async def test_an_agent_that_takes_too_long_is_stopped(log_lines) -> None:
    agent = ScriptedAgent(answer("a", Gate()))
    async with running(agent, timeout=0.05) as house:
        await start(house)
        assert (await the_end(house))["code"] == "timeout"
        assert (await house.ended("r1")).status is RunStatus.TIMED_OUT
        await asyncio.wait_for(agent.stopped(), 5)
    (line,) = [line for line in log_lines() if line["message"] == "a limit ends the run"]
    assert (line["level"], line["limit"], line["most"]) == ("WARNING", "run_timeout", 0.05)
    assert (line["run"], line["thread"], line["user"]) == ("r1", "t1", "alice")


async def test_an_agent_that_says_too_much_is_stopped(log_lines) -> None:
    async with running(ScriptedAgent(endless()), events=50) as house:
        await start(house)
        assert (await the_end(house))["code"] == "too_many_events"
    (line,) = [line for line in log_lines() if line["message"] == "a limit ends the run"]
    assert (line["level"], line["limit"], line["most"]) == ("WARNING", "run_events", 50)


@pytest.mark.parametrize("number", [50, 51, 150])
@pytest.mark.parametrize("says", [False, True])
async def test_a_run_has_no_more_events_than_it_may(number: int, says: bool) -> None:
    """Also where it does not wait for the log, and where it speaks through `RunContext` only."""

    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        context = current_run()
        for count in range(number):
            if says:
                context.progress("on the way", count, number)
            else:
                yield CustomEvent(name="n", value=count)
        yield RunFinishedEvent(thread_id="t", run_id="r")

    async with running(agent, events=50) as house:
        await start(house)
        end = await the_end(house)
        chunks = await house.chunks()
    if number == 50:
        assert end["type"] == "RUN_FINISHED"
    else:
        assert (end["code"], "more than 50 events" in str(end["message"])) == (
            "too_many_events",
            True,
        )
    assert [chunk["type"] for chunk in chunks].count("CUSTOM") == min(number, 51)


@pytest.mark.parametrize(
    "event",
    [
        TextMessageContentEvent.model_construct(message_id="m", delta=""),
        TextMessageContentEvent(message_id="m", delta="x"),
        RawEvent(event={}),
    ],
    ids=["nothing", "text", "raw"],
)
async def test_an_agent_that_never_waits_stops_nobody_and_can_be_cancelled(
    event: BaseEvent,
) -> None:
    yielded = 0

    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        nonlocal yielded
        yield START
        while yielded < 100_000:
            yielded += 1
            yield event

    async with running(agent) as house:
        await start(house)
        await house.until(lambda types: len(types) > 1)
        await house.runner.cancel(R1)
        assert (await the_end(house))["outcome"] == {"type": "cancelled"}
        assert yielded < 10_000


async def test_what_an_agent_yields_at_once_is_not_taken_apart() -> None:
    """It waits by itself after each burst, so it is made to wait in the middle of none."""
    turns = []

    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        loop = asyncio.get_running_loop()
        for _ in range(40):
            turned: list[bool] = []
            loop.call_soon(turned.append, True)
            for _ in range(7):
                yield CustomEvent(name="n", value=1)
            turns.append(bool(turned))
            await asyncio.sleep(0.001)

    async with running(agent, store=MemoryStore()) as house:
        await start(house)
        await the_end(house)
    assert turns == [False] * 40


async def test_an_agent_that_will_not_stop_does_not_hold_up_the_end() -> None:
    stubborn = asyncio.Event()

    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        yield START
        while not stubborn.is_set():
            try:
                await stubborn.wait()
            except asyncio.CancelledError:
                yield TextMessageContentEvent(message_id="m", delta="I go on")
        await asyncio.Event().wait()

    async with running(agent, grace=0.05) as house:
        await start(house)
        await house.when("r1", lambda run: run.status is RunStatus.RUNNING)
        await house.runner.cancel(R1)
        assert (await the_end(house))["outcome"] == {"type": "cancelled"}
        assert "I go on" not in str(await house.chunks())
        stubborn.set()


async def test_nor_does_one_that_broke_the_rules_and_does_not_close(log_lines: Lines) -> None:
    stubborn = asyncio.Event()

    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        try:
            yield TextMessageContentEvent(message_id="nothing began", delta="x")
        finally:
            while not stubborn.is_set():
                with suppress(asyncio.CancelledError):
                    await stubborn.wait()

    async with running(agent, grace=0.05) as house:
        await start(house)
        assert (await the_end(house))["code"] == "illegal_event"
        await until(lambda: "the agent does not stop" in str(log_lines()))
        stubborn.set()


async def test_an_agent_that_broke_the_rules_and_hangs_as_it_closes_is_told_of_once(
    log_lines: Lines,
) -> None:
    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        try:
            yield TextMessageContentEvent(message_id="nothing began", delta="x")
        finally:
            await asyncio.Event().wait()

    async with running(agent, grace=0.05) as house:
        await start(house)
        assert (await the_end(house))["code"] == "illegal_event"
        await until(lambda: not house.runner.executions)
    hanging = ("the agent does not stop", "the agent does not close")
    (line,) = [line for line in log_lines() if line["message"] in hanging]
    assert (line["run"], line["seconds"]) == ("r1", 0.05)


async def test_the_log_says_of_which_run_an_agent_does_not_stop(log_lines) -> None:
    stubborn = asyncio.Event()

    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        yield START
        try:
            await stubborn.wait()
        finally:
            await stubborn.wait()

    def complaints() -> list[dict[str, Any]]:
        return [line for line in log_lines() if line["message"] == "the agent does not stop"]

    async with running(agent, grace=0.05) as house:
        await start(house)
        run = await house.when("r1", lambda run: run.status is RunStatus.RUNNING)
        await house.runner.cancel(R1)
        await until(complaints)
        stubborn.set()
    (line,) = complaints()
    assert (line["run"], line["thread"], line["correlation"]) == ("r1", "t1", run.correlation)
    assert line["agent"] == "agent"
    assert f"{__file__}:" in line["at"][0]
    assert line["at"][0].endswith(" in agent")
    assert line["at"][1].endswith(" in wait")


@pytest.mark.parametrize("yielded", [{"type": "CUSTOM"}, None, "Hello", CustomEvent])
async def test_the_log_says_where_an_agent_broke_the_rules(yielded: Any, log_lines: Lines) -> None:
    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        yield START
        yield yielded

    async with running(agent) as house:
        await start(house)
        assert (await the_end(house))["code"] == "illegal_event"
    (line,) = [one for one in log_lines() if one["message"] == "the agent broke the protocol"]
    begins = agent.__code__.co_firstlineno
    assert line["at"] == [f"{__file__}:{begins + 2} in agent"]
    assert type(yielded).__qualname__ in line["exception"]["message"]
    assert (line["agent"], line["run"]) == ("agent", "r1")


@pytest.mark.parametrize("kind", ["NoneType", "list", "coroutine"])
async def test_an_agent_that_returns_no_stream_has_failed(kind: str, log_lines: Lines) -> None:
    returned = {"NoneType": lambda: None, "list": lambda: [START], "coroutine": raises_cancelled}

    def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        return returned[kind]()  # type: ignore[no-any-return, operator]

    async with running(agent) as house:
        await start(house)
        assert (await the_end(house))["code"] == "agent_failed"
    (line,) = [one for one in log_lines() if one["message"] == "the agent failed"]
    assert line["exception"]["message"].startswith(f"the agent returned {kind}; called with")


async def test_the_log_says_where_an_agent_waited_when_its_time_was_over(log_lines: Lines) -> None:
    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        yield START
        await asyncio.Event().wait()

    async with running(agent, timeout=0.05) as house:
        await start(house)
        assert (await the_end(house))["code"] == "timeout"
    (line,) = [one for one in log_lines() if one["message"] == "a limit ends the run"]
    assert [call.rpartition(" in ")[2] for call in line["at"]] == ["agent", "wait"]


async def raises_cancelled() -> None:
    raise asyncio.CancelledError


async def cancels_its_task() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


@pytest.mark.parametrize("cancels", [raises_cancelled, cancels_its_task])
async def test_an_agent_that_cancels_itself_has_failed(
    cancels: Callable[[], Awaitable[None]], log_lines: Lines
) -> None:
    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        yield START
        await cancels()

    async with running(agent) as house:
        await start(house)
        end = await the_end(house)
        assert end["code"] == "agent_failed"
        (told,) = [line for line in log_lines() if line["message"] == "the agent cancelled itself"]
        assert told["correlation"] in str(end["message"])
        assert told["exception"]["type"].endswith("CancelledError")


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), GeneratorExit(), BaseExceptionGroup("many", [KeyboardInterrupt()])],
    ids=lambda error: type(error).__name__,
)
async def test_a_tool_that_exits_ends_its_run_and_not_the_server(error: BaseException) -> None:
    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        yield START
        raise error

    async with running(agent) as house:
        await start(house)
        assert (await the_end(house))["code"] == "agent_failed"


@dataclass(frozen=True)
class Frozen(Exception):
    """Nobody may assign its traceback."""


async def test_an_error_that_lets_nothing_be_assigned_is_the_one_in_the_log(
    log_lines: Lines,
) -> None:
    async with running(ScriptedAgent(failure("a", error=Frozen()))) as house:
        await start(house)
        assert (await the_end(house))["code"] == "agent_failed"
    (line,) = [line for line in log_lines() if line["message"] == "the agent failed"]
    assert line["exception"]["type"].endswith("Frozen")


class Patient:
    """A stream that is no generator, and ends when it is `let`."""

    def __init__(self) -> None:
        self.waits = asyncio.Event()
        self.let = asyncio.Event()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BaseEvent:
        self.waits.set()
        await self.let.wait()
        raise StopAsyncIteration


def test_a_run_ends_though_the_async_generators_of_its_loop_were_shut_down() -> None:
    async def status() -> RunStatus:
        stream, loop = Patient(), asyncio.get_running_loop()
        runner = Runner(
            MemoryStore(),
            LocalBus(),
            {"agent": lambda _: stream},
            policies={"agent": POLICY},
            lease_ms=60_000,
            window=0.0,
            now=Clock(),
        )
        await runner.start(run_request(ALICE, ask("r1")))
        (execution,) = runner.executions.values()
        await stream.waits.wait()
        await loop.shutdown_asyncgens()
        stream.let.set()
        await execution.task
        return execution.status

    assert asyncio.run(status()) is RunStatus.FINISHED


async def test_an_event_that_was_made_without_validation_is_illegal() -> None:
    content = {"not": "text"}
    wrong = TextMessageStartEvent.model_construct(message_id="m", role="nobody")
    changed = ToolCallResultEvent(message_id="r", tool_call_id="c", content="x")
    changed.content = content  # type: ignore[assignment]
    for event in (wrong, changed):
        async with running(ScriptedAgent(tool_call("f", "{}"), events(event))) as house:
            await start(house)
            assert (await the_end(house))["code"] == "illegal_event"


async def test_an_agent_that_changes_its_input_changes_nothing_else() -> None:
    """Its patch must apply to the state that followers have, not to the copy it changed."""

    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        if given.state is None:
            yield StateSnapshotEvent(snapshot={"a": 1})
        else:
            given.state["b"] = 1
            yield StateDeltaEvent(delta=[{"op": "replace", "path": "/b", "value": 2}])

    async with running(agent) as house:
        await start(house)
        await house.ended("r1")
        await house.start(ALICE, asking("hi", thread_id="t1", run_id="r2"))
        assert (await house.ended("r2")).status is RunStatus.FAILED
        assert (await house.chunks())[-1]["code"] == "illegal_event"


async def test_a_run_whose_append_failed_ends_as_soon_as_the_store_works(
    log_lines: Lines,
) -> None:
    """The log says so without a traceback: on a full disk it is all runs at once."""

    class FailsOnce(MemoryStore):
        failures = 1

        def append(self, events: Any, **more: Any) -> Any:
            if self.failures and len(events) == 1:
                self.failures -= 1
                failed = asyncio.get_running_loop().create_future()
                failed.set_exception(StoreFailed("no room"))
                return failed
            return super().append(events, **more)

    store = FailsOnce()
    async with running(ScriptedAgent(answer("a")), store=store, lease_ms=60, sweep=True) as house:
        await start(house)
        end = await the_end(house)
        assert end["code"] == "store_failed"
        assert (await house.ended("r1")).status is RunStatus.FAILED
        assert (await house.ended("r1")).correlation in end["message"]
    told = [line for line in log_lines() if line.get("why") == "no room"]
    assert [(line["level"], line["message"]) for line in told] == [
        ("ERROR", "the log refused an event"),
        ("WARNING", "the run's end could not be written; the sweep will"),
    ]
    assert not any("exception" in line for line in log_lines())


async def test_a_run_of_ours_is_not_taken_for_one_that_nobody_executes() -> None:
    """The store comes back just when the sweep looks, and takes its lease for one that is over."""

    class BackLate(MemoryStore):
        works = False

        def append(self, events: Any, **more: Any) -> Any:
            if self.works or len(events) > 1:
                return super().append(events, **more)
            failed = asyncio.get_running_loop().create_future()
            failed.set_exception(StoreFailed("locked"))
            return failed

        async def orphans(self, now: int) -> Any:
            found = await super().orphans(FAR)
            self.works = self.works or bool(found)
            return found

        async def adopt(self, key: Any, holder: str, expires_at: int, now: int) -> Any:
            return await super().adopt(key, holder, expires_at, FAR)

    store = BackLate()
    async with running(ScriptedAgent(answer("a")), store=store, lease_ms=60, sweep=True) as house:
        await start(house)
        assert (await the_end(house))["code"] == "store_failed"
        assert store.works


async def test_a_run_that_was_lost_is_cancelled_once_and_ended_when_nobody_has_it() -> None:
    """Its agent may take long to clean up, and another holder may be killed meanwhile."""
    cancels = 0
    cleaned = asyncio.Event()

    async def agent(input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        nonlocal cancels
        yield START
        while not cleaned.is_set():
            try:
                await cleaned.wait()
            except asyncio.CancelledError:
                cancels += 1

    async with running(adapt(agent), lease_ms=3_000) as house:
        await start(house)
        await house.until(lambda types: len(types) > 1)
        another = await house.store.adopt(R1, "another", FAR, FAR)
        assert another is not None
        for _ in range(3):
            await house.runner._sweep.look()
            await asyncio.sleep(0)
        assert cancels == 1
        await house.store.renew([another], 0)
        await house.runner._sweep.look()
        assert (await the_end(house))["code"] == "interrupted"
        cleaned.set()


async def says(run: RunContext) -> None:
    run.progress("a step")
    await run.save({"a": 1})


async def asks(run: RunContext) -> None:
    await run.ask("Why?")


async def fails(run: RunContext) -> None:
    raise ValueError("a secret")


async def hangs(run: RunContext) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("then", [says, asks, fails, hangs])
async def test_a_run_that_has_ended_is_freed_without_the_garbage_collector(
    then: Callable[[RunContext], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its input may be the whole of a long thread, and the collector comes when it likes."""
    logger = logging.getLogger("netra_backend.agents.execution")
    monkeypatch.setattr(logger, "disabled", True)  # pytest would keep the traceback
    seen: list[weakref.ref[object]] = []

    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        seen.extend((weakref.ref(input), weakref.ref(run)))
        yield START
        await then(run)

    async with running(adapt(agent)) as house:
        await start(house)
        await house.until(lambda types: len(types) > 1)
        with no_collector():
            if then is hangs:
                await house.runner.cancel(R1)
            await house.ended("r1")
            await until(lambda: house.runner.active == 0)
            await until(lambda: not any(ref() for ref in seen), 10)
    assert len(seen) == 2


async def test_a_run_context_that_outlives_its_run_says_nothing_more() -> None:
    kept: list[RunContext] = []

    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        kept.append(run)
        yield START

    async with running(adapt(agent)) as house:
        await start(house)
        await house.ended("r1")
        await until(lambda: house.runner.active == 0)
        (run,) = kept
        run.progress("late")
        await run.save({"late": True})
        assert run.cancelled
        assert run.watchers == 0
        assert await run.question("q") is None
        await the_end(house)


async def test_an_agent_whose_lease_is_lost_is_not_told_to_stop_a_second_time() -> None:
    stopping, let = asyncio.Event(), asyncio.Event()
    stopped: list[bool] = []

    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        try:
            yield START
            await asyncio.Event().wait()
        finally:
            stopping.set()
            await let.wait()
            stopped.append(True)

    async with running(agent) as house:
        await start(house)
        await house.until(lambda types: len(types) > 1)
        execution = house.runner.executions[R1]
        execution.lose()
        await stopping.wait()
        await execution.cancel()
        let.set()
        await execution.stopped()
    assert stopped
