"""The line between two processes: what is said on it comes whole, or the line is cut."""

import asyncio
import socket

import pytest
from msgspec import Raw

from netra_backend.stores.line import MAX_BYTES, Call, Line, Message
from tests.eventually import until


class Notes(Line):
    """A line that notes what comes."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.ended = False

    def received(self, message: Message) -> None:
        self.messages.append(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True


async def ends() -> tuple[Notes, socket.socket]:
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    _, line = await loop.create_connection(Notes, sock=ours)
    theirs.setblocking(False)
    return line, theirs


@pytest.mark.anyio
async def test_messages_come_whole_however_they_are_cut() -> None:
    sender, theirs = await ends()
    message = Call(1, 9.0, "probe", Raw(b"\x90"))
    sender.say(message)
    sender.say(message)
    await asyncio.sleep(0.01)
    data = theirs.recv(65_536)
    receiver, far = await ends()
    for byte in data:
        far.send(bytes([byte]))
        await asyncio.sleep(0)
    await until(lambda: len(receiver.messages) == 2)
    assert receiver.messages == [message, message]
    far.send((MAX_BYTES + 1).to_bytes(4))
    await until(lambda: receiver.ended)
    sender.cut()
    for end in (theirs, far):
        end.close()
