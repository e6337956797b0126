"""Procedures: every method of a store can be called, and its errors come back as they are."""

import asyncio
import socket

import pytest
from msgspec import Raw

from netra_backend.core.ports import Store
from netra_backend.core.run import IllegalMove
from netra_backend.errors import ErrorCode, LeaseLost, Refused, StoreFailed
from netra_backend.stores.procedures import (
    MAX_BYTES,
    NOT_CALLED,
    PROCEDURES,
    Call,
    Line,
    Message,
    error_of,
    raised,
)
from tests.eventually import until
from tests.stores.workers import Workers, as_store


def test_every_method_of_a_store_can_be_called() -> None:
    public = {name for name in dir(Store) if not name.startswith("_")}
    assert set(PROCEDURES) == public - NOT_CALLED


@pytest.mark.parametrize(
    "error",
    [
        Refused(ErrorCode.THREAD_BUSY, "why"),
        LeaseLost("whose"),
        StoreFailed("which file"),
        ValueError("what"),
        IllegalMove("where"),
    ],
    ids=repr,
)
def test_an_error_comes_back_as_what_it_is(error: Exception) -> None:
    back = error_of(raised(7, error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    if isinstance(error, Refused):
        assert isinstance(back, Refused)
        assert back.code is error.code


def test_an_error_that_nobody_expects_is_a_failure_of_the_store_that_names_it() -> None:
    back = error_of(raised(7, ZeroDivisionError("how")))
    assert isinstance(back, StoreFailed)
    assert str(back) == "ZeroDivisionError: how"


@pytest.mark.anyio
async def test_a_call_of_nothing_is_answered() -> None:
    workers = Workers()
    one = await workers.worker()
    with pytest.raises(StoreFailed, match="drop_everything"):
        await one._ask(lambda number, until: Call(number, until, "drop_everything", Raw(b"\x90")))
    with pytest.raises(ValueError, match="missing"):
        await one.read()
    with pytest.raises(ValueError, match="surrogates"):
        await one.spend("\ud800", 1, 1)
    await as_store(one).probe()
    await one.close()


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
