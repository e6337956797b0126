"""Authentication: from a request to the user who sends it.

A credential comes in the Authorization header, as a subprotocol (browsers cannot set headers on
a WebSocket), or in development as our own cookie: never in the URL. Algorithms are pinned by the
keys that are configured; the token's own header only selects among them.
"""

import asyncio
import base64
import binascii
import contextlib
import ipaddress
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Struct
from starlette.requests import HTTPConnection

from netra_backend.config import AuthMode, Settings
from netra_backend.core.frames import TOKEN_SUBPROTOCOL
from netra_backend.core.ids import UserId, parse_id
from netra_backend.errors import ConfigError, ErrorCode, FrameError, Refused

COOKIE = "netra_dev"
"""The cookie that signs a browser in during development."""

LAST_SECOND = 253_402_300_799
"""The end of the year 9999: a credential that ends later is treated as if it ended then."""


class User(Struct, frozen=True):
    """Who sends a request; `expires` is when the credential ends, in seconds since 1970."""

    id: UserId
    expires: int | None = None


def at_expiry(user: User, act: Callable[[], object]) -> asyncio.TimerHandle | None:
    """Call `act` when the user's credential ends; return what cancels that, None if it never does.

    The wall clock counts now, the loop's from here on.
    """
    if user.expires is None:
        return None
    seconds = max(0.0, user.expires - time.time())
    return asyncio.get_running_loop().call_later(seconds, act)


class Authenticator(Protocol):
    """Tells users apart. Both methods raise Refused, ``unauthenticated`` or ``forbidden``."""

    def user(self, request: HTTPConnection) -> User:
        """Return who sends `request`."""
        ...

    def verify(self, token: str) -> User:
        """Return whose token this is."""
        ...

    def signs_in(self, request: HTTPConnection) -> str | None:
        """Return the cookie value that makes a new visitor a user, or None if that is not ours."""
        ...


class Tokens:
    """JSON Web Tokens, verified with pinned algorithms (RFC 7519, RFC 8725 section 3.1)."""

    def __init__(
        self, keys: dict[str, str], *, audience: str | None = None, issuer: str | None = None
    ) -> None:
        self._keys = keys
        self._audience = audience
        self._issuer = issuer

    def verify(self, token: str, *, require_expiry: bool = True) -> User:
        """Return whose token this is. Raises Refused (``unauthenticated``) without its text."""
        try:
            algorithm = jwt.get_unverified_header(token).get("alg")
            if not isinstance(algorithm, str) or algorithm not in self._keys:
                raise jwt.InvalidAlgorithmError("this algorithm is not configured")
            claims = jwt.decode(
                token,
                self._keys[algorithm],
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["sub", "exp"] if require_expiry else ["sub"],
                    "verify_aud": self._audience is not None,
                },
            )
            return User(UserId(parse_id("sub", claims["sub"])), _seconds(claims.get("exp")))
        except jwt.ExpiredSignatureError as error:
            raise Refused(ErrorCode.UNAUTHENTICATED, "the token has expired") from error
        except (jwt.PyJWTError, FrameError) as error:
            raise Refused(ErrorCode.UNAUTHENTICATED, "the token is not valid") from error


class JwtAuth:
    """``NETRA_AUTH=jwt``: every request carries a token."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def user(self, request: HTTPConnection) -> User:
        token = presented_token(request)
        if token is None:
            raise Refused(ErrorCode.UNAUTHENTICATED)
        return self.verify(token)

    def verify(self, token: str) -> User:
        return self._tokens.verify(token)

    def signs_in(self, request: HTTPConnection) -> str | None:
        return None


class DevAuth:
    """``NETRA_AUTH=dev``: a cookie of our own makes every browser a user; loopback only.

    The Host header must name this machine too, so that no web page can reach the server under
    another name that resolves to it (DNS rebinding).
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._tokens = Tokens({"HS256": key})

    def user(self, request: HTTPConnection) -> User:
        self._check_local(request)
        token = presented_token(request) or request.cookies.get(COOKIE)
        if token is None:
            raise Refused(
                ErrorCode.UNAUTHENTICATED,
                "open the chat page in this browser first, or send a token from `netra token`",
            )
        return self.verify(token)

    def verify(self, token: str) -> User:
        return self._tokens.verify(token, require_expiry=False)

    def signs_in(self, request: HTTPConnection) -> str | None:
        """Return a cookie for a new user, unless the request has a valid one."""
        try:
            self.user(request)
        except Refused as refusal:
            if refusal.code is ErrorCode.FORBIDDEN:
                raise
            return self.token(UserId(f"dev-{secrets.token_hex(4)}"))
        return None

    def token(self, user: UserId) -> str:
        """Return a token for `user`, without an end."""
        return jwt.encode({"sub": user}, self._key, algorithm="HS256")

    @staticmethod
    def _check_local(request: HTTPConnection) -> None:
        client = request.client.host if request.client else ""
        host = _split(f"//{request.headers.get('host', '')}")
        if host is None or not (is_loopback(client) and is_loopback(host.hostname or "")):
            raise Refused(
                ErrorCode.FORBIDDEN,
                "NETRA_AUTH=dev answers only on loopback; set NETRA_AUTH=jwt for other addresses",
            )


