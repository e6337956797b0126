"""A bucket of tokens: how many commands in a second a connection may send, and how many at once."""


class Bucket:
    """Holds `burst` tokens, full at first, and gets `rate` a second.

    `now` is any clock that does not go back. Source: the token bucket of RFC 2697 section 3.
    """

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: int, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = now

    def take(self, now: float) -> float:
        """Take a token and return 0; or the seconds until there is one, and take none."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0
