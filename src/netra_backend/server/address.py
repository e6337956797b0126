"""Addresses: where a request comes from, as far as that can be believed.

``X-Forwarded-For`` is a list to which each proxy adds the address that it was connected from.
Anybody can send one, so only the entries that configured proxies have added count.
"""

import functools
import ipaddress
import re

from starlette.requests import HTTPConnection

NETWORK = 64
"""The bits of an IPv6 address that stand for one customer: the rest is theirs to choose
(RFC 6177 section 2)."""


MAX_TEXT = 128
"""Characters of an address, with a zone: what is longer is none."""

_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]+)\](?::\d+)?|(?P<v4>[\d.]+):\d+")
"""An entry as some proxies write it, such as Azure's Application Gateway."""


def address_of(request: HTTPConnection, proxies: int) -> str:
    """Return the address of the client, behind so many `proxies` of ours.

    IPv6 addresses stand for their network of 64 bits. Where there is no believable entry, the
    address of the peer counts, and an empty one where the server knows none (a Unix socket).
    """
    peer = client_host(request)
    given = forwarded_for(request) if proxies else []
    if proxies and len(given) >= proxies:
        return _network(_without_port(given[-proxies])) or _network(peer) or peer
    return _network(peer) or peer


def client_host(request: HTTPConnection) -> str:
    """Return the address of the peer, empty where the server knows none."""
    client: tuple[str, int] | None = request.scope.get("client")
    return client[0] if client else ""


def forwarded_for(request: HTTPConnection) -> list[str]:
    """Return the entries of all ``X-Forwarded-For`` headers, the nearest proxy's last."""
    headers = request.headers.getlist("x-forwarded-for")
    return [entry.strip() for header in headers for entry in header.split(",")]


def _without_port(entry: str) -> str:
    found = _WITH_PORT.fullmatch(entry)
    return entry if found is None else found["v6"] or found["v4"]


def _network(text: str) -> str | None:
    """Return the address, or the network of an IPv6 one; None if it is neither."""
    return _network_of(text) if len(text) <= MAX_TEXT else None


@functools.lru_cache(maxsize=4_096)
def _network_of(text: str) -> str | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address), NETWORK), strict=False))
    return str(address)
