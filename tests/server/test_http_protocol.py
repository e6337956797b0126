"""uvicorn's HTTP within bounds: a head that comes in time is answered, also the next one."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from netra_backend.server import deadlines
from netra_backend.server.http_protocol import HttpProtocol
from netra_backend.server.lane import Protocol
from netra_backend.server.outlet import EXTENSION
from tests.client import BOUND
from tests.conftest import Lines
from tests.eventually import until
from tests.live import serving

pytestmark = pytest.mark.anyio


async def hello(request: Any) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def stream(request: Request) -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"begun"
        await asyncio.Event().wait()

    return StreamingResponse(parts())


async def hesitant(websocket: WebSocket) -> None:
    """Neither accept nor refuse."""
    await websocket.receive()
    await websocket.receive()


APP = Starlette(
    routes=[
        Route("/", hello),
        Route("/stream", stream),
        WebSocketRoute("/hesitant", hesitant),
    ]
)
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPGRADE = (
    b"GET /hesitant HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def peer(app: Starlette = APP, **options: Any) -> AsyncIterator[Peer]:
    """Serve `app`, with these options of uvicorn, and return a connection to it."""
    options["http"] = HttpProtocol
    async with serving(app, Protocol, **options) as port, asyncio.timeout(BOUND):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield reader, writer
        writer.close()


async def test_requests_in_time_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "SECONDS", BOUND)
    async with peer() as (reader, writer):
        for _ in range(3):
            writer.write(GET[:10])
            await asyncio.sleep(0)
            writer.write(GET[10:])
            assert b"200 OK" in await reader.readuntil(b"hello")


@pytest.mark.parametrize("before", [b"", GET])
async def test_what_is_no_http_is_refused_in_words(before: bytes) -> None:
    async with peer() as (reader, writer):
        writer.write(before)
        if before:
            await reader.readuntil(b"hello")
        writer.write(b"\x01\x02\x00\x01 no HTTP at all\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        assert b"Invalid HTTP request received." in await reader.read()


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (b"http://localhost", b"/ /"),
        (b"http://localhost?x=1", b"/ / x=1"),
        (b"http://localhost:80/", b"/ /"),
        (b"http://localhost:80?x=/1", b"/ / x=/1"),
        (b"http://localhost/?x=1", b"/ / x=1"),
    ],
)
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
async def test_a_url_without_a_path_asks_for_the_root(
    target: bytes, told: bytes, version: bytes
) -> None:
    async def tell(request: Request) -> PlainTextResponse:
        asked = (request.scope[name] for name in ("raw_path", "query_string"))
        return PlainTextResponse(b" ".join([request.scope["path"].encode(), *asked]).strip())

    async with peer(Starlette(routes=[Route("/", tell)])) as (reader, writer):
        fields = b"Host: localhost\r\nConnection: close"
        writer.write(b"GET " + target + b" " + version + b"\r\n" + fields + b"\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert body == told


async def test_trailers_are_no_headers_and_are_bounded() -> None:
    """RFC 9110 section 6.5.1: what comes after a body says nothing of its request."""
    seen: list[bytes] = []

    async def tell(request: Any) -> PlainTextResponse:
        await request.body()
        seen.append(request.headers.get("x-said", "-").encode())
        return PlainTextResponse("hello")

    app = Starlette(routes=[Route("/", tell, methods=["POST"])])
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with peer(app) as (reader, writer):
        writer.write(head + b"1\r\nx\r\n0\r\nX-Said: later\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"hello")
        assert seen == [b"-"]
        writer.write(head + b"1\r\nx\r\n0\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                writer.write(b"X-Said: " + b"a" * 10_000 + b"\r\n")
                await writer.drain()
        assert await gone(reader)


async def test_what_comes_behind_another_upgrade_is_bounded() -> None:
    head = UPGRADE.replace(b"Upgrade: websocket", b"Upgrade: h2c").replace(b"/hesitant", b"/")
    async with peer() as (reader, writer):
        writer.write(head)
        assert b"200 OK" in await reader.readuntil(b"hello")
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                writer.write(b"X" * 10_000)
                await writer.drain()
        assert await gone(reader)


async def test_what_comes_with_another_upgrade_is_answered_too() -> None:
    """The upgrade is not taken: what follows it is the next request, not another protocol."""
    other = GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    async with peer() as (reader, writer):
        writer.write(other + GET + other + GET)
        for _ in range(4):
            assert b"200 OK" in await reader.readuntil(b"hello")


@pytest.mark.parametrize(
    ("length", "body"),
    [
        (b"Content-Length: %d" % len(GET), GET),
        (b"Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(GET), GET)),
        (b"Content-Length: 0", b""),
    ],
    ids=["length", "chunks", "empty"],
)
@pytest.mark.parametrize("parts", [1, 2])
async def test_a_body_with_another_upgrade_is_a_body(
    length: bytes, body: bytes, parts: int
) -> None:
    """Some clients ask for h2c with whatever they send first. What they send is no next request."""
    seen: list[bytes] = []

    async def take(request: Request) -> Response:
        seen.append(await request.body())
        return PlainTextResponse("hello")

    app = Starlette(routes=[Route("/", take, methods=["GET", "POST"])])
    fields = b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n" + length + b"\r\n\r\n"
    asked = GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", fields) + body
    async with peer(app) as (reader, writer):
        for part in (asked[:-5], asked[-5:]) if parts == 2 else (asked,):
            writer.write(part)
            await asyncio.sleep(0)
        assert b"200 OK" in await reader.readuntil(b"hello")
        writer.write(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await reader.read()).count(b"200 OK") == 1
    assert seen == [GET if body else b"", b""]


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_stream_for_http_1_0_ends_with_its_connection(version: bytes) -> None:
    """RFC 9112 section 6.1: what of HTTP/1.0 knows no chunks gets none."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    async def told(request: Request) -> StreamingResponse:
        return StreamingResponse(parts())

    asked = GET.replace(b"1.1", version).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with peer(Starlette(routes=[Route("/", told)])) as (reader, writer):
        writer.write(asked)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    is_old = version == b"1.0"
    assert head.startswith(b"HTTP/1.1 200 ")
    assert (b"transfer-encoding" in head) is not is_old
    assert body == (b"one two" if is_old else b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n")


BODY = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 9000000\r\n\r\n"


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (BODY, b"200"),
        (BODY.replace(b"HTTP/1.1", b"HTTP/1.0"), b"200"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"431"),
        (b"\x01 no HTTP at all\r\n\r\n", b"400"),
    ],
    ids=["body", "HTTP/1.0", "head", "no HTTP"],
)
async def test_who_still_sends_may_read_the_answer(asked: bytes, status: bytes) -> None:
    """The end is no reset, which takes answers that were not read yet (RFC 9112 section 9.6)."""
    async with peer(Starlette(routes=[Route("/", hello, methods=["POST"])])) as (reader, writer):
        writer.write(asked + b"x" * 1_000_000)
        assert status in (await reader.read()).split(b"\r\n", 1)[0]
        writer.write(b"x" * 1_000_000)
        await writer.drain()
        assert not writer.transport.is_closing()


