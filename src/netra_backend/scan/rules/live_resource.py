"""JS013: sockets, connections, files, requests and locks are no data."""

from netra_backend.scan.kinds import Kind
from netra_backend.scan.rule import Rule

RULE = Rule(
    code="JS013",
    name="live-resource",
    summary="a socket, connection, file, request or lock reaches JSON",
    noun="live",
    kinds=frozenset({Kind.RESOURCE}),
)
