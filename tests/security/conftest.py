"""Fixtures of the tests that send whatever there is."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from netra_backend.stores.memory import MemoryStore
from tests.live import live
from tests.security.bench import Bench, mirror
from tests.server.agents import echo


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    limits = {"command_burst": 1_000_000, "commands_per_second": 1_000_000, "bad_frames": 1_000}
    agents = {"echo": echo, "mirror": mirror}
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        directory: Path = tmp_path_factory.mktemp("frames")
        opened = live(agents, directory, store=MemoryStore(), **limits)
        server = runner.run(stack.enter_async_context(opened))
        try:
            yield Bench(runner, server)
        finally:
            runner.run(stack.aclose())
