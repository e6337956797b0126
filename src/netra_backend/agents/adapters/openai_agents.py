"""OpenAI Agents SDK: any of its agents, as it is (extra ``openai-agents``).

The mapping is ours, from ``Runner.run_streamed(...).stream_events()``: what the model streams
comes from the raw events of its response, results of tools from the items that the SDK makes.
What a model does not stream is taken from the items. A handoff is a tool call with a result. A
tool that needs an approval ends the run with an interrupt; the metadata of the first one carry the
SDK's own run state, so that the run can go on in another process.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ag_ui.core import (
    AssistantMessage,
    BaseEvent,
    ContentPart,
    DataSource,
    DocumentPart,
    ImagePart,
    Interrupt,
    ResumeEntry,
    RunAgentInput,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    TextPart,
    UrlSource,
    UserMessage,
)
from agents import Agent, Runner, RunState
from agents.items import (
    HandoffOutputItem,
    ItemHelpers,
    MessageOutputItem,
    ReasoningItem,
    ToolApprovalItem,
    ToolCallItem,
    ToolCallOutputItem,
    TResponseInputItem,
)
from agents.result import RunResultStreaming
from agents.stream_events import RawResponsesStreamEvent, RunItemStreamEvent, StreamEvent
from openai.types.responses import ResponseInputContentParam

from netra_backend import jsonlog
from netra_backend.agents.answers import APPROVAL, approves, reason_of
from netra_backend.agents.base import (
    Reasoning,
    Text,
    ToolCall,
    address_of,
    arguments_of,
    results_of,
)
from netra_backend.agents.call_ids import CallIds
from netra_backend.agents.run_context import CURRENT, library
from netra_backend.errors import AgentError

_STATE = "openai_agents"
"""The key of an interrupt's metadata that holds the SDK's run state."""

_REASONING = frozenset({"response.reasoning_text.delta", "response.reasoning_summary_text.delta"})
_TEXT = frozenset({"response.output_text.delta", "response.refusal.delta"})


class OpenAIAgentsAgent:
    """An agent that runs `agent`; `options` are those of the SDK's ``Runner.run_streamed``."""

    def __init__(self, agent: "Agent[Any]", **options: Any) -> None:
        self._agent = agent
        self._options = options

    async def __call__(self, input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        """Run the agent on the conversation; closing the iterator cancels the SDK's run.

        Raises whatever the SDK, a tool or a guardrail raises, and AgentError if an answer cannot
        be taken up.
        """
        calls = CallIds(input)
        waiting: Mapping[str, str] = {}
        if input.resume:
            paused = await _paused(input)
            waiting = paused.waiting
            calls.rename_back(waiting)
            given: Any = await _resumed(self._agent, paused)
        else:
            given = list(_items(input))
        with library():
            result = Runner.run_streamed(self._agent, given, **self._options)
        answer = _Answer(waiting)
        try:
            async for streamed in result.stream_events():
                for event in answer.take(streamed):
                    calls.rename(event)
                    yield event
            waiting = {own: calls.named(own) for own in answer.waiting}
            for event in (*answer.close(), *_questions(input, result, waiting)):
                calls.rename(event)
                yield event
        finally:
            await _stop(result)


async def _stop(result: RunResultStreaming) -> None:
    """Cancel what still runs, and wait for it."""
    result.cancel()
    task = result.run_loop_task
    if task is not None and not task.done():
        await asyncio.wait({task})


class _Answer:
    """One run on its way from the SDK's events to ours."""

    def __init__(self, calls: Iterable[str]) -> None:
        self._open: Text | Reasoning | None = None
        self._parent: str | None = None
        self._calls: dict[int, ToolCall] = {}
        self._started = set(calls)
        self.waiting = dict.fromkeys(calls)  # in their order: those without a result
        self._said: set[type[Text] | type[Reasoning]] = set()

    def take(self, streamed: StreamEvent) -> Iterator[BaseEvent]:
        """Yield the events that `streamed` adds."""
        if isinstance(streamed, RawResponsesStreamEvent):
            yield from self._raw(streamed.data)
        elif isinstance(streamed, RunItemStreamEvent):
            yield from self._item(streamed.item)

    def close(self) -> Iterator[BaseEvent]:
        """Yield what closes the message that is open."""
        if self._open is not None:
            yield from self._open.end()
            self._open = None

    def _raw(self, data: Any) -> Iterator[BaseEvent]:
        kind = data.type
        if kind == "response.created":
            self._parent = None
            self._calls.clear()
            self._said.clear()
        elif kind in _TEXT:
            yield from self._say(Text, data.delta)
        elif kind in _REASONING:
            yield from self._say(Reasoning, data.delta)
        elif kind == "response.output_item.added" and data.item.type == "function_call":
            yield from self.close()
            call = self._begun(data.item.name, data.item.call_id)
            self._calls[data.output_index] = call
            yield from call.start()
        elif kind == "response.function_call_arguments.delta":
            if data.output_index in self._calls:
                yield from self._calls[data.output_index].add(data.delta)
        elif kind == "response.output_item.done":
            ended = self._calls.pop(data.output_index, None)
            yield from ended.end() if ended is not None else self.close()

    def _say(self, kind: type[Text] | type[Reasoning], words: str) -> Iterator[BaseEvent]:
        if not words:
            return
        self._said.add(kind)
        if not isinstance(self._open, kind):
            yield from self.close()
            self._open = kind()
            yield from self._open.start()
        if isinstance(self._open, Text):
            self._parent = self._open.id
        yield from self._open.add(words)

    def _item(self, item: Any) -> Iterator[BaseEvent]:
        """Yield what an item says that was not streamed, and the results of tools."""
        match item:
            case ToolCallOutputItem():
                yield from self._result(item.call_id, item.output)
            case HandoffOutputItem():
                raw: Any = item.raw_item
                yield from self._result(raw.get("call_id"), raw.get("output"))
            case ToolCallItem() if item.call_id not in self._started and item.tool_name:
                yield from self.close()
                call = self._begun(item.tool_name, item.call_id)
                arguments = _argument_text(item.raw_item)
                yield from (*call.start(), *call.add(arguments), *call.end())
            case MessageOutputItem() if Text not in self._said:
                yield from self._say(Text, ItemHelpers.text_message_output(item))
                yield from self.close()
                self._said.discard(Text)
            case ReasoningItem() if Reasoning not in self._said:
                yield from self._say(Reasoning, _reasoning_text(item.raw_item))
                yield from self.close()
                self._said.discard(Reasoning)

    def _begun(self, name: str, id: str | None) -> ToolCall:
        """Return a call that begins, in one message with the others of the answer."""
        call = ToolCall(name, id=id, parent=self._parent)
        self._parent = self._parent or call.id
        self._started.add(call.id)
        self.waiting[call.id] = None
        return call

    def _result(self, call: str | None, output: object) -> Iterator[BaseEvent]:
        self._parent = None  # the model answers anew
        if call is not None and call in self._started:
            self.waiting.pop(call, None)
            text = output if isinstance(output, str) else jsonlog.dumps(output)
            yield from ToolCall("", id=call).result(text)


def _argument_text(raw: Any) -> str:
    arguments = raw.get("arguments") if isinstance(raw, dict) else getattr(raw, "arguments", None)
    return arguments if isinstance(arguments, str) else ""


def _reasoning_text(raw: Any) -> str:
    parts = [*(raw.summary or ()), *(getattr(raw, "content", None) or ())]
    return "\n".join(part.text for part in parts)


def _items(input: RunAgentInput) -> Iterator[TResponseInputItem]:
    """Yield the conversation as the SDK wants it; a call without a result is left out.

    System messages of a client are too: the agent's own instructions count.
    """
    results = results_of(input)
    for message in input.messages:
        if isinstance(message, UserMessage):
            yield {"role": "user", "content": _content(message.content)}
        elif isinstance(message, AssistantMessage):
            yield from _turn(message, results)


def _turn(message: AssistantMessage, results: Mapping[str, str]) -> Iterator[TResponseInputItem]:
    """Yield what the assistant said, and its calls before their results: it made them at once."""
    if message.content:
        yield {"role": "assistant", "content": message.content}
    calls = [call for call in message.tool_calls or () if call.id in results]
    for call in calls:
        yield {
            "type": "function_call",
            "call_id": _past(call.id),
            "name": call.function.name,
            "arguments": arguments_of(call),
        }
    for call in calls:
        output = results[call.id]
        yield {"type": "function_call_output", "call_id": _past(call.id), "output": output}


def _past(call: str) -> str:
    """Return an id that no model gives: the SDK takes two calls with one id for the same call."""
    return f"call_{hashlib.sha256(call.encode()).hexdigest()[:24]}"


def _content(content: str | Sequence[ContentPart]) -> str | list[ResponseInputContentParam]:
    return content if isinstance(content, str) else [_part(part) for part in content]


def _part(part: ContentPart) -> ResponseInputContentParam:
    match part:
        case TextPart():
            return {"type": "input_text", "text": part.text}
        case ImagePart(source=UrlSource() | DataSource() as source):
            return {"type": "input_image", "detail": "auto", "image_url": address_of(source)}
        case DocumentPart(source=UrlSource(value=url)):
            return {"type": "input_file", "file_url": url}
        case DocumentPart(source=DataSource() as source):
            name = str((part.metadata or {}).get("filename") or "document")
            return {"type": "input_file", "filename": name, "file_data": address_of(source)}
        case _:
            kind = f"{part.type} ({part.source.type})"
            raise AgentError(f"the model can be sent text, images and documents, not this {kind}")


# --- approvals ---


def _questions(
    input: RunAgentInput, result: RunResultStreaming, waiting: Mapping[str, str]
) -> Iterator[BaseEvent]:
    """Yield what ends the run with the approvals that the SDK waits for, if there are any.

    They are answered together, so the first alone has the state: it may be as large as all that
    was said. A call of an agent that is itself a tool is not told, but by the question.
    """
    if not result.interruptions:
        return
    paused = {_STATE: json.dumps(_kept(result)), "waiting": waiting}
    asked = [
        Interrupt(
            id=f"{input.run_id}:{item.call_id}",
            reason="approval",
            message=_question(item, told=item.call_id in waiting),
            tool_call_id=item.call_id if item.call_id in waiting else None,
            response_schema=APPROVAL,
            metadata={"netra": {"call": item.call_id, **({} if place else paused)}},
        )
        for place, item in enumerate(result.interruptions)
    ]
    yield RunFinishedEvent(
        thread_id=input.thread_id,
        run_id=input.run_id,
        outcome=RunFinishedInterruptOutcome(interrupts=asked),
    )


def _kept(result: RunResultStreaming) -> dict[str, Any]:
    """Return the SDK's state of the run, without the context, which is the application's own.

    The user can read the state, and the run that goes on gets the context from our options.
    """
    return _without_context(result.to_state().to_json(context_serializer=lambda _: {}))


def _without_context(state: dict[str, Any]) -> dict[str, Any]:
    state["context"].update(context=None, context_meta=None)
    for call in (state.get("last_processed_response") or {}).get("functions", ()):
        if "agent_run_state" in call:
            _without_context(call["agent_run_state"])
    return state


def _question(item: ToolApprovalItem, *, told: bool) -> str:
    arguments = "" if told else f" with {item.arguments}"
    return f"May {item.tool_name} be called{arguments}?"


class Paused(NamedTuple):
    """A run of the SDK that waits for answers: to which of its calls each answer is."""

    state: str
    waiting: Mapping[str, str]
    """The calls without a result by the SDK's ids: what the log names them."""
    answers: Mapping[str, ResumeEntry]


async def _paused(input: RunAgentInput) -> Paused:
    """Return what the run's answers are to."""
    run = CURRENT.get()
    answers: dict[str, ResumeEntry] = {}
    found: list[dict[str, Any]] = []
    for entry in input.resume or ():
        question = await run.question(entry.interrupt_id) if run is not None else None
        kept = ((question or {}).get("metadata") or {}).get("netra") or {}
        if "call" not in kept:
            raise AgentError("there is no question of this agent that the answer belongs to")
        answers[kept["call"]] = entry
        found += [kept] if _STATE in kept else []
    if not found:
        raise AgentError("the questions of a run are answered together")
    return Paused(found[0][_STATE], found[0]["waiting"], answers)


def _readable(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state with what the assistant said before as `_turn` gives it.

    The SDK writes that in a form which its own translation to chat completions refuses.
    """
    given = state.get("original_input")
    for item in given if isinstance(given, list) else ():
        if item.get("role") == "assistant" and "type" not in item:
            parts = item["content"]
            said = parts if isinstance(parts, str) else "".join(part["text"] for part in parts)
            item.pop("status", None)
            item["content"] = said
    return state


async def _resumed(agent: "Agent[Any]", paused: Paused) -> "RunState[Any]":
    """Return the SDK's run state with the answers in it."""
    kept = _readable(json.loads(paused.state))
    state: RunState[Any] = await RunState.from_json(agent, kept)
    for item in state.get_interruptions():
        answer = paused.answers.get(item.call_id or "")
        if answer is None:
            raise AgentError(f"the call of {item.tool_name} has no answer")
        if approves(answer):
            state.approve(item)
        elif reason := reason_of(answer):
            state.reject(item, rejection_message=f"The user rejected this call: {reason}")
        else:
            state.reject(item)
    return state
