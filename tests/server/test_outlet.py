"""The outlet: what an application learns of its answer's way out, and how it ends it."""

import asyncio
import socket
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from netra_backend.server.http_protocol import HttpProtocol
from netra_backend.server.lane import Protocol
from netra_backend.server.outlet import DirectOutlet, Outlet, outlet_of
from tests.client import BOUND
from tests.live import serving

pytestmark = pytest.mark.anyio

PART = b"x" * 10_000


async def test_a_server_that_offers_none_says_nothing() -> None:
    outlet = outlet_of({"type": "http"})
    outlet.limit(1)
    await outlet.drained()
    outlet.break_off()
    assert (type(outlet), outlet.buffered) == (Outlet, 0)


async def test_an_answer_is_ended_without_what_was_not_taken() -> None:
    seen: dict[str, Any] = {}

    async def much(scope: Any, receive: Any, send: Any) -> None:
        outlet = outlet_of(scope)
        outlet.limit(4 * len(PART))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while outlet.buffered <= 4 * len(PART):
            await send({"type": "http.response.body", "body": PART, "more_body": True})
        seen["buffered"] = outlet.buffered
        try:
            async with asyncio.timeout(0.1):
                await outlet.drained()
        except TimeoutError:
            seen["waits"] = True
        outlet.break_off()

    app = Starlette(routes=[Mount("/", much)])
    async with serving(app, Protocol, http=HttpProtocol, send_buffer=16_384) as port:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect(("127.0.0.1", port))
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async with asyncio.timeout(BOUND):
                while "waits" not in seen:  # noqa: ASYNC110 - the application's own state
                    await asyncio.sleep(0.01)
            got = await asyncio.to_thread(_rest, client)
    assert 4 * len(PART) < seen["buffered"] <= 5 * len(PART) + 20
    # The kernel takes up to twice its send buffer (socket(7)), and all the rest was not taken.
    assert len(got) < seen["buffered"]


async def test_an_answer_that_was_taken_ends_in_peace() -> None:
    async def cut_short(request: Request) -> PlainTextResponse:
        outlet = outlet_of(request.scope)
        assert isinstance(outlet, DirectOutlet)
        outlet.break_off()
        assert outlet.buffered == 0
        return PlainTextResponse("never sent")

    app = Starlette(routes=[Route("/", cut_short)])
    async with serving(app, Protocol, http=HttpProtocol) as port, asyncio.timeout(BOUND):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("how", ["broken off", "fails", "returns"])
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_an_answer_that_is_broken_off_is_seen_to_be_incomplete(
    version: bytes, how: str
) -> None:
    """HTTP/1.1 lacks its last chunk; the answers of HTTP/1.0 just end, and so it is reset."""
    is_taken = asyncio.Event()

    async def cut_short(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await is_taken.wait()
        if how == "broken off":
            outlet_of(scope).break_off()
        elif how == "fails":
            raise RuntimeError("it fails in the middle")

    app = Starlette(routes=[Mount("/", cut_short)])
    async with serving(app, Protocol, http=HttpProtocol) as port, asyncio.timeout(BOUND):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/" + version + b"\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"begun")
        is_taken.set()
        if version == b"1.0":
            with pytest.raises(ConnectionResetError):
                await reader.read()
        else:
            assert await reader.read() == b"\r\n"
        writer.close()


def _rest(client: socket.socket) -> bytes:
    client.settimeout(BOUND)
    got = b""
    try:
        while part := client.recv(65_536):
            got += part
    except ConnectionResetError:
        return got
    raise AssertionError("the end came as if it was one of the answer")
