"""AG-UI endpoints of other servers: their limits, their faults, and another Netra."""

import asyncio
import ipaddress
import json
import re
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from ag_ui.core import UserMessage
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from netra_backend.agents.adapters import remote
from netra_backend.agents.adapters.remote import RemoteAgent
from netra_backend.core.ids import UserId
from netra_backend.errors import AgentError
from netra_backend.testing import asking, play
from tests.agents.running import ALICE, running
from tests.live import live, serving
from tests.server.agents import echo

pytestmark = pytest.mark.anyio

STARTED = 'data: {"type":"RUN_STARTED","threadId":"t","runId":"r"}\n\n'
FINISHED = 'data: {"type":"RUN_FINISHED","threadId":"t","runId":"r"}\n\n'


@asynccontextmanager
async def endpoint(
    answer: Callable[[Request], Response], asked: list[bytes] | None = None
) -> AsyncIterator[str]:
    async def call(request: Request) -> Response:
        body = await request.body()
        if asked is not None:
            asked.append(body)
        return answer(request)

    async with serving(Starlette(routes=[Route("/a", call, methods=["POST"])]), "none") as port:
        yield f"http://127.0.0.1:{port}/a"


def stream(
    *parts: str, hang: bool = False, coding: str | None = None
) -> Callable[[Request], Response]:
    async def body() -> AsyncIterator[str]:
        for part in parts:
            yield part
        if hang:
            await asyncio.Event().wait()

    headers = {"Content-Encoding": coding} if coding else None
    return lambda _: StreamingResponse(body(), media_type="text/event-stream", headers=headers)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda _: PlainTextResponse("no such agent", 404), "answered 404 text/plain: no such"),
        (lambda _: PlainTextResponse("hello"), "answered 200 text/plain: hello"),
        (stream(STARTED), "broke off before RUN_FINISHED"),
        (stream("data: {}\n\n"), "no AG-UI event"),
        (stream("data: not json\n\n"), "no AG-UI event"),
        (stream('data: {"type":"RUN_ERROR","message":"theirs"}\n\n'), "theirs"),
        (stream("data: " + "x" * 3_000, "\n\n"), "more than 2000 bytes"),
        (stream("data: " + "x" * 3_000 + "\n\n"), "more than 2000 bytes"),
        (stream(*["data: " + "x" * 500 + "\n"] * 6), "more than 2000 bytes"),
        (stream("data:\n" * 1_000), "more than 2000 bytes"),
        (stream(STARTED, FINISHED, coding="gzip"), "answered in gzip, which was not asked for"),
        (stream(STARTED, hang=True), "ReadTimeout"),
    ],
)
async def test_what_is_wrong_there_is_said(answer, said: str) -> None:
    async with endpoint(answer) as url:
        with pytest.raises(AgentError) as caught:
            await play(RemoteAgent(url, silence=2, max_event_bytes=2_000), asking("hi"))
    assert said in str(caught.value)
    assert str(caught.value).startswith(url)


async def test_nobody_there() -> None:
    with pytest.raises(AgentError, match="ConnectError"):
        await play(RemoteAgent("http://127.0.0.1:9/a"), asking("hi"))


@dataclass
class Authority:
    """A certificate that signs itself, for 127.0.0.1: its file, and a server that shows it."""

    file: Path
    server: ssl.SSLContext


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "netra test")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file, secret = tmp_path / "certificate.pem", tmp_path / "key.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file, secret)
    return Authority(file, server)


@asynccontextmanager
async def encrypted(authority: Authority) -> AsyncIterator[str]:
    """Run an endpoint with TLS."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = re.findall(rb"content-length: (\d+)", head.lower())
        await reader.readexactly(int(length))
        body = f"{STARTED}{FINISHED}"
        kind = "Content-Type: text/event-stream\r\nConnection: close"
        writer.write(f"HTTP/1.1 200 OK\r\n{kind}\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=authority.server)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/a"


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[threading.Thread]]:
    """The threads in which the certificates were read."""
    threads: list[threading.Thread] = []
    read = httpx.create_ssl_context

    def noted(**options: Any) -> ssl.SSLContext:
        if not options:
            threads.append(threading.current_thread())
        return read(**options)

    monkeypatch.setattr(httpx, "create_ssl_context", noted)
    remote._certificates.cache_clear()
    yield threads
    remote._certificates.cache_clear()


async def test_the_certificates_are_read_once_and_not_in_the_event_loop(
    authority: Authority, readings: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with encrypted(authority) as url:
        agents = [RemoteAgent(url) for _ in range(8)]
        assert readings == []
        runs = await asyncio.gather(*(play(agent, asking("hi")) for agent in agents))
    assert [len(events) for events in runs] == [2] * 8
    assert len(readings) == 1
    assert readings[0] is not threading.current_thread()


async def test_an_endpoint_that_shows_a_strange_certificate_is_not_trusted(
    authority: Authority, readings: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    async with encrypted(authority) as url:
        with pytest.raises(AgentError, match="certificate verify failed"):
            await play(RemoteAgent(url), asking("hi"))


async def test_certificates_that_cannot_be_read_fail_the_run_that_needs_them(
    readings: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", __file__)
    with pytest.raises(AgentError, match="the certificates cannot be read"):
        await play(RemoteAgent("https://127.0.0.1:9/a"), asking("hi"))
    async with endpoint(stream(STARTED, FINISHED)) as url:
        assert len(await play(RemoteAgent(url), asking("hi"))) == 2


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "cut"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
async def test_lines_end_in_three_ways_and_may_be_cut_anywhere(ending: str, whole: bool) -> None:
    said = "\ufeff" + STARTED + ": hello\n\n" + FINISHED.replace("data: {", "data: {\ndata:")
    said = said.replace("\n", ending)
    async with endpoint(stream(said) if whole else stream(*said)) as url:
        events = await play(RemoteAgent(url), asking("hi"))
    assert [event.type for event in events] == ["RUN_STARTED", "RUN_FINISHED"]


async def test_the_other_server_is_not_told_who_has_said_what() -> None:
    asked: list[bytes] = []
    signed = {"netra": {"user": "bob"}, "mine": 1}
    message = {"id": "m", "role": "user", "content": "hi", "metadata": signed}
    given = asking("").model_copy(update={"messages": [UserMessage.model_validate(message)]})
    async with endpoint(stream(STARTED, FINISHED), asked) as url:
        await play(RemoteAgent(url), given)
    assert [m["metadata"] for m in json.loads(asked[0])["messages"]] == [{"mine": 1}]


async def test_another_netra_keeps_the_threads_of_two_users_apart(tmp_path: Path) -> None:
    async with live({"echo": echo}, tmp_path) as server:
        headers = {"Authorization": f"Bearer {server.token('gateway')}"}
        agent = RemoteAgent(f"{server.url}/agui/echo", headers=headers)
        async with running(agent) as house:
            for user, words in ((ALICE, "hers"), (UserId("bob"), "his")):
                given = asking(words, thread_id="t1", run_id="r1")
                await house.start(user, given)
                await house.ended("r1", user)
            chunks = await house.chunks()
    said = [chunk["delta"] for chunk in chunks if chunk["type"] == "TEXT_MESSAGE_CONTENT"]
    assert said == ["hers "]
