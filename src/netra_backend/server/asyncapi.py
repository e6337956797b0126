"""AsyncAPI: what is said on ``/ws`` in the dialect ``netra.v1``, from the frames themselves.

The frames are the structs of ``core/frames``: their fields, what these may hold, and what their
docstrings say. What AG-UI says of its events and of a run's input is taken from its own models.
Source: AsyncAPI 3.0.0, whose schemas are JSON Schema draft 7.
"""

from collections.abc import Iterator, Mapping
from inspect import getdoc
from itertools import islice
from typing import Any, get_args

import msgspec
from ag_ui.core import Event, EventType, RunAgentInput
from msgspec import Struct
from msgspec.structs import FieldInfo
from pydantic import TypeAdapter

from netra_backend.core import frames
from netra_backend.core.codec import MAX_DEPTH
from netra_backend.core.frames import PositionText, ThreadText
from netra_backend.errors import CLOSES, ERRORS, CloseRow, ErrorRow
from netra_backend.server.auth import COOKIE
from netra_backend.server.tickets import PARAMETER

Schema = dict[str, Any]

SCHEMAS = "#/components/schemas/"
CHANNEL = "#/channels/ws"

EVENT_FRAME = "event"
"""The message that the frames without ``type`` are."""

_JSON: Mapping[tuple[type[Struct], str], Schema] = {
    (frames.RunCommand, "input"): {"$ref": f"{SCHEMAS}RunAgentInput"},
    (frames.Followed, "prelude"): {"type": "array", "items": {"$ref": f"{SCHEMAS}Event"}},
}
"""What the fields are that are passed on as they are; all others of that kind are any JSON."""

_COMMANDS: tuple[type[frames.Command], ...] = get_args(frames.ClientFrame)
_ANSWERS: tuple[type[frames.ServerFrame], ...] = tuple(frames.ServerFrame.__subclasses__())
_FRAMES: tuple[type[Struct], ...] = (*_COMMANDS, *_ANSWERS)


