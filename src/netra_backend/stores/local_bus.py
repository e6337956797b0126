"""The bus of a single process: a publication is a call of every listener."""

from collections.abc import Callable, Sequence

from netra_backend.core.events import Entry
from netra_backend.core.ids import ThreadKey
from netra_backend.core.ports import Listener


class LocalBus:
    """A `Bus` that loses nothing: `publish` calls the listeners before it returns, in order.

    Made for one event loop: it has no lock.
    """

    def __init__(self) -> None:
        self._subscriptions: dict[object, Listener] = {}
        self._listeners: tuple[Listener, ...] = ()

    def publish(self, thread: ThreadKey, entries: Sequence[Entry]) -> None:
        """Call every listener that was subscribed when this call began."""
        for listener in self._listeners:
            listener(thread, entries)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` for every publication from now on; return what ends that, idempotent."""
        subscription = object()
        self._subscriptions[subscription] = listener
        self._listeners = tuple(self._subscriptions.values())

        def unsubscribe() -> None:
            self._subscriptions.pop(subscription, None)
            self._listeners = tuple(self._subscriptions.values())

        return unsubscribe
