"""Parsing: a parser is idle between messages, and never within one."""

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from netra_backend.server.parsing import is_idle, is_pong, is_utf8, whole_text

WHOLE = Frame(Opcode.TEXT, b"hello").serialize(mask=True)
LONG = Frame(Opcode.TEXT, b"x" * 200).serialize(mask=True)
FIRST = Frame(Opcode.TEXT, b"a", fin=False).serialize(mask=True)
LAST = Frame(Opcode.CONT, b"b").serialize(mask=True)
PING = Frame(Opcode.PING, b"").serialize(mask=True)


@pytest.mark.parametrize("frame", [WHOLE, LONG, PING], ids=["short", "long", "empty"])
def test_a_parser_is_idle_before_the_first_byte_of_a_message_only(frame: bytes) -> None:
    conn = ServerProtocol(state=OPEN)
    for _ in range(2):
        assert is_idle(conn)
        for byte in frame[:-1]:
            conn.receive_data(bytes([byte]))
            assert not is_idle(conn)
        conn.receive_data(frame[-1:])
    assert is_idle(conn)


def test_it_is_not_idle_between_fragments() -> None:
    conn = ServerProtocol(state=OPEN)
    conn.receive_data(FIRST)
    assert not is_idle(conn)
    conn.receive_data(PING)
    assert not is_idle(conn)
    conn.receive_data(LAST)
    assert is_idle(conn)


def test_a_text_is_utf8() -> None:
    assert is_utf8(b"plain")
    assert is_utf8("ä💐".encode())
    assert not is_utf8(b"\xff")
    assert not is_utf8("💐".encode()[:-1])


def test_a_pong_is_told_from_everything_else() -> None:
    payload = b"\x00\x01\xfe\xff"
    pong = Frame(Opcode.PONG, payload).serialize(mask=True)
    assert is_pong(pong, payload)
    assert not is_pong(pong, b"\x00\x01\xfe\xfe")
    others = [
        Frame(Opcode.PONG, payload).serialize(mask=False) + b"1234",
        Frame(Opcode.PING, payload).serialize(mask=True),
        Frame(Opcode.PONG, payload[:3]).serialize(mask=True) + b"1",
        bytes([pong[0] & 0x7F]) + pong[1:],  # a fragment
        pong[:-1],
        pong * 2,
        b"",
    ]
    assert not any(is_pong(other, payload) for other in others)


def test_a_whole_text_is_told_from_everything_else() -> None:
    for text in (b"", b"x", "ä💐".encode(), b"x" * 125, b"x" * 126, b"y" * 65_535):
        assert whole_text(Frame(Opcode.TEXT, text).serialize(mask=True), 65_535) == text
    others = [
        Frame(Opcode.TEXT, b"hello").serialize(mask=False),
        Frame(Opcode.TEXT, b"hello", fin=False).serialize(mask=True),
        bytes([0xC1]) + WHOLE[1:],  # compressed
        Frame(Opcode.BINARY, b"hello").serialize(mask=True),
        Frame(Opcode.PING, b"hello").serialize(mask=True),
        Frame(Opcode.TEXT, b"\xff").serialize(mask=True),
        Frame(Opcode.TEXT, b"x" * 65_536).serialize(mask=True),
        WHOLE[:-1],
        WHOLE * 2,
        b"\x81\xfe\x00\x05" + WHOLE[2:],  # a length that is longer than it need be
        b"\x81",
        b"",
    ]
    assert [whole_text(other, None) for other in others] == [None] * len(others)
    assert whole_text(LONG, 200) == b"x" * 200
    assert whole_text(LONG, 199) is None
