"""``netra serve`` as a process, from its first line to its end."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from netra_backend.cli.listening import listen
from netra_backend.cli.server import FAREWELL, Server
from netra_backend.config import Settings
from netra_backend.core.ports import Thread
from netra_backend.server.app import create_app
from netra_backend.server.http_protocol import HttpProtocol
from netra_backend.stores.sqlite import SqliteStore
from tests.cli.conftest import Netra
from tests.client import BOUND, client
from tests.eventually import until
from tests.http import http
from tests.live import ServerProcess, token

ECHO = Path(__file__).parents[2] / "examples" / "echo_agent.py"


@pytest.mark.anyio
async def test_it_serves_an_agent_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "my_module.py").write_text(ECHO.read_text(encoding="utf-8"), encoding="utf-8")
    server = ServerProcess(tmp_path / "data", ("my_module:agent",), cwd=tmp_path)
    server.start()
    try:
        await server.wait_ready()
        async with client(server.socket_url, server.token()) as alice:
            assert alice.ready["agents"] == ["agent"]
            await alice.run("t1", "r1", "one two")
            await alice.follow("t1")
            await alice.until("RUN_FINISHED")
            said = "".join(f["chunk"].get("delta", "") for f in alice.events)
            assert said == "one two "
        lines = [json.loads(line) for line in server.log_file.read_text().splitlines()]
        assert server.url in [line.get("at") for line in lines if line["message"] == "serving"]
        async with httpx.AsyncClient() as browser:
            page = await browser.get(server.url)
        assert page.status_code == 200
        assert "netra_dev=" in page.headers["set-cookie"]
    finally:
        assert server.stop(signal.SIGTERM) == 0


@pytest.mark.anyio
async def test_its_first_line_says_what_it_serves_and_its_last_that_it_has_stopped(
    tmp_path: Path,
) -> None:
    server = ServerProcess(tmp_path / "data")
    server.start()
    await server.wait_ready()
    assert server.process is not None
    pid = server.process.pid
    assert server.stop(signal.SIGTERM) == 0
    lines = server.log_lines()
    (serving,) = [line for line in lines if line["message"] == "serving"]
    assert (serving["at"], serving["agents"], serving["sign_in"]) == (server.url, ["docs"], "dev")
    assert serving["data_dir"] == str(server.data_dir)
    assert (serving["version"], serving["pid"]) == (version("netra-backend"), pid)
    assert lines[-1]["message"] == "stopped"
    assert not [line for line in lines if line["logger"].startswith("uvicorn")]


@pytest.mark.anyio
async def test_frames_are_compressed_where_that_is_set(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", environment={"NETRA_WEBSOCKET_DEFLATE": "true"})
    server.start()
    await server.wait_ready()
    async with client(server.socket_url, server.token()) as alice:
        assert [type(one) for one in alice.socket.protocol.extensions] == [PerMessageDeflate]
        await alice.run("t", "r", "how is a token revoked? " * 500)
        await alice.follow("t")
        await alice.until("RUN_FINISHED")
        numbers = [int(frame["id"].partition("-")[2]) for frame in alice.events]
        assert numbers == list(range(1, len(numbers) + 1))
    assert server.stop(signal.SIGTERM) == 0


@pytest.mark.anyio
@pytest.mark.parametrize("pause", [0.0, 0.05])
async def test_a_second_signal_is_no_error(tmp_path: Path, pause: float) -> None:
    server = ServerProcess(tmp_path / "data", environment={"NETRA_FINISH_SECONDS": "30"})
    server.start()
    await server.wait_ready()
    assert server.process is not None
    async with client(server.socket_url, server.token()):
        os.kill(server.process.pid, signal.SIGTERM)
        await asyncio.sleep(pause)
        with contextlib.suppress(ProcessLookupError):
            os.kill(server.process.pid, signal.SIGTERM)
        assert await asyncio.to_thread(server.process.wait, BOUND) == 0
    assert not [line for line in server.log_lines() if line["level"] == "ERROR"]
    assert "Traceback" not in server.log_file.read_text(encoding="utf-8")


@pytest.mark.anyio
async def test_a_second_server_on_the_same_data_says_who_has_it(
    netra: Netra, tmp_path: Path
) -> None:
    server = ServerProcess(tmp_path / "data")
    server.start()
    try:
        await server.wait_ready()
        assert server.process is not None
        done = await asyncio.to_thread(
            netra, "serve", "--port", "0", "--data-dir", str(server.data_dir)
        )
        assert done.returncode == 2
        assert str(server.data_dir) in done.stderr
        assert str(server.process.pid) in done.stderr
        done = await asyncio.to_thread(netra, "serve", "--port", str(server.port))
        assert done.returncode == 2
        assert f"cannot listen on 127.0.0.1 port {server.port}" in done.stderr
    finally:
        server.stop()


@pytest.mark.anyio
async def test_restored_data_has_new_epochs(tmp_path: Path) -> None:
    """A client that saw what the backup has not is told so, instead of waiting in silence."""
    server = ServerProcess(tmp_path / "data")
    server.start()
    await server.wait_ready()
    async with client(server.socket_url, server.token()) as alice:
        accepted = await alice.run("t1", "r1", "hello")
    server.stop()
    server.arguments = ("--restored",)
    server.start()
    try:
        await server.wait_ready()
        async with client(server.socket_url, server.token()) as alice:
            followed = await alice.follow("t1", accepted["id"])
            assert followed["resume"] == "gap"
            assert followed["prelude"][0]["type"] == "RUN_STARTED"
    finally:
        server.stop()


def test_it_takes_a_free_port_and_stops_at_sigint(tmp_path: Path) -> None:
    """Port 0 is a free port, which a line of the log names; Ctrl+C ends it in peace."""
    process = _serve_on_a_free_port(tmp_path, subprocess.PIPE)
    assert process.stderr is not None
    try:
        line = next(line for line in process.stderr if "serving" in line)
        port = int(json.loads(line)["at"].rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
    finally:
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        process.stderr.close()
    assert process.wait(20) in (0, 130)
    assert [json.loads(line)["level"] for line in rest.splitlines()]
    assert "Traceback" not in rest


def test_it_greets_who_sits_at_a_terminal(tmp_path: Path) -> None:
    keyboard, terminal = os.openpty()
    process = _serve_on_a_free_port(tmp_path, terminal)
    os.close(terminal)
    with os.fdopen(keyboard, encoding="utf-8", errors="replace") as shown:
        try:
            line = next(line for line in shown if "Netra is at" in line)
            assert re.search(r"Netra is at http://127\.0\.0\.1:\d+  \(Ctrl\+C stops it\)", line)
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(OSError):  # nobody is left at the other end
                shown.read()
    assert process.wait(20) in (0, 130)


def _serve_on_a_free_port(tmp_path: Path, stderr: int) -> "subprocess.Popen[str]":
    netra = Path(sys.executable).with_name("netra")
    return subprocess.Popen(
        [str(netra), "serve", "--port", "0", "--data-dir", str(tmp_path / "data")],
        env={key: value for key, value in os.environ.items() if not key.startswith("NETRA_")},
        stderr=stderr,
        text=True,
    )


def test_what_it_sends_does_not_wait_for_acknowledgements() -> None:
    """Small frames would, on loops that do not set TCP_NODELAY on sockets they are given."""
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


class _HeldStore(SqliteStore):
    """A store that lists no threads before it is told to."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()

    async def threads(self, *args: Any) -> list[Thread]:
        self.asked.set()
        await self.go_on.wait()
        return await super().threads(*args)


