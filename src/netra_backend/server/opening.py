"""The opening: what a request for a WebSocket is answered with (RFC 6455 section 4.2).

A request without fault, and where nothing is compressed, is answered from a few header fields. For
every other websockets' sans-IO protocol finds the words.
"""

import binascii
from hashlib import sha1
from typing import NamedTuple

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeader
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request
from websockets.server import ServerProtocol

from netra_backend.server.origin import host_name
from netra_backend.server.target import fault_of

Fields = list[tuple[bytes, bytes]]
"""Header fields as a parser of HTTP hands them over, their names in small letters."""

_ASKED = frozenset(
    {b"connection", b"host", b"origin", b"upgrade", b"sec-websocket-key", b"sec-websocket-version"}
)  # fmt: skip
_BODY = frozenset({b"content-length", b"transfer-encoding"})
"""What says that there is a body: a proxy would take for one what we take for frames."""
_USUAL = frozenset({b"upgrade", b"keep-alive, upgrade"})
"""What clients send as Connection."""
_TOLD = frozenset({"Upgrade"})
"""What an answer that refuses says of what is asked for."""
_SUBPROTOCOL = b"sec-websocket-protocol"
_VERSION = "13"
_FAILED = "Failed to open a WebSocket connection"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
_ACCEPT = b"Sec-WebSocket-Accept: %b\r\n"
_EXTENSIONS = b"Sec-WebSocket-Extensions: %b\r\n"


class Opening(NamedTuple):
    """A request that may be accepted: the head of that answer, without its end."""

    head: bytes
    extensions: list[Extension]


class NoOpening(Exception):
    """The request opens no WebSocket: with which `status` it is answered, why, and with what."""

    def __init__(self, status: int, why: str, fields: dict[str, str]) -> None:
        super().__init__(why)
        self.status = status
        self.why = why
        self.fields = fields


def opening(path: str, fields: Fields, *, deflate: bool) -> Opening:
    """Return how the request is accepted. Raises NoOpening."""
    plain = None if deflate else plain_opening(path, fields)
    if plain is not None:
        return plain
    conn = ServerProtocol(extensions=[_DEFLATE] if deflate else None)
    conn.debug = False  # it would log the head, and with it tokens
    try:
        headers = Headers((n.decode("latin-1"), v.decode("latin-1")) for n, v in fields)
        _check_host(headers)
        _check_body(headers)
        _check_version(headers)
        fault = fault_of(path.encode("latin-1"), headers["Host"].encode("latin-1"))
    except InvalidHeader as error:
        raise NoOpening(400, f"{_FAILED}: {error}.", {}) from error
    if fault is not None:
        raise NoOpening(400, fault, {})
    response = conn.accept(Request(path, headers))
    if response.status_code != 101:
        told = {n: v for n, v in response.headers.raw_items() if n in _TOLD}
        raise NoOpening(response.status_code, bytes(response.body or b"").decode().strip(), told)
    head = _HEAD + _ACCEPT % response.headers["Sec-WebSocket-Accept"].encode()
    chosen = response.headers.get("Sec-WebSocket-Extensions")
    if chosen is not None:
        head += _EXTENSIONS % chosen.encode()
    return Opening(head, conn.extensions)


def plain_opening(path: str, fields: Fields) -> Opening | None:
    """Return how a request without fault is accepted with nothing compressed, None for others."""
    key = _key(fields)
    if key is None or not path.startswith("/"):
        return None
    accept = binascii.b2a_base64(sha1(key + _GUID).digest(), newline=False)  # noqa: S324 - RFC
    return Opening(_HEAD + _ACCEPT % accept, [])


def asks_for_websocket(fields: Fields) -> bool:
    """Return whether a request asks to go on as a WebSocket; of each field its last value counts.

    That is uvicorn's rule. What such a request lacks, `opening` says.
    """
    asked = dict(fields)
    connection = asked.get(b"connection", b"").lower()
    return asked.get(b"upgrade", b"").lower() == b"websocket" and (
        connection in _USUAL or b"upgrade" in map(bytes.strip, connection.split(b","))
    )


def subprotocols(fields: Fields) -> list[str]:
    """Return what the client offers, its favourite first."""
    asked = dict(fields)
    offered = asked.get(_SUBPROTOCOL)
    if offered is None:
        return []
    if len(asked) < len(fields):  # it may be said in parts
        offered = b",".join([value for name, value in fields if name == _SUBPROTOCOL])
    return [token.strip() for token in offered.decode("latin-1").split(",")]


def _key(fields: Fields) -> bytes | None:
    """Return the client's key if the request is valid beyond doubt, else None."""
    asked = dict(fields)
    if not asked.keys().isdisjoint(_BODY) or (len(asked) < len(fields) and _is_unclear(fields)):
        return None
    key = asked.get(b"sec-websocket-key", b"")
    try:
        valid = (
            host_name(asked[b"host"].decode("latin-1")) != ""
            and asked[b"connection"].lower() in _USUAL
            and asked[b"upgrade"].lower() == b"websocket"
            and asked[b"sec-websocket-version"] == b"13"
            and len(binascii.a2b_base64(key, strict_mode=True)) == 16
        )
    except (KeyError, binascii.Error):
        return None
    return key if valid else None


def _is_unclear(fields: Fields) -> bool:
    """Return whether something that may be said once is said more than once."""
    names = [name for name, _ in fields if name in _ASKED]
    return len(set(names)) < len(names)


def _check_host(headers: Headers) -> None:
    """Raise InvalidHeader unless there is exactly one Host (RFC 9112 section 3.2)."""
    hosts = headers.get_all("Host")
    if len(hosts) != 1:
        raise InvalidHeader("Host", ", ".join(hosts) or None)


def _check_body(headers: Headers) -> None:
    """Raise InvalidHeader if there is a body: RFC 6455 knows none."""
    for name in ("Transfer-Encoding", "Content-Length"):
        for value in headers.get_all(name):
            if (name, value) != ("Content-Length", "0"):  # some clients say that there is none
                raise InvalidHeader(name, value)


def _check_version(headers: Headers) -> None:
    """Raise NoOpening for another version than ours, which is named (RFC 6455 section 4.2.2)."""
    asked = headers.get_all("Sec-WebSocket-Version")
    if len(asked) == 1 and asked[0] != _VERSION:
        why = f"{_FAILED}: invalid Sec-WebSocket-Version header: {asked[0]}."
        told = {"Upgrade": "websocket", "Sec-WebSocket-Version": _VERSION}
        raise NoOpening(426, why, told)


_DEFLATE = ServerPerMessageDeflateFactory(
    server_max_window_bits=12,
    client_max_window_bits=12,
    compress_settings={"memLevel": 5},
)
"""Compression as uvicorn offers it: little memory for each socket."""
