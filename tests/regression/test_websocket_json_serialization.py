"""The fault that started this project: the state of a WebSocket in data that became JSON.

``TypeError: Object of type WebSocketState is not JSON serializable`` took a chat server down. A
plain enum stood in a dict, once as a value and once as a key, that was given to ``json.dumps``
inside an argument of a log call; the path that handled the error did the same again. The tests
of that server ran without JSON logging, and asserted on copies of the line.

So these tests drive the real server over real sockets with JSON logging at DEBUG: connect,
authenticate, register, send, error, close. Every line that is logged on the way and every event
that is sent holds states as values and keys, times, models and sockets, for each state that
Starlette has. Lines and frames are read as a log collector and a client read them.

With the row for ``enum.Enum`` taken out of the table of `jsonlog.safe`, each test about logging
and sending here fails: the states then have the form of an unknown object, no longer their name.
"""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from ag_ui.core import BaseEvent, CustomEvent, RunAgentInput, StateSnapshotEvent
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketState
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from netra_backend import jsonlog
from netra_backend.agents.base import Agent, ToolCall
from netra_backend.config import Settings
from netra_backend.core.ports import Store
from netra_backend.errors import StoreFailed
from netra_backend.server.app import create_app
from netra_backend.server.lane import Protocol
from netra_backend.server.websocket import _info
from netra_backend.stores.memory import MemoryStore
from tests.client import BOUND, client
from tests.conftest import Lines
from tests.http import http
from tests.live import Live, live, serving
from tests.watched_store import WatchedStore

# What JSON has not is logged here on purpose.
pytestmark = [pytest.mark.anyio, pytest.mark.strict_logs("off")]

log = logging.getLogger("application")

STATES = pytest.mark.parametrize("state", list(WebSocketState), ids=lambda state: state.name)

AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


class Colour(Enum):
    """An enum of the application, whose values are no JSON either."""

    RED = object()


class Visitor(BaseModel):
    """A model of the application."""

    state: WebSocketState
    since: datetime
    colour: Colour = Colour.RED


def hostile(state: WebSocketState, websocket: object) -> dict[Any, Any]:
    """Return what the standard library refuses to write, in every place of a value."""
    return {
        "state": state,
        state: "a state as a key",
        "nested": [{"deep": ({state: [state]}, frozenset({state}))}],
        "at": AT,
        "visitor": Visitor(state=state, since=AT),
        "socket": websocket,
    }


def assert_plain(found: dict[str, Any], state: WebSocketState) -> None:
    """Fail unless `found` is what `hostile` says, with every state by its name."""
    assert found["state"] == state.name
    assert found[state.name] == "a state as a key"
    assert found["nested"] == [{"deep": [{state.name: [state.name]}, [state.name]]}]
    assert found["at"] == "2026-01-02T03:04:05.678000+00:00"
    visitor = {"state": state.name, "since": "2026-01-02T03:04:05.678000+00:00", "colour": "RED"}
    assert found["visitor"] == visitor
    assert "WebSocket" in found["socket"]["$type"]


# --- sockets in every state ------------------------------------------------------------------


class Sockets:
    """Starlette's WebSocket objects as they really are, one for each state of the application."""

    def __init__(self) -> None:
        self.found: dict[WebSocketState, WebSocket] = {}
        self.arrived = asyncio.Condition()
        self.done = asyncio.Event()

    async def endpoint(self, websocket: WebSocket) -> None:
        """Bring the socket into the state that its path names, and stay there."""
        state = WebSocketState[websocket.path_params["state"]]
        if state in (WebSocketState.CONNECTED, WebSocketState.DISCONNECTED):
            await websocket.accept()
        if state is WebSocketState.DISCONNECTED:
            await websocket.close()
        if state is WebSocketState.RESPONSE:
            start = {"type": "websocket.http.response.start", "status": 418, "headers": []}
            await websocket.send(start)
        async with self.arrived:
            self.found[websocket.application_state] = websocket
            self.arrived.notify_all()
        await self.done.wait()
        if state is WebSocketState.RESPONSE:
            await websocket.send({"type": "websocket.http.response.body", "body": b""})