def asyncapi(version: str) -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document of ``netra.v1``."""
    names = [*map(_tag, _FRAMES), EVENT_FRAME]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Netra backend: netra.v1",
            "version": version,
            "description": _INTRODUCTION,
        },
        "defaultContentType": "application/json",
        "servers": {"tls": _server("wss"), "plain": _server("ws")},
        "channels": {"ws": _channel(names)},
        "operations": {**dict(map(_received, _COMMANDS)), **_sent()},
        "components": {
            "messages": {**{_tag(f): _message(f) for f in _FRAMES}, EVENT_FRAME: _EVENT_MESSAGE},
            "schemas": _schemas(),
            "securitySchemes": _SECURITY,
        },
    }


_INTRODUCTION = f"""\
Commands from a client, answers to them, and the events of the threads that it follows: one JSON
object in each text message of a WebSocket. Each command gets exactly one answer, which repeats its
`request`. A message is at most `ready.limits.frame_bytes` bytes long, and nests at most {MAX_DEPTH}
deep. An unknown `type` or field of a command is refused; fields may be added to what is answered.
"""

_SECURITY = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token in the Authorization header of the handshake.",
    },
    "tokenSubprotocol": {
        "type": "httpApiKey",
        "in": "header",
        "name": "Sec-WebSocket-Protocol",
        "description": f"Offered beside `{frames.SUBPROTOCOL}`: `{frames.TOKEN_SUBPROTOCOL}` and "
        "the base64url of a token without padding, because a browser cannot set other headers.",
    },
    "ticket": {
        "type": "httpApiKey",
        "in": "query",
        "name": PARAMETER,
        "description": "From `POST /auth/ticket`, good for one handshake.",
    },
    "development": {
        "type": "httpApiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "What the chat page sets during development (`NETRA_AUTH=dev`).",
    },
}
"""The ways to say who one is, one of which a handshake needs: there is none after it."""


def _server(protocol: str) -> Schema:
    """Return where the socket is: wherever this document is, which it cannot know itself."""
    return {
        "host": "{host}",
        "pathname": "{prefix}",
        "protocol": protocol,
        "protocolVersion": "13",
        "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in _SECURITY],
        "variables": {
            "host": {
                "default": "127.0.0.1:8000",
                "description": "The host and port that this document came from.",
            },
            "prefix": {
                "default": "/",
                "description": "The path that this document came from, without its name.",
            },
        },
    }


def _channel(messages: list[str]) -> Schema:
    offered = {
        "type": "string",
        "description": f"`{frames.SUBPROTOCOL}`, which alone comes back.",
        "pattern": rf"(^|,)\s*{frames.SUBPROTOCOL.replace('.', '[.]')}\s*(,|$)",
    }
    return {
        "address": "ws",
        "description": f"A WebSocket with the subprotocol `{frames.SUBPROTOCOL}`.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "ws": {
                "method": "GET",
                "headers": {
                    "type": "object",
                    "required": ["Sec-WebSocket-Protocol"],
                    "properties": {"Sec-WebSocket-Protocol": offered},
                },
                "query": {"type": "object", "properties": {PARAMETER: {"type": "string"}}},
                "bindingVersion": "0.1.0",
            }
        },
        "x-close-codes": {
            str(int(code)): {"reason": row.reason, **_verdict(row)} for code, row in CLOSES.items()
        },
    }


# --- messages and operations ---------------------------------------------------------------


def _tag(frame: type[Struct]) -> str:
    """Return the ``type`` of a frame, by which its message goes here, too."""
    return str(frame.__struct_config__.tag)


def _told(thing: object) -> tuple[str, str]:
    """Return what a docstring says in its first sentence, and all of it."""
    text = (getdoc(thing) or "").replace("``", "`")
    first = " ".join(text.split("\n\n")[0].split())
    return first, text


def _message(frame: type[Struct]) -> Schema:
    summary, description = _told(frame)
    message = {
        "name": _tag(frame),
        "title": frame.__name__,
        "summary": summary,
        "description": description,
        "payload": {"$ref": f"{SCHEMAS}{frame.__name__}"},
    }
    if "request" in frame.__struct_fields__:
        message["correlationId"] = {"location": "$message.payload#/request"}
    return message


_EVENT_MESSAGE: Schema = {
    "name": EVENT_FRAME,
    "title": "EventFrame",
    "summary": "An AG-UI event of a thread, in the order of its log.",
    "description": "The only frame without `type`. `id` is the position of the event; with `from` "
    "it stands for all positions from there on, and is one that joins their deltas.",
    "payload": {"$ref": f"{SCHEMAS}EventFrame"},
}


def _operation(action: str, summary: str, names: list[str]) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": CHANNEL},
        "summary": summary,
        "messages": _on_channel(names),
    }


def _on_channel(names: list[str]) -> list[Schema]:
    return [{"$ref": f"{CHANNEL}/messages/{name}"} for name in names]


def _received(command: type[frames.Command]) -> tuple[str, Schema]:
    """Return the operation that takes a command and answers it."""
    operation = _operation("receive", _told(command)[0], [_tag(command)])
    answers = [_tag(frames.ANSWERS[command]), _tag(frames.ErrorFrame)]
    operation["reply"] = {"channel": {"$ref": CHANNEL}, "messages": _on_channel(answers)}
    return _tag(command), operation


def _sent() -> dict[str, Schema]:
    """Return the operations that a client has not asked for with a command."""
    events = "Send the events of a thread that is followed."
    notices = "Say what concerns the connection; `ready` is the first frame of all."
    return {
        "events": _operation("send", events, [EVENT_FRAME]),
        "notices": _operation("send", notices, [_tag(frame) for frame in frames.NOTICES]),
    }


# --- schemas -------------------------------------------------------------------------------


def _schemas() -> dict[str, Schema]:
    """Return the schemas of the frames and of all that is in them."""
    fields = {frame: msgspec.structs.fields(frame) for frame in _FRAMES}
    kinds = [field.type for of_one in fields.values() for field in of_one]
    shapes, components = msgspec.json.schema_components(
        [*kinds, PositionText, ThreadText], ref_template=f"{SCHEMAS}{{name}}"
    )
    following = iter(shapes)
    schemas = {**components, **_agui()}
    for frame, of_one in fields.items():
        schemas[frame.__name__] = _frame(
            frame, list(zip(of_one, islice(following, len(of_one)), strict=True))
        )
    schemas["EventFrame"] = _event_frame(*following)
    schemas["ErrorCode"]["x-error-codes"] = {
        code.value: {"status": row.status, **_verdict(row)} for code, row in ERRORS.items()
    }
    return schemas


def _verdict(row: ErrorRow | CloseRow) -> dict[str, str]:
    """Return whose fault it is, what a client may do next, and what it means."""
    return {"fault": row.fault.value, "retry": row.retry.value, "meaning": row.meaning}


def _frame(frame: type[Struct], fields: list[tuple[FieldInfo, Schema]]) -> Schema:
    """Return the schema of a frame whose fields have these."""
    properties: Schema = {"type": {"const": _tag(frame)}}
    for field, shape in fields:
        properties[field.encode_name] = shown = _JSON.get((frame, field.name), shape)
        if isinstance(field.default, str | bool):
            properties[field.encode_name] = {**shown, "default": field.default}
    return {
        "type": "object",
        "required": ["type", *(field.encode_name for field, _ in fields if field.required)],
        "properties": properties,
        **({"additionalProperties": False} if issubclass(frame, frames.Command) else {}),
    }


def _event_frame(position: Schema, thread: Schema) -> Schema:
    """Return the schema of what `core/codec.event_frame` writes."""
    return {
        "type": "object",
        "required": ["id", "thread", "chunk"],
        "properties": {
            "id": position,
            "from": position,
            "thread": thread,
            "chunk": {"$ref": f"{SCHEMAS}Event"},
            "type": False,
        },
    }


def _agui() -> dict[str, Schema]:
    """Return AG-UI's own schemas of an event, of a run's input, and of all that is in them."""
    template = f"{SCHEMAS}{{model}}"
    schemas: dict[str, Schema] = {}
    for name, kind in (
        ("Event", TypeAdapter(Event)),
        ("RunAgentInput", TypeAdapter(RunAgentInput)),
    ):
        schema = kind.json_schema(by_alias=True, ref_template=template)
        schemas |= schema.pop("$defs", {})
        schemas[name] = schema
    for choice in list(_choices(schemas)):
        told = choice.pop("discriminator")  # in OpenAPI's form, which AsyncAPI does not take
        for reference in told["mapping"].values():
            required = schemas[reference.removeprefix(SCHEMAS)].setdefault("required", [])
            if told["propertyName"] not in required:
                required.append(told["propertyName"])
    schemas["Event"]["oneOf"] = [
        {"$ref": f"{SCHEMAS}{model}"} for model in _sent_events(schemas["Event"], schemas)
    ]
    return schemas


def _sent_events(event: Schema, schemas: dict[str, Schema]) -> Iterator[str]:
    """Yield the models of the events that a log can have: it has no RAW, and no chunks."""
    for each in event["oneOf"]:
        model = each["$ref"].removeprefix(SCHEMAS)
        kind = schemas[model]["properties"]["type"]["const"]
        if kind != EventType.RAW and not kind.endswith("_CHUNK"):
            yield model


def _choices(schema: Any) -> Iterator[Schema]:
    """Yield every part of the schemas that says by which field it is told what something is."""
    if isinstance(schema, dict):
        if isinstance(schema.get("discriminator"), dict):
            yield schema
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _choices(part)
