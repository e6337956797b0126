"""agno: its agents and teams, as they are (extra ``agno``).

agno's own AG-UI interface translates. Sessions are kept, if the agent has a database, under the
thread's scope and the run's user.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from ag_ui.core import BaseEvent, RunAgentInput
from agno.agent import Agent
from agno.os.interfaces.agui.router import run_entity
from agno.team import Team

from netra_backend.agents.foreign import translated
from netra_backend.agents.run_context import CURRENT, scope_of


class AgnoAgent:
    """An agent that runs `entity`, an agno agent or team."""

    def __init__(self, entity: Agent | Team) -> None:
        self._entity = entity

    async def __call__(self, input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        """Run it on the newest message; closing the iterator stops it.

        Raises AgentError for whatever it raises.
        """
        run = CURRENT.get()
        given = input.model_copy(update={"thread_id": scope_of(input)})
        stream = run_entity(self._entity, given, user_id=run.user if run is not None else None)
        async with aclosing(cast(AsyncGenerator[Any], stream)) as events:
            async for event in translated("the agent", input, events):
                yield event