@pytest.fixture
async def sockets() -> AsyncIterator[dict[WebSocketState, WebSocket]]:
    there = Sockets()
    app = Starlette(routes=[WebSocketRoute("/{state}", there.endpoint)])

    async def visit(port: int, state: WebSocketState) -> None:
        try:
            async with connect(f"ws://127.0.0.1:{port}/{state.name}") as visitor:
                await visitor.wait_closed()
        except InvalidStatus:
            pass

    async with serving(app, Protocol) as port:
        visits = [asyncio.ensure_future(visit(port, state)) for state in WebSocketState]
        async with asyncio.timeout(BOUND), there.arrived:
            await there.arrived.wait_for(lambda: len(there.found) == len(WebSocketState))
        try:
            yield there.found
        finally:
            there.done.set()
            await asyncio.wait_for(asyncio.gather(*visits), BOUND)


async def test_there_is_a_real_socket_in_every_state(
    sockets: dict[WebSocketState, WebSocket],
) -> None:
    assert set(sockets) == set(WebSocketState)
    for state, websocket in sockets.items():
        assert websocket.application_state is state


class EveryLineCarries:
    """An application around the server: all that it logs holds these values."""

    def __init__(self, app: ASGIApp, values: dict[Any, Any]) -> None:
        self._app = app
        self._values = values

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with jsonlog.bind(carried=self._values):
            await self._app(scope, receive, send)


@asynccontextmanager
async def carrying(
    values: dict[Any, Any],
    tmp_path: Path,
    agent: Agent,
    store: Store,
    *,
    direct: bool = True,
    **settings: Any,
) -> AsyncIterator[Live]:
    """Run the real server; every line that it logs about a client holds the values."""
    own = Settings(data_dir=tmp_path, **settings)
    app = create_app({"agent": agent}, settings=own, store=store)
    lane = Protocol if direct else "websockets-sansio"
    async with serving(EveryLineCarries(app, values), lane) as port:
        try:
            yield Live(app, tmp_path, port)
        finally:
            await app.drain(0)


def assert_carried(lines: list[dict[str, Any]], state: WebSocketState) -> set[str]:
    """Fail unless every line about a client holds the values; return the texts of ours."""
    ours = [line for line in lines if line["logger"].startswith("netra_backend")]
    about_clients = [line for line in ours if line["message"] != "open"]
    for line in about_clients:
        assert_plain(line["carried"], state)
    assert not [line for line in lines if "dropped" in line]
    return {line["message"] for line in about_clients}


# --- 1 to 3: the name, and the two ways to write it --------------------------------------------


@STATES
def test_a_state_has_a_name_and_is_no_text(state: WebSocketState) -> None:
    assert state.name == str(state).removeprefix("WebSocketState.")
    assert not isinstance(state, str | int)


@STATES
def test_the_standard_library_refuses_a_state(state: WebSocketState) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps({"state": state})
    with pytest.raises(TypeError, match="keys must be"):
        json.dumps({state: "a key"})
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(Visitor(state=state, since=AT))


@STATES
def test_a_name_can_be_written_and_a_state_is_written_as_its_name(state: WebSocketState) -> None:
    assert json.loads(json.dumps({"state": state.name})) == {"state": state.name}
    assert json.loads(jsonlog.dumps({"state": state})) == {"state": state.name}
    assert json.loads(jsonlog.dumps({state: 1})) == {state.name: 1}
    assert jsonlog.jsonable(state) == state.name


# --- 4: every way to log -----------------------------------------------------------------------


@STATES
async def test_every_way_to_log_a_state_is_one_line(
    log_lines: Lines, sockets: dict[WebSocketState, WebSocket], state: WebSocketState
) -> None:
    values = hostile(state, sockets[state])
    known = jsonlog.get_logger("application")

    log.info("fields", extra=values["nested"][0] | {"whole": values})
    log.info("state %s of %r", state, sockets[state])
    log.info("mapping %(state)s", values)
    log.info(f"in the text: {state}, {jsonlog.dumps(values)}")  # noqa: G004 - as it was written
    log.info(values)
    known.warning("as keywords", state=state, whole=values)
    with jsonlog.bind(state=state, whole=values):
        log.error("bound")
    log.error("raised", exc_info=RuntimeError(values, state))
    said = [line for line in log_lines() if line["logger"] == "application"]

    assert len(said) == 8
    assert_plain(said[0]["whole"], state)
    assert said[1]["message"].startswith(f"state {state} of <starlette.websockets.WebSocket")
    assert said[2]["message"] == f"mapping {state}"
    assert_plain(json.loads(said[3]["message"].partition(", ")[2]), state)
    assert_plain({name: said[4][name] for name in said[0]["whole"]}, state)
    for line in said[5:7]:
        assert line["state"] == state.name
        assert_plain(line["whole"], state)
    assert said[7]["exception"]["type"] == "RuntimeError"
    assert state.name in json.dumps(said[7]["exception"])