def _handshake(bearer: str) -> bytes:
    head = (
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Sec-WebSocket-Protocol: netra.v1\r\nAuthorization: Bearer {bearer}\r\n\r\n"
    )
    return head.encode()


@pytest.mark.anyio
async def test_a_socket_is_not_closed_before_its_client_has_answered_the_goodbye(
    tmp_path: Path,
) -> None:
    """Else what the client says meanwhile resets it, and it may never read the goodbye."""
    server = ServerProcess(tmp_path / "data")
    server.start()
    await server.wait_ready()
    assert server.process is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    async with asyncio.timeout(BOUND):
        writer.write(_handshake(server.token()))
        await reader.readuntil(b'"ready"')
        os.kill(server.process.pid, signal.SIGTERM)
        await reader.readuntil(b"restarting")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        writer.write(Frame(Opcode.CLOSE, (1012).to_bytes(2, "big")).serialize(mask=True))
        assert await reader.read(1) == b""
        writer.close()
        assert await asyncio.to_thread(server.process.wait, BOUND) == 0


class _Unsignalled(Server):
    """The server of ``netra serve``, which leaves the signals to the test run."""

    def capture_signals(self) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.mark.anyio
async def test_a_request_that_was_let_in_is_answered_although_the_server_stops(
    tmp_path: Path,
) -> None:
    """The page asks for its threads when it sees its run end, which a stop makes it do."""
    store = _HeldStore(tmp_path)
    settings = Settings(data_dir=tmp_path)
    server = _Unsignalled(create_app(None, settings=settings, store=store), settings)
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        idle, unused = await asyncio.open_connection("127.0.0.1", port)
        async with (
            client(f"ws://127.0.0.1:{port}/ws", token(tmp_path, "alice")) as alice,
            http(f"http://127.0.0.1:{port}", token(tmp_path, "alice")) as browser,
        ):
            asking = asyncio.create_task(browser.get("/threads"))
            await asyncio.wait_for(store.asked.wait(), BOUND)
            server.should_exit = True
            assert await alice.closed() == 1012
            assert await asyncio.wait_for(idle.read(), BOUND) == b""
            store.go_on.set()
            assert (await asyncio.wait_for(asking, BOUND)).status_code == 200
        await asyncio.wait_for(serving, BOUND)
        unused.close()


