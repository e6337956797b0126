"""The opening: what is valid is answered as the library would, what is not gets its words."""

import pytest
from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.http11 import Request
from websockets.server import ServerProtocol

from netra_backend.server.http_protocol import HttpProtocol
from netra_backend.server.opening import (
    Fields,
    NoOpening,
    asks_for_websocket,
    opening,
    plain_opening,
    subprotocols,
)

VALID: Fields = [
    (b"host", b"localhost"),
    (b"connection", b"keep-alive, Upgrade"),
    (b"upgrade", b"WebSocket"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
]


def changed(name: bytes, *values: bytes) -> Fields:
    return [f for f in VALID if f[0] != name] + [(name, value) for value in values]


def test_the_example_of_the_rfc_is_accepted() -> None:
    head, extensions = opening("/ws", VALID, deflate=False)
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
    assert extensions == []


@pytest.mark.parametrize(
    "fields",
    [
        *(changed(name) for name, _ in VALID[1:]),
        *(changed(name, value, value) for name, value in VALID[2:]),
        changed(b"connection", b"close"),
        changed(b"connection", b"Upgrade, ,"),
        changed(b"upgrade", b"h2c"),
        changed(b"upgrade", b"h2c, websocket"),
        changed(b"sec-websocket-key", b"c2hvcnQ="),
        changed(b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ="),
        changed(b"origin", b"http://a", b"http://b"),
        changed(b"connection", b"keep-alive", b"Upgrade"),
        changed(b"connection", b"upgrade"),
    ],
    ids=repr,
)
def test_the_library_is_of_the_same_opinion(fields: Fields) -> None:
    request = Request("/ws", Headers((n.decode(), v.decode()) for n, v in fields))
    expected = ServerProtocol().accept(request)
    if expected.status_code != 101:
        with pytest.raises(NoOpening) as refused:
            opening("/ws", fields, deflate=False)
        assert refused.value.status == expected.status_code
        assert refused.value.why == bytes(expected.body or b"").decode().strip()
        assert refused.value.fields.items() <= dict(expected.headers.raw_items()).items()
    else:
        head, _ = opening("/ws", fields, deflate=False)
        accept = expected.headers["Sec-WebSocket-Accept"]
        assert f"Sec-WebSocket-Accept: {accept}\r\n".encode() in head


@pytest.mark.parametrize(
    ("hosts", "words"),
    [([], "missing Host header"), ([b"a", b"b"], "invalid Host header: a, b")],
)
@pytest.mark.parametrize("deflate", [False, True])
def test_exactly_one_host_is_named(hosts: list[bytes], words: str, deflate: bool) -> None:
    """RFC 9112 section 3.2; the library does not mind."""
    with pytest.raises(NoOpening) as refused:
        opening("/ws", changed(b"host", *hosts), deflate=deflate)
    assert refused.value.status == 400
    assert words in refused.value.why


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize(
    ("target", "host", "words"),
    [
        ("/ws", b"", "a name or an address"),
        ("/ws", b"a b/../@x", "a name or an address"),
        ("/ws", b"user@localhost", "a name or an address"),
        ("http://evil/ws", b"localhost", "a URL of the host"),
        ("http://user@localhost/ws", b"localhost", "a URL of the host"),
        ("localhost/ws", b"localhost", "a URL of the host"),
        ("//localhost/ws", b"localhost", None),
        ("*", b"localhost", "a URL of the host"),
        ("ws", b"localhost", "a URL of the host"),
        ("http://[/ws", b"localhost", "a URL of the host"),
        ("http://localhost/ws", b"LOCALHOST", None),
        ("http://localhost:80/ws", b"localhost:80", None),
    ],
)
def test_the_target_is_of_the_host(
    target: str, host: bytes, words: str | None, deflate: bool
) -> None:
    if words is None:
        assert opening(target, changed(b"host", host), deflate=deflate).head.startswith(
            b"HTTP/1.1 "
        )
        return
    with pytest.raises(NoOpening, match=words) as refused:
        opening(target, changed(b"host", host), deflate=deflate)
    assert refused.value.status == 400


@pytest.mark.parametrize("value", [b"Upgrade, \x01", b"Upgrade\n"])
def test_what_no_header_may_contain_is_refused(value: bytes) -> None:
    with pytest.raises(NoOpening) as refused:
        opening("/ws", changed(b"connection", value), deflate=False)
    assert refused.value.status == 400


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize(
    "field",
    [
        (b"content-length", b"5"),
        (b"content-length", b"00"),
        (b"transfer-encoding", b"chunked"),
        (b"transfer-encoding", b""),
    ],
)
def test_a_handshake_has_no_body(field: tuple[bytes, bytes], deflate: bool) -> None:
    """What a proxy took for a body would be frames to us."""
    with pytest.raises(NoOpening, match=r"(?i)" + field[0].decode()) as refused:
        opening("/ws", [*VALID, field], deflate=deflate)
    assert refused.value.status == 400
    head, _ = opening("/ws", [*VALID, (b"content-length", b"0")], deflate=deflate)
    assert head.startswith(b"HTTP/1.1 101 ")


def test_compression_is_agreed_on_where_it_is_configured() -> None:
    fields = [*VALID, (b"sec-websocket-extensions", b"permessage-deflate")]
    head, extensions = opening("/ws", fields, deflate=True)
    assert b"\r\nSec-WebSocket-Extensions: permessage-deflate" in head
    assert isinstance(extensions[0], PerMessageDeflate)
    head, extensions = opening("/ws", fields, deflate=False)
    assert (b"Extensions" in head, extensions) == (False, [])


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("version", [b"8", b"14", b"013", b""])
def test_another_version_is_told_ours(version: bytes, deflate: bool) -> None:
    """RFC 6455 section 4.2.2 asks for the header; the library does without."""
    with pytest.raises(NoOpening) as refused:
        opening("/ws", changed(b"sec-websocket-version", version), deflate=deflate)
    assert refused.value.status == 426
    assert refused.value.fields == {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}


def test_only_what_is_asked_for_has_to_be_said_once() -> None:
    told = (b"x-forwarded-for", b"192.0.2.1")
    assert plain_opening("/ws", [*VALID, told, told]) == plain_opening("/ws", VALID)
    for name, value in VALID:
        assert plain_opening("/ws", [*VALID, (name, value)]) is None


@pytest.mark.parametrize(
    "fields",
    [
        [],
        VALID,
        changed(b"connection"),
        changed(b"upgrade"),
        changed(b"upgrade", b"h2c"),
        changed(b"upgrade", b"h2c, websocket"),
        changed(b"upgrade", b"websocket", b"h2c"),
        changed(b"upgrade", b"h2c", b"websocket"),
        changed(b"connection", b"close"),
        changed(b"connection", b"x-upgrade"),
        changed(b"connection", b"close ,\t UPGRADE "),
        changed(b"connection", b"upgrade", b"close"),
        changed(b"connection", b"close", b"upgrade"),
    ],
    ids=repr,
)
def test_uvicorn_is_of_the_same_opinion(fields: Fields) -> None:
    protocol = HttpProtocol.__new__(HttpProtocol)
    protocol.headers = fields
    assert asks_for_websocket(fields) is (protocol._get_upgrade() == b"websocket")


def test_subprotocols_of_all_fields_are_offered() -> None:
    name = b"sec-websocket-protocol"
    assert subprotocols([(name, b"a, b"), (b"host", b"x"), (name, b"c")]) == ["a", "b", "c"]
    assert subprotocols(VALID) == []
