"""The load client where there is no gcc: takes the arguments and the orders of client.c.

It counts the same, but takes many times the CPU time, and so a part of the machine from the
server: rates and latencies are worse than with client.c, the server's CPU time is not.
"""

import asyncio
import re
import resource
import sys
import time
from typing import Any, cast

import msgspec
import uvloop

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The example of RFC 6455 section 1.3: a key, and the answer it must get."""
MASK = b"\x37\xfa\x21\x3d"
MARK = re.compile(rb"@(\d+)@")
ERROR = b'{"type":"error"'
TEXT, PING, PONG = 1, 9, 10
POLL_SECONDS = 0.002


class Counts:
    """What came since the last reset."""

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.cpu_us = _cpu_us()
        self.errors = self.frames = self.bytes = 0
        self.latencies: list[int] = []

    def take(self, payload: bytes, size: int) -> None:
        """Count a frame of `size` bytes on the wire."""
        now = time.monotonic_ns()
        self.frames += 1
        self.bytes += size
        self.errors += payload.startswith(ERROR)
        self.latencies += [(now - int(mark)) // 1000 for mark in MARK.findall(payload)]


class Load:
    """All connections, and what came on them."""

    def __init__(self, arguments: list[str]) -> None:
        self._address, self._port, path, wanted, sources, in_flight, ready = arguments[:7]
        self._wanted, self._sources, self.ready_frames = int(wanted), int(sources), int(ready)
        self._turn = asyncio.Semaphore(int(in_flight))
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {self._address}:{self._port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {KEY}",
            *arguments[7:],
        ]
        self.request = "\r\n".join([*lines, "", ""]).encode()
        self.counts = Counts()
        self.lost = 0
        self._connections: list[Connection] = []

    async def open(self) -> None:
        """Open all connections, then report."""
        await asyncio.gather(*map(self._connect, range(self._wanted)))
        self._report()

    async def obey(self, order: str) -> None:
        """Carry out one order, then report."""
        name, _, rest = order.strip().partition(" ")
        if name == "await":
            marks, milliseconds = map(int, rest.split())
            until = time.monotonic() + milliseconds / 1000
            # Counting has to be cheap, so it wakes nobody.
            while len(self.counts.latencies) < marks and time.monotonic() < until:  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)
        elif name == "send":
            which, _, text = rest.partition(" ")
            for index in range(self._wanted) if which == "all" else [int(which)]:
                payload = text.replace("{n}", str(index)).encode()
                self._connections[index].send(TEXT, payload)
        self._report()
        if name == "reset":
            self.counts = Counts()

    async def _connect(self, index: int) -> None:
        async with self._turn:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(self),
                self._address,
                int(self._port),
                local_addr=(f"127.0.0.{1 + index % self._sources}", 0),
            )
            self._connections.append(connection)
            await connection.opened

    def _report(self) -> None:
        counts = self.counts
        ordered = sorted(counts.latencies) or [0]
        p50, p99, most = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.99, 1.0))
        report: dict[str, Any] = {
            "open": len(self._connections) - self.lost,
            "lost": self.lost,
            "errors": counts.errors,
            "frames": counts.frames,
            "bytes": counts.bytes,
            "marks": len(counts.latencies),
            "seconds": time.monotonic() - counts.since,
            "cpu_us": _cpu_us() - counts.cpu_us,
            "p50_us": p50,
            "p99_us": p99,
            "max_us": most,
        }
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
        sys.stdout.flush()


class Connection(asyncio.Protocol):
    """One socket. `opened` is done when its handshake is, and the ready frames have come."""

    def __init__(self, load: Load) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._load = load
        self._shaken = False
        self._frames = 0
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._load.request)

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost += 1
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("lost before it was open"))

    def data_received(self, data: bytes) -> None:
        self._unread += data
        if not self._shaken:
            self._shake()
        if self._shaken:
            self._take_frames()
            if self._frames >= self._load.ready_frames and not self.opened.done():
                self.opened.set_result(None)

    def send(self, opcode: int, payload: bytes) -> None:
        """Send one masked frame."""
        size = len(payload)
        head = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
        masked = bytes(byte ^ MASK[index % 4] for index, byte in enumerate(payload))
        first = bytes([0x80 | opcode, 0x80 | head[0]])
        self._transport.write(first + head[1:] + MASK + masked)

    def _shake(self) -> None:
        answer, end, rest = self._unread.partition(b"\r\n\r\n")
        if not end:
            return
        if not answer.startswith(b"HTTP/1.1 101") or ACCEPT not in answer:
            raise ConnectionError(f"the handshake was refused: {answer!r}")
        self._shaken, self._unread = True, rest

    def _take_frames(self) -> None:
        while (frame := _first_frame(self._unread)) is not None:
            opcode, payload, size = frame
            self._unread = self._unread[size:]
            if opcode == PING:
                self.send(PONG, payload)
            elif opcode <= TEXT:
                self._frames += 1
                self._load.counts.take(payload, size)


def _first_frame(data: bytes) -> tuple[int, bytes, int] | None:
    """Return the opcode, payload and size of the frame that `data` begins with, if it is whole."""
    if len(data) < 2:
        return None
    length, head = data[1] & 127, 2
    if length >= 126:
        head = 4 if length == 126 else 10
        length = int.from_bytes(data[2:head], "big")
    size = head + length
    if len(data) < max(head, size):
        return None
    return data[0] & 15, data[head:size], size


def _cpu_us() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return int((used.ru_utime + used.ru_stime) * 1e6)


async def _main() -> None:
    load = Load(sys.argv[1:])
    await load.open()
    orders = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    while order := await orders.readline():
        await load.obey(order.decode())


if __name__ == "__main__":
    uvloop.run(_main())
