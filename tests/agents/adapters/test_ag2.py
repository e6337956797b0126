"""AG2: a tool that fails is told without the places in the server's files."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from netra_backend.agents.loading import adapt
from netra_backend.core.ports import Answer
from netra_backend.core.run import RunStatus
from netra_backend.testing import asking
from tests.agents.running import ALICE, T1, Running, running
from tests.contract.completions import completions
from tests.contract.stage import Scenario, Stage

pytest.importorskip("ag2", reason="the extra ag2 is not installed")


pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]


@asynccontextmanager
async def served(
    tool: Callable[..., Any], scenario: Scenario = Scenario.TOOL
) -> AsyncIterator[Running]:
    """Run an agent whose model calls the tool."""
    from ag2 import Agent
    from ag2.config.openai import OpenAIConfig
    from openai import AsyncOpenAI

    async with (
        completions(Stage(scenario)) as url,
        AsyncOpenAI(api_key="none", base_url=url) as client,
    ):
        config = OpenAIConfig(
            "fake", api_key="none", base_url=url, http_client=client._client, streaming=True
        )
        agent = Agent("agent", config=config)
        agent.tool(tool)
        async with running(adapt(agent)) as house:
            yield house


GROUP = ExceptionGroup("all", [ValueError("in it")])


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("two\n  lines"), "ValueError: two\n  lines"),
        (GROUP, "ExceptionGroup: all (1 sub-exception)"),
        (ValueError("Traceback (most recent call last):\nE"), None),
    ],
)
async def test_a_tool_that_fails_shows_no_files(error: Exception, shown: str | None) -> None:
    def weather(city: str) -> str:
        """Tell the weather in a city."""
        try:
            return {}[city]
        except KeyError as cause:
            raise error from cause

    async with served(weather) as house:
        await house.start(ALICE, asking("hi", thread_id="t1", run_id="r1"))
        assert (await house.ended("r1")).status is RunStatus.FINISHED
        chunks = await house.chunks()
    results = [chunk["content"] for chunk in chunks if chunk["type"] == "TOOL_CALL_RESULT"]
    assert results == [shown or f"ValueError: {error}"]


async def test_calls_that_were_made_at_once_stand_in_one_message() -> None:
    both = asyncio.Barrier(2)

    async def weather(city: str) -> str:
        """Tell the weather in a city."""
        await both.wait()  # a result that is there before the second call would part the two
        return f"sunny in {city}"

    async with served(weather, Scenario.TOOLS) as house:
        await house.start(ALICE, asking("hi", thread_id="t1", run_id="r1"))
        assert (await house.ended("r1")).status is RunStatus.FINISHED
        _, said, *_ = messages = await house.messages()
    assert [message["role"] for message in messages] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
    ]
    assert said["content"] == "Let me see."
    assert len(said["toolCalls"]) == 2


# AG2 leaves the first run's end of its channel open when the turn goes on in the next.
@pytest.mark.filterwarnings("ignore:Unclosed <MemoryObjectSendStream:ResourceWarning")
async def test_a_message_in_place_of_an_answer_gives_the_question_up() -> None:
    from ag2 import Context

    async def weather(city: str, here: Context) -> str:
        """Tell the weather in a city."""
        return await here.input("Really?")

    async with served(weather) as house:
        for run in ("r1", "r2"):
            await house.start(ALICE, asking("hi", thread_id="t1", run_id=run))
            assert (await house.ended(run)).status is RunStatus.AWAITING
        asked = next(q for q in await house.store.asked(T1, 9) if q.run == "r2")
        answer = Answer(asked.id, "resolved", b'"yes"')
        decided = await house.runner.interrupts.decide(T1, answer, ALICE)
        assert (await house.ended(decided.run or "")).status is RunStatus.FINISHED
        chunks = await house.chunks()
    calls = [chunk["toolCallId"] for chunk in chunks if chunk["type"] == "TOOL_CALL_START"]
    results = [chunk["toolCallId"] for chunk in chunks if chunk["type"] == "TOOL_CALL_RESULT"]
    assert len(set(calls)) == 2, "the model gives both one id"
    assert results == calls[1:]
