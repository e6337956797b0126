"""The wheel: one timer for all outboxes that wait for their window to end.

A timer for each of 25,000 waits a second costs a tenth of the server. And those that end together
reach the log together, where they share a commit. So a window has few slots: with four, 250 runs
took a seventh less CPU than with eight, and their commits waited less for each other.
"""

import asyncio
from collections.abc import Callable
from math import ceil
from weakref import WeakKeyDictionary, WeakValueDictionary

SLOTS = 4
"""Slots of a window. A wait that does not begin with a slot may be longer by one."""

ROUNDING = 1e-6
"""The part of a slot by which a float may be past its end, and still mean it."""

Act = Callable[[int, float], None]
"""Gets the number of the slot, and when it was due: who counts the next wait from there loses
nothing to a loop that is late. Of a slot later than it was that is a slot before now."""


class Wheel:
    """Ends waits of one event loop, those of a slot of so many seconds in one turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop, slot: float) -> None:
        self._loop = loop
        self._slot = slot
        self._slots: dict[int, list[Act]] = {}

    def wait(self, until: float, act: Act) -> int:
        """Call `act` at the loop's time `until` or soon after; return the number of its slot.

        There is no cancelling: `act` sees by the number whether it is still waited for.
        """
        slot = ceil(until / self._slot - ROUNDING)
        acts = self._slots.get(slot)
        if acts is None:
            acts = self._slots[slot] = []
            self._loop.call_at(slot * self._slot, self._end, slot)
        acts.append(act)
        return slot

    def _end(self, slot: int) -> None:
        due = max(slot * self._slot, self._loop.time() - self._slot)
        for act in self._slots.pop(slot):
            act(slot, due)


_wheels: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[float, Wheel]] = (
    WeakKeyDictionary()
)
"""A wheel knows its loop, so only its outboxes, and the loop's timers, may keep a wheel."""


def wheel_of(loop: asyncio.AbstractEventLoop, window: float) -> Wheel:
    """Return the wheel of `loop` for windows of so many seconds, one for all who have it now."""
    wheels = _wheels.setdefault(loop, WeakValueDictionary())
    wheel = wheels.get(window)
    if wheel is None:
        wheel = wheels[window] = Wheel(loop, window / SLOTS)
    return wheel
