"""The cable between clients and the server: it can be pulled, or go silent without a word."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Cable:
    """A TCP proxy on its own port.

    `pull` cuts every connection and refuses new ones, `plug` accepts them again. `hush` keeps
    connections open but delivers nothing that the server says until `unhush`; `deaden` also keeps
    from it what the clients say, so that both ends are half-open.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._talks = asyncio.Event()
        self._talks.set()
        self._hears = asyncio.Event()
        self._hears.set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def plug(self) -> None:
        """Accept connections, on the same port as before."""
        self._server = await asyncio.start_server(
            self._connect, "127.0.0.1", self.port, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def pull(self) -> None:
        """Cut every connection, and refuse new ones."""
        if self._server is not None:
            self._server.close()
        for end in self._ends:
            end.transport.abort()
        if self._server is not None:
            await self._server.wait_closed()
        self._server = None

    def hush(self) -> None:
        """Hold back what the server says."""
        self._talks.clear()

    def deaden(self) -> None:
        """Hold back what either end says, also that it has ended."""
        self._talks.clear()
        self._hears.clear()

    def unhush(self) -> None:
        """Deliver what was held back, and what comes."""
        self._talks.set()
        self._hears.set()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            self._ends.discard(writer)
            return
        self._ends.add(far_writer)
        up = asyncio.create_task(self._carry(reader, far_writer, self._hears))
        down = asyncio.create_task(self._carry(far_reader, writer, self._talks))
        await asyncio.wait({up, down})
        self._ends -= {writer, far_writer}

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, may: asyncio.Event
    ) -> None:
        """Carry bytes one way until one of the two ends is gone."""
        try:
            while data := await reader.read(65_536):
                await may.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        await may.wait()
        writer.close()


@asynccontextmanager
async def cable(target: int) -> AsyncIterator[Cable]:
    """Lay a cable to the port `target`, plugged in."""
    laid = Cable(target)
    await laid.plug()
    try:
        yield laid
    finally:
        laid.unhush()
        await laid.pull()
