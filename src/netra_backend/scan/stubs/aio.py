"""asyncio, and clients and servers built on it: aiohttp, httpx, websockets."""

ASYNCIO = """
class Future: ...
class Task(Future): ...
class Lock: ...
class Event: ...
class Queue: ...
class Semaphore: ...
class StreamReader: ...
class StreamWriter: ...
class TaskGroup:
    def create_task(self, coro) -> Task: ...
    async def __aenter__(self) -> TaskGroup: ...
class AbstractEventLoop:
    def create_task(self, coro) -> Task: ...
    def create_future(self) -> Future: ...
    def time(self) -> float: ...
def get_event_loop() -> AbstractEventLoop: ...
def get_running_loop() -> AbstractEventLoop: ...
def current_task() -> Task: ...
class TimeoutError(Exception): ...
class CancelledError(BaseException): ...
class QueueFull(Exception): ...
class QueueEmpty(Exception): ...
"""

AIOHTTP = """
class ClientError(Exception): ...
class ClientResponse:
    status: int
class ClientSession:
    async def __aenter__(self) -> ClientSession: ...
class ClientWebSocketResponse: ...
"""

AIOHTTP_WEB = """
class Request: ...
class WebSocketResponse:
    closed: bool
    close_code: int
"""

HTTPX = """
class Client:
    def __enter__(self) -> Client: ...
class AsyncClient:
    async def __aenter__(self) -> AsyncClient: ...
class Response:
    status_code: int
    text: str
class HTTPError(Exception): ...
"""

REQUESTS = """
class Response:
    status_code: int
    text: str
class Session:
    def __enter__(self) -> Session: ...
class RequestException(OSError): ...
"""

WEBSOCKETS_PROTOCOL = """
from enum import IntEnum
class State(IntEnum):
    CONNECTING = 0
    OPEN = 1
    CLOSING = 2
    CLOSED = 3
class Side(Enum):
    SERVER = 0
    CLIENT = 1
"""

WEBSOCKETS_CONNECTION = """
from uuid import UUID
from websockets.protocol import State
class Connection:
    id: UUID
    state: State
    latency: float
    subprotocol: str | None
"""

WEBSOCKETS_SERVER = """
from websockets.asyncio.connection import Connection
class ServerConnection(Connection): ...
"""

WEBSOCKETS_CLIENT = """
from websockets.asyncio.connection import Connection
class ClientConnection(Connection): ...
"""

STUBS = {
    "aiohttp": AIOHTTP,
    "aiohttp.web": AIOHTTP_WEB,
    "asyncio": ASYNCIO,
    "httpx": HTTPX,
    "requests": REQUESTS,
    "websockets.asyncio.client": WEBSOCKETS_CLIENT,
    "websockets.asyncio.connection": WEBSOCKETS_CONNECTION,
    "websockets.asyncio.server": WEBSOCKETS_SERVER,
    "websockets.protocol": WEBSOCKETS_PROTOCOL,
}