async def test_who_still_sends_a_later_head_may_read_its_refusal() -> None:
    async with peer(Starlette(routes=[Route("/", hello)])) as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b"hello")
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1_000_000)
        assert b"431" in (await reader.read()).split(b"\r\n", 1)[0]
        writer.write(b"x" * 1_000_000)
        await writer.drain()
        assert not writer.transport.is_closing()


async def test_who_goes_on_sending_after_the_end_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not before its time: uvicorn would end it as one that is kept open for nothing."""
    monkeypatch.setattr(deadlines, "SECONDS", 0.1)
    app = Starlette(routes=[Route("/", hello, methods=["POST"])])
    async with peer(app, timeout_keep_alive=0) as (reader, writer):
        writer.write(BODY)
        await reader.read()

        def is_cut_off() -> bool:
            writer.write(b"x")
            return writer.transport.is_closing()

        answered = asyncio.get_running_loop().time()
        await until(is_cut_off)
        assert asyncio.get_running_loop().time() - answered > 0.09


@pytest.mark.parametrize(("version", "asked_for"), [(b"1.1", True), (b"1.0", False)])
async def test_only_who_knows_the_answer_100_is_sent_it(version: bytes, asked_for: bool) -> None:
    fields = b"Host: a\r\nConnection: close\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n"
    async with peer(Starlette(routes=[Route("/", whole, methods=["POST"])])) as (reader, writer):
        writer.write(b"POST / HTTP/" + version + b"\r\n" + fields)
        if asked_for:
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hello")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("behind", [64, 65, 500])
async def test_so_many_requests_wait_behind_one_and_no_more(behind: int, log_lines: Lines) -> None:
    """Each is held in memory, a hundred times as large as it came, until the one before is done."""
    may_end = asyncio.Event()

    async def late(request: Request) -> Response:
        await may_end.wait()
        return PlainTextResponse("hello")

    async with peer(Starlette(routes=[Route("/", late)])) as (reader, writer):
        writer.write(GET * (1 + behind))
        if behind > 64:
            await until(lambda: refused(log_lines))
            writer.write(GET)
        may_end.set()
        for _ in range(65):
            assert b"200 OK" in (answer := await reader.readuntil(b"hello"))
        assert (b"connection: close" in answer) is (behind > 64)
        if behind > 64:
            assert await reader.read() == b""
            (told,) = refused(log_lines)
            why = "64 requests of the connection wait already."
            assert (told["code"], told["why"]) == ("too_many", why)


async def test_nothing_is_kept_of_a_connection_with_too_many_requests() -> None:
    kept = []

    async def keeping(request: Request) -> Response:
        kept.append(weakref.ref(request.scope["extensions"][EXTENSION]))
        return await hello(request)

    async with peer(Starlette(routes=[Route("/", keeping)])) as (reader, writer):
        writer.write(GET * 70)
        await reader.read()
        writer.close()
        assert len(kept) == 65

        def is_forgotten() -> bool:
            gc.collect()
            return not any(one() for one in kept)

        await until(is_forgotten)


def refused(log_lines: Lines) -> list[dict[str, Any]]:
    return [line for line in log_lines() if line["message"] == "request refused"]


@pytest.mark.parametrize("start", [b"POST /hesitant HTTP/1.1", b"GET /hesitant HTTP/1.0"])
async def test_only_a_get_of_http_1_1_opens_a_socket(start: bytes) -> None:
    async with peer() as (reader, writer):
        writer.write(UPGRADE.replace(b"GET /hesitant HTTP/1.1", start))
        assert not (await reader.readline()).startswith(b"HTTP/1.1 101")


async def test_a_second_head_that_does_not_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "SECONDS", 0.2)
    async with peer() as (reader, writer):
        writer.write(GET + GET[:10])
        assert await gone(reader)


async def test_empty_lines_before_a_head_keep_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deadlines, "SECONDS", 0.2)
    async with peer() as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b"hello")
        writer.write(b"\r\n")
        assert await gone(reader)


async def test_an_application_that_does_not_decide_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deadlines, "SECONDS", 0.2)
    async with peer() as (reader, writer):
        writer.write(UPGRADE)
        assert await gone(reader)


POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize(
    ("asked", "answers"),
    [
        (GET, 1),
        (GET + GET + GET, 3),
        (POST + b"hello", 1),
        (POST + b"hel", 0),  # there will never be more of it
        (GET + GET[:-2], 1),
        (GET[:-2], 0),
        (b"", 0),
    ],
)
async def test_a_client_that_has_closed_its_side_is_answered(
    asked: bytes, answers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As do ``nc -N`` and others, who ask all they have to ask and then read to the end."""
    has_closed = asyncio.Event()
    take_end = HttpProtocol.eof_received

    def eof_received(protocol: HttpProtocol) -> bool | None:
        has_closed.set()
        return take_end(protocol)

    async def later(request: Request) -> Response:
        await request.body()
        await has_closed.wait()
        return PlainTextResponse("hello")

    monkeypatch.setattr(HttpProtocol, "eof_received", eof_received)
    app = Starlette(routes=[Route("/", later, methods=["GET", "POST"])])
    async with peer(app) as (reader, writer):
        writer.write(asked)
        writer.write_eof()
        answered = await reader.read()
    assert answered.count(b"\r\n\r\nhello") == answers
    assert answered.endswith(b"hello" if answers else b"")


