"""The head of a request: it names one host, in a version that we speak, and says how to read on."""

import asyncio
import json
import re

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from netra_backend.errors import ERRORS, ErrorCode
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
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", b"This server speaks HTTP/1.1."),
        (b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03", b"HTTP without TLS."),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\n", b"the PROXY protocol"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", b"the PROXY protocol"),
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


BODY = b"1\r\nx\r\n0\r\n\r\n"


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize(
    ("codings", "code"),
    [
        (b"chunked", None),
        (b", Chunked", None),
        (b"gzip, chunked", "unknown_coding"),
        (b"gzip\r\nTransfer-Encoding: chunked", "unknown_coding"),
        (b"identity,\tchunked", "unknown_coding"),
        (b"chunked, gzip", "bad_request"),
        (b"chunked, chunked", "bad_request"),
        (b"gzip", "bad_request"),
        (b"chunked;a=b", "bad_request"),
        (b'a;b=",chunked"', "bad_request"),
        (b"", "bad_request"),
    ],
)
async def test_a_body_is_read_in_chunks_alone(
    version: bytes, codings: bytes, code: str | None
) -> None:
    """RFC 9112 sections 6.1 and 6.3. Nobody is asked with a body that nobody has understood."""
    bodies: list[bytes] = []

    async def take(request: Request) -> PlainTextResponse:
        bodies.append(b"")
        bodies[-1] = await request.body()
        return PlainTextResponse("hello")

    app = Starlette(routes=[Route("/", take, methods=["POST"])])
    fields = b"Host: a\r\nConnection: close\r\nTransfer-Encoding: " + codings
    async with serving(app, Protocol, http=HttpProtocol) as port, asyncio.timeout(BOUND):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/" + version + b"\r\n" + fields + b"\r\n\r\n" + BODY)
        status, body = re.split(rb"\r\n.*\r\n\r\n", await reader.read(), flags=re.DOTALL)
        writer.close()
    if code is None:
        assert (status, body, bodies) == (b"HTTP/1.1 200 OK", b"hello", [b"x"])
    else:
        assert int(status.split()[1]) == ERRORS[ErrorCode(code)].status
        assert (json.loads(body)["error"]["code"], bodies) == (code, [])


def test_a_head_without_its_upgrade_is_the_same_but_for_it() -> None:
    fields = [(b"host", b"a"), (b"upgrade", b"h2c"), (b"x", b""), (b"upgrade", b"foo")]
    head = without_upgrade(b"POST", "1.1", b"/?a=b", fields)
    assert head == b"POST /?a=b HTTP/1.1\r\nhost: a\r\nx: \r\n\r\n"


def test_the_size_of_a_head_is_what_came_but_for_its_first_and_last_line() -> None:
    came = b"GET /abc HTTP/1.1\r\nhost: a\r\nx: yz\r\n\r\n"
    around = len(b"GET  HTTP/1.1\r\n\r\n")
    assert size_of_head(b"/abc", [(b"host", b"a"), (b"x", b"yz")]) == len(came) - around
