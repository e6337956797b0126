"""Strands: orchestrators, which can do one run at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from ag_ui.core import BaseEvent, RunAgentInput

from netra_backend.agents.loading import adapt
from netra_backend.core.ports import Answer
from netra_backend.core.run import RunStatus
from netra_backend.testing import asking
from tests.agents.running import ALICE, T1, Running, running
from tests.contract.completions import completions
from tests.contract.stage import Scenario, Stage
from tests.legality import illegal

if TYPE_CHECKING:
    from strands.multiagent.graph import Graph

MISSING = [name for name in ("strands", "ag_ui_strands", "openai") if find_spec(name) is None]


pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(180),
    pytest.mark.skipif(bool(MISSING), reason=f"strands: not installed: {MISSING}"),
]


async def test_an_orchestrator_of_each_run_answers_beside_others() -> None:
    """As the page says: one that two runs share would fail the second."""
    # All workers collect this file, and one of them runs it.
    from openai import AsyncOpenAI
    from strands import Agent
    from strands.models.openai import OpenAIModel
    from strands.multiagent import GraphBuilder

    from netra_backend.agents.adapters.strands import StrandsAgent

    stage = Stage(Scenario.RESUME)
    async with (
        completions(stage) as url,
        AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as client,
    ):

        def built() -> "Graph":
            builder = GraphBuilder()
            model = OpenAIModel(client=client, model_id="fake")
            builder.add_node(Agent(model=model, callback_handler=None), "speaker")
            builder.set_max_node_executions(1)
            return builder.build()

        async def agent(input: RunAgentInput) -> AsyncIterator[BaseEvent]:
            async for event in StrandsAgent(built())(input):
                yield event

        async with asyncio.timeout(90), running(agent) as house:
            for name in ("1", "2"):
                await house.start(ALICE, asking("Hi", thread_id=f"t{name}", run_id=f"r{name}"))
            for name in ("1", "2"):
                await house.until(lambda types: "TEXT_MESSAGE_CONTENT" in types, f"t{name}")
            stage.gate.open()
            for name in ("1", "2"):
                assert (await house.ended(f"r{name}")).status is RunStatus.FINISHED
                chunks = await house.chunks(f"t{name}")
                said = [c["delta"] for c in chunks if c["type"] == "TEXT_MESSAGE_CONTENT"]
                assert "".join(said) == "one two three"
                assert illegal(chunks) == []


@asynccontextmanager
async def inquisitive() -> AsyncIterator[Running]:
    """Run an agent whose model calls a tool at each turn, which asks before it answers."""
    from openai import AsyncOpenAI
    from strands import Agent, ToolContext, tool
    from strands.models.openai import OpenAIModel

    @tool(context=True)
    def weather(tool_context: ToolContext, city: str) -> str:
        """Tell the weather in a city."""
        return f"{city}: {tool_context.interrupt('really')}"

    async with (
        completions(Stage(Scenario.TOOL)) as url,
        AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as client,
    ):
        model = OpenAIModel(client=client, model_id="fake")
        agent = adapt(Agent(model=model, tools=[weather], callback_handler=None))
        async with running(agent) as house:
            yield house


async def test_a_question_is_answered_and_given_up_for_a_message() -> None:
    async with asyncio.timeout(90), inquisitive() as house:
        for run in ("r1", "r2"):
            await house.start(ALICE, asking("hi", thread_id="t1", run_id=run))
            assert (await house.ended(run)).status is RunStatus.AWAITING
        ends = []
        for question in await house.store.asked(T1, 9):
            answer = Answer(question.id, "resolved", b'"yes"')
            decided = await house.runner.interrupts.decide(T1, answer, ALICE)
            ends.append((question.run, (await house.ended(decided.run or "")).status))
        chunks = await house.chunks()
    assert sorted(ends) == [("r1", RunStatus.FAILED), ("r2", RunStatus.FINISHED)]
    (result,) = [chunk for chunk in chunks if chunk["type"] == "TOOL_CALL_RESULT"]
    assert "yes" in result["content"]
    calls = [chunk["toolCallId"] for chunk in chunks if chunk["type"] == "TOOL_CALL_START"]
    assert len(set(calls)) == 2, "the model gives both one id"
    assert result["toolCallId"] == calls[1]


async def test_each_answer_leads_to_the_result_of_its_own_call() -> None:
    """Though the model gives each call the same id, and the tool the same result."""
    async with asyncio.timeout(90), inquisitive() as house:
        for run in ("r1", "r2"):
            await house.start(ALICE, asking("hi", thread_id="t1", run_id=run))
            await house.ended(run)
            question = next(q for q in await house.store.asked(T1, 9) if q.run == run)
            answer = Answer(question.id, "resolved", b'"yes"')
            decided = await house.runner.interrupts.decide(T1, answer, ALICE)
            assert (await house.ended(decided.run or "")).status is RunStatus.FINISHED
        messages = await house.messages()
    roles = [message["role"] for message in messages]
    assert roles == ["user", "assistant", "tool", "assistant"] * 2
