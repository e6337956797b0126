"""Refusals: each is counted, and in the log under the id that its client was shown."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from websockets.asyncio.client import connect

from netra_backend.errors import ErrorCode
from netra_backend.server.http_protocol import HttpProtocol
from netra_backend.server.metrics import REGISTRY
from netra_backend.server.refusals import BURST, RATE, Refusals
from netra_backend.stores.memory import MemoryStore
from tests.client import BOUND, client, run_input
from tests.conftest import Lines
from tests.http import http
from tests.live import Live, live, token
from tests.security.test_headers import documented
from tests.server.agents import echo
from tests.server.handshake import refusal_of

pytestmark = pytest.mark.anyio


def counted() -> float:
    """Return how many refusals of all codes were counted."""
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        if metric.name == "netra_refusals"
        for sample in metric.samples
        if sample.name.endswith("_total")
    )


def told(lines: list[dict[str, Any]], what: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["message"] == f"{what} refused"]


async def test_each_error_frame_is_a_line_under_its_id(tmp_path: Path, log_lines: Lines) -> None:
    before = counted()
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore(), followed_threads=1) as server,
        client(server.socket_url, server.token()) as alice,
    ):
        said = [
            await alice.command("follow", thread="bad/id"),
            await alice.command("follow", thread="t", after="x"),
            await alice.command("run", input={"threadId": 1}),
            await alice.command("sing"),
            await alice.command("cancel", run="none"),
        ]
        await alice.run("t", "r")
        await alice.follow("t")
        said.append(await alice.follow("another"))
    lines = [one for one in log_lines() if one["message"] in ("frame refused", "command refused")]
    assert counted() - before == len(lines) == len(said)
    for frame, line in zip(said, lines, strict=True):
        assert frame["type"] == "error"
        seen = [line[name] for name in ("code", "correlation", "request")]
        assert seen == [frame[name] for name in ("code", "correlation", "request")]
        begin, _, rest = frame["message"].partition("'")
        assert line["why"].startswith(f"{begin}…" if rest else begin)
        assert "bad/id" not in line["why"]
        assert line.get("where") == frame.get("where")


async def test_each_refused_handshake_is_a_line_that_says_why(
    tmp_path: Path, log_lines: Lines
) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
    ):
        bearer = {"Authorization": f"Bearer {server.token()}"}
        ticket = (await browser.post("/auth/ticket")).json()["ticket"]
        async with connect(f"{server.socket_url}?ticket={ticket}", subprotocols=["netra.v1"]):
            pass
        before = counted()
        answers = [
            await refusal_of(server.socket_url, ["netra.v1"], Origin="http://evil.example"),
            await refusal_of(server.socket_url, ["other.v1"], **bearer),
            await refusal_of(f"{server.socket_url}?ticket={ticket}", ["netra.v1"]),
        ]
    assert counted() - before == 3
    said = [json.loads(answer.body or b"")["error"] for answer in answers]
    lines = told(log_lines(), "handshake")
    assert [(one["code"], one["why"], one["correlation"]) for one in lines] == [
        (one["code"], one["message"], one["correlation"]) for one in said
    ]
    assert [answer.status_code for answer in answers] == [403, 400, 401]


async def test_who_finds_no_room_is_told_and_counted_like_any_other(
    tmp_path: Path, log_lines: Lines
) -> None:
    headers = {"Authorization": f"Bearer {token(tmp_path, 'alice')}"}
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore(), connections=1) as server,
        client(server.socket_url, server.token()),
        http(server.url, server.token()) as browser,
    ):
        before = counted()
        async with connect(
            server.socket_url, subprotocols=["netra.v1"], additional_headers=headers
        ) as socket:
            await asyncio.wait_for(socket.wait_closed(), BOUND)
        assert socket.close_code == 1013
        answered = await browser.post("/agui/echo", json=run_input("t", "r"))
        assert answered.status_code == 503
        assert counted() - before == 2
    lines = [line for line in log_lines() if line["message"].endswith(" refused")]
    assert [(line["message"], line["code"], line["level"]) for line in lines] == [
        ("connection refused", 1013, "INFO"),
        ("request refused", "overloaded", "INFO"),
    ]
    assert all("<Pool 1 of 1 connections" in line["pool"] for line in lines)


async def test_the_cause_of_a_bad_token_is_in_the_log_only(
    tmp_path: Path, log_lines: Lines
) -> None:
    key = "s3cret-of-the-issuer-0123456789abcdef"
    bad = jwt.encode({"sub": "alice", "exp": time.time() + 60}, key[::-1], headers={"kid": "k1"})
    settings = {"auth": "jwt", "jwt_secret": key}
    good = jwt.encode({"sub": "alice", "exp": time.time() + 60}, key)
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore(), **settings) as server,
        http(server.url, bad) as browser,
        client(server.socket_url, good) as alice,
    ):
        said = [
            (await browser.get("/threads")).text,
            str(await alice.command("auth", token=bad)),
            str(await refusal_of(server.socket_url, ["netra.v1"], Authorization=f"Bearer {bad}")),
        ]
    lines = [line for line in log_lines() if line["message"].endswith(" refused")]
    assert [line["message"].split()[0] for line in lines] == ["request", "command", "handshake"]
    for line, text in zip(lines, said, strict=True):
        assert (line["cause"], line["key_id"]) == ("Signature verification failed", "k1")
        assert "Signature" not in text


RAW = {
    b"BLAH\r\n\r\n": 400,
    b"\x16\x03\x01\x02\x00 no HTTP at all\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000 + b"\r\n\r\n": 431,
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n": 400,
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n": 426,
}
"""What is refused before an application sees it, and with what."""


@pytest.mark.parametrize(
    "request_", RAW, ids=["word", "TLS", "no host", "long head", "no key", "version"]
)
async def test_what_never_becomes_a_request_is_answered_and_told_like_any_other(
    request_: bytes, tmp_path: Path, log_lines: Lines
) -> None:
    async with plain(tmp_path) as server:
        before = counted()
        head, body = await answered(server, request_)
        after = counted()
    status, *lines = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert status.startswith(f"HTTP/1.1 {RAW[request_]} ")
    for name, value in documented().items():
        assert headers[name.lower()] == value
    error = json.loads(body)["error"]
    assert error["correlation"] == headers["x-correlation-id"]
    (line,) = [one for one in log_lines() if one.get("correlation") == error["correlation"]]
    assert (line["code"], line["level"]) == (error["code"], "INFO")
    assert ("cause" in line) is (error["message"] == "Invalid HTTP request received.")
    begin, header, _ = error["message"].partition(" header: ")
    assert line["why"] == (f"{begin}{header}…" if header else begin)
    assert line["client"] == "127.0.0.1"
    assert after - before == 1


async def test_a_port_scanner_makes_no_warnings(tmp_path: Path, log_lines: Lines) -> None:
    upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n"
    async with plain(tmp_path) as server:
        for request in (*RAW, upgrade):
            await answered(server, request)
    assert [line for line in log_lines() if line["level"] not in ("DEBUG", "INFO")] == []


def plain(tmp_path: Path) -> Any:
    return live({"echo": echo}, tmp_path, store=MemoryStore(), uvicorn={"http": HttpProtocol})


async def answered(server: Live, request: bytes) -> tuple[str, bytes]:
    """Return the head and the body that come back, up to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        async with asyncio.timeout(BOUND):
            writer.write(request)
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    return head.decode("latin-1"), body