@pytest.mark.anyio
async def test_who_does_not_answer_the_goodbye_takes_no_time_beyond_the_grace(
    tmp_path: Path,
) -> None:
    """A request that hangs as well would else end the process as one that does not stop."""
    settings = Settings(data_dir=tmp_path, grace_seconds=0.4)
    server = _Unsignalled(create_app(None, settings=settings), settings)
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        async with asyncio.timeout(BOUND):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_handshake(token(tmp_path, "alice")))
            await reader.readuntil(b'"ready"')
            server.should_exit = True
            await serving
        writer.close()
    left = server.config.timeout_graceful_shutdown
    assert left is not None
    assert 0 <= left <= 0.4 - min(FAREWELL, 0.4 / 2)


def _unsent(connection: Any) -> int:
    """Return the bytes that wait for its client, of a socket or of a request."""
    is_request = isinstance(connection, HttpProtocol)
    size = connection.transport.get_write_buffer_size() if is_request else connection.buffered
    return int(size)


@pytest.mark.anyio
@pytest.mark.parametrize("asks", ["commands", "pages"])
async def test_who_does_not_take_what_is_unsent_is_cut_off_within_the_grace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, asks: str
) -> None:
    """It has less than a closed peer gets at other times, and nobody is woken for it."""
    settings = Settings(data_dir=tmp_path, grace_seconds=0.5)
    server = _Unsignalled(create_app(None, settings=settings), settings)
    with listen("127.0.0.1", 0) as listener, socket.socket() as hanging:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        hanging.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        hanging.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(hanging, listener.getsockname())
        if asks == "commands":
            await loop.sock_sendall(hanging, _handshake(token(tmp_path, "alice")))
            asked = b'{"type":"ping","request":"%064d"}' % 1
            await loop.sock_sendall(hanging, Frame(Opcode.TEXT, asked).serialize(mask=True) * 400)
        else:
            page = b"GET /page/app.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            await loop.sock_sendall(hanging, page * 20)
        await until(lambda: any(map(_unsent, server.server_state.connections)))
        server.should_exit = True
        await asyncio.wait_for(serving, BOUND)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.anyio
async def test_a_stop_that_took_all_of_the_grace_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a machine that has other things to do; nobody was there any more."""
    settings = Settings(data_dir=tmp_path, grace_seconds=1e-6)
    server = _Unsignalled(create_app(None, settings=settings), settings)
    with listen("127.0.0.1", 0) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        server.should_exit = True
        await asyncio.wait_for(serving, BOUND)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


STUBBORN = """
import asyncio
from ag_ui.core import TextMessageStartEvent

async def agent(input):
    yield TextMessageStartEvent(message_id="m")
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
"""

BUSY = """
from ag_ui.core import TextMessageStartEvent

async def agent(input):
    yield TextMessageStartEvent(message_id="m")
    while True:
        pass
