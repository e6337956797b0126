"""Fixtures of the tests that drive published clients."""

from pathlib import Path

import pytest

from tests.e2e.node_client import script_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the drivers and the packages, or skip the test."""
    return script_folder(tmp_path)
