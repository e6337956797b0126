"""The garbage collector, kept away: what a test frees then is freed at once, wherever it runs."""

import gc
from collections.abc import Iterator
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


def alive(*kinds: type) -> list[str]:
    """Return the names of the objects of these types that are there."""
    return [type(one).__name__ for one in gc.get_objects() if isinstance(one, kinds)]
