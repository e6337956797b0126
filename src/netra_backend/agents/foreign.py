"""Foreign: AG-UI events that another library makes, in the form that the log takes.

What the log has already (timestamps, a state as it was) or forbids (empty deltas) is dropped; a
tool call whose id the thread has used gets a new one, because some models count from zero in every
answer; and an error is raised instead of sent, so that it is logged whole and shown redacted. Of a
snapshot of the messages only what nobody has streamed is taken, as events of its own: the log has
the rest, and would double with every run. The other way, libraries are given a conversation in
which each call has its result.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence, Set
from typing import Generic, NamedTuple, TypeVar

from ag_ui.core import (
    AssistantMessage,
    BaseEvent,
    Message,
    MessagesSnapshotEvent,
    ReasoningEncryptedValueEvent,
    RunAgentInput,
    RunErrorEvent,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    RunFinishedSuccessOutcome,
    StateDeltaEvent,
    StateSnapshotEvent,
    TextMessageChunkEvent,
    TextMessageStartEvent,
    ToolCallArgsEvent,
    ToolCallChunkEvent,
    ToolCallEndEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
    ToolMessage,
    UserMessage,
)
from ag_ui.core import ToolCall as ToolCallOfMessage

from netra_backend.agents.base import (
    Text,
    ToolCall,
    arguments_of,
    call_ids,
    result_text,
    results_of,
    text_of,
)
from netra_backend.agents.run_context import LIBRARY
from netra_backend.core.chunks import BESIDE
from netra_backend.core.events import DELTAS
from netra_backend.core.ids import new_id
from netra_backend.errors import AgentError

MAX_HELD = 1_000
"""Turns of an agent that wait for an answer."""

Turn = TypeVar("Turn")

_UNANSWERED = "The call was interrupted before it had a result."


async def translated(
    name: str,
    input: RunAgentInput,
    events: AsyncIterator[BaseEvent],
    calls: "CallIds | None" = None,
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


def answered(input: RunAgentInput) -> RunAgentInput:
    """Return the input with the results of each call directly behind it, and sound arguments.

    A call without one, whose run was cancelled or failed, gets one that says so: APIs of models
    refuse such a conversation, and some libraries would carry out the call once more. In a run that
    answers a question they stay where they are, for the question may be about such a call.
    """
    if input.resume:
        return input.model_copy(update={"messages": list(map(_sound, input.messages))})
    return input.model_copy(update={"messages": paired(input)})


def paired(input: RunAgentInput, waiting: Set[str] = frozenset()) -> list[Message]:
    """Return the messages as `answered` does; the calls that are `waiting` get no result."""
    calls = call_ids(input)
    results = {m.tool_call_id: m for m in input.messages if isinstance(m, ToolMessage)}
    messages: list[Message] = []
    for message in input.messages:
        if not isinstance(message, ToolMessage) or message.tool_call_id not in calls:
            messages.append(_sound(message))
        messages += [
            results.get(call.id) or _unanswered(call.id)
            for call in calls_of(message)
            if call.id in results or call.id not in waiting
        ]
    return messages


def _named(message: Message, names: Mapping[str, str]) -> Message:
    """Return the message with other ids for its calls."""
    if isinstance(message, ToolMessage):
        own = names.get(message.tool_call_id, message.tool_call_id)
        return message.model_copy(update={"tool_call_id": own})
    calls = [
        call.model_copy(update={"id": names.get(call.id, call.id)}) for call in calls_of(message)
    ]
    return message.model_copy(update={"tool_calls": calls}) if calls else message


def _sound(message: Message) -> Message:
    """Return the message with arguments that each library can read."""
    calls = [
        call.model_copy(
            update={"function": call.function.model_copy(update={"arguments": arguments_of(call)})}
        )
        for call in calls_of(message)
    ]
    return message.model_copy(update={"tool_calls": calls}) if calls else message


def calls_of(message: Message) -> Sequence[ToolCallOfMessage]:
    """Return the tool calls of a message."""
    return (message.tool_calls or ()) if isinstance(message, AssistantMessage) else ()


def _unanswered(call: str) -> ToolMessage:
    """Return the same message in every run, for a library may know it from the one before."""
    return ToolMessage(id=f"{call}-unanswered", tool_call_id=call, content=_UNANSWERED)


class Waiting(NamedTuple, Generic[Turn]):
    """A turn that waits for answers."""

    turn: Turn
    calls: "CallIds"
    asked: Mapping[str, str]
    """The library's ids of its questions, by those in the log."""


