"""The functions that write a value as JSON."""

from collections.abc import Mapping

from msgspec import Struct

from netra_backend.scan.encoders import (
    DJANGO,
    EITHER_JSON,
    FLASK,
    MSGSPEC,
    ORJSON,
    SIMPLEJSON,
    STDLIB,
    UJSON,
    Encoder,
)
from netra_backend.scan.options import Encoder as EncoderName

BY_NAME = -1
"""The position of an argument that is known by its name only, until the function is found."""


class Sink(Struct, frozen=True):
    """A function that writes one argument: the one at `position`, or with the name `argument`.

    The receiver of a method does not count. `label` is what messages call it. `openers` are
    arguments with which nothing is known of how it writes.
    """

    label: str
    encoder: Encoder
    argument: str
    position: int | None = 0
    openers: tuple[str, ...] = ()
    keywords: bool = False
    """Whether it writes its keyword arguments as a dict when it has no other argument."""
    own: bool = False
    """Whether it is a method of an encoder, which was told before how to write."""


ENCODERS = {
    EncoderName.JSON: STDLIB,
    EncoderName.ORJSON: ORJSON,
    EncoderName.UJSON: UJSON,
    EncoderName.SIMPLEJSON: SIMPLEJSON,
    EncoderName.MSGSPEC: MSGSPEC,
}


def _sinks() -> dict[str, Sink]:
    sinks = {
        "json.dumps": Sink("json.dumps", STDLIB, "obj"),
        "json.dump": Sink("json.dump", STDLIB, "obj"),
        "json.JSONEncoder.encode": Sink("JSONEncoder.encode", STDLIB, "o", own=True),
        "json.JSONEncoder.iterencode": Sink("JSONEncoder.iterencode", STDLIB, "o", own=True),
        "orjson.dumps": Sink("orjson.dumps", ORJSON, "obj"),
        "ujson.dumps": Sink("ujson.dumps", UJSON, "obj"),
        "ujson.dump": Sink("ujson.dump", UJSON, "obj"),
        "simplejson.dumps": Sink("simplejson.dumps", SIMPLEJSON, "obj"),
        "simplejson.dump": Sink("simplejson.dump", SIMPLEJSON, "obj"),
        "msgspec.json.encode": Sink("msgspec.json.encode", MSGSPEC, "obj"),
        "flask.jsonify": Sink("jsonify", FLASK, "", 0, keywords=True),
        "flask.json.jsonify": Sink("jsonify", FLASK, "", 0, keywords=True),
        "django.http.JsonResponse": Sink("JsonResponse", DJANGO, "data"),
        "django.http.response.JsonResponse": Sink("JsonResponse", DJANGO, "data"),
        "starlette.responses.JSONResponse": Sink("JSONResponse", STDLIB, "content"),
        "fastapi.responses.JSONResponse": Sink("JSONResponse", STDLIB, "content"),
        "fastapi.responses.ORJSONResponse": Sink("ORJSONResponse", ORJSON, "content"),
        "starlette.websockets.WebSocket.send_json": Sink("send_json", STDLIB, "data"),
        "aiohttp.web.json_response": Sink(
            "json_response", STDLIB, "data", openers=("dumps", "text", "body")
        ),
    }
    for module in ("aiohttp.web", "aiohttp.web_ws"):
        name = f"{module}.WebSocketResponse.send_json"
        sinks[name] = Sink("send_json", STDLIB, "data", openers=("dumps",))
    sinks["aiohttp.ClientWebSocketResponse.send_json"] = Sink(
        "send_json", STDLIB, "data", openers=("dumps",)
    )
    for verb in ("get", "post", "put", "patch", "delete", "request", "options"):
        for owner in ("requests", "requests.Session", "requests.sessions.Session"):
            sinks[f"{owner}.{verb}"] = Sink(f"requests.{verb}", EITHER_JSON, "json", None)
        for owner in ("httpx", "httpx.Client", "httpx.AsyncClient"):
            sinks[f"{owner}.{verb}"] = Sink(f"httpx.{verb}", STDLIB, "json", None)
        name = f"aiohttp.ClientSession.{verb}"
        sinks[name] = Sink(f"ClientSession.{verb}", STDLIB, "json", None)
    return sinks


SINKS: Mapping[str, Sink] = _sinks()
"""By dotted name; methods by that of their class."""
