"""Fixtures for the chat page: a real server, the agent's strings, a browser and its visitors."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, async_playwright

from tests.e2e.page.browser import ARGUMENTS, Tab, Visitor, chromium, seat
from tests.e2e.page.puppet_agent import PORT
from tests.e2e.page.puppets import Puppets, puppets
from tests.live import ServerProcess

ROOT = Path(__file__).parents[3]

REPLAY_ENTRIES = 200
"""Entries that a follower may have missed and still get a replay, not a snapshot."""

FRAME_BYTES = 65_536
"""Bytes of one command."""

Meet = Callable[..., Awaitable[Visitor]]


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    """Run all of these tests in one event loop: they share the browser and the server."""
    return "asyncio"


@pytest.fixture(scope="package")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    """Return headless Chromium."""
    async with async_playwright() as playwright:
        path = chromium(playwright.chromium.executable_path)
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        await browser.close()


@pytest.fixture(scope="package")
async def strings(anyio_backend: str) -> AsyncIterator[Puppets]:
    """Hold the strings of the puppet agent for all tests of the page."""
    async with puppets() as held:
        yield held


@pytest.fixture(scope="package")
async def server(
    strings: Puppets, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServerProcess]:
    """Run ``netra serve`` with the puppet agent, by three policies, and the docs agent."""
    process = ServerProcess(
        tmp_path_factory.mktemp("page") / "data",
        (
            "puppet=tests.e2e.page.puppet_agent:agent",
            "docs",
            "patient=tests.e2e.page.puppet_agent:agent",
            "pushy=tests.e2e.page.puppet_agent:agent",
        ),
        cwd=ROOT,
        environment={
            PORT: str(strings.port),
            "NETRA_AGENTS": json.dumps(
                {"patient": {"when_busy": "enqueue"}, "pushy": {"when_busy": "interrupt"}}
            ),
            "NETRA_REPLAY_ENTRIES": str(REPLAY_ENTRIES),
            "NETRA_FRAME_BYTES": str(FRAME_BYTES),
        },
    )
    process.start()
    try:
        await process.wait_ready()
        yield process
    finally:
        process.stop()


@pytest.fixture(scope="package")
def seats() -> list[BrowserContext]:
    """Hold the usual contexts in which no visitor sits now: a warm one opens the page at half."""
    return []


@pytest.fixture
async def meet(
    browser: Browser, server: ServerProcess, seats: list[BrowserContext]
) -> AsyncIterator[Meet]:
    """Return what makes a new visitor; in the end nobody's browser may have complained."""
    usual: list[Visitor] = []
    special: list[Visitor] = []
    if server.process is None:  # a test that failed has left it dead
        server.start()
        await server.wait_ready()

    async def new(url: str | None = None, **options: Any) -> Visitor:
        context = seats.pop() if seats and not options else await seat(browser, **options)
        visitor = Visitor(context, url or server.url)
        (special if options else usual).append(visitor)
        return visitor

    yield new
    for visitor in usual:
        await visitor.leave()
        seats.append(visitor.context)
    for visitor in special:
        await visitor.context.close()
    for visitor in (*usual, *special):
        visitor.check()


@pytest.fixture
async def puppet(strings: Puppets) -> AsyncIterator[Puppets]:
    """Return the strings; runs that the test leaves are ended after it."""
    yield strings
    await strings.forget()


@pytest.fixture
async def tab(meet: Meet) -> Tab:
    """Return a live chat page of a new visitor."""
    visitor = await meet()
    tab = await visitor.tab()
    await tab.connection("live")
    return tab
