"""Messages: those of a thread as they grow, in their order.

A `Message` is exactly what its JSON says: one read from a snapshot goes on as the one that the
snapshot was made of would have gone on. The order, and what belongs to what, follow the AG-UI
TypeScript client (``apply/default.ts`` of ``@ag-ui/client`` 1.0).
"""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import UNSET

from netra_backend.core.constructs import Constructs, Kind
from netra_backend.core.events import Body

JsonObject = dict[str, Any]

_PRESERVED = ("activity", "reasoning")
"""Roles that many agents stream and never put into a snapshot."""


class Call:
    """A tool call."""

    __slots__ = ("about", "arguments", "id", "name")

    def __init__(self, id: str, name: str) -> None:
        self.id = id
        self.name = name
        self.arguments: list[str] = []
        """The text of the arguments, in parts."""
        self.about: JsonObject = {}
        """Its other fields."""

    @classmethod
    def from_json(cls, given: JsonObject) -> "Call":
        """Return the call that an AG-UI ``ToolCall`` describes."""
        function = given.get("function") or {}
        call = cls(str(given.get("id")), str(function.get("name")))
        call.arguments.append(str(function.get("arguments", "")))
        call.about = {k: v for k, v in given.items() if k not in ("id", "type", "function")}
        return call

    def note(self, body: Body) -> None:
        """Merge the event's metadata into the call's, key by key."""
        _merge_metadata(self.about, body)

    def to_json(self) -> JsonObject:
        """Return the AG-UI ``ToolCall``."""
        function = {"name": self.name, "arguments": "".join(self.arguments)}
        return {"id": self.id, "type": "function", "function": function, **_set(self.about)}


class Message:
    """A message: streamed text or content that came whole, and tool calls."""

    __slots__ = ("_content", "_text", "about", "calls", "id", "role")

    def __init__(self, id: str, role: str, about: JsonObject, *, content: Any = UNSET) -> None:
        self.id = id
        self.role = role
        self.about = about
        """Its other fields."""
        self.calls: list[Call] = []
        self._content = content
        self._text: list[str] | None = None

    @classmethod
    def from_json(cls, given: JsonObject) -> "Message":
        """Return the message that an AG-UI ``Message`` describes."""
        id, role = str(given.get("id")), str(given.get("role"))
        # Only an assistant's calls have been checked; elsewhere the key is a stranger's.
        known = ("id", "role", "content", "toolCalls")[: 4 if role == "assistant" else 3]
        about = {key: value for key, value in given.items() if key not in known}
        message = cls(id, role, about, content=given.get("content", UNSET))
        if role == "assistant":
            message.calls = [Call.from_json(call) for call in given.get("toolCalls") or ()]
        return message

    @property
    def content(self) -> Any:
        """What it says so far, or UNSET."""
        return self._content if self._text is None else "".join(self._text)

    def write(self, text: str) -> None:
        """Add streamed text; parts that came whole make way for it. An activity has no text."""
        if self.role == "activity":
            return
        if self._text is None:
            self._text = [self._content] if isinstance(self._content, str) else []
        self._text.append(text)

    def become_activity(self, about: JsonObject, content: Any) -> None:
        """Take an activity's content; what was an activity before keeps its other fields."""
        kept = self.about if self.role == "activity" else {}
        self.role, self.about = "activity", {**kept, **_set(about)}
        self._content, self._text = content, None

    def note(self, body: Body) -> None:
        """Merge the event's metadata into the message's, key by key."""
        _merge_metadata(self.about, body)

    def to_json(self) -> JsonObject:
        """Return the AG-UI ``Message``."""
        shown: JsonObject = {"id": self.id, "role": self.role}
        content = self.content
        if content is not UNSET:
            shown["content"] = content
        if self.calls:
            shown["toolCalls"] = [call.to_json() for call in self.calls]
        return {**shown, **_set(self.about)}


