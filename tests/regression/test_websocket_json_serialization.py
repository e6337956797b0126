"""The founding bug: a plain enum on its way into JSON must never take a connection down.

A chat service fell over with ``TypeError: Object of type WebSocketState is not JSON
serializable``: a plain enum stood in a dict (as a value, and once as a key) that a log call
serialised, outside any ``try``, and the error path did the same again. Here the real server runs
over a real socket with JSON logging at DEBUG, and **every** line that it writes, and every event
that it sends, carries what brought the service down: plain enum members as values and as keys,
datetimes, models and sockets, for each member of ``WebSocketState``.

Seen failing when ``jsonlog`` writes an enum's value instead of its name, when it refuses enum keys,
and when the wire encodes events with plain ``json.dumps``.
"""

import io
import json
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ag_ui.core import (
    BaseEvent,
    CustomEvent,
    RunAgentInput,
    StateSnapshotEvent,
    TextMessageChunkEvent,
)
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketState
from websockets.exceptions import InvalidStatus

from netra_backend import jsonlog
from netra_backend.config import Settings
from netra_backend.server.app import create_app
from netra_backend.server.lane import Protocol
from netra_backend.stores.memory import MemoryStore
from tests.client import client
from tests.live import Live, serving

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STATES = list(WebSocketState)

log = logging.getLogger("regression")


class Profile(BaseModel):
    """A model whose fields plain JSON does not know."""

    state: WebSocketState
    since: datetime


def hostile(state: WebSocketState) -> dict[Any, Any]:
    """Return what the founding bug was made of, and its relatives."""
    return {
        "state": state,
        state: "as a key",
        "since": MOMENT,
        "profile": Profile(state=state, since=MOMENT),
        "socket": SOCKET,
        "nested": [{"states": (state, {state})}],
    }


SOCKET = socket.socket()
"""An open socket, closed when the module's tests are over."""


@pytest.fixture(scope="module", autouse=True)
def _close_socket() -> Iterator[None]:
    yield
    SOCKET.close()


class Lines:
    """What was logged as JSON, at DEBUG."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        jsonlog.configure(level="DEBUG", format="json", stream=self._stream)

    def all(self) -> list[dict[str, Any]]:
        """Return every line, each parsed strictly: one object, no NaN or infinity."""
        assert jsonlog.flush(5.0), "the log was not written in time"
        return [
            json.loads(line, parse_constant=_no_constant)
            for line in self._stream.getvalue().splitlines()
        ]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Take pytest's own sinks away, which raise where ours may not."""
        root = logging.getLogger()
        before = list(root.handlers)
        root.handlers = [one for one in before if type(one).__module__.startswith("netra_backend")]
        try:
            yield
        finally:
            root.handlers = before

    def of(self, message: str) -> list[dict[str, Any]]:
        """Return the lines with this message."""
        return [line for line in self.all() if line["message"] == message]


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


@pytest.fixture
def lines() -> Iterator[Lines]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        yield Lines()
    finally:
        for sink in [one for one in root.handlers if one not in before]:
            root.removeHandler(sink)
            sink.close()
        root.setLevel(level)


class EveryLineCarries:
    """An application around the server: all that it logs carries these fields."""

    def __init__(self, app: ASGIApp, fields: dict[str, Any]) -> None:
        self._app = app
        self._fields = fields

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with jsonlog.bind(**self._fields):
            await self._app(scope, receive, send)


