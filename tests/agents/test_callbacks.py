"""The five callbacks: what they tell, in which order, and that nobody can hurt with one."""

import asyncio
import logging
import re
import threading
from typing import Any

import pytest
from ag_ui.core import RunErrorEvent, StepFinishedEvent, StepStartedEvent

from netra_backend.agents import callbacks
from netra_backend.agents.callbacks import Happening, Projection
from netra_backend.core.ids import RunId, RunKey
from netra_backend.errors import ConfigError
from netra_backend.testing import Gate, ScriptedAgent, asking
from netra_backend.testing.scripted_agent import (
    answer,
    endless,
    events,
    failure,
    reasoning,
    tool_call,
)
from tests.agents.running import ALICE, Running, running
from tests.eventually import until

pytestmark = pytest.mark.anyio

NAMES = [
    "on_agent_started",
    "on_agent_thinking",
    "on_tool_executing",
    "on_tool_completed",
    "on_agent_completed",
]


class Recorder:
    """Keeps what it is told, by plain and async methods."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Happening]] = []

    def on_agent_started(self, happening: Happening) -> None:
        self.told.append(("on_agent_started", happening))

    async def on_agent_thinking(self, happening: Happening) -> None:
        await asyncio.sleep(0)
        self.told.append(("on_agent_thinking", happening))

    def on_tool_executing(self, happening: Happening) -> None:
        self.told.append(("on_tool_executing", happening))

    async def on_tool_completed(self, happening: Happening) -> None:
        self.told.append(("on_tool_completed", happening))

    def on_agent_completed(self, happening: Happening) -> None:
        self.told.append(("on_agent_completed", happening))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.told]


def ask(run: str) -> Any:
    return asking("hi", thread_id="t1", run_id=run)


async def ran(house: Running, run: str) -> None:
    await house.start(ALICE, ask(run))
    await house.ended(run)


WHOLE = (reasoning("Hm."), tool_call("weather", "{}", result="rain"), answer("Rain."))


async def test_the_five_in_their_order_with_what_they_are_about(log_lines) -> None:
    recorder = Recorder()
    async with running(ScriptedAgent(*WHOLE)) as house:
        house.runner.projection.subscribe(recorder)
        await ran(house, "r1")
        await until(lambda: len(recorder.told) == 5)
    assert recorder.names == NAMES
    started, _, executing, completed, ended = (happening for _, happening in recorder.told)
    assert (started.user, started.thread, started.run, started.agent) == (
        "alice",
        "t1",
        "r1",
        "agent",
    )
    assert executing.tool == completed.tool == "weather"
    assert executing.call == completed.call
    assert completed.seconds is not None
    assert ended.seconds is not None
    assert (ended.status, ended.code) == ("finished", None)
    lines = [line for line in log_lines() if line["logger"] == callbacks.__name__]
    assert [line["message"] for line in lines] == [
        name.removeprefix("on_").replace("_", " ") for name in NAMES
    ]
    assert all(line["run"] == "r1" and line["user"] == "alice" for line in lines)
    assert len({line["correlation"] for line in lines}) == 1
    assert lines[-1]["seconds"] >= 0


async def test_what_a_callback_logs_bears_the_ids_of_the_run(log_lines) -> None:
    class Logs:
        def on_agent_started(self, happening: Happening) -> None:
            logging.getLogger("mine").info(happening.correlation)

        async def on_agent_completed(self, happening: Happening) -> None:
            logging.getLogger("mine").info(happening.correlation)
            raise LookupError("mine alone")

    async with running(ScriptedAgent(answer("x"))) as house:
        house.runner.projection.subscribe(Logs())
        await ran(house, "r1")
        await until(lambda: "a callback failed" in str(log_lines()))
    *said, failed = [line for line in log_lines() if "mine" in str(line)]
    assert {(line["run"], line["correlation"]) for line in said} == {("r1", said[0]["message"])}
    assert failed["correlation"] == said[0]["message"]
    assert len(said) == 2


async def test_how_a_run_ended_is_said_in_the_words_of_the_api(log_lines) -> None:
    recorder = Recorder()
    mine = RunErrorEvent(message="too long, I say", code="timeout")
    scripts = [failure(error=RuntimeError("x")), events(mine), answer(Gate())]
    for script in scripts:
        async with running(ScriptedAgent(script), timeout=0.05) as house:
            house.runner.projection.subscribe(recorder)
            before = len(recorder.told)
            await ran(house, "r1")
            await until(lambda told=before + 2: len(recorder.told) == told)
            stored = (await house.ended("r1")).status
        assert recorder.told[-1][1].status is stored
    said = [(h.status, h.code) for _, h in recorder.told if h.status is not None]
    assert said == [("failed", "agent_failed"), ("failed", "timeout"), ("timed_out", "timeout")]
    lines = [line for line in log_lines() if line["message"] == "agent completed"]
    assert [(line["status"], line["code"]) for line in lines] == said


async def test_reasoning_in_a_step_that_was_told_is_that_thought() -> None:
    step, stop = StepStartedEvent(step_name="s"), StepFinishedEvent(step_name="s")
    recorder = Recorder()
    scripts = (events(step), reasoning("Hm."), events(stop), tool_call("f", "{}", result="1"))
    async with running(ScriptedAgent(*scripts, reasoning("Well."))) as house:
        house.runner.projection.subscribe(recorder)
        await ran(house, "r1")
        await until(lambda: "on_agent_completed" in recorder.names)
    thought = recorder.names.index("on_agent_thinking")
    assert recorder.names.count("on_agent_thinking") == 2
    assert recorder.names[thought + 1] == "on_tool_executing"


async def test_a_step_is_thinking_only_where_there_is_no_reasoning_yet() -> None:
    step = events(StepStartedEvent(step_name="s"), StepFinishedEvent(step_name="s"))
    for scripts, thoughts in (
        ((step, answer("x")), 1),
        ((reasoning("Hm."), step), 1),
        ((step, reasoning("After it.")), 2),
    ):
        recorder = Recorder()
        async with running(ScriptedAgent(*scripts)) as house:
            house.runner.projection.subscribe(recorder)
            await ran(house, "r1")
            await until(lambda seen=recorder: "on_agent_completed" in seen.names)
        assert recorder.names.count("on_agent_thinking") == thoughts


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_callback_that_raises_or_hangs_hurts_nobody(
    asynchronous: bool, monkeypatch, log_lines
) -> None:
    released = threading.Event()

    class Raises:
        def on_agent_started(self, _: Happening) -> None:
            raise LookupError("mine alone")

    class Hangs:
        def on_agent_started(self, _: Happening) -> Any:
            if asynchronous:
                return asyncio.to_thread(released.wait, 60)
            return released.wait(60)

    recorder = Recorder()
    async with running(ScriptedAgent(*WHOLE)) as house:
        for target in (Raises(), recorder):
            house.runner.projection.subscribe(target)
        # Only of the one that hangs, or a busy machine makes the recorder too slow as well.
        monkeypatch.setattr(callbacks, "QUEUED", 3)
        house.runner.projection.subscribe(Hangs())
        for run in ("r1", "r2"):
            await ran(house, run)
            count = len(NAMES) * (1 if run == "r1" else 2)
            await until(lambda most=count: len(recorder.told) == most)
    released.set()
    assert recorder.names == NAMES * 2
    # Each subscriber has a thread: that the recorder has heard all says nothing of the others.
    await until(lambda: str(log_lines()).count("'a callback failed'") == 2)
    assert "a subscriber is too slow" in [line["message"] for line in log_lines()]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("raised", [SystemExit, asyncio.CancelledError])
async def test_a_callback_that_wants_to_end_more_than_itself_is_called_again(
    asynchronous: bool, raised: type[BaseException], log_lines
) -> None:
    class Ends(Recorder):
        def on_agent_started(self, happening: Happening) -> Any:
            async def later() -> None:
                raise raised

            if asynchronous:
                return later()
            raise raised

    ends = Ends()
    async with running(ScriptedAgent(answer("x"), answer("y"))) as house:
        house.runner.projection.subscribe(ends)
        for count, run in enumerate(("r1", "r2"), start=1):
            await ran(house, run)
            await until(lambda told=count: len(ends.told) == told)
    assert ends.names == ["on_agent_completed"] * 2
    assert str(log_lines()).count("'a callback failed'") == 2


async def test_a_run_that_is_lost_is_not_remembered_for_its_callbacks() -> None:
    """As where its process was frozen and another one has ended it, or its thread was deleted."""
    async with running(ScriptedAgent(endless(), endless())) as house:
        await house.start(ALICE, ask("r1"))
        (execution,) = house.runner.executions.values()
        assert len(house.runner.projection._runs) == 1
        execution.lose()
        await until(lambda: not house.runner.active)
        assert not house.runner.projection._runs


def test_what_would_never_be_called_is_refused() -> None:
    class Misspelt:
        def on_agent_start(self, _: Happening) -> None: ...

    for target, why in (
        (Recorder, "Recorder is a class; give an object, such as Recorder()"),
        (Misspelt(), "Misspelt has none of the methods on_agent_started, on_agent_thinking"),
        (Recorder().on_tool_executing, "on_tool_executing has none of the methods"),
    ):
        with pytest.raises(ConfigError, match=re.escape(why)):
            Projection().subscribe(target)


async def test_a_subscription_ends_and_a_cancel_is_told() -> None:
    left, stays = Recorder(), Recorder()
    async with running(ScriptedAgent(endless())) as house:
        end = house.runner.projection.subscribe(left)
        house.runner.projection.subscribe(stays)
        end()
        await house.start(ALICE, ask("r1"))
        await house.runner.cancel(RunKey(ALICE, RunId("r1")))
        await until(lambda: "on_agent_completed" in stays.names)
    assert left.told == []
    assert stays.told[-1][1].status == "cancelled"


async def test_who_subscribed_is_told_after_a_restart_in_the_same_process() -> None:
    recorder = Recorder()
    async with running(ScriptedAgent(answer("x"), answer("y"))) as house:
        house.runner.projection.subscribe(recorder)
        for count, run in enumerate(("r1", "r2"), start=1):
            await ran(house, run)
            await until(lambda told=2 * count: len(recorder.told) == told)
            await house.runner.close()
            await house.runner.open()
    assert recorder.names == ["on_agent_started", "on_agent_completed"] * 2
