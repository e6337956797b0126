"""The reference store keeps the contract."""

from pathlib import Path

from netra_backend.core.ports import Store
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.log_contract import LogContract


class TestMemoryStore(LogContract):
    """The contract, in memory."""

    def make_store(self, directory: Path) -> Store:
        """Return a store that needs no directory."""
        return MemoryStore()
