"""The arguments of a command: what is wrong with one is told as with a setting."""

from collections.abc import Iterator
from contextlib import contextmanager

from netra_backend.errors import ConfigError, FrameError


@contextmanager
def checked() -> Iterator[None]:
    """Raise ConfigError where an argument, inside, is refused as one of a frame would be."""
    try:
        yield
    except FrameError as error:
        raise ConfigError(error.message) from error