# --- 5 and 6: what is said about a connection, in all states -------------------------------------


@STATES
async def test_what_the_route_says_about_a_socket_can_be_logged_in_every_state(
    log_lines: Lines, sockets: dict[WebSocketState, WebSocket], state: WebSocketState
) -> None:
    told = _info(sockets[state], "127.0.0.1")
    assert told["application_state"] is state
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(told)

    log.info("socket", extra=told)
    (line,) = [line for line in log_lines() if line["logger"] == "application"]

    assert line["application_state"] == state.name
    assert line["client_state"] in WebSocketState.__members__
    assert line["client"] == "127.0.0.1"
    assert json.loads(jsonlog.dumps(told))["application_state"] == state.name


# --- 7: the route --------------------------------------------------------------------------------


def of(lines: list[dict[str, Any]], message: str) -> dict[str, Any]:
    (line,) = [line for line in lines if line["message"] == message]
    return line


@pytest.mark.parametrize("direct", [True, False], ids=["lane", "send"])
@STATES
async def test_the_route_logs_states_by_their_names_from_the_handshake_to_the_end(
    tmp_path: Path,
    log_lines: Lines,
    sockets: dict[WebSocketState, WebSocket],
    state: WebSocketState,
    direct: bool,
) -> None:
    store, values = WatchedStore(MemoryStore()), hostile(state, sockets[state])
    async with carrying(values, tmp_path, Speaker(values), store, direct=direct) as server:
        with pytest.raises(InvalidStatus):
            async with connect(server.socket_url, subprotocols=["netra.v1"]):
                pass
        async with client(server.socket_url, server.token()) as alice:
            assert (await alice.command("auth", token=server.token()))["type"] == "ready"
            assert (await alice.command("auth", token="x.y.z"))["code"] == "unauthenticated"
            assert (await alice.command("sing"))["code"] == "bad_frame"
            store.failures["backlog"] = StoreFailed("disk full")
            assert (await alice.follow("t"))["code"] == "store_failed"
            store.failures["backlog"] = RuntimeError(values)
            with pytest.raises(ConnectionError):
                await alice.follow("t")
            assert alice.socket.close_code == 1011
    lines = log_lines()

    assert assert_carried(lines, state) >= {
        "handshake refused",
        "connected",
        "frame refused",
        "a command failed in the store",
        "connection failed",
        "closing",
        "disconnected",
    }
    refused = of(lines, "handshake refused")
    assert (refused["client_state"], refused["application_state"]) == ("CONNECTING", "CONNECTING")
    connected = of(lines, "connected")
    assert (connected["client_state"], connected["application_state"]) == ("CONNECTED", "CONNECTED")
    failed = of(lines, "connection failed")
    assert (failed["client_state"], failed["application_state"]) == ("CONNECTED", "CONNECTED")
    assert failed["exception"]["type"] == "RuntimeError"
    assert any("connection.py" in frame["file"] for frame in failed["exception"]["frames"])
    ended = of(lines, "disconnected")
    assert ended["client_state"] in WebSocketState.__members__
    assert ended["connection"] == connected["connection"] == failed["connection"]
    closing = of(lines, "closing")
    assert (closing["code"], closing["session"]) == (1011, "CLOSED")


async def test_the_way_that_netra_serve_takes_logs_states_by_their_names_too(
    tmp_path: Path, log_lines: Lines
) -> None:
    """Nothing is wrapped around this server, so its sockets are opened without ASGI's messages."""
    async with (
        live({"agent": Speaker({})}, tmp_path, store=MemoryStore()) as server,
        client(server.socket_url, server.token()) as alice,
    ):
        assert (await alice.command("ping"))["type"] == "pong"
    lines = log_lines()

    connected = of(lines, "connected")
    assert (connected["client_state"], connected["application_state"]) == ("CONNECTED", "CONNECTED")
    assert of(lines, "disconnected")["client_state"] in WebSocketState.__members__
    assert not [line for line in lines if line["level"] == "ERROR"]


# --- 8: the pool ---------------------------------------------------------------------------------


