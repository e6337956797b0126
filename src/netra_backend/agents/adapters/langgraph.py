"""LangGraph: any compiled graph, as it is (extra ``langgraph``).

AG-UI's own package for LangGraph translates. Each run works on a clone of it, without raw events.
The graph's checkpoints are kept under the thread's scope, so that threads of one name which belong
to two users stay two; a graph that keeps some is told only the messages that came after those it
knows. A graph without a checkpointer gets one that lasts for the run: the conversation comes from
the log, but such a graph cannot go on after an interrupt.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple, cast

from ag_ui.core import (
    AssistantMessage,
    BaseEvent,
    Message,
    MessagesSnapshotEvent,
    RunAgentInput,
    StateSnapshotEvent,
    ToolMessage,
)
from ag_ui_langgraph import LangGraphAgent as Translator
from ag_ui_langgraph.utils import langchain_messages_to_agui
from langchain_core.messages import AIMessage
from langchain_core.messages import ToolMessage as Result
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.state import CompiledStateGraph

from netra_backend.agents.foreign import answered, translated
from netra_backend.agents.run_context import scope_of
from netra_backend.errors import AgentError

_NO_STATE = frozenset({"messages", "tools"})
"""What the translator puts into snapshots of the state, and the log has already."""


class LangGraphAgent:
    """An agent that runs `graph`, a compiled one whose state has ``messages``.

    `config` is LangGraph's, for every run.
    """

    def __init__(
        self,
        graph: "CompiledStateGraph[Any, Any, Any, Any]",
        config: dict[str, Any] | None = None,
    ) -> None:
        self._graph = graph
        self._config = config or {}

    async def __call__(self, input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        """Run the graph on the conversation; closing the iterator stops it.

        Raises AgentError for whatever the graph raises, and if there is nothing to resume.
        """
        graph, input = self._graph, answered(input)
        messages = input.messages
        if graph.checkpointer:
            messages = _newest(messages, await self._kept(scope_of(input)))
        elif input.resume:
            raise AgentError("the graph asked, but keeps no checkpoints: compile it with some")
        else:
            graph = graph.copy({"checkpointer": InMemorySaver()})
        translator = Translator(
            name="graph",
            graph=graph,
            config=self._config,
            emit_raw_events=False,
            emit_interrupt_outcome=True,
            enable_legacy_on_interrupt_event=False,
        )
        update = {"thread_id": scope_of(input), "messages": messages}
        given = input.model_copy(update=update).model_copy(deep=True)
        async with aclosing(translator.clone().run(given)) as events:
            async for event in translated("the graph", input, _parted(events)):
                yield event

    async def _kept(self, scope: str) -> Sequence[Any]:
        """Return the messages of the thread's newest checkpoint."""
        place = {**self._config.get("configurable", {}), "thread_id": scope}
        config = cast(RunnableConfig, {**self._config, "configurable": place})
        state = await self._graph.aget_state(config)
        if state.next:  # it shows also what an unfinished step has written, which a new run drops
            state = await self._graph.aget_state(state.config)
        return state.values.get("messages") or () if isinstance(state.values, dict) else ()


def _newest(messages: Sequence[Message], kept: Sequence[Any]) -> list[Message]:
    """Return the messages behind the last that is `kept`, results with the graph's ids of calls.

    What is kept may be fewer or others than were said: that is for the graph to decide.
    """
    calls, answers = dict(_calls(messages, kept)), set(_answers(kept))
    ids = {getattr(message, "id", None) for message in kept}
    known = [
        place
        for place, message in enumerate(messages)
        if message.id in ids
        or (isinstance(message, ToolMessage) and calls.get(message.tool_call_id) in answers)
    ]
    newest = messages[known[-1] + 1 :] if known else messages
    return [
        message.model_copy(update={"tool_call_id": calls[message.tool_call_id].id})
        if isinstance(message, ToolMessage) and message.tool_call_id in calls
        else message
        for message in newest
    ]


class _Call(NamedTuple):
    """A call: the message that makes it, and the graph's id, which a later one may have again."""

    message: str | None
    id: str


def _calls(messages: Sequence[Message], kept: Sequence[Any]) -> Iterator[tuple[str, _Call]]:
    """Yield the calls by their ids in the log."""
    own = {message.id: message.tool_calls for message in kept if isinstance(message, AIMessage)}
    for message in messages:
        if isinstance(message, AssistantMessage):
            for place, call in enumerate(message.tool_calls or ()):
                same = own.get(message.id, ())[place : place + 1]
                yield call.id, _Call(message.id, (same[0]["id"] if same else None) or call.id)


def _answers(kept: Sequence[Any]) -> Iterator[_Call]:
    """Yield the calls that have a result."""
    made: dict[str | None, str | None] = {}
    for message in kept:
        if isinstance(message, AIMessage):
            made.update((call["id"], message.id) for call in message.tool_calls)
        elif isinstance(message, Result):
            yield _Call(made.get(message.tool_call_id), message.tool_call_id)


async def _parted(events: AsyncIterator[BaseEvent]) -> AsyncIterator[BaseEvent]:
    """Yield the events, with each snapshot of the state in two: the results in it, and the state.

    A result that no tool has made, such as that of a call of an unknown one, is told nowhere else
    before the end.
    """
    async for event in events:
        if isinstance(event, StateSnapshotEvent) and isinstance(event.snapshot, dict):
            said = event.snapshot.get("messages")
            results = [m for m in said if isinstance(m, Result)] if isinstance(said, list) else []
            yield MessagesSnapshotEvent(messages=langchain_messages_to_agui(results))
            state = {key: value for key, value in event.snapshot.items() if key not in _NO_STATE}
            yield event.model_copy(update={"snapshot": state})
        else:
            yield event
