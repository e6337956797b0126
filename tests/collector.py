"""The garbage collector, kept away: what a test frees then is freed at once, wherever it runs."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def no_collector() -> Iterator[None]:
    """Collect what lies about, then nothing until the end."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def alive(kinds: tuple[type, ...], but: Sequence[object] = ()) -> list[object]:
    """Return the objects of these types that are there, without those that were before."""
    known = set(map(id, but))
    return [one for one in gc.get_objects() if isinstance(one, kinds) and id(one) not in known]