@STATES
async def test_the_pool_logs_whom_it_refuses(
    tmp_path: Path,
    log_lines: Lines,
    sockets: dict[WebSocketState, WebSocket],
    state: WebSocketState,
) -> None:
    values = hostile(state, sockets[state])
    async with (
        carrying(values, tmp_path, Speaker(values), MemoryStore(), connections=1) as server,
        client(server.socket_url, server.token()) as alice,
    ):
        headers = {"Authorization": f"Bearer {server.token('bob')}"}
        async with connect(
            server.socket_url, subprotocols=["netra.v1"], additional_headers=headers
        ) as refused:
            await asyncio.wait_for(refused.wait_closed(), BOUND)
            assert refused.close_code == 1013
        members = {state: list(server.app.pool)}
        log.error("the pool", extra={"pool": server.app.pool, "members": members})
        log.error("the pool is %s with %s", server.app.pool, members[state])
        assert (await alice.command("ping"))["type"] == "pong"
    lines = log_lines()

    assert "connection refused" in assert_carried(lines, state)
    said = of(lines, "connection refused")
    assert (said["code"], said["user"]) == (1013, "bob")
    assert said["pool"] == "<Pool 1 of 1 connections, 1 users, 1 addresses>"
    seen = of(lines, "the pool")
    assert seen["pool"]["$type"] == "netra_backend.server.pool.Pool"
    (member,) = seen["members"][state.name]
    assert member["$type"] == "netra_backend.server.connection.Connection"
    told = next(line["message"] for line in lines if line["message"].startswith("the pool is"))
    assert "<Pool 1 of 1 connections" in told
    assert "<Connection conn_" in told


# --- 9: what is sent -----------------------------------------------------------------------------


class Speaker:
    """An agent that logs and sends what the standard library refuses, and then fails over it."""

    def __init__(self, values: dict[Any, Any]) -> None:
        self.values = values

    async def __call__(self, given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        log.info("the agent speaks", extra={"whole": self.values})
        yield StateSnapshotEvent(snapshot=self.values)
        yield CustomEvent(name="application.visit", value=self.values)
        call = ToolCall("look")
        for event in (*call.whole({}), *call.result(jsonlog.dumps(self.values))):
            yield event
        raise RuntimeError(self.values)


@pytest.mark.parametrize("direct", [True, False], ids=["lane", "send"])
@STATES
async def test_what_an_agent_logs_and_sends_arrives_whole(
    tmp_path: Path,
    log_lines: Lines,
    sockets: dict[WebSocketState, WebSocket],
    state: WebSocketState,
    direct: bool,
) -> None:
    values = hostile(state, sockets[state])
    async with (
        carrying(values, tmp_path, Speaker(values), MemoryStore(), direct=direct) as server,
        client(server.socket_url, server.token()) as alice,
        http(server.url, server.token()) as browser,
    ):
        assert (await alice.run("t", "r"))["type"] == "accepted"
        await alice.follow("t")
        end = await alice.until("RUN_ERROR")
        again = await alice.follow("t", after="0-0")
        messages = (await browser.get("/threads/t/messages")).json()["messages"]
        run = (await browser.get("/runs/r")).json()
    chunks = {frame["chunk"]["type"]: frame["chunk"] for frame in alice.events}
    lines = log_lines()

    assert_plain(chunks["STATE_SNAPSHOT"]["snapshot"], state)
    assert_plain(chunks["CUSTOM"]["value"], state)
    assert_plain(json.loads(chunks["TOOL_CALL_RESULT"]["content"]), state)
    assert again["resume"] == "gap"
    (snapshot,) = [event for event in again["prelude"] if event["type"] == "STATE_SNAPSHOT"]
    assert_plain(snapshot["snapshot"], state)
    assert_plain(json.loads(messages[-1]["content"]), state)

    assert end["chunk"]["code"] == "agent_failed"
    assert run["correlation"] in end["chunk"]["message"]
    assert "state" not in end["chunk"]["message"]
    assert {"agent started", "the agent failed", "agent completed"} <= assert_carried(lines, state)
    assert_plain(of(lines, "the agent speaks")["whole"], state)
    failed = of(lines, "the agent failed")
    assert failed["correlation"] == run["correlation"]
    assert state.name in json.dumps(failed["exception"])


async def test_operating_system_sockets_are_named_and_not_looked_into(log_lines: Lines) -> None:
    with socket.socket() as one:
        log.info("a socket", extra={"one": one, "both": {WebSocketState.CONNECTED: one}})
    said = of(log_lines(), "a socket")

    assert said["one"] == said["both"]["CONNECTED"]
    assert said["one"]["$type"] == "socket.socket"