"""


@pytest.mark.anyio
async def test_an_agent_that_computes_does_not_keep_the_process(tmp_path: Path) -> None:
    """Nothing turns any more, so nobody is told; the run ends when the next process starts."""
    (tmp_path / "busy.py").write_text(BUSY, encoding="utf-8")
    environment = {"NETRA_GRACE_SECONDS": "0.5", "NETRA_LOOP_BLOCKED_SECONDS": "0.2"}
    server = ServerProcess(
        tmp_path / "data", ("busy:agent",), cwd=tmp_path, environment=environment
    )
    server.start()
    await server.wait_ready()
    async with client(server.socket_url, server.token()) as alice:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(alice.run("t1", "r1"), 0.1)  # its answer may wait for ever
        blocked = "the event loop is blocked"
        await until(lambda: blocked in [line["message"] for line in server.log_lines()])
        assert await asyncio.to_thread(server.stop, signal.SIGTERM) == 0
    assert (
        server.log_lines()[-1]["message"] == "something does not stop; the process ends without it"
    )
    server.start()
    await server.wait_ready()
    async with http(server.url, server.token()) as alice_again:
        await has_status(alice_again, "r1", "interrupted")
    server.stop()


async def has_status(browser: httpx.AsyncClient, run: str, status: str) -> None:
    """Return when the run has this status."""
    async with asyncio.timeout(BOUND):
        while (await browser.get(f"/runs/{run}")).json().get("status") != status:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.anyio
async def test_an_agent_that_never_stops_does_not_keep_the_process(tmp_path: Path) -> None:
    """Clients see the end of the run, `draining` and 1012; the process ends all the same."""
    (tmp_path / "stubborn.py").write_text(STUBBORN, encoding="utf-8")
    grace = {"NETRA_GRACE_SECONDS": "0.5"}
    server = ServerProcess(tmp_path / "data", ("stubborn:agent",), cwd=tmp_path, environment=grace)
    server.start()
    await server.wait_ready()
    async with client(server.socket_url, server.token()) as alice:
        await alice.run("t1", "r1")
        await alice.follow("t1")
        await alice.until("TEXT_MESSAGE_START")
        stopping = asyncio.create_task(asyncio.to_thread(server.stop, signal.SIGTERM))
        assert (await alice.until("RUN_ERROR"))["chunk"]["code"] == "interrupted"
        await alice.notice("draining")
        assert await alice.closed() == 1012
        assert await asyncio.wait_for(stopping, 15) == 0


SLOW = """
import asyncio
from netra_backend.agents.base import Text

async def agent(input):
    text = Text()
    for event in text.start():
        yield event
    await asyncio.sleep(float(input.messages[-1].content))
    for event in [*text.add("done"), *text.end()]:
        yield event
"""


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("finish", "signals", "end"),
    [("60", 1, "RUN_FINISHED"), ("0.2", 1, "RUN_ERROR"), ("60", 2, "RUN_ERROR")],
    ids=["finished", "interrupted", "hurried"],
)
async def test_a_run_may_finish_before_the_server_stops(
    tmp_path: Path, finish: str, signals: int, end: str
) -> None:
    """A run that takes too long, or for which nobody waits any more, is interrupted."""
    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    server = ServerProcess(
        tmp_path / "data",
        ("slow:agent",),
        cwd=tmp_path,
        environment={"NETRA_FINISH_SECONDS": finish, "NETRA_GRACE_SECONDS": "0.5"},
    )
    server.start()
    await server.wait_ready()
    async with client(server.socket_url, server.token()) as alice:
        await alice.run("t1", "r1", "1" if end == "RUN_FINISHED" else "3600")
        await alice.follow("t1")
        await alice.until("TEXT_MESSAGE_START")
        process = server.process
        assert process is not None
        for number in range(signals):
            process.send_signal(signal.SIGTERM)
            if number == 0:
                while (await alice.run("t2", "r2")).get("code") != "draining":  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        await alice.until(end)
        await alice.notice("draining")
        assert await alice.closed() == 1012
        assert await asyncio.to_thread(process.wait, 15) == 0


@pytest.mark.parametrize("options", [(), ("--restored",), ("--workers", "2")])
def test_a_data_directory_that_cannot_be_used_is_named(
    netra: Netra, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """In the same words, whoever is the first to need it."""
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        done = netra("serve", "--port", "0", "--data-dir", str(directory), *options)
        assert done.returncode == 2
        said = f"netra: the data directory cannot be used: {directory}: not a directory"
        assert done.stderr.strip().lower() == said.lower()
