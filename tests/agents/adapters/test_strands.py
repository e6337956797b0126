"""Strands: orchestrators, which can do one run at a time."""

import asyncio
from collections.abc import AsyncIterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from ag_ui.core import BaseEvent, RunAgentInput

from netra_backend.core.run import RunStatus
from netra_backend.testing import asking
from tests.agents.running import ALICE, running
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
