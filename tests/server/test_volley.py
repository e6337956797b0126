"""A volley: the same for whoever calls it, with a ring and without."""

import socket
from array import array
from collections.abc import Iterator

import pytest

from netra_backend.server import ring as rings
from netra_backend.server import volley as volleys
from netra_backend.server.clockwork import STEP
from netra_backend.server.ring import SIZE
from netra_backend.server.volley import MOST_BYTES, Volley, write_each


@pytest.fixture(params=["as the system has it", "without a ring"])
def volley(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Volley]:
    if request.param == "without a ring":
        monkeypatch.setattr(rings, "_SETUP", 1_000_000)
    volley = Volley()
    yield volley
    volley.close()


@pytest.fixture
def ends() -> Iterator[list[socket.socket]]:
    pairs = [socket.socketpair() for _ in range(5)]
    ends = [end for pair in pairs for end in pair]
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


def test_it_tells_who_did_not_take_all(volley: Volley, ends: list[socket.socket]) -> None:
    ours, theirs = ends[::2], ends[1::2]
    theirs[1].close()
    ours[3].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    sockets = array("i", [end.fileno() for end in ours] + [-1])
    data = b"0123456789" * 2_000
    for _ in range(2):  # the first makes the ring
        short = dict(volley.write(sockets, data))
        assert (set(short), short[1], short[5]) == ({1, 3, 5}, 0, 0)
        assert theirs[0].recv(len(data) + 1) == data
        part = theirs[3].recv(len(data))
        assert (part, len(part)) == (data[: short[3]], short[3])


def test_what_is_long_is_written_to_fewer_at_once(volley: Volley) -> None:
    """Whatever the last one took, of which the next may be a thousand times the length."""
    sizes = [volley.room(size) for size in (0, 200, MOST_BYTES // SIZE, 65_536, 4_194_304)]
    assert sizes == [SIZE, SIZE, SIZE, 256, STEP]


def test_it_goes_on_without_a_ring_after_it_was_closed(
    volley: Volley, ends: list[socket.socket]
) -> None:
    one = array("i", [ends[0].fileno()])
    for data in (b"a", b"b"):
        assert volley.write(one, data) == []
        volley.close()
        volley.close()
        assert volley._ring is None
    assert ends[1].recv(10) == b"ab"


def test_the_next_is_for_fewer_when_one_took_long(
    volley: Volley, ends: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 0.050, 1.0, 1.005, 2.0, 2.000_001])
    monkeypatch.setattr(volleys, "perf_counter", lambda: next(clock))
    sizes: list[int] = []
    for _ in range(3):
        volley.write(array("i", [ends[0].fileno()]) * 50, b"x")
        sizes.append(volley.room(1))
    assert sizes == [STEP, 50, SIZE]


def test_without_a_ring_it_says_why_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, ends: list[socket.socket]
) -> None:
    monkeypatch.setattr(rings, "_SETUP", 1_000_000)
    caplog.set_level("DEBUG", "netra_backend.server.volley")
    volley = Volley()
    for _ in range(2):
        assert volley.write(array("i", [ends[0].fileno()]), b"x") == []
    assert [record.getMessage() for record in caplog.records] == [
        "sockets are written to one by one: no ring"
    ]
    assert volley._write is write_each
