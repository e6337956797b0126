"""The head of a request: what is wrong with it, how long it is, how it reads without an upgrade.

The parser has read it: what is wrong here is what its grammar allows, and HTTP does not.
"""

from netra_backend.server.opening import Fields
from netra_backend.server.target import fault_of


def fault_of_head(method: bytes, version: str, target: bytes, fields: Fields) -> str | None:
    """Return what is wrong with a head that opens no WebSocket, or None.

    It names one Host; in HTTP/1.0 it needs none (RFC 9112 section 3.2). We know no other version,
    and are no proxy.
    """
    hosts = [value for name, value in fields if name == b"host"]
    if version not in ("1.0", "1.1"):  # the others are no text
        return "This server speaks HTTP/1.1."
    if method == b"CONNECT":
        return "This server is no proxy."
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        return f"A request has one Host header, not {len(hosts) or 'none'}."
    return fault_of(target, hosts[0], method) if hosts else None


def size_of_head(target: bytes, fields: Fields) -> int:
    """Return how many bytes it has: a field has a colon, a space and an end beside it."""
    return len(target) + sum(len(name) + len(value) + 4 for name, value in fields)


def without_upgrade(method: bytes, version: str, target: bytes, fields: Fields) -> bytes:
    """Return a head without its upgrade, to be read anew, for an upgrade that is not taken.

    Nothing is answered but the request (RFC 9110 section 7.8), and all of it: the parser takes a
    body that comes with an upgrade for the other protocol, or for the next request.
    """
    start = b"%b %b HTTP/%b\r\n" % (method, target, version.encode())
    kept = [b"%b: %b\r\n" % field for field in fields if field[0] != b"upgrade"]
    return b"".join([start, *kept, b"\r\n"])
