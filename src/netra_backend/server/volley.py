"""The volley: the same bytes written to many sockets at once, as cheaply as the system lets us."""

import os
from array import array
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

from netra_backend import jsonlog
from netra_backend.server.clockwork import STEP
from netra_backend.server.ring import SIZE, NoRing, Ring

log = jsonlog.get_logger(__name__)

LONGEST = 0.005
"""Seconds that the event loop is held up for by one write, as far as the last one tells: a socket
takes 5 us on a calm machine and 80 on a busy one."""

MOST_BYTES = 16 << 20
"""Bytes that are written at once, but to `STEP` sockets: the last may have been shorter. A thousand
sockets that take 64 KiB each hold the loop up for 13 ms, a part of them that has these for 3."""

Short = list[tuple[int, int]]
"""Who did not take all: the index of each, in order, and how many bytes it took; 0 if it failed."""


class Volley:
    """Writes for one event loop, in whose thread it is used: by a ring, if the system has one.

    The ring is made at the first write: most nodes never have a thread with so many followers.
    """

    def __init__(self) -> None:
        self._size = SIZE
        """How many sockets the next write should be for, as long as the last one took."""
        self._ring: Ring | None = None
        self._write: Callable[[array[int], bytes], Short] = self._begin

    def room(self, size: int) -> int:
        """Return how many sockets the next write should be for at most, of so many bytes each."""
        return min(self._size, max(STEP, MOST_BYTES // max(size, 1)))

    def write(self, sockets: "array[int]", data: bytes) -> Short:
        """Write to each of at most `ring.SIZE` sockets, and return who did not take all of it.

        In order, and never waiting for a socket; -1 stands for one that takes nothing.
        """
        began = perf_counter()
        short = self._write(sockets, data)
        took = (perf_counter() - began) or LONGEST  # a coarse clock may not have gone on
        self._size = max(STEP, min(int(len(sockets) * LONGEST / took), SIZE))
        return short

    def close(self) -> None:
        """Give the ring back; who still writes does it without. Idempotent."""
        if self._ring is not None:
            self._ring.close()
        self._ring, self._write = None, write_each

    def _begin(self, sockets: "array[int]", data: bytes) -> Short:
        try:
            self._ring = Ring()
        except NoRing as why:
            log.debug("sockets are written to one by one: no ring", extra={"why": str(why)})
            self._write = write_each
        else:
            self._write = self._ring.send
        return self._write(sockets, data)


def write_each(sockets: "array[int]", data: bytes) -> Short:
    """Write to one after the other; see `Volley.write`."""
    short: Short = []
    size, write = len(data), os.write
    for index, socket in enumerate(sockets):
        sent = 0
        with suppress(OSError):  # the system's buffer is full, the peer gone, or nobody is there
            sent = write(socket, data)
        if sent != size:
            short.append((index, sent))
    return short
