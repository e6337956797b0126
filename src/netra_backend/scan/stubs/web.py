"""Starlette, FastAPI, Django and the loggers that take fields."""

DJANGO_TIMEZONE = """
from datetime import date, datetime
def localdate(value=None, timezone=None) -> date: ...
def localtime(value=None, timezone=None) -> datetime: ...
def make_aware(value, timezone=None) -> datetime: ...
def make_naive(value, timezone=None) -> datetime: ...
def now() -> datetime: ...
"""

STARLETTE_WEBSOCKETS = """
import enum
from starlette.requests import HTTPConnection
class WebSocketState(enum.Enum):
    CONNECTING = 0
    CONNECTED = 1
    DISCONNECTED = 2
    RESPONSE = 3
class WebSocketDisconnect(Exception):
    code: int
    reason: str
class WebSocket(HTTPConnection):
    client_state: WebSocketState
    application_state: WebSocketState
    async def receive_bytes(self) -> bytes: ...
    async def receive_text(self) -> str: ...
"""

STARLETTE_REQUESTS = """
from starlette.datastructures import URL, Address, FormData, Headers, QueryParams, State
class HTTPConnection:
    base_url: URL
    client: Address | None
    cookies: dict[str, str]
    headers: Headers
    query_params: QueryParams
    state: State
    url: URL
class Request(HTTPConnection):
    method: str
    async def body(self) -> bytes: ...
    async def form(self) -> FormData: ...
"""

STARLETTE_RESPONSES = """
class Response: ...
class JSONResponse(Response): ...
"""

STARLETTE_DATASTRUCTURES = """
from typing import NamedTuple
class Address(NamedTuple):
    host: str
    port: int
class URL: ...
class Headers: ...
class MutableHeaders(Headers): ...
class QueryParams: ...
class FormData: ...
class State: ...
class UploadFile:
    filename: str | None
    headers: Headers
    size: int | None
    async def read(self, size=-1) -> bytes: ...
"""

FASTAPI = """
from starlette.websockets import WebSocket as WebSocket, WebSocketDisconnect as WebSocketDisconnect
from starlette.requests import Request as Request
from starlette.responses import Response as Response
from starlette.datastructures import UploadFile as UploadFile
class BackgroundTasks: ...
class HTTPException(Exception):
    status_code: int
"""

FASTAPI_WEBSOCKETS = """
from starlette.websockets import WebSocket as WebSocket
from starlette.websockets import WebSocketDisconnect as WebSocketDisconnect
from starlette.websockets import WebSocketState as WebSocketState
"""

FASTAPI_RESPONSES = """
from starlette.responses import JSONResponse as JSONResponse, Response as Response
class ORJSONResponse(JSONResponse): ...
"""

STARLETTE_BACKGROUND = """
class BackgroundTask: ...
class BackgroundTasks(BackgroundTask): ...
"""

STUBS = {
    "django.utils.timezone": DJANGO_TIMEZONE,
    "fastapi": FASTAPI,
    "fastapi.responses": FASTAPI_RESPONSES,
    "fastapi.websockets": FASTAPI_WEBSOCKETS,
    "starlette.background": STARLETTE_BACKGROUND,
    "starlette.datastructures": STARLETTE_DATASTRUCTURES,
    "starlette.requests": STARLETTE_REQUESTS,
    "starlette.responses": STARLETTE_RESPONSES,
    "starlette.websockets": STARLETTE_WEBSOCKETS,
}
