"""The pages about clients: each example runs under Node, against a server, and prints an answer."""

import asyncio
import itertools
import os
import re
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ag_ui.core import BaseEvent, RunAgentInput, RunErrorEvent

from netra_backend.agents.base import Reasoning, Text
from netra_backend.agents.documentation import anchor_of
from netra_backend.config import Settings
from netra_backend.testing.scripted_agent import Gate
from tests.cable import cable
from tests.client import read_log
from tests.e2e.node_folder import node_folder
from tests.e2e.node_script import ended, printed_by
from tests.live import BOUND, live
from tests.server.agents import echo

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
PAGES = Path(__file__).parents[2] / "docs" / "clients"
SAYS = {
    "ag-ui": ["Hello there ", "user: Hello there\nassistant: Hello there \n"],
    "tanstack-ai": ["Hello there \n", "Hello again \n"],
    "copilotkit": ["Hello there \n"],
    "ai-sdk": ["Hello there \n"],
    "agentcore": ["Hello there "],
}
"""What the examples of each page print, one after the other, to an agent that says it again."""


def examples(page: str) -> list[str]:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(r"```js\n(.*?)```", text, re.DOTALL)


def test_every_page_is_tested_and_listed() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")}
    index = (PAGES.parent / "index.md").read_text(encoding="utf-8")
    assert pages == {*SAYS, "python"}
    assert all(f"(clients/{page}.md)" in index for page in pages)


def test_an_example_sets_no_variable_that_netra_refuses() -> None:
    names = {f"NETRA_{name.upper()}" for name in Settings.model_fields}
    for path in [*PAGES.parent.rglob("*.md"), PAGES.parents[1] / "README.md"]:
        used = set(re.findall(r"\bNETRA_[A-Z_]*[A-Z]\b(?!_?\*)", path.read_text(encoding="utf-8")))
        assert used <= names, path


@pytest.mark.parametrize("page", SAYS)
def test_the_examples_are_short(page: str) -> None:
    assert examples(page)
    assert max(len(example.splitlines()) for example in examples(page)) <= 40


@pytest.mark.parametrize("page", [*SAYS, "python"])
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    for path, anchor in re.findall(r"\]\((?!https?:)([\w./-]+\.md)(?:#([\w-]+))?\)", text):
        headings = re.findall(
            r"^#+ (.*)$", (PAGES / path).read_text(encoding="utf-8"), re.MULTILINE
        )
        assert not anchor or anchor in [anchor_of(heading) for heading in headings], path


@pytest.mark.parametrize("page", SAYS)
async def test_the_examples_of_a_page_print_the_answer(tmp_path: Path, page: str) -> None:
    folder = await asyncio.to_thread(node_folder)
    (tmp_path / "node_modules").symlink_to(folder / "node_modules")
    async with (
        live({"agent": echo}, tmp_path / "data") as server,
        live({"agent": echo}, tmp_path / "b", agentcore=True, auth="agentcore") as container,
    ):
        environment = {
            "SERVER_URL": server.url,
            "SERVER_TOKEN": server.token(),
            "AGENTCORE_URL": container.url,
        }
        said = []
        for number, example in enumerate(examples(page)):
            script = tmp_path / f"example{number}.mjs"
            script.write_text(example, encoding="utf-8")
            said.append(await printed_by(script, **environment))
    assert said == SAYS[page]


@pytest.mark.parametrize(
    "page",
    [
        "ag-ui" if page == "ag-ui" else pytest.param(page, marks=pytest.mark.nightly)
        for page in SAYS
        if page != "agentcore"
    ],
)
async def test_with_a_wrong_token_each_example_ends_with_an_error(
    tmp_path: Path, page: str
) -> None:
    """It neither tries for ever nor shows what the user said as if it were the answer."""
    folder = await asyncio.to_thread(node_folder)
    (tmp_path / "node_modules").symlink_to(folder / "node_modules")
    async with live({"agent": echo}, tmp_path / "data") as server:
        for number, example in enumerate(examples(page)):
            script = tmp_path / f"example{number}.mjs"
            script.write_text(example, encoding="utf-8")
            code, out = await ended(script, SERVER_URL=server.url, SERVER_TOKEN="wrong")
            assert (code, out) == (1, ""), f"example {number}"