class Messages:
    """A thread's messages in their order. Of several with one id the first is meant."""

    def __init__(self) -> None:
        self._list: list[Message] = []
        self._by_id: dict[str, Message] = {}
        self._calls: dict[str, tuple[Message, Call]] = {}

    def __iter__(self) -> Iterator[Message]:
        return iter(self._list)

    @property
    def last_id(self) -> str | None:
        """The id of the last message."""
        return self._list[-1].id if self._list else None

    def ids(self) -> tuple[frozenset[str], frozenset[str]]:
        """Return the ids of the messages, and those of their tool calls."""
        return frozenset(self._by_id), frozenset(self._calls)

    def get(self, id: str) -> Message | None:
        """Return the message with this id."""
        return self._by_id.get(id)

    def call(self, id: str) -> Call | None:
        """Return the tool call with this id."""
        found = self._calls.get(id)
        return found[1] if found is not None else None

    def append(self, message: Message) -> None:
        """Add a message at the end."""
        self._list.append(message)
        self._know(message)

    def extend(self, given: Iterable[JsonObject]) -> None:
        """Add all of the given messages."""
        for fields in given:
            self.append(Message.from_json(fields))

    def add_missing(self, given: Iterable[JsonObject]) -> None:
        """Add those of the given messages whose ids are new."""
        for fields in given:
            if str(fields.get("id")) not in self._by_id:
                self.append(Message.from_json(fields))

    def add_call(self, id: str, parent: str | None, about: JsonObject) -> Call:
        """Add a tool call to its parent, or to a message of its own with these fields."""
        message = self._by_id.get(parent) if parent else None
        if message is None or message.role != "assistant":
            own = id if message is not None else parent or id
            message = Message(own, "assistant", about)
            self.append(message)
        call = Call(id, "")
        message.calls.append(call)
        self._calls.setdefault(id, (message, call))
        return call

    def add_result(self, result: Message, call: str) -> None:
        """Add a tool message right after the message that made the call, and its other results.

        Model providers demand that order; the result itself may come after later text.
        """
        at = self._after_call(call)
        self._list.insert(at, result)
        if self._by_id.setdefault(result.id, result) is not result:
            self._by_id[result.id] = next(m for m in self._list if m.id == result.id)

    def replace(self, given: Iterable[JsonObject], constructs: Constructs) -> None:
        """Take a snapshot: its messages replace those of the same id, others go or are added.

        Activities stay if the snapshot has none, and so does reasoning. What is being written
        stays in any case: its next part must find it.
        """
        before = self._list
        self._list, self._by_id, self._calls = [], {}, {}
        for message in _replaced(before, [Message.from_json(fields) for fields in given]):
            self.append(message)
        for message in before:
            self._keep_open(message, constructs)

    def _keep_open(self, old: Message, constructs: Constructs) -> None:
        """Keep of a message from before a snapshot what is open and the snapshot lacks."""
        lost = [call for call in old.calls if call.id not in self._calls]
        lost = [call for call in lost if constructs.is_open(Kind.TOOL, call.id)]
        now = self._by_id.get(old.id)
        if now is None and (lost or _is_written(old, constructs)):
            self.append(old)
        elif lost and now is not None and now.role == "assistant":
            now.calls.extend(lost)
            self._know(now)
        elif lost:
            self.append(old)

    def _know(self, message: Message) -> None:
        self._by_id.setdefault(message.id, message)
        for call in message.calls:
            self._calls.setdefault(call.id, (message, call))

    def _after_call(self, call: str) -> int:
        """Return where the next result of the call belongs."""
        if call not in self._calls:
            return len(self._list)
        owner, _ = self._calls[call]
        at = next(i for i in range(len(self._list), 0, -1) if self._list[i - 1] is owner)
        while at < len(self._list) and self._list[at].role == "tool":
            at += 1
        return at


def _replaced(before: Iterable[Message], given: list[Message]) -> list[Message]:
    """Return the messages after a snapshot: those of before keep their places."""
    versions = {message.id: message for message in given}
    preserved = set(_PRESERVED) - {message.role for message in given}
    kept: list[Message] = []
    for old in before:
        if old.id in versions:
            kept.append(versions.pop(old.id))
        elif old.role in preserved:
            kept.append(old)
    known = {message.id for message in kept}
    return kept + [message for message in given if message.id not in known]


def _is_written(message: Message, constructs: Constructs) -> bool:
    return any(constructs.is_open(kind, message.id) for kind in (Kind.TEXT, Kind.REASONING))


def _merge_metadata(about: JsonObject, body: Body) -> None:
    if body.metadata is not None:
        about["metadata"] = {**(about.get("metadata") or {}), **body.metadata}


def _set(about: JsonObject) -> JsonObject:
    return {key: value for key, value in about.items() if value is not None}
