"""The ring: one call to the system that sends the same bytes to many sockets (io_uring(7)).

A write of Python's costs a call of the system, the interpreter's lock and some objects for each
socket. In a ring all but the sockets and the bytes is filled in once, and these are copied into it
without a loop of Python's. Measured in C, a socket then takes 0.8 of the CPU time that it takes
with a loop of ``send()``, 1,000 at a time; 0.9 if it is 256, and as much if it is 64. It takes
Linux 6.1, and that nobody has switched rings off (``kernel.io_uring_disabled``; many containers
do).
"""

import ctypes
import os
import struct
import sys
from array import array
from mmap import MAP_SHARED, mmap

SIZE = 1024
"""Sockets that one call serves at most; a power of two."""

_SETUP, _ENTER = 425, 426
"""The numbers of the calls, the same for every processor (Linux, ``asm-generic/unistd.h``)."""

_FLAGS = 1 << 7 | 1 << 12 | 1 << 13
"""SUBMIT_ALL: a socket that fails does not stop those after it. SINGLE_ISSUER and DEFER_TASKRUN:
one thread uses the ring, so the system needs no locks and interrupts nobody."""

_PARAMS = struct.Struct("=30I")
_SQ, _CQ = slice(10, 20), slice(20, 30)
"""Where `_PARAMS` tell where things are in the shared memory: of what is asked, of the answers."""

_ENTRY = struct.Struct("=BBHiQQIIQ24x")
"""What is asked (io_uring_sqe): operation, flags, priority, descriptor, offset, address, length,
flags of ``send``, and what the answer brings back: the number of its place."""

_ENTRIES_OFFSET = 0x10000000
_ANSWER_SIZE = 16
_SEND = 26
_DONTWAIT_NOSIGNAL = 0x4040
_GETEVENTS = 1
_COUNTS = 2**32
"""Where the counts of what was asked and answered begin anew."""


class NoRing(Exception):
    """The system has no ring for us; says why."""


class Ring:
    """A ring of the thread that makes it, which alone may use it. Raises NoRing."""

    def __init__(self) -> None:
        if sys.platform != "linux" or sys.maxsize < _COUNTS:
            raise NoRing("it takes Linux on a processor of 64 bits")
        try:
            self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        except OSError as error:
            raise NoRing(f"the C library: {error}") from error
        self._syscall.argtypes = [ctypes.c_long] * 7
        self._syscall.restype = ctypes.c_long
        params = bytearray(_PARAMS.pack(0, 0, _FLAGS, *[0] * 27))
        address = ctypes.addressof(ctypes.c_char.from_buffer(params))
        self._number = self._syscall(_SETUP, SIZE, address, 0, 0, 0, 0)
        if self._number < 0:
            raise NoRing(f"io_uring_setup: {os.strerror(ctypes.get_errno())}")
        told = _PARAMS.unpack(params)
        try:
            self._map(told[_SQ], told[_CQ])
        except OSError as error:
            self.close()
            raise NoRing(f"the memory of the ring: {error.strerror}") from error
        self._process = os.getpid()
        self._data: bytes | None = None
        """What all places are filled in with; None while that is not known."""
        self._aim(b"")

    def close(self) -> None:
        """Give it back to the system. Idempotent."""
        number, self._number = self._number, -1
        if number >= 0:
            os.close(number)

    def _map(self, asked: tuple[int, ...], answered: tuple[int, ...]) -> None:
        """Share the memory with the system, and fill in what stays as it is."""
        head, tail, *_, order = asked[:7]
        answers_head, answers_tail, *_, answers = answered[:6]
        answers_end = answers + 2 * SIZE * _ANSWER_SIZE
        shared = memoryview(mmap(self._number, max(order + 4 * SIZE, answers_end), MAP_SHARED))
        entries = memoryview(
            mmap(self._number, SIZE * _ENTRY.size, MAP_SHARED, offset=_ENTRIES_OFFSET)
        )
        self._counts = shared.cast("I")
        self._head, self._tail = head // 4, tail // 4
        self._answers_head, self._answers_tail = answers_head // 4, answers_tail // 4
        for place in range(SIZE):
            self._counts[order // 4 + place] = place
            entry = _SEND, 0, 0, -1, 0, 0, 0, _DONTWAIT_NOSIGNAL, place
            _ENTRY.pack_into(entries, place * _ENTRY.size, *entry)
        self._sockets = entries.cast("i")[1 :: _ENTRY.size // 4]
        self._addresses = entries.cast("Q")[2 :: _ENTRY.size // 8]
        self._lengths = entries.cast("I")[6 :: _ENTRY.size // 4]
        self._places = shared[answers:answers_end].cast("Q")[0 :: _ANSWER_SIZE // 8]
        self._taken = shared[answers:answers_end].cast("i")[2 :: _ANSWER_SIZE // 4]

    def send(self, sockets: "array[int]", data: bytes) -> list[tuple[int, int]]:
        """Send `data` to each of at most `SIZE` sockets; return who did not take all of it.

        Of each of these its index, and how many bytes it took: 0 also if it failed. It never waits
        and never raises. A forked child sends nothing: what it wrote here, its parent would send.
        """
        if os.getpid() != self._process:
            return [(index, 0) for index in range(len(sockets))]
        if data is not self._data:
            self._aim(data)
        # What a signal's exception left behind, asked and not sent, or answered and not read, is
        # forgotten: it would go to a socket of the last call.
        self._counts[self._answers_head] = self._counts[self._answers_tail]
        begin = self._counts[self._head] % SIZE
        count, before_end = len(sockets), min(len(sockets), SIZE - begin)
        given = memoryview(sockets)
        self._sockets[begin : begin + before_end] = given[:before_end]
        self._sockets[: count - before_end] = given[before_end:]
        answers = self._counts[self._answers_head] % (2 * SIZE)
        done = self._submit(count)
        taken = _around(self._taken, answers, done)
        if taken.count(len(data)) == count:
            return []
        by_place = dict(zip(_around(self._places, answers, done), taken, strict=True))
        took = [by_place.get((begin + index) % SIZE, 0) for index in range(count)]
        return [(index, max(size, 0)) for index, size in enumerate(took) if size != len(data)]

    def _submit(self, count: int) -> int:
        """Have the next so many sent, and return how many were: all, but if the system cannot.

        It answers those before it returns, since no send may wait. What it left out is asked for
        no more.
        """
        counts, tail, done = self._counts, self._counts[self._head], 0
        counts[self._tail] = (tail + count) % _COUNTS
        while done < count:
            left = count - done
            more = self._syscall(_ENTER, self._number, left, left, _GETEVENTS, 0, 0)
            if more <= 0:
                counts[self._tail] = (tail + done) % _COUNTS
                break
            done += more
        counts[self._answers_head] = counts[self._answers_tail]
        return done

    def _aim(self, data: bytes) -> None:
        """Have `data`, which is kept, sent from now on.

        After a signal's exception in between, the next call begins anew, whatever it sends.
        """
        self._data = None
        address = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
        self._addresses[:] = memoryview(array("Q", [address]) * SIZE)
        self._lengths[:] = memoryview(array("I", [len(data)]) * SIZE)
        self._data = data


def _around(ring: "memoryview[int]", begin: int, count: int) -> list[int]:
    """Return so many of a ring from `begin` on, past its end too."""
    return ring[begin : begin + count].tolist() + ring[: max(0, begin + count - len(ring))].tolist()
