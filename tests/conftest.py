"""Fixtures that all tests share."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio: the server is built on it."""
    return "asyncio"
