"""Strands: its agents, as they are (extra ``strands``).

AG-UI's own package for Strands translates. It keeps an agent for each thread; here each run has a
translator of its own, and the conversation comes from the log. Orchestrators can do one run at a
time and cannot be copied, so whoever has one makes it anew for each run.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from ag_ui.core import BaseEvent, RunAgentInput
from ag_ui_strands import StrandsAgent as Translator
from strands import Agent
from strands.multiagent import MultiAgentBase

from netra_backend.agents.foreign import answered, translated
from netra_backend.agents.run_context import scope_of


class StrandsAgent:
    """An agent that runs `agent`, a Strands one, or for one run at a time an orchestrator."""

    def __init__(self, agent: Agent | MultiAgentBase) -> None:
        self._agent = agent

    async def __call__(self, input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        """Run the agent on the conversation; closing the iterator stops it.

        Raises AgentError for whatever it raises.
        """
        input = answered(input)
        given = input.model_copy(update={"thread_id": scope_of(input)})
        translator = Translator(agent=self._agent, name="agent")
        async with aclosing(cast(AsyncGenerator[Any], translator.run(given))) as events:
            async for event in translated("the agent", input, events):
                yield event