async def speaks_of(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Log and send hostile values for the state that the user names; fail when told to."""
    name, _, fails = str(given.messages[-1].content).partition(" ")
    values = hostile(WebSocketState[name])
    log.info("agent speaks", extra={"values": values, "state": WebSocketState[name]})
    yield CustomEvent(name="test.values", value=values)
    yield StateSnapshotEvent(snapshot=values)
    yield TextMessageChunkEvent(message_id=f"m-{given.run_id}", delta=name, role="assistant")
    if fails:
        raise TypeError(f"Object of type WebSocketState is not JSON serializable: {values}")


@asynccontextmanager
async def server(tmp_path: Path, state: WebSocketState, **settings: Any) -> AsyncIterator[Live]:
    """Run the real application, with hostile fields on every line that it logs."""
    app = create_app(
        {"speaks": speaks_of},
        settings=Settings(data_dir=tmp_path, **settings),
        store=MemoryStore(),
    )
    fields = {"carried": hostile(state), "carried_state": state}
    async with serving(EveryLineCarries(app, fields), Protocol) as port:
        try:
            yield Live(app, tmp_path, port)
        finally:
            await app.drain(0)


def assert_carried(line: dict[str, Any], state: WebSocketState) -> None:
    """Assert that a line has the hostile fields in their documented form."""
    carried = line["carried"]
    assert line["carried_state"] == state.name
    assert carried["state"] == state.name
    assert carried[state.name] == "as a key"
    assert carried["since"] == MOMENT.isoformat()
    assert carried["profile"] == {"state": state.name, "since": MOMENT.isoformat()}
    assert carried["nested"] == [{"states": [state.name, [state.name]]}]
    assert "socket" in json.dumps(carried["socket"])


# 1, 2, 3: what is true of the enum itself


@pytest.mark.parametrize("state", STATES)
def test_a_state_has_a_name_that_json_takes_and_is_itself_refused(state: WebSocketState) -> None:
    with pytest.raises(TypeError, match="WebSocketState is not JSON serializable"):
        json.dumps({"connection_state": state})
    with pytest.raises(TypeError, match="keys must be str"):
        json.dumps({state: "as a key"})
    assert json.loads(json.dumps({"connection_state": state.name})) == {
        "connection_state": state.name
    }
    assert json.loads(jsonlog.dumps({"connection_state": state, state: 1})) == {
        "connection_state": state.name,
        state.name: 1,
    }


# 4: logging patterns


@pytest.mark.parametrize("state", STATES)
def test_every_way_to_log_a_state_is_one_valid_line(state: WebSocketState, lines: Lines) -> None:
    values = hostile(state)
    own = jsonlog.get_logger("regression.patterns")
    log.info(f"f-string {state}")  # noqa: G004 - the spelling that the fix report blamed
    log.info("percent %s %r", state, values)
    log.info("mapping %(state)s", {"state": state})
    log.info("extra", extra={"connection": values, "connection_state": state})
    with lines.alone():
        log.debug("wrong arguments %d %d", state)  # noqa: PLE1206 - it happens
    own.info("keywords", connection=values, state=state)
    with jsonlog.bind(connection=values):
        log.warning("bound")
    written = [line for line in lines.all() if line["logger"].startswith("regression")]
    assert len(written) == 7
    by_message = {line["message"].split()[0]: line for line in written}
    assert by_message["extra"]["connection_state"] == state.name
    for message in ("extra", "keywords", "bound"):
        assert by_message[message]["connection"]["state"] == state.name
        assert by_message[message]["connection"][state.name] == "as a key"


# 5, 6, 7, 9: connect, authenticate, register, send, error and close, for every state


@pytest.mark.anyio
@pytest.mark.parametrize("state", STATES)
async def test_a_whole_conversation_with_every_line_and_event_carrying_it(
    state: WebSocketState, tmp_path: Path, lines: Lines
) -> None:
    async with (
        server(tmp_path, state) as live,
        client(live.socket_url, live.token()) as alice,
    ):
        await alice.command("auth", token=live.token())
        await alice.run("t1", "r1", state.name)
        await alice.follow("t1")
        await alice.until("RUN_FINISHED")
        sent = {frame["chunk"]["type"]: frame["chunk"] for frame in alice.events}
        for values in (sent["CUSTOM"]["value"], sent["STATE_SNAPSHOT"]["snapshot"]):
            assert values["state"] == state.name
            assert values[state.name] == "as a key"
            assert values["since"] == MOMENT.isoformat()
            assert values["profile"]["state"] == state.name
        refused = await alice.command("nonsense")
        assert refused["code"] == "bad_frame"
        await alice.run("t1", "r2", f"{state.name} and fail")
        failed = await alice.until("RUN_ERROR")
        assert failed["chunk"]["code"] == "agent_failed"
        assert "WebSocketState" not in failed["chunk"]["message"]
    ours = [line for line in lines.all() if line["logger"].startswith("netra_backend")]
    of_requests = [line for line in ours if "carried" in line]
    messages = {line["message"] for line in of_requests}
    assert {"connected", "run started", "run ended", "frame refused", "disconnected"} <= messages
    for line in of_requests:
        assert_carried(line, state)
    (connected,) = lines.of("connected")
    assert connected["client_state"] == "CONNECTED"
    assert connected["application_state"] == "CONNECTED"
    assert lines.of("disconnected")[0]["client_state"] == "DISCONNECTED"
    (spoke, again) = lines.of("agent speaks")
    assert spoke["state"] == again["state"] == state.name
    (failure,) = lines.of("the agent failed")
    assert failure["exception"]["type"] == "TypeError"
    assert failure["correlation"] in failed["chunk"]["message"]
    assert not [line for line in lines.all() if line["level"] == "CRITICAL"]


@pytest.mark.anyio
@pytest.mark.parametrize("state", STATES)
async def test_a_refused_handshake_is_logged_with_the_states_by_name(
    state: WebSocketState, tmp_path: Path, lines: Lines
) -> None:
    async with server(tmp_path, state) as live:
        with pytest.raises(InvalidStatus) as refusal:
            async with client(live.socket_url, "no token"):
                pass
        assert refusal.value.response.status_code == 401
    (line,) = lines.of("handshake refused")
    assert_carried(line, state)
    assert line["client_state"] == "CONNECTING"


# 8: the pool


@pytest.mark.anyio
@pytest.mark.parametrize("state", STATES)
async def test_a_full_pool_is_logged_and_told(
    state: WebSocketState, tmp_path: Path, lines: Lines
) -> None:
    async with (
        server(tmp_path, state, connections=1) as live,
        client(live.socket_url, live.token()) as alice,
    ):
        with pytest.raises((ConnectionError, TimeoutError)):
            async with client(live.socket_url, live.token()) as second:
                await second.until("RUN_STARTED")
        assert (await alice.command("ping"))["type"] == "pong"
    (line,) = lines.of("connection refused")
    assert_carried(line, state)
    assert line["code"] == 1013


# 9: an error path that is itself handed what cannot be serialised


@pytest.mark.anyio
@pytest.mark.parametrize("state", STATES)
async def test_a_fault_of_ours_is_logged_with_its_traceback_and_closes_with_1011(
    state: WebSocketState, tmp_path: Path, lines: Lines
) -> None:
    """The store raises something that no port allows, with hostile arguments."""

    class Broken(MemoryStore):
        async def thread(self, key: Any) -> Any:
            raise RuntimeError(hostile(state))

    app = create_app({"speaks": speaks_of}, settings=Settings(data_dir=tmp_path), store=Broken())
    fields = {"carried": hostile(state), "carried_state": state}
    async with serving(EveryLineCarries(app, fields), Protocol) as port:
        live = Live(app, tmp_path, port)
        async with client(live.socket_url, live.token()) as alice:
            with pytest.raises(ConnectionError):
                await alice.follow("t1")
            assert await alice.closed() == 1011
    (line,) = lines.of("connection failed")
    assert line["exception"]["type"] == "RuntimeError"
    assert any("connection.py" in frame["file"] for frame in line["exception"]["frames"])
    assert_carried(line, state)
