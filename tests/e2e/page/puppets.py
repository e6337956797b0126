"""Puppets: the runs of the puppet agent, as the test that pulls their strings sees them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from ag_ui.core import BaseEvent, Interrupt, RunFinishedEvent, RunFinishedInterruptOutcome

from netra_backend.agents.base import Reasoning, Text, ToolCall
from tests.client import BOUND


class Puppet:
    """One run of the agent: what it was asked, and how to tell it what to do."""

    def __init__(
        self, about: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.run: str = about["run"]
        self.question: str = about["question"]
        self.resume: list[Any] = about["resume"]
        self._reader = reader
        self._writer = writer

    async def play(self, *events: BaseEvent) -> None:
        """Yield these events."""
        for event in events:
            await self._order({"event": event.model_dump(mode="json", by_alias=True)})

    async def think(self, text: str) -> None:
        """Yield a whole block of reasoning."""
        block = Reasoning()
        await self.play(*block.start(), *block.add(text), *block.end())

    async def call(self, name: str, arguments: dict[str, Any], result: str) -> None:
        """Yield a whole tool call with its result."""
        call = ToolCall(name)
        await self.play(*call.whole(arguments), *call.result(result))

    async def say(self, text: str) -> None:
        """Yield a whole message."""
        message = Text()
        await self.play(*message.start(), *message.add(text), *message.end())

    async def begin(self, text: str) -> Text:
        """Yield the beginning of a message; return it, to go on with."""
        message = Text()
        await self.play(*message.start(), *message.add(text))
        return message

    async def babble(self, word: str = "word", every: float = 0.02) -> None:
        """Stream ``word1 word2 …`` for ever, one each `every` seconds."""
        await self._order({"babble": word, "every": every})

    async def ask(self, id: str, message: str) -> None:
        """End the run with a question for the person."""
        asked = Interrupt(id=id, reason="approval", message=message)
        outcome = RunFinishedInterruptOutcome(interrupts=[asked])
        await self.play(RunFinishedEvent(thread_id="", run_id="", outcome=outcome))

    async def fail(self, text: str) -> None:
        """Raise an exception."""
        await self._order({"raise": text})

    def end(self) -> None:
        """Return from the agent: the run finishes."""
        self._writer.write_eof()

    async def gone(self) -> None:
        """Return when the agent was closed or killed."""
        async with asyncio.timeout(BOUND):
            with suppress(ConnectionError):  # a killed process closes nothing in order
                await self._reader.read()

    async def _order(self, order: dict[str, Any]) -> None:
        self._writer.write(json.dumps(order).encode() + b"\n")
        await self._writer.drain()


class Puppets:
    """Where the agent's runs call; `next` takes them in the order in which they called."""

    def __init__(self) -> None:
        self._runs: asyncio.Queue[Puppet] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def next(self, question: str) -> Puppet:
        """Return the next run, which must have been asked `question`."""
        puppet = await asyncio.wait_for(self._runs.get(), BOUND)
        assert puppet.question == question
        return puppet

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a call of the agent."""
        self._writers.append(writer)
        about = json.loads(await reader.readline())
        self._runs.put_nowait(Puppet(about, reader, writer))

    async def forget(self) -> None:
        """End the runs that a test has left, so that the next one begins without any."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()
        while not self._runs.empty():
            self._runs.get_nowait()


@asynccontextmanager
async def puppets() -> AsyncIterator[Puppets]:
    """Hold the strings on a free port."""
    held = Puppets()
    server = await asyncio.start_server(held.take, "127.0.0.1", 0)
    held.port = server.sockets[0].getsockname()[1]
    async with server:
        yield held
        await held.forget()
