"""Gives each test of the whole path a root logger of its own, and puts back what was there.

The tests here log on purpose what must not be logged, so strict logs are off for them.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from netra_backend import jsonlog

UVICORN = ("uvicorn", "uvicorn.access", "uvicorn.asgi", "uvicorn.error")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.strict_logs("off"))


@pytest.fixture
def clean_logging() -> Iterator[None]:
    others = [logging.getLogger(name) for name in UVICORN]
    kept = [(one, list(one.handlers), one.propagate, one.level) for one in others]
    yield
    jsonlog.unconfigure()
    for one, handlers, propagate, its_level in kept:
        one.handlers[:] = handlers
        one.propagate, one.level = propagate, its_level