def authenticator(settings: Settings) -> JwtAuth | DevAuth:
    """Return the authenticator that the settings ask for. Raises ConfigError."""
    if settings.auth is AuthMode.DEV:
        return DevAuth(dev_key(settings.data_dir))
    keys: dict[str, str] = {}
    if settings.jwt_secret is not None:
        keys["HS256"] = settings.jwt_secret.get_secret_value()
    if settings.jwt_public_key is not None:
        keys["RS256"] = _pem(settings.jwt_public_key)
    return JwtAuth(Tokens(keys, audience=settings.jwt_audience, issuer=settings.jwt_issuer))


def dev_key(data_dir: Path) -> str:
    """Return the development key of the data directory, made when there is none."""
    path = data_dir / "dev.key"
    try:
        return _kept_key(path)
    except OSError as error:
        raise ConfigError(f"the data directory cannot be used: {path}: {error.strerror}") from error


def _kept_key(path: Path) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
    key = path.read_text(encoding="ascii").strip()
    if len(key) < 32:
        raise ConfigError(f"{path} is damaged; delete it to have a new one made")
    return key


def presented_token(request: HTTPConnection) -> str | None:
    """Return the token in the Authorization header or the subprotocols, or None.

    Raises Refused for a header of another scheme, or a subprotocol that is not base64url.
    """
    header = request.headers.get("authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Refused(ErrorCode.UNAUTHENTICATED, "the Authorization header must be: Bearer …")
        return token.strip()
    for offered in request.scope.get("subprotocols", ()):
        if offered.startswith(TOKEN_SUBPROTOCOL):
            return _decoded(offered.removeprefix(TOKEN_SUBPROTOCOL))
    return None


def check_origin(request: HTTPConnection, allowed: tuple[str, ...]) -> None:
    """Raise Refused (``forbidden``) if a page of another origin sends the request.

    Browsers send Origin with every WebSocket handshake and every unsafe request; what sends none
    is no browser. Compared with the Host header: the URL's scheme is unknown behind a proxy.
    """
    origin = request.headers.get("origin")
    if origin is None or origin in allowed:
        return
    parts = _split(origin)
    host = request.headers.get("host")
    if parts is None or parts.scheme not in ("http", "https") or parts.netloc != host:
        raise Refused(ErrorCode.FORBIDDEN, "requests from this origin are not allowed")


def is_loopback(host: str) -> bool:
    """Return whether `host` (a name or an address) is this machine's loopback."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(url: str) -> SplitResult | None:
    """Return the parts of a URL that a client sent, or None if it is none."""
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _seconds(claim: float | str | None) -> int | None:
    """Return a NumericDate as whole seconds: it may have a fraction (RFC 7519 section 2)."""
    return None if claim is None else min(int(claim), LAST_SECOND)


def _decoded(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise Refused(ErrorCode.UNAUTHENTICATED, "the token is not base64url") from error


def _pem(value: str) -> str:
    """Return the RSA public key that the setting holds or names. Raises ConfigError."""
    try:
        pem = Path(value[1:]).read_text(encoding="ascii") if value.startswith("@") else value
        is_rsa = isinstance(load_pem_public_key(pem.encode()), RSAPublicKey)
    except (OSError, ValueError) as error:
        raise ConfigError(f"jwt_public_key cannot be read: {error}") from error
    if not is_rsa:
        raise ConfigError("jwt_public_key is no RSA key, which RS256 needs")
    return pem
