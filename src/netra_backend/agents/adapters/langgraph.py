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
    Interrupt,
    Message,
    MessagesSnapshotEvent,
    ResumeEntry,
    RunAgentInput,
    StateSnapshotEvent,
    ToolCallResultEvent,
    ToolMessage,
)
from ag_ui_langgraph import LangGraphAgent as Translator
from ag_ui_langgraph.interrupts import DEFAULT_RESUME_SENTINEL_CANCELLED
from ag_ui_langgraph.utils import langchain_messages_to_agui
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages import ToolMessage as Result
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from netra_backend import jsonlog
from netra_backend.agents.answers import approves, reason_of
from netra_backend.agents.base import results_of
from netra_backend.agents.foreign import translated
from netra_backend.agents.pairing import answered
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
        kept: Sequence[Any] = ()
        if graph.checkpointer:
            kept = await self._kept(input)
            messages = _newest(messages, kept)
        elif input.resume:
            raise AgentError("the graph asked, but keeps no checkpoints: compile it with some")
        else:
            graph = graph.copy({"checkpointer": InMemorySaver()})
        translator = _Translator(
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
            told = _told_again(input, kept, _parted(events))
            async for event in translated("the graph", input, told):
                yield event

    async def _kept(self, input: RunAgentInput) -> Sequence[Any]:
        """Return the messages of the thread's newest checkpoint.

        A run that answers no question gives up what the graph was at, or waits for.
        """
        place = {**self._config.get("configurable", {}), "thread_id": scope_of(input)}
        config = cast(RunnableConfig, {**self._config, "configurable": place})
        state = await self._graph.aget_state(config)
        if state.next and not input.resume:
            await self._graph.aupdate_state(config, None, as_node=END)
            state = await self._graph.aget_state(config)
        return state.values.get("messages") or () if isinstance(state.values, dict) else ()


class _Translator(Translator):  # type: ignore[misc]
    """AG-UI's, with whole calls, questions for a page, and answers in the form of the graph."""

    async def _handle_single_event(self, event: Any, state: Any) -> AsyncIterator[BaseEvent]:
        for part in _in_parts(event):
            async for told in super()._handle_single_event(part, state):
                yield told

    def _interrupts_to_agui(self, items: Any) -> list[Interrupt]:
        asked: list[Interrupt] = super()._interrupts_to_agui(items)
        for question, item in zip(asked, items, strict=True):
            if requests := _requests(item.value):
                question.reason, question.response_schema = "approval", _DECISIONS
                question.message = "\n\n".join(map(_described, requests))
            elif _asks_for_one(item.value):
                question.reason, question.response_schema = "approval", _DECISION
                question.message = _described(item.value)
            elif question.message is None:
                question.message = jsonlog.dumps(item.value)
        return asked

    def _build_command_from_agui_resume(
        self, entries: Sequence[ResumeEntry], *, open_interrupts: Sequence[Interrupt] | None = None
    ) -> Command[Any]:
        asked = {question.id: question for question in open_interrupts or ()}
        if any(entry.interrupt_id not in asked for entry in entries):
            raise AgentError("the graph has given up this question")
        return Command(
            resume={
                entry.interrupt_id: _answer(entry, asked[entry.interrupt_id]) for entry in entries
            }
        )


def _in_parts(event: Any) -> Iterator[Any]:
    """Yield what a model streams in the parts that the translator takes.

    Of one chunk it takes one call, either its name or its arguments, and nothing at all beside a
    reason why the answer ends. Gemini and Ollama give calls whole, and several at once.
    """
    chunk = event["data"].get("chunk") if event.get("event") == "on_chat_model_stream" else None
    if not isinstance(chunk, AIMessageChunk):
        yield event
        return
    calls = [part for call in chunk.tool_call_chunks for part in _named_first(call)]
    is_last = chunk.response_metadata.get("finish_reason") and (calls or chunk.text)
    if len(calls) < 2 and not is_last:
        yield event
        return
    first = chunk.model_copy(update={"tool_call_chunks": calls[:1], "response_metadata": {}})
    bare = AIMessageChunk(content="", id=chunk.id)
    others = (bare.model_copy(update={"tool_call_chunks": [call]}) for call in calls[1:])
    for part in (first, *others):
        yield {**event, "data": {**event["data"], "chunk": part}}


def _named_first(call: ToolCallChunk) -> Iterator[ToolCallChunk]:
    """Yield the name of a call, and what comes with it of its arguments."""
    if call["name"] and call["args"]:
        yield {**call, "args": ""}
        yield {**call, "name": None, "id": None}
    else:
        yield call


_DECISIONS = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}, "decisions": {"type": "array"}},
}
"""Of LangChain's HumanInTheLoopMiddleware: one for all calls, or its own form, one for each."""


