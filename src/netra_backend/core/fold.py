"""The fold: what a thread's events add up to.

A `Conversation` is what a client shows after it applied every event: messages, state, the newest
run, what is open. Its law: folding a merged replay, or a prelude and what follows it, gives the
same as folding every entry. Source of the rules: AG-UI 1.0, as its client applies events.
"""

from typing import Any

import jsonpatch
from ag_ui.core import EventType
from msgspec import UNSET, UnsetType

from netra_backend.core.constructs import Constructs
from netra_backend.core.events import TERMINAL, Body, Event, body_of

JsonObject = dict[str, Any]


class Conversation:
    """The state of a thread's log up to some position. `apply` is total for a legal log."""

    def __init__(self) -> None:
        self._messages: dict[str, _Message] = {}
        self._calls: dict[str, _Call] = {}
        self._apply = {
            EventType.RUN_STARTED: self._run_started,
            EventType.TEXT_MESSAGE_START: self._text_start,
            EventType.TEXT_MESSAGE_CONTENT: self._message_content,
            EventType.REASONING_MESSAGE_START: self._reasoning_start,
            EventType.REASONING_MESSAGE_CONTENT: self._message_content,
            EventType.REASONING_ENCRYPTED_VALUE: self._encrypted_value,
            EventType.TOOL_CALL_START: self._call_start,
            EventType.TOOL_CALL_ARGS: self._call_args,
            EventType.TOOL_CALL_RESULT: self._call_result,
            EventType.STATE_SNAPSHOT: self._state_snapshot,
            EventType.STATE_DELTA: self._state_delta,
            EventType.MESSAGES_SNAPSHOT: self._messages_snapshot,
            EventType.ACTIVITY_SNAPSHOT: self._activity_snapshot,
            EventType.ACTIVITY_DELTA: self._activity_delta,
        }
        self.state: Any = UNSET
        """The shared state, or UNSET if no run has set one."""
        self.run_id: str | None = None
        """The newest run."""
        self.terminal: Event | None = None
        """The terminal event of the newest run, once it has come."""
        self.constructs = Constructs()
        """What is open in the newest run."""

    def apply(self, event: Event) -> None:
        """Take the next event of the log."""
        body = body_of(event)
        if body.type is EventType.RUN_STARTED:
            self.constructs, self.terminal, self.run_id = (
                Constructs(self.used_ids()),
                None,
                body.run_id,
            )
        self.constructs.accept(event, body)
        rule = self._apply.get(body.type)
        if rule is not None:
            rule(body)
        elif body.type in TERMINAL:
            self.terminal = event

    def messages(self) -> list[JsonObject]:
        """Return the messages as AG-UI ``Message`` objects, in order; those being written too."""
        return [message.to_json() for message in self._messages.values()]

    def used_ids(self) -> frozenset[str]:
        """Return the ids of messages and tool calls, which a new run may not start again."""
        return frozenset(self._messages) | frozenset(self._calls)

    def knows_message(self, id: str) -> bool:
        """Return whether the thread has a message with this id."""
        return id in self._messages

    # --- one rule per event type ---

    def _run_started(self, body: Body) -> None:
        given = body.input or {}
        for message in given.get("messages") or ():
            self._messages.setdefault(str(message.get("id")), _Message.from_json(message))
        if given.get("state") is not None:
            self.state = given["state"]

    def _text_start(self, body: Body) -> None:
        self._start(body, body.role or "assistant")

    def _reasoning_start(self, body: Body) -> None:
        self._start(body, "reasoning")

    def _start(self, body: Body, role: str) -> None:
        """Begin a message; one that a prelude has brought already is continued."""
        id = body.message_id or ""
        if id not in self._messages:
            about = {"name": body.name, "subagentRunId": body.subagent_run_id}
            self._messages[id] = _Message(id, role, about, text=[])

    def _message_content(self, body: Body) -> None:
        message = self._messages.get(body.message_id or "")
        if message is not None and message.text is not None:
            message.text.append(body.delta)

    def _encrypted_value(self, body: Body) -> None:
        id = body.entity_id or ""
        target = self._calls.get(id) if body.subtype == "tool-call" else self._messages.get(id)
        if target is not None:
            target.about["encryptedValue"] = body.encrypted_value

    def _call_start(self, body: Body) -> None:
        id = body.tool_call_id or ""
        if id in self._calls:
            return
        self._calls[id] = call = _Call(id, body.tool_call_name or "")
        parent = body.parent_message_id or id
        if parent not in self._messages:
            about = {"subagentRunId": body.subagent_run_id}
            self._messages[parent] = _Message(parent, "assistant", about)
        self._messages[parent].calls.append(call)

    def _call_args(self, body: Body) -> None:
        call = self._calls.get(body.tool_call_id or "")
        if call is not None:
            call.arguments.append(body.delta)

    def _call_result(self, body: Body) -> None:
        id = body.message_id or ""
        about = {"toolCallId": body.tool_call_id, "subagentRunId": body.subagent_run_id}
        self._messages[id] = _Message(id, "tool", about, content=body.content)

    def _state_snapshot(self, body: Body) -> None:
        self.state = body.snapshot

    def _state_delta(self, body: Body) -> None:
        base = {} if self.state is UNSET else self.state
        self.state = patched(base, body.delta)

    def _messages_snapshot(self, body: Body) -> None:
        self._messages.clear()
        self._calls.clear()
        for given in body.messages or ():
            message = _Message.from_json(given)
            self._messages[message.id] = message
            self._calls.update((call.id, call) for call in message.calls)

    def _activity_snapshot(self, body: Body) -> None:
        id = body.message_id or ""
        if id not in self._messages or body.replace is not False:
            about = {"activityType": body.activity_type, "subagentRunId": body.subagent_run_id}
            self._messages[id] = _Message(id, "activity", about, content=body.content)

    def _activity_delta(self, body: Body) -> None:
        message = self._messages.get(body.message_id or "")
        if message is not None:
            message.content = patched(message.content, body.patch)


