"""The bearer's token: where a request may carry it, and that there is only one.

That is the Authorization header, a subprotocol (browsers cannot set headers on a WebSocket), or the
cookie that the settings name.
"""

import base64
import binascii

from starlette.requests import HTTPConnection

from netra_backend.core.frames import TOKEN_SUBPROTOCOL
from netra_backend.errors import ErrorCode, Refused


def presented_token(request: HTTPConnection) -> str | None:
    """Return the token in the Authorization header or the subprotocols, or None.

    Raises Refused for more than one, of which a proxy may have looked at the other, for one of
    another scheme, and for a subprotocol that is not base64url.
    """
    given = request.headers.getlist("authorization")
    offered = _offered(request)
    if len(given) > 1:
        raise Refused(ErrorCode.UNAUTHENTICATED, "there is more than one Authorization header")
    if len(given) + len(offered) > 1:
        raise Refused(ErrorCode.UNAUTHENTICATED, "there is more than one token")
    if given:
        scheme, _, token = given[0].partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Refused(ErrorCode.UNAUTHENTICATED, "the Authorization header must be: Bearer …")
        return token.strip()
    return _decoded(offered[0].removeprefix(TOKEN_SUBPROTOCOL)) if offered else None


def presents(request: HTTPConnection) -> bool:
    """Return whether there is anything that `presented_token` looks at."""
    return "authorization" in request.headers or bool(_offered(request))


def bearing(request: HTTPConnection) -> HTTPConnection:
    """Return the request, with the token of its subprotocols, if there is one, as a header.

    Raises Refused as `presented_token` does.
    """
    if not _offered(request):
        return request
    header = (b"authorization", f"Bearer {presented_token(request)}".encode())
    return HTTPConnection({**request.scope, "headers": [*request.scope["headers"], header]})


def _offered(request: HTTPConnection) -> list[str]:
    """Return the subprotocols that are tokens."""
    subprotocols = request.scope.get("subprotocols", ())
    return [one for one in subprotocols if one.startswith(TOKEN_SUBPROTOCOL)]


def token_in_cookie(request: HTTPConnection, name: str) -> str | None:
    """Return what the cookie of this name holds, or None.

    Raises Refused for two of them: a page of a neighbouring domain can set one, and nothing says
    which it is (RFC 6265 section 8.6).
    """
    pairs = ";".join(request.headers.getlist("cookie")).split(";")
    fields = [(key.strip(), value.strip()) for key, _, value in (p.partition("=") for p in pairs)]
    values = [value for key, value in fields if key == name]
    if len(values) > 1:
        raise Refused(ErrorCode.UNAUTHENTICATED, "there is more than one cookie with a token")
    return values[0] or None if values else None


def _decoded(text: str) -> str:
    padded = text + "=" * (-len(text) % 4)
    try:
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise Refused(ErrorCode.UNAUTHENTICATED, "the token is not base64url") from error
