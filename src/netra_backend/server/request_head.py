"""The head of a request: what is wrong with it, how long it is, how it reads without an upgrade.

The parser has read it: what is wrong here is what its grammar allows, and HTTP does not.
"""

from netra_backend.errors import ErrorCode, Refused
from netra_backend.server.opening import Fields
from netra_backend.server.target import fault_of

HEAD_BYTES = 65_536
"""Bytes that a request's head may have, unless uvicorn's ``h11_max_incomplete_event_size`` says."""

BAD_REQUEST = ErrorCode.BAD_REQUEST

_NO_PROXY = "This server does not take the PROXY protocol: have the proxy send X-Forwarded-For."
_OTHERS = {
    b"\x16\x03": "This port speaks HTTP without TLS.",
    b"PRI * HTTP/2": "This server speaks HTTP/1.1.",
    b"PROXY ": _NO_PROXY,
    b"\r\n\r\n\x00\r\nQUIT\n": _NO_PROXY,
}
"""What a connection begins with that was meant for another server, and what it is told."""


def check_head(method: bytes, version: str, target: bytes, fields: Fields) -> None:
    """Raise Refused if something is wrong with a head that opens no WebSocket.

    It names one Host; in HTTP/1.0 it needs none (RFC 9112 section 3.2). We know no other version,
    and are no proxy.
    """
    hosts = [value for name, value in fields if name == b"host"]
    if version not in ("1.0", "1.1"):  # the others are no text
        raise Refused(BAD_REQUEST, "This server speaks HTTP/1.1.")
    if method == b"CONNECT":
        raise Refused(BAD_REQUEST, "This server is no proxy.")
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise Refused(BAD_REQUEST, f"A request has one Host header, not {len(hosts) or 'none'}.")
    fault = fault_of(target, hosts[0], method) if hosts else None
    if fault is not None:
        raise Refused(BAD_REQUEST, fault)
    _check_codings([value for name, value in fields if name == b"transfer-encoding"])


def _check_codings(values: list[bytes]) -> None:
    """Raise Refused for a body that is not in chunks alone (RFC 9112 section 6.1).

    Of another coding the parser would take the coded bytes for the body. Where chunked is not the
    last coding, nobody knows where the body ends (section 6.3).
    """
    codings = [coding.strip().lower() for value in values for coding in value.split(b",")]
    if codings and codings[-1] != b"chunked":
        raise Refused(BAD_REQUEST, "The last transfer coding of a body is chunked.")
    if any(coding not in (b"chunked", b"") for coding in codings):
        raise Refused(ErrorCode.UNKNOWN_CODING)


def other_protocol(said: bytes) -> Refused | None:
    """Return what to answer to what is the begin of no request, but of something well known."""
    answers = (answer for begin, answer in _OTHERS.items() if said.startswith(begin))
    return next((Refused(BAD_REQUEST, answer) for answer in answers), None)


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