class Held(Generic[Turn]):
    """Turns that wait in this process for the answers to their questions, one in each scope.

    Beyond `MAX_HELD` the oldest is given up, and so is one whose user says something else.
    Questions get new ids: some libraries name them after the call, whose id a model may give again.
    """

    def __init__(self, close: Callable[[Turn], Awaitable[None]] | None = None) -> None:
        self._close = close
        self._turns: dict[str, Waiting[Turn]] = {}

    async def take(
        self, scope: str, input: RunAgentInput
    ) -> tuple[Turn | None, RunAgentInput, "CallIds"]:
        """Return the turn that the run goes on with, if it answers a question.

        Also its input, in which questions and calls have the library's ids, and its calls. Raises
        AgentError if the turn that asked is gone.
        """
        if not input.resume:
            await self._give_up(scope)
            return None, input, CallIds(input)
        waiting = self._turns.get(scope)
        if waiting is None or any(one.interrupt_id not in waiting.asked for one in input.resume):
            raise AgentError("the turn that asked this question is gone")
        del self._turns[scope]
        resume = [
            one.model_copy(update={"interrupt_id": waiting.asked[one.interrupt_id]})
            for one in input.resume
        ]
        waiting.calls.learn(input)
        messages = waiting.calls.named_back(input)
        given = input.model_copy(update={"resume": resume, "messages": messages})
        return waiting.turn, given, waiting.calls

    async def keep(self, scope: str, turn: Turn, calls: "CallIds", event: BaseEvent) -> bool:
        """Keep the turn if the event ends the run with questions; return whether it does."""
        outcome = event.outcome if isinstance(event, RunFinishedEvent) else None
        if not isinstance(outcome, RunFinishedInterruptOutcome):
            return False
        asked: dict[str, str] = {}
        for question in outcome.interrupts:
            own, question.id = question.id, new_id("ask")
            asked[question.id] = own
        self._turns[scope] = Waiting(turn, calls, asked)
        if len(self._turns) > MAX_HELD:
            await self._give_up(next(iter(self._turns)))
        return True

    async def _give_up(self, scope: str) -> None:
        waiting = self._turns.pop(scope, None)
        if waiting is not None and self._close is not None:
            await self._close(waiting.turn)


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


class CallIds:
    """New ids for tool calls whose own ids the thread has used before."""

    def __init__(self, input: RunAgentInput) -> None:
        self._used = call_ids(input)
        self._renamed: dict[str, str] = {}
        self._chunk: str | None = None

    def learn(self, input: RunAgentInput) -> None:
        """Learn what ids the thread has used by now: other agents may have run in it since."""
        self._used |= call_ids(input)

    def rename_back(self, renamed: Mapping[str, str]) -> None:
        """Go on with what an earlier run renamed: the library's ids, and those in the log."""
        self._renamed.update({own: new for own, new in renamed.items() if own != new})

    def rename(self, event: BaseEvent) -> None:
        """Put the new id wherever `event` names a renamed call; a start may need a new one."""
        if event.type not in BESIDE and not isinstance(event, ToolCallChunkEvent):
            self._chunk = None
        if isinstance(event, ToolCallStartEvent):
            self._rename_parent(event)
            event.tool_call_id = self._begun(event.tool_call_id)
        elif isinstance(event, ToolCallChunkEvent) and event.tool_call_id is not None:
            own = event.tool_call_id
            self._rename_parent(event)
            event.tool_call_id = self.named(own) if own == self._chunk else self._begun(own)
            self._chunk = own
        elif isinstance(event, ToolCallResultEvent):
            if event.tool_call_id in self._renamed:
                event.message_id = new_id("msg")  # some libraries name it after the call
            event.tool_call_id = self.named(event.tool_call_id)
        elif isinstance(event, ToolCallArgsEvent | ToolCallEndEvent):
            event.tool_call_id = self.named(event.tool_call_id)
        elif isinstance(event, ReasoningEncryptedValueEvent):
            event.entity_id = self.named(event.entity_id)
        elif isinstance(event, RunFinishedEvent):
            self._rename_outcome(event)

    def named_back(self, input: RunAgentInput) -> list[Message]:
        """Return the newest turn with the library's ids, which the calls of others may have too."""
        asked = [n for n, one in enumerate(input.messages) if isinstance(one, UserMessage)]
        own = {new: old for old, new in self._renamed.items()}
        return [_named(message, own) for message in input.messages[asked[-1] if asked else 0 :]]

    def _begun(self, own: str) -> str:
        """Return the id of a call that begins."""
        if own in self._used:
            self._renamed[own] = new_id("call")
        self._used.add(self.named(own))
        return self.named(own)

    def _rename_parent(self, event: ToolCallStartEvent | ToolCallChunkEvent) -> None:
        """Rename the message of a call, which may be named after the first call in it."""
        if event.parent_message_id is not None:
            event.parent_message_id = self.named(event.parent_message_id)

    def _rename_outcome(self, event: RunFinishedEvent) -> None:
        outcome = event.outcome
        if isinstance(outcome, RunFinishedSuccessOutcome) and outcome.pending_tool_call_ids:
            pending = outcome.pending_tool_call_ids
            outcome.pending_tool_call_ids = [self.named(id) for id in pending]
        elif isinstance(outcome, RunFinishedInterruptOutcome):
            for asked in outcome.interrupts:
                old = asked.tool_call_id or ""
                if old in self._renamed:
                    if asked.id.endswith(old):  # some libraries find the call by that
                        asked.id = asked.id.removesuffix(old) + self._renamed[old]
                    asked.tool_call_id = self._renamed[old]

    def named(self, id: str) -> str:
        """Return what the log names a call, by the library's own id."""
        return self._renamed.get(id, id)
