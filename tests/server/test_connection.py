"""One connection: each command of netra.v1, its one answer, and what it leaves in the log."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from websockets.asyncio.client import ClientConnection, connect

from netra_backend.core.frames import ClientFrame
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer, endless
from tests.client import BOUND, client, run_input
from tests.http import http
from tests.live import Live, live
from tests.server.agents import asks, echo
from tests.server.lanes import both_lanes

pytestmark = pytest.mark.anyio

SECRET = "s3cret-of-the-issuer-0123456789abcdef"

Frame = dict[str, Any]


@asynccontextmanager
async def raw(server: Live, user: str = "alice") -> AsyncIterator[ClientConnection]:
    """Return a socket whose ``ready`` frame has been read: what it gets, it gets as sent."""
    async with connect(
        server.socket_url,
        subprotocols=["netra.v1"],
        additional_headers={"Authorization": f"Bearer {server.token(user)}"},
        max_size=None,
    ) as socket:
        assert json.loads(await socket.recv())["type"] == "ready"
        yield socket


async def exchange(socket: ClientConnection, frames: list[Frame]) -> list[Frame]:
    """Send the frames without waiting, then a ping; return all frames before its pong."""
    for frame in [*frames, {"type": "ping", "request": "the last"}]:
        await socket.send(json.dumps(frame))
    got: list[Frame] = []
    async with asyncio.timeout(BOUND):
        while True:
            frame = json.loads(await socket.recv())
            if frame == {"type": "pong", "request": "the last"}:
                return got
            got.append(frame)


def issued(user: str, seconds: int) -> tuple[str, int]:
    """Return a token of `user`, and the second since 1970 at which it ends."""
    end = int(time.time()) + seconds
    return jwt.encode({"sub": user, "exp": end}, SECRET, algorithm="HS256"), end


# --- one answer each -------------------------------------------------------------------------


@both_lanes
async def test_every_command_is_answered_once_and_in_order(tmp_path: Path, direct: bool) -> None:
    agents = {"asks": asks, "waits": ScriptedAgent(endless())}
    async with (
        live(agents, tmp_path, store=MemoryStore(), direct=direct) as server,
        client(server.socket_url, server.token()) as alice,
        raw(server) as socket,
    ):
        await alice.run("asked", "r1", "ask q1")
        await alice.follow("asked")
        await alice.until("RUN_FINISHED")
        commands = [
            {"type": "run", "request": "a", "input": run_input("t", "r2"), "agent": "waits"},
            {"type": "follow", "request": "b", "thread": "t"},
            {"type": "follow", "request": "c", "thread": "nowhere"},
            {"type": "cancel", "request": "d", "run": "r2"},
            {"type": "unfollow", "request": "e", "thread": "t"},
            {"type": "decide", "request": "f", "thread": "asked", "interrupt": "q1", "payload": 5},
            {"type": "auth", "request": "g", "token": server.token()},
            {"type": "ping", "request": "h"},
            {"type": "cancel", "request": "i", "run": "nothing"},
            {"type": "run", "request": "j", "input": {}},
            {"type": "follow", "request": "k", "thread": "../t"},
            {"type": "sing", "request": "l"},
        ]
        frames = await exchange(socket, commands)

    answers = [frame for frame in frames if "type" in frame]
    assert [(frame["request"], frame["type"]) for frame in answers] == [
        ("a", "accepted"),
        ("b", "followed"),
        ("c", "followed"),
        ("d", "cancelled"),
        ("e", "unfollowed"),
        ("f", "decided"),
        ("g", "ready"),
        ("h", "pong"),
        ("i", "error"),
        ("j", "error"),
        ("k", "error"),
        ("l", "error"),
    ]
    by_request = {frame["request"]: frame for frame in answers}
    tried = {command["type"] for command in commands}
    assert tried >= {frame.__struct_config__.tag for frame in ClientFrame.__args__}

    epoch = by_request["a"]["id"].split("-")[0]
    assert by_request["a"] == {
        "type": "accepted",
        "request": "a",
        "thread": "t",
        "run": "r2",
        "id": f"{epoch}-1",
    }
    assert by_request["b"] == {
        "type": "followed",
        "request": "b",
        "thread": "t",
        "resume": "replay",
        "id": f"{epoch}-0",
        "run": {"id": "r2", "status": "running"},
    }
    assert by_request["c"] == {
        "type": "followed",
        "request": "c",
        "thread": "nowhere",
        "resume": "unknown",
    }
    assert by_request["e"] == {"type": "unfollowed", "request": "e", "thread": "t"}
    decided = by_request["f"]
    assert decided.pop("run").startswith("resume_")
    assert decided == {
        "type": "decided",
        "request": "f",
        "interrupt": "q1",
        "by": "alice",
        "won": True,
        "status": "resolved",
        "payload": 5,
    }
    assert by_request["g"]["user"] == "alice"
    assert by_request["i"]["code"] == "not_found"
    assert (by_request["j"]["code"], by_request["j"]["where"]) == ("bad_input", "$.input.threadId")
    assert (by_request["k"]["code"], by_request["k"]["where"]) == ("bad_input", "$.thread")
    assert by_request["l"]["code"] == "bad_frame"


async def test_a_command_without_a_request_is_answered_without_one(tmp_path: Path) -> None:
    async with live({"echo": echo}, tmp_path, store=MemoryStore()) as server, raw(server) as socket:
        frames = await exchange(socket, [{"type": "ping"}, {"type": "auth", "token": "x.y.z"}])

    assert frames[0] == {"type": "pong"}
    assert frames[1]["code"] == "unauthenticated"
    assert "request" not in frames[1]


# What is refused, and which field the refusal names.
REFUSED: dict[str, tuple[Any, str, str | None]] = {
    "no object": ([1], "bad_frame", None),
    "no type": ({"request": "r"}, "bad_frame", "r"),
    "an unknown type": ({"type": "subscribe", "request": "r"}, "bad_frame", "r"),
    "the type of an answer": (
        {"type": "accepted", "request": "r", "thread": "t", "run": "r", "id": "1-1"},
        "bad_frame",
        "r",
    ),
    "a type that is no text": ({"type": 1, "request": "r"}, "bad_frame", "r"),
    "an unknown field": ({"type": "ping", "request": "r", "x": 1}, "bad_frame", "r"),
    "a user in the frame": (
        {"type": "follow", "request": "r", "thread": "t", "user": "bob"},
        "bad_frame",
        "r",
    ),
    "no request": ({"type": "follow", "thread": "t"}, "bad_frame", None),
    "a request that is a number": ({"type": "ping", "request": 1}, "bad_frame", None),
    "an empty request": ({"type": "ping", "request": ""}, "bad_frame", None),
    "a request of 65": ({"type": "ping", "request": "r" * 65}, "bad_frame", None),
    "no thread": ({"type": "follow", "request": "r"}, "bad_frame", "r"),
    "a thread that is a number": (
        {"type": "follow", "request": "r", "thread": 1},
        "bad_frame",
        "r",
    ),
    "a thread with a slash": (
        {"type": "follow", "request": "r", "thread": "a/b"},
        "bad_input",
        "r",
    ),
    "a thread that goes up": ({"type": "follow", "request": "r", "thread": ".."}, "bad_input", "r"),
    "an empty thread": ({"type": "unfollow", "request": "r", "thread": ""}, "bad_input", "r"),
    "a thread of 129": (
        {"type": "unfollow", "request": "r", "thread": "t" * 129},
        "bad_input",
        "r",
    ),
    "a position that is none": (
        {"type": "follow", "request": "r", "thread": "t", "after": "1"},
        "bad_input",
        "r",
    ),
    "a negative position": (
        {"type": "follow", "request": "r", "thread": "t", "after": "1--1"},
        "bad_input",
        "r",
    ),
    "a position beyond 64 bits": (
        {"type": "follow", "request": "r", "thread": "t", "after": f"1-{2**63}"},
        "bad_input",
        "r",
    ),
    "a run that is no id": ({"type": "cancel", "request": "r", "run": "a b"}, "bad_input", "r"),
    "a status that is none": (
        {"type": "decide", "request": "r", "thread": "t", "interrupt": "q", "status": "maybe"},
        "bad_input",
        "r",
    ),
    "an input that is a list": ({"type": "run", "request": "r", "input": []}, "bad_input", "r"),
    "an input without a run": (
        {"type": "run", "request": "r", "input": {"threadId": "t"}},
        "bad_input",
        "r",
    ),
    "another thread than the input's": (
        {"type": "run", "request": "r", "input": run_input("t", "r"), "thread": "u"},
        "bad_input",
        "r",
    ),
    "an input whose run is no id": (
        {"type": "run", "request": "r", "input": run_input("t", "../r")},
        "bad_input",
        "r",
    ),
    "a message of an unknown role": (
        {
            "type": "run",
            "request": "r",
            "input": {**run_input("t", "r"), "messages": [{"id": "m", "role": "root"}]},
        },
        "bad_input",
        "r",
    ),
}


async def test_what_is_refused_names_the_field_and_is_never_ignored(tmp_path: Path) -> None:
    fields = {
        "a thread with a slash": "$.thread",
        "a position that is none": "$.after",
        "a run that is no id": "$.run",
        "a status that is none": "$.status",
        "an input without a run": "$.input.runId",
        "another thread than the input's": "$.input.threadId",
        "an input whose run is no id": "$.input.runId",
        "a message of an unknown role": "$.input.messages[0]",
    }
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore(), bad_frames=1_000) as server,
        raw(server) as socket,
    ):
        for name, (frame, code, request) in REFUSED.items():
            (refusal,) = await exchange(socket, [frame])
            assert refusal["type"] == "error", name
            assert refusal["code"] == code, name
            assert refusal.get("request") == request, name
            assert refusal["retry"] is False, name
            if name in fields:
                assert refusal["where"] == fields[name], name
        async with http(server.url, server.token()) as browser:
            assert (await browser.get("/threads")).json()["threads"] == []


HOSTILE: dict[str, bytes | str] = {
    "nothing": "",
    "a word": "hello",
    "brackets without end": "[" * 2_000,
    "objects without end": '{"a":' * 2_000,
    "a nest in a text": json.dumps({"type": "ping", "request": "[" * 60}),
    "a deep input": '{"type":"run","request":"r","input":' + "[" * 3_000 + "]" * 3_000 + "}",
    "a deep payload": '{"type":"decide","request":"r","thread":"t","interrupt":"q","payload":'
    + '{"a":' * 500
    + "1"
    + "}" * 501,
    "a lone surrogate": '{"type":"decide","request":"r","thread":"t","interrupt":"\\ud800"}',
    "half a surrogate in a payload": (
        '{"type":"decide","request":"r","thread":"t","interrupt":"q","payload":"\\udc00"}'
    ),
    "a zero byte": '{"type":"decide","request":"r","thread":"t","interrupt":"\\u0000"}',
    "a huge number": '{"type":"decide","request":"r","thread":"t","interrupt":"q","payload":1e999}',
    "a number of many digits": (
        '{"type":"decide","request":"r","thread":"t","interrupt":"q","payload":' + "9" * 5_000 + "}"
    ),
    "not a number": '{"type":"decide","request":"r","thread":"t","interrupt":"q","payload":NaN}',
    "two types": '{"type":"ping","type":"run","request":"r"}',
    "two frames": '{"type":"ping"}{"type":"ping"}',
    "a byte order mark": '\ufeff{"type":"ping"}',
    "bytes that are no text": b"\xff\xfe\x00",
    "a text as bytes": b'{"type":"sing"}',
    "an agent with a long name": json.dumps(
        {"type": "run", "request": "r", "input": run_input("t", "r"), "agent": "a" * 100_000}
    ),
    "a state that is a text": json.dumps(
        {
            "type": "run",
            "request": "r",
            "input": {**run_input("t", "r"), "state": "x"},
            "agent": "?",
        }
    ),
    "a token that is a list": json.dumps({"type": "auth", "request": "r", "token": []}),
    "a token whose algorithm is a list": json.dumps(
        {
            "type": "auth",
            "request": "r",
            "token": base64.urlsafe_b64encode(b'{"alg":["HS256"]}').decode() + ".e30.AA",
        }
    ),
    "a token nested without end": json.dumps(
        {
            "type": "auth",
            "request": "r",
            "token": base64.urlsafe_b64encode(b"[" * 90_000).decode().rstrip("=") + ".e30.AA",
        }
    ),
}


@both_lanes
async def test_no_frame_is_a_fault_of_ours(tmp_path: Path, direct: bool) -> None:
    """Each is answered by one short error, and the connection goes on."""
    async with (
        live(
            {"echo": echo}, tmp_path, store=SqliteStore(tmp_path), direct=direct, bad_frames=1_000
        ) as server,
        raw(server) as socket,
    ):
        for name, data in HOSTILE.items():
            await socket.send(data)
            got = await exchange(socket, [])
            if name == "a nest in a text":
                assert [frame["type"] for frame in got] == ["pong"]
                continue
            assert [frame["type"] for frame in got] == ["error"], name
            assert got[0]["code"] not in ("internal", "store_failed"), name
            assert len(json.dumps(got[0])) < 1_000, name


# --- limits ----------------------------------------------------------------------------------


@both_lanes
async def test_a_frame_that_is_too_big_closes_with_1009(tmp_path: Path, direct: bool) -> None:
    async with live(
        {"echo": echo}, tmp_path, store=MemoryStore(), direct=direct, frame_bytes=1_000
    ) as server:
        for text in ("x" * 1_001, json.dumps({"type": "ping", "request": "r" * 990})):
            async with raw(server) as socket:
                await socket.send(text)
                await asyncio.wait_for(socket.wait_closed(), BOUND)
                assert (socket.close_code, socket.close_reason) == (1009, "frame too big")
        async with raw(server) as socket:
            exact = json.dumps({"type": "ping"})
            await socket.send(exact + " " * (1_000 - len(exact)))
            assert await exchange(socket, []) == [{"type": "pong"}]


@both_lanes
async def test_unreadable_frames_in_a_row_close_with_4400(tmp_path: Path, direct: bool) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore(), direct=direct, bad_frames=3) as server,
        raw(server) as socket,
    ):
        for _ in range(2):
            refused = await exchange(socket, [{"type": "sing"}, {"type": "sing"}])
            assert [frame["code"] for frame in refused] == ["bad_frame", "bad_frame"]
        for _ in range(3):
            await socket.send("?")
        got = [json.loads(await socket.recv()) for _ in range(3)]
        await asyncio.wait_for(socket.wait_closed(), BOUND)

        assert [frame["code"] for frame in got] == ["bad_frame"] * 3
        assert (socket.close_code, socket.close_reason) == (4400, "bad frame")


async def test_a_connection_follows_so_many_threads(tmp_path: Path) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore(), followed_threads=2) as server,
        client(server.socket_url, server.token()) as alice,
    ):
        assert alice.ready["limits"]["followed_threads"] == 2
        for thread in ("t1", "t2", "t3"):
            await alice.run(thread, f"{thread}-run")
        assert (await alice.follow("nowhere"))["resume"] == "unknown"
        assert (await alice.follow("t1"))["resume"] == "replay"
        assert (await alice.follow("t2"))["resume"] == "replay"
        assert (await alice.follow("t3"))["code"] == "too_many"
        assert (await alice.follow("t2"))["resume"] == "replay"
        await alice.command("unfollow", thread="t1")
        assert (await alice.follow("t3"))["resume"] == "replay"


async def test_an_unfollowed_thread_sends_nothing_more(tmp_path: Path) -> None:
    gate = Gate()
    async with (
        live({"agent": ScriptedAgent(answer("a", gate, "b"))}, tmp_path) as server,
        client(server.socket_url, server.token()) as alice,
        client(server.socket_url, server.token()) as other,
    ):
        await alice.run("t", "r")
        for follower in (alice, other):
            await follower.follow("t")
            await follower.until("TEXT_MESSAGE_CONTENT")
        await alice.command("unfollow", thread="t")
        seen = len(alice.events)
        gate.open()
        await other.until("RUN_FINISHED")
        await alice.command("ping")

        assert len(alice.events) == seen


# --- the credential on an open socket -----------------------------------------------------------


@both_lanes
async def test_an_expired_credential_closes_with_4401_within_a_second(
    tmp_path: Path, direct: bool
) -> None:
    gate = Gate()
    async with live(
        {"agent": ScriptedAgent(answer(gate))},
        tmp_path,
        store=MemoryStore(),
        direct=direct,
        auth="jwt",
        jwt_secret=SECRET,
    ) as server:
        token, end = issued("alice", 2)
        async with (
            client(server.socket_url, token) as left,
            client(server.socket_url, token) as renewed,
        ):
            assert left.ready["expires"] == end * 1000
            await left.run("t", "r")
            await left.follow("t")
            later, _ = issued("alice", 600)
            ready = await renewed.command("auth", token=later)
            assert ready["expires"] > end * 1000

            async with asyncio.timeout(BOUND):
                await left.socket.wait_closed()
            late = time.time() - end

            assert (left.socket.close_code, left.socket.close_reason) == (4401, "unauthenticated")
            assert -0.05 < late < 1
            assert (await renewed.command("ping"))["type"] == "pong"
            async with http(server.url, later) as browser:
                assert (await browser.get("/runs/r")).json()["status"] == "running"


async def test_a_renewal_is_checked_like_a_login(tmp_path: Path) -> None:
    async with live(
        {"echo": echo}, tmp_path, store=MemoryStore(), auth="jwt", jwt_secret=SECRET
    ) as server:
        alices, _ = issued("alice", 600)
        expired, _ = issued("alice", -1)
        bobs, _ = issued("bob", 600)
        async with client(server.socket_url, alices) as alice:
            for bad in (expired, alices[:-2], "", server.token("alice")):
                refused = await alice.command("auth", token=bad)
                assert (refused["code"], refused["retry"]) == ("unauthenticated", True)
            assert (await alice.command("ping"))["type"] == "pong"

            refused = await alice.command("auth", token=bobs)
            assert refused["code"] == "forbidden"
            await asyncio.wait_for(alice.socket.wait_closed(), BOUND)
            assert (alice.socket.close_code, alice.socket.close_reason) == (4403, "wrong user")
