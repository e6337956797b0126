"""The ring, on real sockets: each gets what it is sent, once, whole, and who fails costs nobody."""

import os
import random
import socket
import threading
from array import array
from collections.abc import Callable, Iterator

import pytest

from netra_backend.server import ring as rings
from netra_backend.server.ring import SIZE, NoRing, Ring

Pair = tuple[socket.socket, socket.socket]
COUNT = 40


@pytest.fixture
def ring() -> Iterator[Ring]:
    try:
        ring = Ring()
    except NoRing as why:
        pytest.skip(f"this system has no ring: {why}")
    yield ring
    ring.close()


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    pairs = [socket.socketpair() for _ in range(COUNT)]
    for pair in pairs:
        for end in pair:
            end.setblocking(False)
    yield pairs
    for pair in pairs:
        for end in pair:
            end.close()


def numbers(pairs: list[Pair]) -> "array[int]":
    return array("i", [ours.fileno() for ours, _ in pairs])


def got(pair: Pair) -> bytes:
    parts: list[bytes] = []
    try:
        while part := pair[1].recv(1_000_000):
            parts.append(part)
    except BlockingIOError:
        pass
    return b"".join(parts)


def test_whoever_is_sent_something_gets_it_once_and_nobody_else(
    ring: Ring, pairs: list[Pair]
) -> None:
    """More often than the ring is long: its end lies everywhere in what is sent."""
    chance = random.Random(1)
    sent = 0
    while sent < 6 * SIZE:
        some = chance.sample(pairs, chance.randint(0, COUNT))
        data = b"%d," % sent * chance.randint(1, 40)
        assert ring.send(numbers(some), data) == []
        assert [got(pair) for pair in pairs] == [data if pair in some else b"" for pair in pairs]
        sent += len(some)


def test_it_takes_as_many_as_it_has_places_in_one_call(ring: Ring, pairs: list[Pair]) -> None:
    each = SIZE // COUNT
    rest = SIZE - COUNT * each
    assert ring.send(numbers(pairs[:7]), b"first") == []
    assert ring.send(numbers(pairs) * each + numbers(pairs[:rest]), b"x") == []
    expected = [b"first" * (place < 7) + b"x" * (each + (place < rest)) for place in range(COUNT)]
    assert [got(pair) for pair in pairs] == expected


def test_who_takes_a_part_or_nothing_is_told_and_the_others_get_all(
    ring: Ring, pairs: list[Pair]
) -> None:
    pairs[3][0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    pairs[5][1].close()
    pairs[6][0].shutdown(socket.SHUT_WR)
    sockets = numbers(pairs)
    sockets[9] = -1
    data = bytes(range(256)) * 100
    short = dict(ring.send(sockets, data))
    assert set(short) == {3, 5, 6, 9}
    assert (short[5], short[6], short[9]) == (0, 0, 0)
    assert 0 < short[3] < len(data)
    assert got(pairs[3]) == data[: short[3]]
    rest = [pair for place, pair in enumerate(pairs) if place not in short]
    assert [got(pair) for pair in rest] == [data] * len(rest)


def test_what_the_system_leaves_out_is_told_and_not_sent_later(
    ring: Ring, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if it had no memory after the tenth: the real call, for fewer, and then none."""
    system: Callable[..., int] = ring._syscall
    asked: list[int] = []

    def scarce(number: int, ring: int, count: int, *rest: int) -> int:
        asked.append(count)
        return system(number, ring, 10, 10, *rest[1:]) if len(asked) == 1 else -1

    monkeypatch.setattr(ring, "_syscall", scarce)
    assert ring.send(numbers(pairs), b"one") == [(place, 0) for place in range(10, COUNT)]
    assert asked == [COUNT, COUNT - 10]
    monkeypatch.setattr(ring, "_syscall", system)
    assert ring.send(numbers(pairs), b"two") == []
    assert [got(pair) for pair in pairs] == [b"onetwo"] * 10 + [b"two"] * (COUNT - 10)


def test_another_thread_cannot_use_it_and_breaks_nothing(ring: Ring, pairs: list[Pair]) -> None:
    told: list[list[tuple[int, int]]] = []
    thread = threading.Thread(target=lambda: told.append(ring.send(numbers(pairs), b"other")))
    thread.start()
    thread.join()
    assert told == [[(place, 0) for place in range(COUNT)]]
    assert ring.send(numbers(pairs), b"own") == []
    assert {got(pair) for pair in pairs} == {b"own"}


def test_what_an_interrupted_call_left_behind_is_not_sent_to_anybody(
    ring: Ring, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    system: Callable[..., int] = ring._syscall

    def interrupted(*given: int) -> int:
        raise KeyboardInterrupt

    def answered(*given: int) -> int:
        system(*given)
        raise KeyboardInterrupt

    for call in (interrupted, answered):
        monkeypatch.setattr(ring, "_syscall", call)
        with pytest.raises(KeyboardInterrupt):
            ring.send(numbers(pairs), b"")
        monkeypatch.setattr(ring, "_syscall", system)
        for data in (b"one", b"two"):
            assert ring.send(numbers(pairs[7:8]), data) == []
            assert [got(pair) for pair in pairs] == [b""] * 7 + [data] + [b""] * (COUNT - 8)


@pytest.mark.parametrize("kind", ["Q", "I"])
def test_what_an_interrupted_call_began_to_aim_is_aimed_again(
    kind: str, ring: Ring, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the same bytes, sent to the rest of a thread's followers, would be those before them."""
    made = rings.array

    def interrupted(code: str, given: list[int]) -> object:
        if code == kind:
            raise KeyboardInterrupt
        return made(code, given)

    before, data = b"of another user", b"of the thread, and longer"
    assert ring.send(numbers(pairs[:1]), before) == []
    monkeypatch.setattr(rings, "array", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ring.send(numbers(pairs[1:2]), data)
    monkeypatch.setattr(rings, "array", made)
    assert ring.send(numbers(pairs[2:3]), data) == []
    assert [got(pair) for pair in pairs[:3]] == [before, b"", data]


def test_a_forked_child_sends_nothing_and_its_parent_its_own(ring: Ring, pairs: list[Pair]) -> None:
    data = b"of the parent"
    assert ring.send(numbers(pairs), data) == []
    child = os.fork()
    if child == 0:
        told = ring.send(numbers(pairs), b"of the child, from an address of its own")
        os._exit(len(told))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == COUNT
    assert ring.send(numbers(pairs), data) == []
    assert {got(pair) for pair in pairs} == {data * 2}


def test_a_closed_ring_sends_nothing(ring: Ring, pairs: list[Pair]) -> None:
    ring.close()
    ring.close()
    assert ring.send(numbers(pairs[:2]), b"x") == [(0, 0), (1, 0)]


def test_a_system_without_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rings, "_SETUP", 1_000_000)
    with pytest.raises(NoRing, match="io_uring_setup: Function not implemented"):
        Ring()


def test_a_c_library_that_cannot_be_had_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def static(*given: object, **options: object) -> None:
        raise OSError("Dynamic loading not supported")

    monkeypatch.setattr(rings.ctypes, "CDLL", static)
    with pytest.raises(NoRing, match="the C library: Dynamic loading not supported"):
        Ring()


def test_a_processor_or_system_that_has_none_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rings.sys, "platform", "darwin")
    with pytest.raises(NoRing, match="it takes Linux"):
        Ring()