def part(language: str) -> str:
    """Return the example of the page about Python in this language."""
    text = (PAGES / "python.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return found


async def started(*command: str, **environment: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **environment}, stdout=PIPE, stderr=PIPE
    )


async def test_the_client_in_python_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    gate = Gate()

    async def slow(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        if len(given.messages) > 1:
            yield RunErrorEvent(message="The shop is closed.")
            return
        thought, text = Reasoning(), Text()
        for event in (*thought.start(), *thought.add("Hm. "), *thought.end()):
            yield event
        for event in (*text.start(), *text.add("Hello ")):
            yield event
        await gate.pass_through()
        for event in (*text.add("there"), *text.end()):
            yield event

    script = ("-c", part("python"))
    async with live({"agent": slow}, tmp_path / "data") as server, cable(server.port) as wire:
        reach = {"SERVER_URL": wire.url, "SERVER_TOKEN": server.token()}
        asking = await started(sys.executable, *script, **reach)
        assert asking.stdout is not None
        assert await asyncio.wait_for(asking.stdout.readexactly(6), BOUND) == b"Hello "
        await wire.pull()
        gate.open()
        await wire.plug()
        out, err = await asyncio.wait_for(asking.communicate(), BOUND)
        assert (asking.returncode, out.decode()) == (0, "there\n"), err.decode()
        log = await read_log(server.url, server.token(), "my-thread")
        assert log is not None
        assert sum(entry["chunk"]["type"] == "RUN_STARTED" for entry in log) == 1

        refused = await started(sys.executable, *script, **reach)
        _, err = await asyncio.wait_for(refused.communicate(), BOUND)
        assert (refused.returncode, err) == (1, b"The shop is closed.\n")

        stranger = await started(sys.executable, *script, **{**reach, "SERVER_TOKEN": "wrong"})
        _, err = await asyncio.wait_for(stranger.communicate(), BOUND)
        assert b"401" in err


def test_the_client_in_python_says_that_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program: dict[str, Any] = {}
    exec(part("python").partition("\n\n\nfor event in")[0], program)  # noqa: S102 - our own page
    monkeypatch.setattr(time, "sleep", lambda _: pytest.exit("it slept"))
    monkeypatch.setenv("SERVER_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("SERVER_TOKEN", "any")
    with pytest.raises(pytest.exit.Exception):
        next(program["ask"]("t", "Hello"))
    assert "refused" in capsys.readouterr().err


EVENTS = (
    b'id: 1-1\ndata: {"type":"CUSTOM","\xc3\xa9":1}\n\n',
    b'id: 1-2\ndata: {"type":"RUN_ERROR"}\n\n',
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def test_the_client_in_python_takes_no_event_of_which_a_part_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stream is cut after each of its bytes; the next one goes on after what the client has."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    program: dict[str, Any] = {}
    exec(part("python").partition("\n\n\nfor event in")[0], program)  # noqa: S102 - our own page
    cuts = range(len(b"".join(EVENTS)))
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as serving:
        listening.settimeout(BOUND / 6)
        monkeypatch.setenv("SERVER_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
        monkeypatch.setenv("SERVER_TOKEN", "any")
        served = serving.submit(serve_cut, listening, cuts)
        for cut in cuts:
            types = [event["type"] for event in program["ask"]("t", "Hello")]
            assert types == ["CUSTOM", "RUN_ERROR"], cut
        served.result()


def serve_cut(listening: socket.socket, cuts: Iterable[int]) -> None:
    """Answer two requests for each cut, the first up to it."""
    for cut, whole in itertools.product(cuts, (False, True)):
        caller, _ = listening.accept()
        with caller:
            asked = b""
            while not asked.endswith(b"}"):
                asked += caller.recv(65_536)
            rest = b"".join(EVENTS[b"Last-Event-Id: 1-1" in asked :])
            caller.sendall(HEAD + (rest if whole else rest[:cut]))


async def test_the_line_for_curl_shows_the_answer(tmp_path: Path) -> None:
    _, line = part("sh").split("\n", 1)
    async with live({"agent": echo}, tmp_path / "data") as server:
        reach = {"SERVER_URL": server.url, "SERVER_TOKEN": server.token()}
        shown, _ = await (await started("sh", "-c", line, **reach)).communicate()
    assert b'"delta":"Hello ' in shown
    assert b'"type":"RUN_FINISHED"' in shown
