"""Authentication: from a request to the user who sends it.

A credential is a token (``server/bearer`` says where it may stand), our own cookie in development,
or a ticket: the only one that may stand in a URL, because it is good for one request
(``server/tickets``).
"""

import inspect
import math
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import jwt
import msgspec
from starlette.requests import HTTPConnection

from netra_backend.config import SECRET_BYTES, SHORT_SECRET, AuthMode, Settings
from netra_backend.core.ids import UserId, parse_id
from netra_backend.errors import ConfigError, ErrorCode, FrameError, Refused
from netra_backend.server.address import client_host, forwarded_for
from netra_backend.server.bearer import bearing, presented_token, token_in_cookie
from netra_backend.server.jwks import KeySet
from netra_backend.server.kept_keys import dev_key
from netra_backend.server.keys import Key, public_key, secret_key
from netra_backend.server.origin import host_name, is_loopback
from netra_backend.server.tokens import Tokens
from netra_backend.server.user import User

COOKIE = "netra_dev"
"""The cookie that signs a browser in during development."""

Hook = Callable[[HTTPConnection], User | Awaitable[User | None] | None]
"""An application's own way to tell its users apart: who sends the request, or None."""

SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
"""What Amazon's AgentCore runtime names a session by."""


class Authenticator(Protocol):
    """Tells users apart. All methods raise Refused, ``unauthenticated`` or ``forbidden``."""

    async def user(self, request: HTTPConnection) -> User:
        """Return who sends `request`."""
        ...

    def known(self, request: HTTPConnection) -> User | None:
        """Return what `user` does where nothing is waited for and nothing is used up, else None."""
        ...

    async def verify(self, token: str) -> User:
        """Return whose token this is."""
        ...

    async def signs_in(self, request: HTTPConnection) -> str | None:
        """Return the cookie value that makes a new visitor a user, or None if that is not ours."""
        ...


class JwtAuth:
    """``NETRA_AUTH=jwt``: every request carries a token; in `cookie` where there is no other."""

    def __init__(self, tokens: Tokens, cookie: str | None = None) -> None:
        self._tokens = tokens
        self._cookie = cookie

    async def user(self, request: HTTPConnection) -> User:
        return await self.verify(self._token(request))

    def known(self, request: HTTPConnection) -> User | None:
        return self._tokens.known(self._token(request))

    async def verify(self, token: str) -> User:
        return await self._tokens.verify(token)

    async def signs_in(self, request: HTTPConnection) -> str | None:
        return None

    def _token(self, request: HTTPConnection) -> str:
        token = presented_token(request)
        if token is None and self._cookie is not None:
            token = token_in_cookie(request, self._cookie)
        if token is None:
            raise Refused(ErrorCode.UNAUTHENTICATED)
        return token


class HookAuth:
    """``create_app(authenticate=…)``: the application in which Netra lives knows its users.

    The hook looks for a token in one place: that of a subprotocol, which is how a browser brings
    one to a socket, is shown to it in the Authorization header, and so is the token of an ``auth``
    frame, of a request that has nothing else.
    """

    def __init__(self, hook: Hook) -> None:
        self._hook = hook

    async def user(self, request: HTTPConnection) -> User:
        found = self._hook(bearing(request))
        user = await found if inspect.isawaitable(found) else found
        if user is None:
            raise Refused(ErrorCode.UNAUTHENTICATED)
        if not isinstance(user, User):
            raise TypeError(f"authenticate returned {type(user).__qualname__}, not a User or None")
        return _checked(user)

    def known(self, request: HTTPConnection) -> User | None:
        return None  # the hook may have to wait, and expects a task around it

    async def verify(self, token: str) -> User:
        headers = [(b"authorization", f"Bearer {token}".encode())]
        return await self.user(HTTPConnection({"type": "websocket", "headers": headers}))

    async def signs_in(self, request: HTTPConnection) -> str | None:
        return None


