"""Starlette, FastAPI and the loggers that take fields."""

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
"""

STARLETTE_REQUESTS = """
class HTTPConnection: ...
class Request(HTTPConnection):
    method: str
"""

STARLETTE_RESPONSES = """
class Response: ...
class JSONResponse(Response): ...
"""

STARLETTE_DATASTRUCTURES = """
class Address(NamedTuple): ...
class URL: ...
class Headers: ...
class QueryParams: ...
class State: ...
class UploadFile:
    filename: str | None
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
    "fastapi": FASTAPI,
    "fastapi.responses": FASTAPI_RESPONSES,
    "fastapi.websockets": FASTAPI_WEBSOCKETS,
    "starlette.background": STARLETTE_BACKGROUND,
    "starlette.datastructures": STARLETTE_DATASTRUCTURES,
    "starlette.requests": STARLETTE_REQUESTS,
    "starlette.responses": STARLETTE_RESPONSES,
    "starlette.websockets": STARLETTE_WEBSOCKETS,
}
