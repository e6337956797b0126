"""What an agent is, and the constructs that agents of this package stream.

An agent is any callable that takes the run's input and returns an async iterator of AG-UI
events. It knows nothing of sockets, logs or users; ``agents/runner`` does the rest. Cancelling a
run closes the iterator, so an agent releases what it holds in ``finally`` or ``async with``.

A construct is something that is open between a start and an end event: `Text`, `Reasoning`, a
`ToolCall`. Each makes its events in the order AG-UI asks for, under an id that is new.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import msgspec
from ag_ui.core import (
    AssistantMessage,
    BaseEvent,
    ContentPart,
    DataSource,
    Message,
    ReasoningEndEvent,
    ReasoningMessageContentEvent,
    ReasoningMessageEndEvent,
    ReasoningMessageStartEvent,
    ReasoningStartEvent,
    RunAgentInput,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
    TextPart,
    ToolCallArgsEvent,
    ToolCallEndEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
    ToolMessage,
    UrlSource,
    UserMessage,
)
from ag_ui.core import ToolCall as ToolCallOfMessage

from netra_backend import jsonlog
from netra_backend.core.ids import new_id

Agent = Callable[[RunAgentInput], AsyncIterator[BaseEvent]]
"""Anything that can be run: one argument in, AG-UI events out."""


class Text:
    """A text message of the assistant, from its start event to its end event."""

    def __init__(self, id: str | None = None) -> None:
        self.id = id or new_id("msg")

    def start(self) -> list[BaseEvent]:
        """Return what opens the message."""
        return [TextMessageStartEvent(message_id=self.id, role="assistant")]

    def add(self, delta: str) -> list[BaseEvent]:
        """Return what appends `delta`; nothing if it is empty."""
        return [TextMessageContentEvent(message_id=self.id, delta=delta)] if delta else []

    def end(self) -> list[BaseEvent]:
        """Return what closes the message."""
        return [TextMessageEndEvent(message_id=self.id)]


class Reasoning:
    """One block of reasoning with one reasoning message in it, under the same id."""

    def __init__(self) -> None:
        self.id = new_id("msg")

    def start(self) -> list[BaseEvent]:
        """Return what opens the block and its message."""
        return [
            ReasoningStartEvent(message_id=self.id),
            ReasoningMessageStartEvent(message_id=self.id, role="reasoning"),
        ]

    def add(self, delta: str) -> list[BaseEvent]:
        """Return what appends `delta`; nothing if it is empty."""
        return [ReasoningMessageContentEvent(message_id=self.id, delta=delta)] if delta else []

    def end(self) -> list[BaseEvent]:
        """Return what closes the message and its block."""
        return [ReasoningMessageEndEvent(message_id=self.id), ReasoningEndEvent(message_id=self.id)]


class ToolCall:
    """A call of the tool `name`, from its start event to its result.

    `id` is a new one unless the model behind the agent has given the call an id. `parent` is the
    text message that the call belongs to, if there is one.
    """

    def __init__(self, name: str, *, id: str | None = None, parent: str | None = None) -> None:
        self.id = id or new_id("call")
        self.name = name
        self.parent = parent

    def start(self) -> list[BaseEvent]:
        """Return what opens the call."""
        return [
            ToolCallStartEvent(
                tool_call_id=self.id, tool_call_name=self.name, parent_message_id=self.parent
            )
        ]

    def add(self, delta: str) -> list[BaseEvent]:
        """Return what appends `delta` to the arguments' JSON; nothing if it is empty."""
        return [ToolCallArgsEvent(tool_call_id=self.id, delta=delta)] if delta else []

    def end(self) -> list[BaseEvent]:
        """Return what says that the arguments are complete."""
        return [ToolCallEndEvent(tool_call_id=self.id)]

    def whole(self, arguments: Mapping[str, Any]) -> list[BaseEvent]:
        """Return the call with all its arguments at once, whatever they hold: see `jsonlog`."""
        delta = jsonlog.dumps(arguments, limits=jsonlog.WIRE_LIMITS)
        return [*self.start(), *self.add(delta), *self.end()]

    def result(self, content: object) -> list[BaseEvent]:
        """Return what says that the tool has answered `content`: a text, or what becomes JSON."""
        text = content if isinstance(content, str) else jsonlog.dumps(content, jsonlog.WIRE_LIMITS)
        return [
            ToolCallResultEvent(
                message_id=new_id("msg"), tool_call_id=self.id, content=text, role="tool"
            )
        ]


def text_of(content: str | Sequence[ContentPart] | None) -> str:
    """Return the text of a message's content; parts that are no text are left out."""
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(part.text for part in content if isinstance(part, TextPart))


def address_of(source: UrlSource | DataSource) -> str:
    """Return the URL of what a part of a message shows: a ``data:`` URL of what it holds itself."""
    if isinstance(source, UrlSource):
        return source.value
    return f"data:{source.mime_type};base64,{source.value}"


def question_of(input: RunAgentInput) -> str:
    """Return the text of the newest user message, or ``""`` if there is none."""
    asked = [message for message in input.messages if isinstance(message, UserMessage)]
    return text_of(asked[-1].content) if asked else ""


def calls_of(message: Message) -> Sequence[ToolCallOfMessage]:
    """Return the tool calls of a message."""
    return (message.tool_calls or ()) if isinstance(message, AssistantMessage) else ()


def call_ids(input: RunAgentInput) -> set[str]:
    """Return the ids of the tool calls in the conversation."""
    return {call.id for message in input.messages for call in calls_of(message)}


def arguments_of(call: ToolCallOfMessage) -> str:
    """Return the arguments of a call as a JSON object, in which is put what a model wrote as none.

    APIs of models, and libraries, refuse a conversation with anything else, in every later run. The
    form is that of pydantic-ai.
    """
    written = call.function.arguments or "{}"
    try:
        msgspec.json.decode(written, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return jsonlog.dumps({"INVALID_JSON": written}, jsonlog.WIRE_LIMITS)
    return written


def results_of(input: RunAgentInput) -> dict[str, str]:
    """Return the results in the conversation by the ids of their tool calls."""
    results = (message for message in input.messages if isinstance(message, ToolMessage))
    return {message.tool_call_id: result_text(message) for message in results}


def result_text(message: ToolMessage) -> str:
    """Return what a tool has answered; its error, if that is all."""
    return text_of(message.content) or message.error or ""