class DevAuth:
    """``NETRA_AUTH=dev``: a cookie of our own makes every browser a user; loopback only.

    The Host header must name this machine too, so that no web page can reach the server under
    another name that resolves to it (DNS rebinding).
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._tokens = Tokens([secret_key(key)])

    async def user(self, request: HTTPConnection) -> User:
        return await self.verify(self._token(request))

    def known(self, request: HTTPConnection) -> User | None:
        return self._tokens.known(self._token(request), require_expiry=False)

    async def verify(self, token: str) -> User:
        return await self._tokens.verify(token, require_expiry=False)

    async def signs_in(self, request: HTTPConnection) -> str | None:
        """Return a cookie for a new user, unless the request has a valid one."""
        try:
            await self.user(request)
        except Refused as refusal:
            if refusal.code is ErrorCode.FORBIDDEN:
                raise
            return self.token(UserId(f"dev-{secrets.token_hex(4)}"))
        return None

    def token(self, user: UserId) -> str:
        """Return a token for `user`, without an end."""
        return jwt.encode({"sub": user, "iat": int(time.time())}, self._key, algorithm="HS256")

    def _token(self, request: HTTPConnection) -> str:
        self._check_local(request)
        token = presented_token(request) or request.cookies.get(COOKIE)
        if token is None:
            raise Refused(
                ErrorCode.UNAUTHENTICATED,
                "open the chat page in this browser first, or send a token from `netra token`",
            )
        return token

    @staticmethod
    def _check_local(request: HTTPConnection) -> None:
        client = client_host(request)
        host = host_name(request.headers.get("host", ""))
        # A proxy on this machine does not make its clients local.
        if not all(map(is_loopback, (client, host, *forwarded_for(request)))):
            raise Refused(
                ErrorCode.FORBIDDEN,
                f"NETRA_AUTH=dev answers only on loopback, and {_foreign(client, host)}; "
                "set NETRA_AUTH=jwt for other addresses",
            )


def _foreign(client: str, host: str) -> str:
    """Return what is not of loopback, for who has to find out why: three things may not be."""
    if not client:  # of a Unix socket, and of a client that has gone
        return "the client's address is not known"
    if not is_loopback(client):
        return "the client's address is another"
    return "X-Forwarded-For names another" if is_loopback(host) else "the Host header names another"


class AgentCoreAuth:
    """``NETRA_AUTH=agentcore``: the user is the session that AgentCore's runtime names.

    The runtime has authenticated the caller, and nobody else can reach the container.
    """

    async def user(self, request: HTTPConnection) -> User:
        return self.known(request)

    def known(self, request: HTTPConnection) -> User:
        session = request.headers.get(SESSION_HEADER)
        if session is None:
            raise Refused(ErrorCode.UNAUTHENTICATED, f"the header {SESSION_HEADER} is missing")
        try:
            return User(UserId(parse_id("session", session)))
        except FrameError as error:
            raise Refused(ErrorCode.UNAUTHENTICATED, "the session id is not valid") from error

    async def verify(self, token: str) -> User:
        raise Refused(ErrorCode.UNAUTHENTICATED, "sessions have no tokens")

    async def signs_in(self, request: HTTPConnection) -> str | None:
        return None


def authenticator(settings: Settings, hook: Hook | None = None) -> Authenticator:
    """Return the authenticator that the settings ask for; a `hook` replaces it.

    Raises ConfigError.
    """
    if hook is not None:
        return HookAuth(hook)
    if settings.auth is AuthMode.AGENTCORE:
        return AgentCoreAuth()
    if settings.auth is AuthMode.DEV:
        return DevAuth(dev_key(settings.data_dir))
    return JwtAuth(
        Tokens(
            _keys(settings),
            published={issuer: KeySet(url) for issuer, url in settings.jwt_jwks.items()},
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
            admin_claim=settings.jwt_admin_claim,
        ),
        settings.jwt_cookie,
    )


def _keys(settings: Settings) -> list[Key]:
    """Return the keys that stand in the settings. Raises ConfigError."""
    keys: list[Key] = []
    if settings.jwt_secret is not None:
        keys.append(secret_key(jwt_secret(settings.jwt_secret.get_secret_value())))
    if settings.jwt_public_key is not None:
        keys.append(public_key(_text("jwt_public_key", settings.jwt_public_key)))
    return keys


def jwt_secret(setting: str) -> str:
    """Return the secret that the setting is, or that stands in the file which it names.

    Raises ConfigError.
    """
    secret = _text("jwt_secret", setting)
    if setting.startswith("@"):
        secret = secret.strip()  # a line of a file has an end
        if len(secret.encode()) < SECRET_BYTES:
            raise ConfigError(f"jwt_secret ({setting}): {SHORT_SECRET}")
    try:
        jwt.get_algorithm_by_name("HS256").prepare_key(secret)
    except jwt.InvalidKeyError as error:
        raise ConfigError(
            "jwt_secret is a key or certificate in PEM or SSH form, which is no secret for HS256; "
            "a public key belongs in jwt_public_key"
        ) from error
    return secret


def _text(name: str, value: str) -> str:
    """Return the setting of this name, or the text of the file that it names as ``@path``."""
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError, RuntimeError) as error:  # the last for the home of nobody
        raise ConfigError(f"{name} cannot be read: {error}") from error


def _checked(user: User) -> User:
    """Return the user whom an application names, each field of the type that it has to have.

    A thread has to be able to bear the id, and what the times are is compared with others for all
    that is open. Raises TypeError and ValueError.
    """
    fields = msgspec.structs.asdict(user)
    if isinstance(user.expires, float):  # as time.time() is
        fields["expires"] = int(user.expires)
    try:
        checked = msgspec.convert(fields, User)
        parse_id("user.id", checked.id)
    except msgspec.ValidationError as error:
        raise TypeError(f"authenticate returned a user with a wrong field: {error}") from error
    except FrameError as error:
        raise ValueError(f"authenticate returned a user of whom the {error.message}") from error
    if checked.issued is not None and not math.isfinite(checked.issued):
        raise ValueError("authenticate returned a user whose `issued` is no time")
    return checked
