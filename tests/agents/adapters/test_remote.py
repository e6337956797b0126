"""AG-UI endpoints of other servers: their limits, their faults, and another Netra."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

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
async def endpoint(answer: Callable[[Request], Response]) -> AsyncIterator[str]:
    async def call(request: Request) -> Response:
        await request.body()
        return answer(request)

    async with serving(Starlette(routes=[Route("/a", call, methods=["POST"])]), "none") as port:
        yield f"http://127.0.0.1:{port}/a"


def stream(*parts: str, hang: bool = False) -> Callable[[Request], Response]:
    async def body() -> AsyncIterator[str]:
        for part in parts:
            yield part
        if hang:
            await asyncio.Event().wait()

    return lambda _: StreamingResponse(body(), media_type="text/event-stream")


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
        (stream(*["data: " + "x" * 500 + "\n"] * 6), "more than 2000 bytes"),
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


async def test_lines_may_be_cut_anywhere_and_have_carriage_returns() -> None:
    whole = ": hello\n\n" + STARTED + FINISHED.replace("\n", "\r\n")
    async with endpoint(stream(*whole)) as url:
        events = await play(RemoteAgent(url), asking("hi"))
    assert [event.type for event in events] == ["RUN_STARTED", "RUN_FINISHED"]


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
