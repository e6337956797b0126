"""A store for tests that notes what is asked of it, and fails where the test says so."""

from collections.abc import Callable
from typing import Any

from netra_backend.core.ports import Store

BACKGROUND = frozenset({"renew", "orphans", "adopt", "undelivered", "withdrawals", "revocations"})
"""What the server asks at any time, whatever clients do."""


class WatchedStore:
    """The same as the store it is given, watched."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.calls: list[str] = []
        """The methods that were called, in order, without those of the runner's sweep."""
        self.failures: dict[str, BaseException] = {}
        """By method: what it raises instead of doing anything."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)

        def watched(*args: Any, **options: Any) -> Any:
            if name not in BACKGROUND and (name, args) != ("queued", ()):  # in all threads
                self.calls.append(name)
            if name in self.failures:
                return _raise(self.failures[name])
            return method(*args, **options)

        return watched


async def _raise(error: BaseException) -> None:
    raise error
