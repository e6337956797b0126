"""Addresses: only what our own proxies say of them is believed."""

import pytest
from starlette.requests import HTTPConnection

from netra_backend.server.address import address_of

PEER = "198.51.100.7"


def request(*forwarded: str, peer: str | None = PEER) -> HTTPConnection:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    client = (peer, 1) if peer is not None else None
    return HTTPConnection({"type": "http", "headers": headers, "client": client})


@pytest.mark.parametrize(
    ("forwarded", "proxies", "address"),
    [
        ((), 0, PEER),
        (("192.0.2.1",), 0, PEER),
        ((), 1, PEER),
        (("192.0.2.1",), 1, "192.0.2.1"),
        (("203.0.113.66, 192.0.2.1",), 1, "192.0.2.1"),
        (("203.0.113.66, 192.0.2.1", "192.0.2.2"), 1, "192.0.2.2"),
        (("203.0.113.66, 192.0.2.1", "192.0.2.2"), 2, "192.0.2.1"),
        (("192.0.2.1",), 2, PEER),
        (("192.0.2.1, nonsense",), 1, PEER),
        (("192.0.2.1,",), 1, PEER),
        (("192.0.2.1:4711",), 1, "192.0.2.1"),
        (("[2001:db8:1:2::5]:4711",), 1, "2001:db8:1:2::/64"),
        (("[2001:db8:1:2::5]",), 1, "2001:db8:1:2::/64"),
        (("192.0.2.1:port",), 1, PEER),
        (("[192.0.2.1",), 1, PEER),
        (("[]:1",), 1, PEER),
        (("2001:db8:1:2:3:4:5:6",), 1, "2001:db8:1:2::/64"),
        (("2001:DB8:1:2:ffff::1",), 1, "2001:db8:1:2::/64"),
        (("::ffff:192.0.2.9",), 1, "192.0.2.9"),
    ],
)
def test_whose_word_counts(forwarded: tuple[str, ...], proxies: int, address: str) -> None:
    assert address_of(request(*forwarded), proxies) == address


@pytest.mark.parametrize(
    ("peer", "address"), [(None, ""), ("", ""), ("testclient", "testclient"), ("::1", "::/64")]
)
def test_a_peer_that_is_no_address_of_the_internet(peer: str | None, address: str) -> None:
    assert address_of(request(peer=peer), 0) == address
