"""Whatever comes as a frame is answered or refused, and what is kept is what was sent."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection

from tests.client import run_input
from tests.conftest import Lines
from tests.http import http
from tests.night import NIGHTLY
from tests.security.bench import Bench, connected

NO_JSON = [
    b"", b" ", b"{", b"}", b"[", b"]", b'"', b"'", b"{]", b'{"a"', b'{"a":', b'{"a":}', b"{,}",
    b'{"a":1,}', b"[1,]", b"[,1]", b"[1 2]", b"nul", b"True", b"NaN", b"-Infinity", b"Infinity",
    b"+1", b"01", b"1.", b".5", b"1e", b"0x10", b"1_000", b"--1", b'"\\x41"', b'"\\u12"', b'"\t"',
    b'"\n"', b'{"a":1}x', b'{"a":1}{"b":2}', b"\xef\xbb\xbf{}", b"/* c */{}", b"{} // c",
    b"{'a':1}", b"{a:1}", b'{"a"=1}', b'{"a";1}', b"\x00", b'{"type":"ping"}\x00', b"<xml/>",
    b"[" * 50_000, b'{"a":' * 50_000, b"[" * 101 + b"]" * 101,
]  # fmt: skip
"""What JSON's grammar (RFC 8259) does not have, or nests too deep."""

NO_COMMAND = [
    b"null", b"true", b"0", b"1e400", b"-0.0", b'""', b"[]", b"{}", b'{"type":null}', b'{"type":1}',
    b'{"type":"sing"}', b'{"type":"PING"}', b'{"type":"ping","request":1}', b'{"type":["ping"]}',
    b'{"type":"ping","request":""}', b'{"type":"ping","extra":1}', b'{"type":"follow"}',
    b'{"type":"run","request":"r","input":[]}', b'{"type":"run","request":"r","input":{}}',
    b'{"type":"follow","request":"r","thread":"a b"}', b'{"__proto__":{"type":"ping"}}',
    b'{"type":"follow","request":"r","thread":"t","after":"1-99999999999999999999999"}',
    b'{"type":"cancel","request":"r","run":"\\ud800"}', b'{"type":"ready"}',
    b'{"type":"pi\\u0000ng"}',
]  # fmt: skip
"""What is JSON and no command, or one whose fields cannot be."""

NAUGHTY = [
    "undefined", "null", "NaN", "0/0", "1;DROP TABLE threads", "' OR 1=1 --", "\\", '\\"', "\u0000",
    "\u0001\u001f\u007f\u0085", "\u00ad\u200b\u200e\ufeff", "\u2028\u2029", "\u202etest\u202d",
    "Ω≈ç√∫µ≤≥÷", "部落格", "הָיְתָה", "Z̮̞̠͙͔ͅA̡͓͞L", "👩‍👩‍👧‍👦🏳️‍🌈", "\U0010ffff", "\ufdd0\ufffe",
    "<script>alert(1)</script>", "javascript:alert(1)", "{{7*7}}", "${7*7}", "%s%n%d", "$HOME",
    "`id`", "../../../../etc/passwd", "CON", "http://a/%%30%30", "﷽" * 100, "a" * 100_000,
    "\r\n\r\n",
    "1" * 400, "-" * 99, "id: 1\ndata: {}\n\n", '{"type":"ping"}', "1e400", "٠١٢", "İıß",
]  # fmt: skip
"""Strings that have broken other programs."""

TEXT = st.text(max_size=60)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
COMMANDS = st.fixed_dictionaries(
    {"type": st.sampled_from(["run", "follow", "unfollow", "cancel", "decide", "auth", "ping"])},
    optional={
        name: VALUES | st.sampled_from(["t", "alice,t", "r", "1-1"])
        for name in ("request", "thread", "run", "input", "after", "interrupt", "payload", "token")
    },
)
FRAMES = (
    st.binary(max_size=200)
    | VALUES.map(lambda value: json.dumps(value).encode())
    | COMMANDS.map(lambda value: json.dumps(value).encode())
    | st.sampled_from([*NO_JSON, *NO_COMMAND])
)


@pytest.mark.parametrize("text", [True, False], ids=["text", "binary"])
def test_what_is_no_json_or_no_command_is_refused_each_time(bench: Bench, text: bool) -> None:
    frames = [*NO_JSON, *NO_COMMAND]
    answers = bench.runner.run(bench.say(frames, text=text))
    assert len(answers) == len(frames) + 1
    for frame, answer in zip(frames, answers, strict=False):
        assert answer["type"] == "error", frame
        assert answer["code"] in ("bad_frame", "bad_input"), frame
        assert answer["message"]
        assert answer["retry"] is False


@settings(
    max_examples=1_000 if NIGHTLY else 25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(frames=st.lists(FRAMES, max_size=12), text=st.booleans())
def test_whatever_comes_is_answered_once_or_closes_with_a_code(
    bench: Bench, log_lines: Lines, frames: list[bytes], text: bool
) -> None:
    answers = bench.runner.run(bench.say(frames, text=text))
    events = [answer for answer in answers if "type" not in answer]
    told = [answer for answer in answers if "type" in answer]
    if told[-1]["type"] == "closed":
        assert told[-1]["code"] in (1002, 1007, 1009, 4400, 4403)
    else:
        assert len(told) == len(frames) + 1
    assert all(set(event) >= {"id", "thread", "chunk"} for event in events)
    assert all(answer.get("code") != "internal" for answer in told)
    assert [line for line in log_lines() if line["level"] in ("ERROR", "CRITICAL")] == []


def test_naughty_strings_are_kept_as_they_were_sent(bench: Bench) -> None:
    async def all_of_them() -> None:
        async with (
            connected(bench.server) as socket,
            http(bench.server.url, bench.server.token()) as browser,
        ):
            await socket.recv()
            for number, naughty in enumerate(NAUGHTY):
                await one_of_them(socket, number, naughty)
                log = (await browser.get(f"/threads/naughty{number}/events")).json()["events"]
                (message,) = log[0]["chunk"]["input"]["messages"]
                assert message["content"] == naughty
                listed = (await browser.get(f"/threads/naughty{number}/messages")).json()
                assert listed["messages"][0]["content"] == naughty

    async def one_of_them(socket: ClientConnection, number: int, naughty: str) -> None:
        given = run_input(f"naughty{number}", f"naughty-run{number}", naughty)
        await socket.send(json.dumps({"type": "run", "request": "r", "input": given}))
        assert json.loads(await socket.recv())["type"] == "accepted", naughty

    bench.runner.run(all_of_them())
