"""The fold: what a thread's events add up to.

A `Conversation` is what a client shows after it applied every event: messages, state, the newest
run, what is open, and what earlier runs left. Its law: folding a merged replay, or a prelude and
what follows it, gives the same as folding every entry. Source of the rules: AG-UI 1.0, as its
TypeScript client applies events, but for these: RUN_STARTED brings the input's state to those who
did not send it; what is being written survives a MESSAGES_SNAPSHOT that lacks it; and the messages
are legal AG-UI after every event, so an activity stays an object and never takes the place of a
message with calls.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import jsonpatch
from ag_ui.core import EventType
from msgspec import UNSET, ValidationError

from netra_backend.core.constructs import Constructs, Used
from netra_backend.core.events import PROGRESS, TERMINAL, Body, Event, body_of
from netra_backend.core.marks import RUNS, Marks
from netra_backend.core.messages import JsonObject, Message, Messages
from netra_backend.errors import EventError

_MOVES_ON = TERMINAL | {EventType.RUN_STARTED, EventType.STEP_STARTED, EventType.STEP_FINISHED}
"""The events after which what was said of the progress is over."""


class Conversation:
    """The state of a thread's log up to some position. `apply` is total for a legal log."""

    def __init__(self) -> None:
        self._messages = Messages()
        self.state: Any = UNSET
        """The shared state, or UNSET if no run has set one."""
        self.run_id: str | None = None
        """The newest run."""
        self.terminal: Event | None = None
        """The terminal event of the newest run, once it has come."""
        self.progress: Event | None = None
        """How far the newest run says it is, until a step begins or ends, or the run does."""
        self.marks = Marks()
        """What the runs before the newest left besides messages; and the answers it took up."""
        self.constructs = Constructs()
        """What is open in the newest run."""

    def apply(self, event: Event) -> None:
        """Take the next event of the log. Raises EventError if it is illegal there."""
        body = body_of(event)
        if body.type is EventType.RUN_STARTED:
            self._run_started(body)
        elif self.run_id is None:
            raise EventError(f"{body.type.value} before any RUN_STARTED")
        self.constructs.accept(event, body)
        self._follow_progress(event, body)
        rule = _RULES.get(body.type)
        if rule is not None:
            rule(self, body)
        elif body.type in TERMINAL:
            self.terminal = event

    def bring(self, messages: Sequence[JsonObject]) -> None:
        """Take a part of a prelude's MESSAGES_SNAPSHOT; all parts are as the whole is."""
        self._messages.extend(messages)
        self.constructs.learn_calls(messages)

    def each_message(self) -> Iterator[JsonObject]:
        """Yield what `messages` returns."""
        return (message.to_json() for message in self._messages)

    def messages(self) -> list[JsonObject]:
        """Return the messages as AG-UI ``Message`` objects, in order; those being written too."""
        return list(self.each_message())

    def used_ids(self) -> Used:
        """Return the ids of messages and tool calls, which a new run may not start again."""
        return Used(*self._messages.ids())

    def signatures(self) -> dict[str, Any]:
        """Return the ``metadata.netra`` of the messages of users that have any, by their ids."""
        said = (message for message in self._messages if message.role == "user")
        own = ((message.id, (message.about.get("metadata") or {}).get("netra")) for message in said)
        return {id: signature for id, signature in own if signature is not None}

    def knows_message(self, id: str) -> bool:
        """Return whether the thread has a message with this id."""
        return self._messages.get(id) is not None

    def knows_call(self, id: str) -> bool:
        """Return whether the thread has a tool call with this id."""
        return self._messages.call(id) is not None

    def answered_calls(self) -> frozenset[str]:
        """Return the ids of the tool calls that have a result."""
        results = (message for message in self._messages if message.role == "tool")
        return frozenset(str(message.about.get("toolCallId")) for message in results)

    def _follow_progress(self, event: Event, body: Body) -> None:
        if body.type is EventType.CUSTOM and body.name == PROGRESS:
            self.progress = event
        elif body.type in _MOVES_ON:
            self.progress = None

    # --- one rule per event type ---

    def _run_started(self, body: Body) -> None:
        """Begin a run, after what its input brings: the run may not start those ids again."""
        if self.run_id is not None and self.terminal is None:
            raise EventError(f"RUN_STARTED while run {self.run_id!r} has not ended")
        if self.run_id is not None and self.terminal is not None:
            self.marks.ended(self.run_id, self.terminal, self._messages.last_id)
        given = body.input or {}
        self.marks.began(body.run_id or "", given.get("resume") or ())
        self._messages.add_missing(given.get("messages") or ())
        if given.get("state") is not None:
            self.state = given["state"]
        self.run_id, self.terminal = body.run_id or "", None
        self.constructs = Constructs(self.used_ids())

    def _message_start(self, body: Body) -> None:
        """Begin a message; one that a tool call or a prelude has brought already is continued."""
        id = body.message_id or ""
        message = self._messages.get(id)
        if message is None:
            reasoning = body.type is EventType.REASONING_MESSAGE_START
            role = "reasoning" if reasoning else body.role or "assistant"
            about = {"name": body.name, "subagentRunId": body.subagent_run_id}
            message = Message(id, role, about, content="")
            self._messages.append(message)
        message.note(body)

    def _message_content(self, body: Body) -> None:
        message = self._messages.get(body.message_id or "")
        if message is not None:
            message.write(body.delta)
            message.note(body)

    def _message_end(self, body: Body) -> None:
        message = self._messages.get(body.message_id or "")
        if message is not None:
            message.note(body)

    def _encrypted_value(self, body: Body) -> None:
        id = body.entity_id or ""
        of_call = body.subtype == "tool-call"
        target = self._messages.call(id) if of_call else self._messages.get(id)
        if target is not None:
            target.about["encryptedValue"] = body.encrypted_value

    def _call_start(self, body: Body) -> None:
        """Begin a call; one that a snapshot has brought already is continued."""
        id, name = body.tool_call_id or "", body.tool_call_name or ""
        call = self._messages.call(id)
        if call is None:
            about = {"subagentRunId": body.subagent_run_id}
            call = self._messages.add_call(id, body.parent_message_id, about)
        call.name = name
        call.note(body)

    def _call_args(self, body: Body) -> None:
        call = self._messages.call(body.tool_call_id or "")
        if call is not None:
            call.arguments.append(body.delta)
            call.note(body)

    def _call_end(self, body: Body) -> None:
        call = self._messages.call(body.tool_call_id or "")
        if call is not None:
            call.note(body)

    def _call_result(self, body: Body) -> None:
        about = {"toolCallId": body.tool_call_id, "subagentRunId": body.subagent_run_id}
        message = Message(body.message_id or "", "tool", about, content=body.content)
        message.note(body)
        self._messages.add_result(message, body.tool_call_id or "")

    def _state_snapshot(self, body: Body) -> None:
        self.state = body.snapshot

    def _state_delta(self, body: Body) -> None:
        base = {} if self.state is UNSET else self.state
        self.state = patched(base, body.delta)

    def _messages_snapshot(self, body: Body) -> None:
        before = [message.id for message in self._messages]
        self._messages.replace(body.messages or (), self.constructs)
        self.marks.replace_messages(before, self._messages.get)

    def _activity_snapshot(self, body: Body) -> None:
        """Make or replace an activity, or a message that is none: unless results refer to it."""
        id = body.message_id or ""
        about = {"activityType": body.activity_type, "subagentRunId": body.subagent_run_id}
        message = self._messages.get(id)
        if message is None:
            message = Message(id, "activity", about, content=body.content)
            self._messages.append(message)
        elif body.replace is not False and not message.calls:
            message.become_activity(about, body.content)
        if message.role == "activity":
            message.note(body)

    def _activity_delta(self, body: Body) -> None:
        message = self._messages.get(body.message_id or "")
        if message is not None and message.role == "activity":
            about, content = {"activityType": body.activity_type}, message.content
            changed = patched(copy.deepcopy(content), body.patch)
            # An activity is an object: a patch that makes it anything else does not apply.
            message.become_activity(about, changed if isinstance(changed, dict) else content)
            message.note(body)

    def _custom(self, body: Body) -> None:
        """Take the marks that a prelude brings. Whatever else an agent sends is its clients'."""
        if body.name == RUNS:
            with suppress(ValidationError):
                self.marks = Marks.from_value(body.value)