_DECISION = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}, "type": {"type": "string"}},
}
"""The same, where it asks for each call by itself."""


def _asks_for_one(value: Any) -> bool:
    """Return whether it is a `ToolApprovalRequest`; a graph may ask in forms of its own."""
    return (
        isinstance(value, dict) and value.get("type") == "tool_approval" and "tool_call_id" in value
    )


def _requests(value: Any) -> list[dict[str, Any]]:
    """Return the requests of a `HITLRequest`, none of anything else."""
    if not (isinstance(value, dict) and "review_configs" in value):
        return []
    requests = value.get("action_requests")
    is_theirs = isinstance(requests, list) and all(isinstance(one, dict) for one in requests)
    return cast(list[dict[str, Any]], requests) if is_theirs else []


def _described(request: dict[str, Any]) -> str:
    return str(request.get("description") or jsonlog.dumps(request))


def _answer(entry: ResumeEntry, question: Interrupt) -> Any:
    """Return what ``interrupt()`` returns in the graph."""
    value = (question.metadata or {})["langgraph"]["raw"]
    payload = entry.payload if entry.status == "resolved" else None
    given = payload if isinstance(payload, dict) else {}
    decision = {"type": "approve"} if approves(entry) else _rejection(reason_of(entry))
    if (requests := _requests(value)) and "decisions" not in given:
        return {"decisions": [decision] * len(requests)}
    if _asks_for_one(value) and "type" not in given:
        return decision
    if entry.status == "resolved":
        return payload
    return {DEFAULT_RESUME_SENTINEL_CANCELLED: True, "interrupt_id": entry.interrupt_id}


def _rejection(reason: str) -> dict[str, str]:
    return {"type": "reject", "message": reason} if reason else {"type": "reject"}


def _newest(messages: Sequence[Message], kept: Sequence[Any]) -> list[Message]:
    """Return the messages behind the last that is `kept`, and the results that it has not.

    What is kept may be fewer or others than were said: that is for the graph to decide. Results
    name their calls as the graph does.
    """
    calls, answers = dict(_calls(messages, kept)), set(_answers(kept))
    ids = {getattr(message, "id", None) for message in kept}
    known = {
        place
        for place, message in enumerate(messages)
        if message.id in ids
        or (isinstance(message, ToolMessage) and calls.get(message.tool_call_id) in answers)
    }
    last = max(known, default=-1)
    newest: list[Message] = []
    for place, message in enumerate(messages):
        call = calls.get(message.tool_call_id) if isinstance(message, ToolMessage) else None
        if place in known or not (place > last or (call and call.message in ids)):
            continue
        newest.append(message.model_copy(update={"tool_call_id": call.id}) if call else message)
    return newest


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


async def _told_again(
    input: RunAgentInput, kept: Sequence[Any], events: AsyncIterator[BaseEvent]
) -> AsyncIterator[BaseEvent]:
    """Yield the events without the calls that the run goes on with after a question.

    The translator tells such a call once more before its result. One that was interrupted waits
    no more, and the graph may use its id again: the checkpoint has its result, though not the log.
    """
    waiting: dict[str, str] = {}
    if input.resume:
        done, answers = results_of(input), set(_answers(kept))
        calls = _calls(input.messages, kept)
        waiting = {call.id: id for id, call in calls if id not in done and call not in answers}
    old = {message.id for message in kept}
    async for event in events:
        if isinstance(event, MessagesSnapshotEvent):
            for message in event.messages:
                if isinstance(message, ToolMessage) and message.id not in old:
                    call = message.tool_call_id
                    message.tool_call_id = waiting.get(call, call)
            yield event
        elif isinstance(event, ToolCallResultEvent):
            event.tool_call_id = waiting.pop(event.tool_call_id, event.tool_call_id)
            yield event
        elif getattr(event, "tool_call_id", None) not in waiting:
            yield event
