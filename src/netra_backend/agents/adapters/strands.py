"""Strands: its agents, as they are (extra ``strands``).

AG-UI's own package for Strands translates. It keeps an agent for each thread; here each run has a
translator of its own, and the conversation comes from the log. The exception is a question that
the agent asks a person: the turn is held in this process until the answer comes. After a restart,
or once too many are held, the answer finds nobody and the run fails. Orchestrators can do one run
at a time and cannot be copied, so whoever has one makes it anew for each run.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from ag_ui.core import BaseEvent, RunAgentInput
from ag_ui_strands import StrandsAgent as Translator
from strands import Agent
from strands.multiagent import MultiAgentBase

from netra_backend.agents.foreign import together, translated
from netra_backend.agents.held import Held
from netra_backend.agents.pairing import answered
from netra_backend.agents.run_context import scope_of


class StrandsAgent:
    """An agent that runs `agent`, a Strands one, or for one run at a time an orchestrator."""

    def __init__(self, agent: Agent | MultiAgentBase) -> None:
        self._agent = agent
        self._held: Held[Translator] = Held()

    async def __call__(self, input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        """Run the agent on the conversation; closing the iterator stops it.

        Raises AgentError for whatever it raises, and if the turn that asked is gone.
        """
        scope, input = scope_of(input), answered(input)
        translator, input, calls = await self._held.take(scope, input)
        translator = translator or Translator(agent=self._agent, name="agent")
        given = input.model_copy(update={"thread_id": scope})
        async with aclosing(cast(AsyncGenerator[Any], translator.run(given))) as events:
            async for event in together(translated("the agent", input, events, calls)):
                await self._held.keep(scope, translator, calls, event)
                yield event
