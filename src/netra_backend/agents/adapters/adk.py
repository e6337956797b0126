"""ADK: agents of Google's Agent Development Kit, as they are (extra ``adk``).

AG-UI's own package for ADK translates. It keeps sessions; here each run has a translator and a
session of its own, seeded with the conversation from the log, unless sessions are given.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from contextvars import copy_context
from typing import Any, cast

from ag_ui.core import (
    BaseEvent,
    EventType,
    ReasoningMessageContentEvent,
    ReasoningMessageStartEvent,
    ReasoningStartEvent,
    RunAgentInput,
    RunFinishedEvent,
    StateSnapshotEvent,
    ToolCallResultEvent,
)
from ag_ui_adk import ADKAgent as Translator
from google.adk.agents import BaseAgent
from google.adk.sessions import BaseSessionService, InMemorySessionService

from netra_backend.agents.foreign import together, translated
from netra_backend.agents.run_context import CURRENT, scope_of
from netra_backend.errors import AgentError


class ADKAgent:
    """An agent that runs `agent`, an ADK one.

    `sessions` keep what ADK knows of a thread, under the thread's scope: with them, a tool that
    waits for a person's confirmation asks the user, and the answer finds the session.
    """

    def __init__(self, agent: BaseAgent, sessions: BaseSessionService | None = None) -> None:
        self._agent = agent
        self._sessions = sessions

    async def __call__(self, input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        """Run the agent on the conversation; closing the iterator stops it.

        Raises AgentError for whatever it raises.
        """
        run = CURRENT.get()
        translator = _Translator(
            adk_agent=self._agent,
            app_name=self._agent.name,
            user_id=run.user if run is not None else "user",
            session_service=self._sessions or InMemorySessionService(),
            use_thread_id_as_session_id=True,
            emit_interrupt_outcome=self._sessions is not None,
        )
        given = input.model_copy(update={"thread_id": scope_of(input)})
        thoughts = _Thoughts()
        async with aclosing(_stoppable(translator, given)) as events:
            async for event in together(translated("the agent", input, events)):
                if isinstance(event, StateSnapshotEvent):
                    event = _without_bookkeeping(event)  # noqa: PLW2901
                    if event.snapshot == (input.state or {}):
                        continue
                if isinstance(event, RunFinishedEvent) and translator.fault is not None:
                    raise AgentError(f"the model gave no answer: {translator.fault}")
                for part in thoughts.take(event):
                    yield part


class _Translator(Translator):  # type: ignore[misc]
    """AG-UI's, with what the model could not do, and what the agent says in a form of its own."""

    fault: str | None = None
    """What is wrong with the last answer of a model; it comes in an event without content."""

    def _create_runner(self, *given: Any, **named: Any) -> Any:
        runner = super()._create_runner(*given, **named)
        run = runner.run_async

        async def watched(**options: Any) -> AsyncIterator[Any]:
            async with aclosing(run(**options)) as events:
                async for event in events:
                    code, why = event.error_code, event.error_message
                    self.fault = f"{code} {why or ''}".rstrip() if code else None
                    yield event

        runner.run_async = watched
        return runner

    @staticmethod
    def _collect_output_schema_agent_names(agent: Any, result: set[str] | None = None) -> set[str]:
        """Return whose answers are for other agents: not those of the agent itself."""
        names: set[str] = Translator._collect_output_schema_agent_names(agent, result)
        return names - {agent.name}


class _Thoughts:
    """Leaves out the thoughts that come twice.

    ADK repeats an answer as a whole when it is complete. The translator passes the thoughts on
    again, as one more block, unless the answer was nothing but thoughts.
    """

    def __init__(self) -> None:
        self._told = ""
        self._held: list[BaseEvent] = []
        self._repeats = False

    def take(self, event: BaseEvent) -> list[BaseEvent]:
        """Return what is to be passed on now; the start of a block waits for its first words."""
        if self._repeats:
            self._repeats = event.type is not EventType.REASONING_END
            return []
        if isinstance(event, ReasoningStartEvent | ReasoningMessageStartEvent):
            self._held.append(event)
            return []
        if isinstance(event, ReasoningMessageContentEvent):
            if self._held and event.delta == self._told:
                self._held, self._told, self._repeats = [], "", True
                return []
            self._told += event.delta
        elif isinstance(event, ToolCallResultEvent):
            self._told = ""  # the model answers anew
        held, self._held = self._held, []
        return [*held, event]


def _without_bookkeeping(event: StateSnapshotEvent) -> StateSnapshotEvent:
    """Return the state without what the translator keeps in it for itself."""
    state = event.snapshot or {}
    own = {
        name: value
        for name, value in state.items()
        if not name.startswith("_ag_ui_") and name != "pending_tool_calls"
    }
    return event.model_copy(update={"snapshot": own})


async def _stoppable(translator: Translator, given: RunAgentInput) -> AsyncGenerator[BaseEvent]:
    """Yield the run's events; whoever stops early stops the agent.

    The translator's stream forgets what it executes when it is cancelled or closed, and lets it go
    on. So each event is waited for in a task of its own, and the execution is stopped first. All
    tasks share one context: the translator resets in the last what it has set in the first.
    """
    stream = cast(AsyncGenerator[Any], translator.run(given))
    context, loop = copy_context(), asyncio.get_running_loop()

    async def step() -> Any:
        return await anext(stream, None)

    async def end() -> None:
        await translator.close()
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await stream.aclose()

    try:
        while True:
            coming = loop.create_task(step(), context=context)
            await asyncio.wait({coming})
            event = coming.result()
            if event is None:
                return
            yield event
    finally:
        await loop.create_task(end(), context=context)
