"""Attackers, one of each kind: ``python attackers.py KIND PORT TOKEN``.

A program of its own, so that it takes nothing from the process that measures. It ends with 0 when
it has done what it could, whether the server has cut it off or not.
"""

import select
import socket
import struct
import sys
import time
from collections.abc import Callable

MANY = 100
"""Sockets of those who say nothing, or little."""
SECONDS = 1.0
FLOOD = 20_000
"""Frames of a flood."""
TEXT, CONT, PING, PONG = 1, 0, 9, 10
HEAD = (
    "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: netra.v1\r\nAuthorization: Bearer {token}\r\n\r\n"
)


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """Return a frame whose mask is 0 (RFC 6455 section 5.2)."""
    first, size = fin << 7 | opcode, len(payload)
    if size < 126:
        return struct.pack("!BB4x", first, 0x80 | size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH4x", first, 0xFE, size) + payload
    return struct.pack("!BBQ4x", first, 0xFF, size) + payload


class Attacker:
    """Knows where the server is, and has a credential that is good."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._head = HEAD.format(token=token).encode()

    def silent(self) -> None:
        """Connect, and say nothing."""
        held = [self._connect() for _ in range(MANY)]
        time.sleep(SECONDS)
        del held

    def slow(self) -> None:
        """Say a byte of the handshake now and then."""
        held = [self._connect() for _ in range(MANY)]
        for byte in self._head[: int(SECONDS * 50)]:
            for one in held:
                one.send(bytes([byte]))
            time.sleep(0.02)

    def fragments(self) -> None:
        """Send messages of too many parts."""
        parts = frame(TEXT, fin=False) + frame(CONT, fin=False) * 4_097
        for _ in range(3):
            pour(self._open(), parts + frame(CONT))

    def sizes(self) -> None:
        """Send messages whose parts are too much together."""
        parts = frame(TEXT, fin=False) + frame(CONT, b"x" * 65_000, fin=False) * 400
        for _ in range(3):
            pour(self._open(), parts)

    def deaf(self) -> None:
        """Send commands, and do not read what they are answered."""
        command = frame(TEXT, b'{"type":"follow","request":"r","thread":"nobody\'s"}')
        pour(self._open(receive_buffer=4_096), command * FLOOD, reads=False)

    def pings(self) -> None:
        """Send pings without end."""
        pour(self._open(), frame(PING, b"p" * 125) * FLOOD)

    def pongs(self) -> None:
        """Send answers to pings that nobody has sent."""
        pour(self._open(), frame(PONG, b"p" * 125) * FLOOD)

    def _connect(self, receive_buffer: int | None = None) -> socket.socket:
        one = socket.socket()
        if receive_buffer is not None:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        one.settimeout(30.0)
        one.connect(("127.0.0.1", self._port))
        return one

    def _open(self, receive_buffer: int | None = None) -> socket.socket:
        one = self._connect(receive_buffer)
        one.sendall(self._head)
        got = one.recv(4_096)
        if not got.startswith(b"HTTP/1.1 101 "):
            raise SystemExit(f"no handshake: {got[:200]!r}")
        return one


def pour(one: socket.socket, data: bytes, *, reads: bool = True) -> None:
    """Send all of it, or until the server ends the connection or takes nothing for a while."""
    one.setblocking(False)
    rest = memoryview(data)
    try:
        while rest:
            readable, writable, _ = select.select([one] if reads else [], [one], [], SECONDS)
            if readable and not one.recv(65_536):
                return
            if writable:
                rest = rest[one.send(rest[:65_536]) :]
            elif not readable:
                return
    except ConnectionError:
        pass


if __name__ == "__main__":
    kind, port, token = sys.argv[1:]
    attack: Callable[[], None] = getattr(Attacker(int(port), token), kind)
    attack()
