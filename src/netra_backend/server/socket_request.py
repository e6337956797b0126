"""The request for a socket, for who has to look at it quickly: its header fields stand by name.

Starlette's looks through all fields each time that it is asked for one.
"""

from typing import Any

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import Scope


class SocketRequest(HTTPConnection):
    """What `scope` says of a request. Fields of which there are two are read as Starlette does."""

    headers: Headers = Headers()  # a property there, made when asked

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        fields = scope["headers"]
        values = dict(fields)
        if len(values) == len(fields):
            self.headers = _Once(fields, values)
        else:
            self.headers = Headers(raw=fields)


class _Once(Headers):
    """Headers of which each has another name; their `values` by name, both as they were sent."""

    def __init__(self, fields: list[tuple[bytes, bytes]], values: dict[bytes, bytes]) -> None:
        self._list = fields
        self._values = values

    def get(self, key: str, default: Any = None) -> Any:
        value = self._values.get(key.lower().encode("latin-1"))
        return default if value is None else value.decode("latin-1")

    def getlist(self, key: str) -> list[str]:
        value = self._values.get(key.lower().encode("latin-1"))
        return [] if value is None else [value.decode("latin-1")]

    def __getitem__(self, key: str) -> str:
        value = self._values.get(key.lower().encode("latin-1"))
        if value is None:
            raise KeyError(key)
        return value.decode("latin-1")

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower().encode("latin-1") in self._values