@pytest.mark.parametrize(
    ("code", "why", "logged"),
    [
        (
            "bad_frame",
            "Object contains unknown field `my secret`",
            "Object contains unknown field …",
        ),
        ("bad_frame", "Object contains unknown field `my sec…", "Object contains unknown field …"),
        ("bad_frame", "Invalid value 'it's a sec…", "Invalid value …"),
        ("bad_frame", "Expected `int`, got `str`", "Expected `int`, got `str`"),
        ("bad_answer", 'the value is not one of "a" or "b"', "the value is not one of …"),
        (
            "unknown_agent",
            "there is no agent 'x y'; there is: a",
            "there is no agent …; there is: a",
        ),
        ("bad_request", "invalid Upgrade header: my secret.", "invalid Upgrade header: …"),
        ("upgrade_required", "invalid Upgrade header: a\n\nb", "invalid Upgrade header: …"),
        ("forbidden", "it's not 'yours'", "it's not 'yours'"),
    ],
)
async def test_the_log_leaves_out_what_a_client_has_sent(
    code: str, why: str, logged: str, log_lines: Lines
) -> None:
    Refusals().tell("frame", ErrorCode(code), why)
    (line,) = told(log_lines(), "frame")
    assert line["why"] == logged


async def test_a_flood_of_one_code_is_few_lines_and_hides_no_other(log_lines: Lines) -> None:
    now, before = 0.0, counted()
    refusals = Refusals(lambda: now)
    for _ in range(BURST + 100):
        refusals.tell("frame", ErrorCode.BAD_FRAME, "no JSON")
    refusals.tell("request", ErrorCode.FORBIDDEN, "not here")
    now = 1.0
    for _ in range(RATE + 5):
        refusals.tell("frame", ErrorCode.BAD_FRAME, "no JSON")
    lines = log_lines()
    frames = told(lines, "frame")
    assert len(frames) == BURST + RATE
    assert [line["left_out"] for line in frames if "left_out" in line] == [100]
    assert len(told(lines, "request")) == 1
    assert counted() - before == BURST + 100 + 1 + RATE + 5
