"""Call ids: new ones for tool calls whose own ids the thread has used before.

Some models count from zero in every answer, and libraries take over what they give.
"""

from collections.abc import Mapping

from ag_ui.core import (
    BaseEvent,
    Message,
    ReasoningEncryptedValueEvent,
    RunAgentInput,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    RunFinishedSuccessOutcome,
    ToolCallArgsEvent,
    ToolCallChunkEvent,
    ToolCallEndEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
    ToolMessage,
    UserMessage,
)

from netra_backend.agents.base import (
    call_ids,
    calls_of,
)
from netra_backend.core.chunks import BESIDE
from netra_backend.core.ids import new_id


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


def _named(message: Message, names: Mapping[str, str]) -> Message:
    """Return the message with other ids for its calls."""
    if isinstance(message, ToolMessage):
        own = names.get(message.tool_call_id, message.tool_call_id)
        return message.model_copy(update={"tool_call_id": own})
    calls = [
        call.model_copy(update={"id": names.get(call.id, call.id)}) for call in calls_of(message)
    ]
    return message.model_copy(update={"tool_calls": calls}) if calls else message
