"""The head of a request: it names one host, is for no proxy, and is of a version that we speak."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from netra_backend.server.http_protocol import HttpProtocol
from netra_backend.server.lane import Protocol
from netra_backend.server.request_head import size_of_head, without_upgrade
from tests.client import BOUND
from tests.live import serving

pytestmark = pytest.mark.anyio


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"not none."),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"not 2."),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"hello"),
        (b"GET / HTTP/1.0\r\n\r\n", b"hello"),
        (b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", b"not 2."),
        (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", b"This server speaks HTTP/1.1."),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", b"no proxy."),
    ],
)
async def test_a_request_names_one_host_in_a_version_that_we_speak(
    request_: bytes, answer: bytes
) -> None:
    app = Starlette(routes=[Route("/", hello)])
    async with serving(app, Protocol, http=HttpProtocol) as port, asyncio.timeout(BOUND):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_)
        got = await reader.read()
        writer.close()
    assert got.startswith(b"HTTP/1.1 200 " if answer == b"hello" else b"HTTP/1.1 400 ")
    assert answer in got.partition(b"\r\n\r\n")[2]


def test_a_head_without_its_upgrade_is_the_same_but_for_it() -> None:
    fields = [(b"host", b"a"), (b"upgrade", b"h2c"), (b"x", b""), (b"upgrade", b"foo")]
    head = without_upgrade(b"POST", "1.1", b"/?a=b", fields)
    assert head == b"POST /?a=b HTTP/1.1\r\nhost: a\r\nx: \r\n\r\n"


def test_the_size_of_a_head_is_what_came_but_for_its_first_and_last_line() -> None:
    came = b"GET /abc HTTP/1.1\r\nhost: a\r\nx: yz\r\n\r\n"
    around = len(b"GET  HTTP/1.1\r\n\r\n")
    assert size_of_head(b"/abc", [(b"host", b"a"), (b"x", b"yz")]) == len(came) - around
