"""Gives each test of the whole path a root logger of its own, and puts back what was there."""

import logging
from collections.abc import Iterator

import pytest

from netra_backend.jsonlog.sinks import Sink

UVICORN = ("uvicorn", "uvicorn.access", "uvicorn.asgi", "uvicorn.error")


@pytest.fixture
def clean_logging() -> Iterator[None]:
    root = logging.getLogger()
    sinks, level = list(root.handlers), root.level
    others = [logging.getLogger(name) for name in UVICORN]
    kept = [(one, list(one.handlers), one.propagate, one.level) for one in others]
    yield
    for sink in list(root.handlers):
        if isinstance(sink, Sink):
            root.removeHandler(sink)
            sink.close()
    for sink in sinks:
        if sink not in root.handlers:
            root.addHandler(sink)
    root.setLevel(level)
    logging.captureWarnings(False)
    for one, handlers, propagate, its_level in kept:
        one.handlers[:] = handlers
        one.propagate, one.level = propagate, its_level
