"""Documents: a run's state and activities, as its patches change them."""

import copy
from typing import Any

import jsonpatch
import msgspec

from netra_backend.core.fold import UNPATCHABLE
from netra_backend.errors import EventError

_size = msgspec.json.Encoder().encode


class Document:
    """A JSON value that JSON Patches (RFC 6902) change, of at most `limit` bytes as JSON.

    Whoever joins later is told it in one snapshot, which has to be an event. A patch can double
    a document with each ``copy``, so the limit is looked at before every operation.
    """

    def __init__(self, value: Any, *, limit: int) -> None:
        self._given = value
        self._own: Any = None
        self._limit = limit
        self._most = -1
        """No less than the bytes it has; negative before the first patch, when nothing is known."""

    @property
    def value(self) -> Any:
        """What it says now."""
        return self._given if self._most < 0 else self._own

    def patch(self, patch: Any) -> None:
        """Apply the patch. Raises EventError if it does not apply; the document is void then."""
        if self._most < 0:
            # The value that was given belongs to others, who must not see it change.
            self._own = copy.deepcopy(self._given)
            self._most = len(_size(self._own))
        try:
            for operation in jsonpatch.JsonPatch(patch):
                self._grow(operation)
                step = jsonpatch.JsonPatch([operation])
                self._own = step.apply(self._own, in_place=True)
        except UNPATCHABLE as error:
            raise EventError(f"the patch does not apply: {error}") from error

    def _grow(self, operation: dict[str, Any]) -> None:
        """Count what the operation adds at most."""
        more = len(str(operation["path"])) + 4  # the quotes, the colon and the comma of a member
        if operation["op"] == "copy":
            pointer = jsonpatch.JsonPointer(operation["from"])
            more += len(_size(pointer.resolve(self._own)))
        else:
            more += len(_size(operation.get("value")))
        self._most += more
        if self._most > self._limit:
            self._most = len(_size(self._own)) + more
        if self._most > self._limit:
            raise EventError(f"the patch makes it more than {self._limit} bytes")