async def test_a_stream_ends_when_its_client_has_closed_its_side() -> None:
    """For a client that has gone looks the same, until something is written to it."""
    async with peer() as (reader, writer):
        writer.write(GET.replace(b"/", b"/stream", 1))
        await reader.readuntil(b"begun")
        writer.write_eof()
        assert await gone(reader)


async def test_what_is_no_http_leaves_no_words_in_the_answer_before_it() -> None:
    async with peer() as (reader, writer):
        writer.write(GET.replace(b"/", b"/stream", 1))
        await reader.readuntil(b"begun")
        writer.write(b"\x16\x03\x01\x02\x00\x01 no HTTP at all\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert b"HTTP/1.1" not in await reader.read()


@pytest.mark.parametrize(
    "behind",
    [
        b"\x16\x03\x01\x02\x00\x01 no HTTP at all\r\n\r\n",
        GET.replace(b"\r\n\r\n", b"\r\nHost: b\r\n\r\n"),
        GET.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    ],
    ids=["no HTTP", "head", "body"],
)
async def test_what_is_refused_behind_a_request_is_no_answer_to_it(behind: bytes) -> None:
    async def late(request: Request) -> Response:
        await request.body()
        await request.receive()  # that its client has gone
        return PlainTextResponse("hello")

    async with peer(Starlette(routes=[Route("/", late)])) as (reader, writer):
        writer.write(GET + behind)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""


async def test_a_body_that_is_no_http_is_refused_in_words() -> None:
    async with peer(Starlette(routes=[Route("/", whole, methods=["POST"])])) as (reader, writer):
        head = GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked")
        writer.write(head + b"\r\n\r\n1\r\na\r\n")
        writer.write(b"zz\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")


async def whole(request: Request) -> PlainTextResponse:
    return PlainTextResponse(await request.body())


async def gone(reader: asyncio.StreamReader) -> bool:
    """Return whether the server ends the connection; wait for it."""
    try:
        while await reader.read(65_536):
            pass
    except ConnectionError:
        pass
    return True