_RULES: dict[EventType, Callable[[Conversation, Body], None]] = {
    EventType.TEXT_MESSAGE_START: Conversation._message_start,
    EventType.TEXT_MESSAGE_CONTENT: Conversation._message_content,
    EventType.TEXT_MESSAGE_END: Conversation._message_end,
    EventType.REASONING_MESSAGE_START: Conversation._message_start,
    EventType.REASONING_MESSAGE_CONTENT: Conversation._message_content,
    EventType.REASONING_MESSAGE_END: Conversation._message_end,
    EventType.REASONING_ENCRYPTED_VALUE: Conversation._encrypted_value,
    EventType.TOOL_CALL_START: Conversation._call_start,
    EventType.TOOL_CALL_ARGS: Conversation._call_args,
    EventType.TOOL_CALL_END: Conversation._call_end,
    EventType.TOOL_CALL_RESULT: Conversation._call_result,
    EventType.STATE_SNAPSHOT: Conversation._state_snapshot,
    EventType.STATE_DELTA: Conversation._state_delta,
    EventType.MESSAGES_SNAPSHOT: Conversation._messages_snapshot,
    EventType.ACTIVITY_SNAPSHOT: Conversation._activity_snapshot,
    EventType.ACTIVITY_DELTA: Conversation._activity_delta,
    EventType.CUSTOM: Conversation._custom,
}
"""What each type of event does to a conversation; not kept by it, which would then refer to itself.
"""


UNPATCHABLE = (
    jsonpatch.JsonPatchException,
    jsonpatch.JsonPointerException,
    KeyError,
    RecursionError,
    TypeError,
)
"""What the library raises for a patch that does not apply, or is none."""


def patched(document: Any, patch: Any) -> Any:
    """Change `document` by the JSON Patch and return it; as it was if the patch does not apply.

    RFC 6902. The runner refuses a patch that does not apply, so a log has none; an AG-UI client
    ignores one likewise.
    """
    try:
        # In place: what was folded belongs to the conversation alone, and a copy of the whole
        # state for every delta makes a long log cost its square.
        return jsonpatch.JsonPatch(patch).apply(document, in_place=True, atomic=True)
    except UNPATCHABLE:
        return document
