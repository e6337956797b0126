"""Ingest: from what an agent yields to events that may enter the log.

Checks that an item is an AG-UI event and legal where it comes, writes chunks out, drops ``RAW``
and ``rawEvent``, and makes the wire bytes once. What is not JSON inside state, tool results and
custom values takes the form that `jsonlog.jsonable` gives it.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec
from ag_ui.core import (
    BaseEvent,
    EventType,
    ReasoningMessageContentEvent,
    TextMessageContentEvent,
    ToolCallArgsEvent,
)
from ag_ui.core.types import ConfiguredBaseModel as Model
from msgspec import UNSET, Struct
from pydantic import ValidationError

from netra_backend import jsonlog
from netra_backend.agents.documents import Document
from netra_backend.agents.size import MAX_EVENT_BYTES, check_size, is_encodable
from netra_backend.core.chunks import CHUNKS, Expander
from netra_backend.core.events import (
    PROGRESS,
    TERMINAL,
    Body,
    Event,
    body_of,
    event_from_body,
    event_from_json,
    plain_delta,
)
from netra_backend.core.fold import Conversation
from netra_backend.errors import EventError
from netra_backend.jsonlog.encode import plain_text, seen

MAX_PLAIN_LENGTH = MAX_EVENT_BYTES // 8
"""Characters of a delta with its id that are surely no event of more than `MAX_EVENT_BYTES`: JSON
spells some of them with six bytes."""

MAX_MODELS = 32
"""AG-UI models inside each other: more than the schema has, so that a cycle ends."""

RESERVED = "netra."
"""How the names of our own ``CUSTOM`` events begin, which clients believe to be ours."""

_PLAIN: dict[type, tuple[EventType, str]] = {
    TextMessageContentEvent: (EventType.TEXT_MESSAGE_CONTENT, "message_id"),
    ToolCallArgsEvent: (EventType.TOOL_CALL_ARGS, "tool_call_id"),
    ReasoningMessageContentEvent: (EventType.REASONING_MESSAGE_CONTENT, "message_id"),
}


_TEXTS = frozenset({str, EventType})
_encode = msgspec.json.Encoder().encode


class Delta(Struct, frozen=True, gc=False):
    """A plain delta on its way into the log: `text` for the message or tool call `id`.

    It may still be joined with the next, so its event is made only when it leaves.
    """

    type: EventType
    id: str
    text: str


class Whole(Struct, frozen=True):
    """A legal event on its way into the log, which it enters as it is, and what it says."""

    event: Event
    body: Body


Item = Delta | Whole


class Ingest:
    """The events of one run, checked one after another.

    `conversation` is the thread up to the run's RUN_STARTED: ids that it has may not be started
    again, and its state is what the run's patches apply to. What it takes, the fold takes: both
    ask the same constructs.
    """

    __slots__ = (
        "_activities", "_constructs", "_expander", "_extended", "_extends", "_signatures",
        "_state",
    )  # fmt: skip

    def __init__(self, conversation: Conversation) -> None:
        self._constructs = conversation.constructs
        self._signatures = conversation.signatures()
        self._expander = Expander()
        self._state = _document({} if conversation.state is UNSET else conversation.state)
        self._activities: dict[str, Document] = {}
        self._extends: EventType | None = None
        self._extended = ""
        """What the last one extended, if that was a plain delta: it is legal to do so again."""

    @property
    def idle(self) -> bool:
        """Whether no message in chunks is open."""
        return self._expander.idle

    def take(self, item: object) -> Iterable[Item]:
        """Return what the agent's `item` puts into the log: nothing, one event or several.

        Of several each is checked when it is asked for, after the one before is in the log.
        Raises EventError, naming the event and the rule, if it is illegal here.
        """
        plain = self.take_plain(item)
        if plain is not None:
            # An empty one, sent to keep something alive, says nothing.
            return (plain,) if plain.text else ()
        if not isinstance(item, BaseEvent):
            raise EventError(
                f"the agent yielded {type(item).__qualname__}; it must yield AG-UI events"
            )
        if item.type in (EventType.RAW, EventType.RUN_STARTED):
            return ()
        event = event_from_json(_valid(item))
        body = body_of(event)
        if body.type is EventType.MESSAGES_SNAPSHOT:
            event = _signed(event, body.messages or [], self._signatures)
            body = body_of(event)
        name = body.name or ""
        if body.type is EventType.CUSTOM and name.startswith(RESERVED) and name != PROGRESS:
            raise EventError(f"CUSTOM {body.name!r}: names that begin with {RESERVED} are Netra's")
        if body.type not in CHUNKS and self._expander.idle:
            return [self._accept(event, body)]
        return (
            self._accept(event if part is body else event_from_body(part), part)
            for part in self._expander.expand(body)
        )

    def take_plain(self, item: Any) -> Delta | None:
        """Take `item` as `take` does if it is a plain delta; else return None: the hot path.

        A plain delta carries nothing else, and is surely not too big.
        """
        known = _PLAIN.get(type(item))
        if known is None or item.__pydantic_extra__:
            return None
        kind, id_field = known
        fields = item.__dict__
        try:
            if not (fields["timestamp"] is fields["metadata"] is fields["subagent_run_id"] is None):
                return None
            id, delta = fields[id_field], fields["delta"]
        except KeyError:  # a field was deleted
            return None
        if type(id) is not str or type(delta) is not str:
            return None
        if len(id) + len(delta) > MAX_PLAIN_LENGTH or not (delta.isascii() or is_encodable(delta)):
            return None
        if id != self._extended or kind is not self._extends:
            if not (self._expander.idle and id.isascii()):
                return None
            self._constructs.extend(kind, id)
            self._extends, self._extended = kind, id
        return Delta(kind, id, delta)

    def close(self) -> list[Event]:
        """Return what closes everything that the agent left open."""
        closers = self._constructs.closers()
        self._expander.close()  # its message is among them
        for event in closers:
            self._accept(event, body_of(event))
        return closers

    def _accept(self, event: Event, body: Body) -> Item:
        self._extends = None
        self._constructs.accept(_bounded(event), body)
        if body.type not in TERMINAL:
            self._follow_state(body)
        plain = plain_delta(event)
        return Whole(event, body) if plain is None else Delta(body.type, *plain)

    def _follow_state(self, body: Body) -> None:
        """Keep what patches apply to; a patch that does not apply is illegal."""
        match body.type:
            case EventType.STATE_SNAPSHOT:
                self._state = _document(body.snapshot)
            case EventType.STATE_DELTA:
                _patch(body, self._state, body.delta)
            case EventType.ACTIVITY_SNAPSHOT:
                self._activities[body.message_id or ""] = _document(body.content)
            case EventType.ACTIVITY_DELTA:
                id = body.message_id or ""
                if id not in self._activities:
                    raise EventError(f"ACTIVITY_DELTA {id!r}: there is no such activity")
                _patch(body, self._activities[id], body.patch)


def _valid(item: BaseEvent) -> bytes:
    """Return the wire JSON of `item`; raise EventError if its fields are not what AG-UI says.

    Pydantic does not check what is assigned later, or constructed without validation.
    """
    kind = getattr(item.type, "value", item.type)
    fields = _fields(item)
    data = _plain_json(fields)
    if data is None:
        is_plain = check_size(kind, fields)
        data = _encoded(fields) if is_plain else _any_json(fields)
    try:
        type(item).model_validate_json(data)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        path = ".".join(str(part) for part in problem["loc"])
        raise EventError(f"{kind}: {path}: {problem['msg']}") from error
    return data


def _signed(event: Event, messages: list[dict[str, Any]], signatures: Mapping[str, Any]) -> Event:
    """Return the snapshot in which each user's message has the signature that the thread knows.

    An agent may leave out who has said what, and another server was not told.
    """
    signed = [_with_signature(message, signatures.get(message["id"])) for message in messages]
    if signed == messages:
        return event
    body = {**msgspec.json.decode(event.data), "messages": signed}
    return Event(event.type, _encode(body))


def _with_signature(message: dict[str, Any], signature: Any) -> dict[str, Any]:
    if message["role"] != "user":
        return message
    metadata = dict(message.get("metadata") or {})
    metadata.pop("netra", None)
    if signature is not None:
        metadata["netra"] = signature
    rest = {name: value for name, value in message.items() if name != "metadata"}
    return {**rest, "metadata": metadata} if metadata else rest


def _bounded(event: Event) -> Event:
    """Return `event`; raise EventError if it is too big for the log."""
    size = len(event.data)
    if size > MAX_EVENT_BYTES:
        raise EventError(f"{event.type.value} has {size} bytes; the limit is {MAX_EVENT_BYTES}")
    return event


def wire_json(model: Model) -> bytes:
    """Return an AG-UI model as JSON with its wire names, whatever its open fields hold.

    Never raises.
    """
    fields = _fields(model)
    return _plain_json(fields) or _any_json(fields)


def _encoded(fields: dict[str, Any]) -> bytes:
    """Return what `_any_json` does of plain fields, in a fifth of its time."""
    try:
        return seen(plain_text(fields)).encode()
    except (TypeError, ValueError):  # another thread has put something else into them since
        return _any_json(fields)


def _any_json(fields: dict[str, Any]) -> bytes:
    return jsonlog.dumps(fields, limits=jsonlog.WIRE_LIMITS).encode()


def _plain_json(fields: dict[str, Any]) -> bytes | None:
    """Return what `jsonlog.dumps` makes of the fields, in a tenth of its time, if all are plain.

    Plain are texts of ASCII that are surely not too long: most events have nothing else.
    """
    for part in chain(fields, fields.values()):
        if type(part) not in _TEXTS or not part.isascii() or len(part) > MAX_PLAIN_LENGTH:
            return None
    data = _encode(fields)
    return None if b"\x7f" in data else data


def _fields(value: Any, depth: int = 0) -> Any:
    """Return AG-UI models as objects with their wire names, without unset and raw fields.

    Walks the models, and lists of models, itself because ``model_dump`` runs serialisers of the
    values inside, which are the user's and may raise.
    """
    if type(value) is list and len(value) < MAX_EVENT_BYTES:  # a longer one is not written anyway
        return [_fields(part, depth) if isinstance(part, Model) else part for part in value]
    if not isinstance(value, Model) or depth > MAX_MODELS:
        return value
    shown: dict[str, Any] = {}
    for name, wire_name, required in _wire_names(type(value)):
        field = getattr(value, name, None)
        if field is not None or required:
            shown[wire_name] = field if type(field) is str else _fields(field, depth + 1)
    for name, field in (value.model_extra or {}).items():
        shown[name] = _fields(field, depth + 1)
    return shown


@lru_cache(maxsize=256)
def _wire_names(model: type[Model]) -> list[tuple[str, str, bool]]:
    """Return of each field of the model its name, its name on the wire, and if it is required."""
    return [
        (name, info.alias or name, info.is_required())
        for name, info in model.model_fields.items()
        if name != "raw_event"
    ]


def _document(value: Any) -> Document:
    return Document(value, limit=MAX_EVENT_BYTES)


def _patch(body: Body, document: Document, patch: Any) -> None:
    try:
        document.patch(patch)
    except EventError as error:
        raise EventError(f"{body.type.value}: {error}") from error
