"""Names of fields that need no escape and no other name, and hide no secret: most there are."""

import re
from collections.abc import Iterable

from netra_backend.jsonlog.secret_names import is_secret_name
from netra_backend.jsonlog.shapes import redact_text

MAX_NAMES = 1_024
"""Names that are remembered."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,63}")
_LABELS = frozenset(("key", "key_", "name", "name_"))
"""What stands under them says what is under ``value``: see `redact_pairs`."""


class UsualNames:
    """Tells which names are usual, and remembers them; `reserved` ones are not."""

    __slots__ = ("_reserved", "known")

    def __init__(self, reserved: frozenset[str]) -> None:
        self.known: set[str] = set()
        """Those that are remembered: who looks here first saves a call."""
        self._reserved = reserved

    def __len__(self) -> int:
        return len(self.known)

    def are_all(self, names: Iterable[str]) -> bool:
        """Return whether all these exact strings are usual."""
        return self.known.issuperset(names) or all(map(self._is_one, names))

    def _is_one(self, name: str) -> bool:
        if name in self.known:
            return True
        if name in self._reserved or not _NAME.fullmatch(name) or name.lower() in _LABELS:
            return False
        if is_secret_name(name) or redact_text(name) != name:
            return False
        if len(self.known) < MAX_NAMES:
            self.known.add(name)
        return True
