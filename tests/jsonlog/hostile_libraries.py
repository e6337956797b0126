"""Values of libraries that people log: web frameworks, models, arrays, databases, mocks."""

import asyncio
import concurrent.futures
import decimal
import importlib
import typing
from collections.abc import Callable
from unittest import mock

import attrs
import msgspec
import pydantic
from starlette.datastructures import URL, Headers, QueryParams, Secret, State, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from tests.jsonlog.hostile_classes import Colour, raiser


@attrs.define
class Attrs:
    a: object
    b: object = None


@attrs.frozen(repr=False, eq=False)
class AttrsWithoutRepr:
    a: object


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", arbitrary_types_allowed=True)
    state: WebSocketState
    size: int = 1
    kept_back: str = pydantic.Field(default="x", exclude=True)

    @pydantic.model_serializer
    def serialise(self) -> dict[str, object]:
        raise RuntimeError("serialiser")


class Computed(pydantic.BaseModel):
    """A model whose computed field raises, and whose attributes may not be read."""

    a: int = 1

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def broken(self) -> int:
        raise RuntimeError("computed")

    def model_dump(self, **_named: object) -> typing.Any:
        raise KeyboardInterrupt

    def __iter__(self) -> typing.Any:
        raise SystemExit


class Parent(pydantic.BaseModel):
    children: list["Parent"] = []
    amount: decimal.Decimal = decimal.Decimal("0.1")


class Struct(msgspec.Struct):
    a: object
    b: int = 2


def arrays(values: Callable[[typing.Any], object]) -> Callable[[], object]:
    """Return what makes `values` of numpy, which only who makes some of them has to import."""
    return lambda: values(importlib.import_module("numpy"))


def database(name: str) -> Callable[[], object]:
    """Return what makes a value of hostile_database.py; SQLAlchemy too is slow to import."""

    def value() -> object:
        return importlib.import_module("tests.jsonlog.hostile_database").VALUES[name]()

    return value


def websocket() -> WebSocket:
    return WebSocket({"type": "websocket", "path": "/"}, receive=None, send=None)  # type: ignore[arg-type]


def request() -> Request:
    return Request({"type": "http", "headers": [], "method": "GET", "path": "/"})


def failed_future() -> object:
    future: concurrent.futures.Future[None] = concurrent.futures.Future()
    future.set_exception(ValueError("failed"))
    return future


def done_task() -> object:
    async def main() -> object:
        return asyncio.current_task()

    return asyncio.run(main())


LIBRARIES: dict[str, Callable[[], object]] = {
    "websocket state": lambda: {s: s for s in WebSocketState},
    "websocket state, deep": lambda: {"connection": [{"state": (WebSocketState.CONNECTED,)}]},
    "websocket": websocket,
    "websocket's client state": lambda: websocket().client_state,
    "request": request,
    "response": lambda: JSONResponse({}),
    "disconnect": lambda: WebSocketDisconnect(1006),
    "headers": lambda: Headers({"cookie": "a=b"}),
    "starlette": lambda: [URL("http://a/b"), QueryParams("a=1"), State()],
    "starlette's secret": lambda: Secret("hidden"),
    "upload": lambda: UploadFile(mock.Mock(spec=typing.BinaryIO), filename="\ud800"),
    "attrs": lambda: Attrs(Colour.RED),
    "attrs without repr": lambda: AttrsWithoutRepr(Colour.RED),
    "unset attrs": lambda: object.__new__(Attrs),
    "pydantic": lambda: Model(state=WebSocketState.CONNECTED, more=Colour.RED),
    "unset pydantic": Model.model_construct,
    "empty pydantic": lambda: object.__new__(Model),
    "pydantic secret": lambda: pydantic.SecretStr("hidden"),
    "pydantic that raises": Computed,
    "nested pydantic": lambda: Parent(children=[Parent(children=[Parent()])]),
    "pydantic class": lambda: Model,
    "pydantic error": lambda: failure(lambda: Parent(children=3)),  # type: ignore[arg-type]
    "msgspec": lambda: Struct(Colour.RED),
    "msgspec values": lambda: [msgspec.UNSET, msgspec.Raw(b"{")],
    "numpy scalars": arrays(
        lambda np: [np.int64(5), np.float32(1.5), np.bool_(True), np.str_("a")]
    ),
    "numpy half and nan": arrays(
        lambda np: [np.float16("nan"), np.float64("inf"), np.datetime64("NaT")]
    ),
    "numpy array": arrays(lambda np: np.arange(6).reshape(2, 3)),
    "numpy array of objects": arrays(lambda np: np.array([Colour.RED, {1: 2}, None], dtype=object)),
    "large numpy array": arrays(lambda np: np.zeros(1_000_000)),
    "numpy void": arrays(lambda np: np.array([(1, 2.0)], dtype=[("a", int), ("b", float)])[0]),
    "numpy keys": arrays(lambda np: {np.int64(1): 1, np.str_("a"): 2, np.float64(1.5): 3}),
    "numpy array with a truth": arrays(lambda np: {"a": np.array([True, False])}),
    "row of a query": database("row of a query"),
    "instance in a relationship": database("instance in a relationship"),
    "engine": database("engine"),
    "detached instance": database("detached instance"),
    "query": database("query"),
    "column comparison": database("column comparison"),
    "mapped class": database("mapped class"),
    "mocks": lambda: [mock.MagicMock(), mock.Mock(spec=Model), mock.AsyncMock()],
    "mock that raises": lambda: mock.MagicMock(side_effect=SystemExit),
    "mock as key": lambda: {mock.MagicMock(): mock.sentinel.value},
    "mock of a dict": lambda: mock.MagicMock(spec=dict),
    "mock with model_dump": lambda: mock.Mock(model_dump=raiser(SystemExit)),
    "future": failed_future,
    "task": done_task,
}


def failure(call: Callable[[], object]) -> object:
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - the error is the value
        return error
