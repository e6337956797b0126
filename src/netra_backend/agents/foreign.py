"""Foreign: AG-UI events that another library makes, in the form that the log takes.

What the log has already (timestamps, a state as it was) or forbids (empty deltas) is dropped; a
tool call whose id the thread has used gets a new one (`call_ids`); and an error is raised instead
of sent, so that it is logged whole and shown redacted. Of a snapshot of the messages only what
nobody has streamed is taken, as events of its own: the log has the rest, and would double with
every run.
"""

from collections.abc import AsyncIterator, Iterator

from ag_ui.core import (
    AssistantMessage,
    BaseEvent,
    MessagesSnapshotEvent,
    RunAgentInput,
    RunErrorEvent,
    StateDeltaEvent,
    StateSnapshotEvent,
    TextMessageChunkEvent,
    TextMessageStartEvent,
    ToolCallChunkEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
    ToolMessage,
)

from netra_backend.agents.base import (
    Text,
    ToolCall,
    call_ids,
    result_text,
    results_of,
    text_of,
)
from netra_backend.agents.call_ids import CallIds
from netra_backend.agents.run_context import LIBRARY
from netra_backend.core.events import DELTAS
from netra_backend.errors import AgentError


async def translated(
    name: str,
    input: RunAgentInput,
    events: AsyncIterator[BaseEvent],
    calls: CallIds | None = None,
) -> AsyncIterator[BaseEvent]:
    """Yield `events` in the form that the log takes. Raises AgentError instead of RUN_ERROR.

    A run that goes on with a turn goes on with its `calls`.
    """
    calls, said, state = calls or CallIds(input), _Said(input), input.state or {}
    async for event in _inside(events):
        if isinstance(event, RunErrorEvent):
            raise AgentError(f"{name}: {event.message}")
        if event.type in DELTAS and not getattr(event, "delta", ""):
            continue
        if isinstance(event, StateDeltaEvent):
            state = None
        elif isinstance(event, StateSnapshotEvent):
            if event.snapshot == state:
                continue
            state = event.snapshot
        event.timestamp = None
        for part in said.take(event):
            calls.rename(part)
            yield part


async def _inside(events: AsyncIterator[BaseEvent]) -> AsyncIterator[BaseEvent]:
    """Yield `events`; only while the library works at one is it the library that calls."""
    while True:
        token = LIBRARY.set(True)  # a `with` would cost each delta another microsecond
        try:
            event = await anext(events)
        except StopAsyncIteration:
            return
        finally:
            LIBRARY.reset(token)
        yield event


async def together(events: AsyncIterator[BaseEvent]) -> AsyncIterator[BaseEvent]:
    """Yield `events` with the calls of one answer in one message, with the text before them.

    For libraries that give each call a message of its own: the model would be told later that it
    had waited for the result of one before it made the next.
    """
    message: str | None = None
    async for event in events:
        if isinstance(event, TextMessageStartEvent | TextMessageChunkEvent):
            message = event.message_id or message
        elif isinstance(event, ToolCallStartEvent | ToolCallChunkEvent):
            message = message or event.parent_message_id or event.tool_call_id
            event.parent_message_id = message
        elif isinstance(event, ToolCallResultEvent):
            message = None  # the model answers anew
        yield event


class _Said:
    """The messages, tool calls and results that the thread has, by the library's own ids."""

    def __init__(self, input: RunAgentInput) -> None:
        self._messages = {message.id for message in input.messages}
        self._calls = call_ids(input)
        self._results = set(results_of(input))

    def take(self, event: BaseEvent) -> Iterator[BaseEvent]:
        """Yield `event`, or for a snapshot what is new in it."""
        if isinstance(event, MessagesSnapshotEvent):
            for message in event.messages:
                if isinstance(message, AssistantMessage):
                    yield from self._assistant(message)
                elif isinstance(message, ToolMessage):
                    yield from self._result(message)
            return
        match event:
            case TextMessageStartEvent() | TextMessageChunkEvent(message_id=str()):
                self._messages.add(event.message_id or "")
            case ToolCallStartEvent() | ToolCallChunkEvent(tool_call_id=str()):
                self._calls.add(event.tool_call_id or "")
            case ToolCallResultEvent():
                self._results.add(event.tool_call_id)
        yield event

    def _assistant(self, message: AssistantMessage) -> Iterator[BaseEvent]:
        if message.content and message.id not in self._messages:
            self._messages.add(message.id)
            text = Text(message.id)
            yield from (*text.start(), *text.add(text_of(message.content)), *text.end())
        for call in message.tool_calls or ():
            if call.id not in self._calls:
                self._calls.add(call.id)
                whole = ToolCall(call.function.name, id=call.id)
                yield from (*whole.start(), *whole.add(call.function.arguments), *whole.end())

    def _result(self, message: ToolMessage) -> Iterator[BaseEvent]:
        if message.tool_call_id in self._calls - self._results:
            self._results.add(message.tool_call_id)
            yield from ToolCall("", id=message.tool_call_id).result(result_text(message))
