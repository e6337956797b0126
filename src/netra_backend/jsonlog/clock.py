"""The time of a record as text: ISO 8601 in UTC with milliseconds."""

import time
from contextlib import suppress


class Clock:
    """Writes times, and remembers the second and the millisecond that it wrote last."""

    __slots__ = ("_millisecond", "_second")

    def __init__(self) -> None:
        # Each is read and replaced as one, so that threads see a time with its own text.
        self._second = (-1, "")
        self._millisecond = (-1, "")

    def text(self, created: float) -> str:
        """Return ``2026-01-02T03:04:05.678Z``; raises for what is no time."""
        number = int(created * 1000)
        last = self._millisecond
        if last[0] == number:
            return last[1]
        seconds, milliseconds = divmod(number, 1000)
        second = self._second
        if second[0] != seconds:
            second = (seconds, time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(seconds)))
            self._second = second
        text = f"{second[1]}{milliseconds:03d}Z"
        self._millisecond = (number, text)
        return text

    def any_text(self, created: object) -> str:
        """Return the time as text; now, if it is none between the years 1000 and 9999."""
        if type(created) is float or type(created) is int:
            with suppress(ArithmeticError, OSError, ValueError):
                text = self.text(created)
                if len(text) == len("2026-01-02T03:04:05.678Z"):
                    return text
        return self.text(time.time())