def patched(document: Any, patch: Any) -> Any:
    """Return `document` with the JSON Patch applied, or unchanged if it does not apply.

    RFC 6902. The runner refuses a patch that does not apply, so a log has none; an AG-UI client
    ignores one likewise.
    """
    try:
        return jsonpatch.apply_patch(document, patch)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, KeyError):
        return document


class _Call:
    """A tool call as it grows."""

    __slots__ = ("about", "arguments", "id", "name")

    def __init__(self, id: str, name: str) -> None:
        self.id = id
        self.name = name
        self.arguments: list[str] = []
        self.about: JsonObject = {}

    @classmethod
    def from_json(cls, given: JsonObject) -> "_Call":
        function = given.get("function") or {}
        call = cls(str(given.get("id")), str(function.get("name")))
        call.arguments.append(str(function.get("arguments", "")))
        call.about = {k: v for k, v in given.items() if k not in ("id", "type", "function")}
        return call

    def to_json(self) -> JsonObject:
        function = {"name": self.name, "arguments": "".join(self.arguments)}
        return {"id": self.id, "type": "function", "function": function, **_set(self.about)}


class _Message:
    """A message as it grows: streamed text, or content that came whole, and tool calls."""

    __slots__ = ("about", "calls", "content", "id", "role", "text")

    def __init__(
        self,
        id: str,
        role: str,
        about: JsonObject,
        *,
        content: Any | UnsetType = UNSET,
        text: list[str] | None = None,
    ) -> None:
        self.id = id
        self.role = role
        self.about = about
        self.content = content
        self.text = text
        self.calls: list[_Call] = []

    @classmethod
    def from_json(cls, given: JsonObject) -> "_Message":
        rest = ("id", "role", "content", "toolCalls")
        about = {key: value for key, value in given.items() if key not in rest}
        role = str(given.get("role"))
        message = cls(str(given.get("id")), role, about, content=given.get("content", UNSET))
        if isinstance(message.content, str):
            message.text, message.content = [message.content], UNSET
        message.calls = [_Call.from_json(call) for call in given.get("toolCalls") or ()]
        return message

    def to_json(self) -> JsonObject:
        shown: JsonObject = {"id": self.id, "role": self.role}
        if self.text is not None:
            shown["content"] = "".join(self.text)
        elif self.content is not UNSET:
            shown["content"] = self.content
        if self.calls:
            shown["toolCalls"] = [call.to_json() for call in self.calls]
        return {**shown, **_set(self.about)}


def _set(about: JsonObject) -> JsonObject:
    return {key: value for key, value in about.items() if value is not None}
