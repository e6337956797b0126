"""Where a request comes from and which name it asks for: pages of strangers get nothing."""

import functools
import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from netra_backend.errors import ErrorCode, Refused

if TYPE_CHECKING:  # the command line asks for `is_loopback` before it loads a server
    from starlette.requests import HTTPConnection


def check_origin(request: "HTTPConnection", allowed: tuple[str, ...]) -> None:
    """Raise Refused (``forbidden``) if a page of another origin sends the request, or of two.

    Browsers send Origin with every WebSocket handshake and every unsafe request; what sends none
    is no browser. Compared with the Host header, letter by letter: browsers spell both alike
    (WHATWG HTML section 7.1.1). The URL's scheme is unknown behind a proxy.
    """
    origins = request.headers.getlist("origin")
    if not origins or (len(origins) == 1 and origins[0] in allowed):
        return
    host = request.headers.get("host")
    own = () if host is None else (f"http://{host}", f"https://{host}")
    if len(origins) > 1 or origins[0] not in own:
        raise Refused(ErrorCode.FORBIDDEN, "requests from this origin are not allowed")


def check_host(request: "HTTPConnection", allowed: tuple[str, ...]) -> None:
    """Raise Refused (``forbidden``) if the Host header is none of `allowed`; empty allows all.

    An allowed name without a port allows every port. A page that has made its own name resolve to
    this server (DNS rebinding) is of the same origin as far as `check_origin` can see.
    """
    if not allowed:
        return
    host = request.headers.get("host", "")
    if host.lower() not in allowed and host_name(host) not in allowed:
        raise Refused(ErrorCode.FORBIDDEN, "the server does not answer to this Host")


def host_name(host: str) -> str:
    """Return the name or address in a Host header, in small letters; empty if there is none.

    There is none in what is no host with its port, as ``user@localhost`` and ``localhost/path``.
    """
    return _host_name(host) if len(host) <= MAX_HOST else _parsed(host)


@functools.lru_cache(maxsize=1_024)
def _host_name(host: str) -> str:
    return _parsed(host)


def _parsed(host: str) -> str:
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower() if found else ""


_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/?#@\[\]\\]+))(?::[0-9]*)?")
"""A host and perhaps its port: nothing of a URL may stand around them (RFC 9110 section 7.2)."""

MAX_HOST = 261
"""Characters of a host that is remembered: a name (RFC 1035 section 2.3.4) and a port."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    """Return whether `host` (a name or an address) is this machine's loopback."""
    if host in _LOOPBACK:  # as nearly every request there has it
        return True
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def split(url: str) -> SplitResult | None:
    """Return the parts of a URL that a client sent, or None if it is none."""
    try:
        return urlsplit(url)
    except ValueError:
        return None
