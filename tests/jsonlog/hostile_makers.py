"""Functions that make hostile values: deep, cyclic, closed, changing, raised."""

import collections
import functools
import itertools
import socket
import tempfile
import threading
import time
import typing
import weakref
from collections.abc import Callable, Iterator

from tests.jsonlog.hostile_classes import (
    Colour,
    HostileError,
    Node,
    Point,
    Slotted,
    raiser,
    with_methods,
)


def nested(depth: int, wrap: Callable[[object], object]) -> object:
    value: object = 1
    for _ in range(depth):
        value = wrap(value)
    return value


def cyclic_list() -> object:
    items: list[object] = [1]
    items.append(items)
    return items


def cyclic_dict() -> object:
    pairs: dict[str, object] = {}
    pairs["self"] = {"inner": [pairs]}
    return pairs


def cyclic_object() -> object:
    point = Point(1)
    point.y = point
    return point


def dead_proxy() -> object:
    return weakref.proxy(type("Gone", (), {})())


def cyclic_error() -> BaseException:
    one, two = ValueError("one"), KeyError("two")
    one.__cause__, two.__cause__ = two, one
    return one


def fail(depth: int) -> typing.NoReturn:
    if depth == 0:
        raise ValueError("deep") from HostileError()
    fail(depth - 1)


def raised(depth: int) -> BaseException:
    try:
        fail(depth)
    except ValueError as error:
        return error


def group() -> BaseException:
    error = ExceptionGroup("several", [ValueError("a"), ExceptionGroup("inner", [TypeError("b")])])
    error.add_note("a note \ud800")
    return error


def odd_notes() -> BaseException:
    error = ValueError("x")
    error.__notes__ = [with_methods(__str__=raiser(SystemExit)), 3]  # type: ignore[list-item]
    return error


def billion_laughs() -> object:
    value: object = "ha"
    for _ in range(40):
        value = [value, value]
    return value


async def _coroutine() -> None: ...


def closed_coroutine() -> object:
    coroutine = _coroutine()
    coroutine.close()
    return coroutine


def released_view() -> object:
    view = memoryview(b"abc")
    view.release()
    return view


def closed_socket() -> object:
    one = socket.socket()
    one.close()
    return one


def unset_slot() -> object:
    return object.__new__(Slotted)


def generator() -> Iterator[int]:
    yield from itertools.count()


def weird_enum() -> object:
    member = object.__new__(Colour)
    member._name_ = 3  # type: ignore[assignment]
    return member


def ring(size: int) -> object:
    first = node = Node()
    for _ in range(size):
        node.next = Node()
        node = node.next
    node.next = first
    return {"node": first, "vars": vars(first)}


def changing(make: Callable[[], typing.Any], change: Callable[[typing.Any, int], object]) -> object:
    """Return a container that another thread changes for a fifth of a second."""
    value = make()

    def work() -> None:
        until = time.monotonic() + 0.2
        number = 0
        while time.monotonic() < until:
            number += 1
            change(value, number)

    threading.Thread(target=work, daemon=True).start()
    return value


def changed_dict() -> object:
    def change(value: dict[object, object], number: int) -> None:
        value[number] = number
        value.pop(number - 500, None)

    return changing(lambda: dict.fromkeys(range(500)), change)


def changed_list() -> object:
    return changing(lambda: [1] * 500, lambda value, _: (value.append(2), value.pop(0)))


def changed_set() -> object:
    return changing(lambda: set(range(500)), lambda value, number: (value.add(number), value.pop()))


def changed_deque() -> object:
    return changing(
        lambda: collections.deque(range(500), 500), lambda value, number: value.append(number)
    )


def partial_of_itself() -> object:
    made = functools.partial(print)
    made.__setstate__((made, (made,), {}, {}))
    return made


def held_lock() -> object:
    lock = threading.RLock()
    lock.acquire()
    return lock


def closed_file() -> object:
    with tempfile.TemporaryFile() as file:
        return file


def exception_of_itself() -> BaseException:
    error = ValueError()
    error.args = (error, [error])
    error.add_note("\r\n\x1b[31m")
    return error
