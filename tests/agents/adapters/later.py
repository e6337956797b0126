"""A module that is imported when something of it is first asked for."""

from importlib import import_module
from typing import Any


class Later:
    """Stands for a framework: it takes a second to import, and all workers collect all tests."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, what: str) -> Any:
        if what.startswith("_"):  # pytest asks, of all that stands in a file, if it is a fixture
            raise AttributeError(what)
        return getattr(import_module(self._name), what)
