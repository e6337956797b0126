"""Values of libraries that people log: web frameworks, models, arrays, databases, mocks."""

import asyncio
import concurrent.futures
import decimal
import typing
from collections.abc import Callable, Iterator
from unittest import mock

import attrs
import msgspec
import numpy as np
import pydantic
import sqlalchemy
from sqlalchemy import orm
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


class Base(orm.DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str]
    posts: orm.Mapped[list["Post"]] = orm.relationship(back_populates="author")


class Post(Base):
    __tablename__ = "post"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    author_id: orm.Mapped[int] = orm.mapped_column(sqlalchemy.ForeignKey("user.id"))
    author: orm.Mapped[User] = orm.relationship(back_populates="posts")


def rows() -> Iterator[object]:
    """Yield a row, an expired instance without its session, and an instance in a relationship."""
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.pool.StaticPool)
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        user = User(id=1, name="ann")
        session.add_all([user, Post(id=1, author=user)])
        session.commit()
        yield session.execute(sqlalchemy.select(User.id, User.name)).one()
        yield session.scalars(sqlalchemy.select(Post)).one()
        yield engine
        session.expire_all()
    yield user  # reading an attribute of it raises DetachedInstanceError
    engine.dispose()


def row(number: int) -> Callable[[], object]:
    return lambda: list(rows())[number]


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
    "numpy scalars": lambda: [np.int64(5), np.float32(1.5), np.bool_(True), np.str_("a")],
    "numpy half and nan": lambda: [np.float16("nan"), np.float64("inf"), np.datetime64("NaT")],
    "numpy array": lambda: np.arange(6).reshape(2, 3),
    "numpy array of objects": lambda: np.array([Colour.RED, {1: 2}, None], dtype=object),
    "large numpy array": lambda: np.zeros(1_000_000),
    "numpy void": lambda: np.array([(1, 2.0)], dtype=[("a", int), ("b", float)])[0],
    "numpy keys": lambda: {np.int64(1): 1, np.str_("a"): 2, np.float64(1.5): 3},
    "numpy array with a truth": lambda: {"a": np.array([True, False])},
    "row of a query": row(0),
    "instance in a relationship": row(1),
    "engine": row(2),
    "detached instance": row(3),
    "query": lambda: sqlalchemy.select(User).where(User.id == 1),
    "column comparison": lambda: [User.id == 1, User.name],
    "mapped class": lambda: User,
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
