"""The bus of one process loses nothing and keeps the order."""

from collections.abc import Sequence

from netra_backend.core.events import Entry
from netra_backend.core.ids import RunId, ThreadId, ThreadKey, UserId
from netra_backend.core.positions import Position
from netra_backend.stores.local_bus import LocalBus
from netra_backend.testing.scenario import event

THREAD = ThreadKey(UserId("u"), ThreadId("t"))


def entry(offset: int) -> Entry:
    return Entry(Position(1, offset), RunId("r"), 1, event(str(offset)))


def test_every_listener_gets_every_publication_at_once() -> None:
    bus, seen = LocalBus(), []
    for name in ("a", "b"):
        bus.subscribe(lambda thread, entries, name=name: seen.append((name, thread, entries)))
    bus.publish(THREAD, [entry(1)])
    bus.publish(THREAD, [])
    assert seen == [
        ("a", THREAD, [entry(1)]),
        ("b", THREAD, [entry(1)]),
        ("a", THREAD, []),
        ("b", THREAD, []),
    ]


def test_nobody_hears_before_or_after_the_subscription() -> None:
    bus, seen = LocalBus(), []
    bus.publish(THREAD, [entry(1)])
    unsubscribe = bus.subscribe(lambda _, entries: seen.append(entries))
    bus.publish(THREAD, [entry(2)])
    unsubscribe()
    unsubscribe()
    bus.publish(THREAD, [entry(3)])
    assert seen == [[entry(2)]]


def test_one_listener_subscribed_twice_is_two_subscriptions() -> None:
    bus, seen = LocalBus(), []

    def listen(_: ThreadKey, entries: Sequence[Entry]) -> None:
        seen.append(entries)

    first = bus.subscribe(listen)
    bus.subscribe(listen)
    first()
    bus.publish(THREAD, [entry(1)])
    assert seen == [[entry(1)]]


def test_a_listener_may_end_its_subscription_while_it_is_called() -> None:
    bus, seen = LocalBus(), []

    def once(_: ThreadKey, entries: Sequence[Entry]) -> None:
        seen.append(("once", entries))
        unsubscribe()

    unsubscribe = bus.subscribe(once)
    bus.subscribe(lambda _, entries: seen.append(("always", entries)))
    bus.publish(THREAD, [entry(1)])
    bus.publish(THREAD, [entry(2)])
    assert seen == [("once", [entry(1)]), ("always", [entry(1)]), ("always", [entry(2)])]
