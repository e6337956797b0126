"""``netra token``: a token for trying things out."""

import time
from typing import Annotated, Any

import jwt
import typer

from netra_backend.cli.arguments import checked
from netra_backend.cli.settings import settings_with
from netra_backend.config import AuthMode, Settings
from netra_backend.core.ids import UserId, parse_id
from netra_backend.errors import ConfigError
from netra_backend.server.auth import DevAuth, jwt_secret
from netra_backend.server.kept_keys import dev_key

LIFETIME = 3600
"""Seconds that a token lasts where tokens must end."""


class Unsigned(ConfigError):
    """No token can be signed here; the text says why."""


def token(
    user: Annotated[str, typer.Argument(help="Whose token.")],
    data_dir: Annotated[
        str | None, typer.Option(metavar="PATH", help="The server's data directory.")
    ] = None,
) -> None:
    """Print a token for USER, signed with the server's development key or HS256 secret."""
    typer.echo(make_token(settings_with(data_dir), user))


def make_token(settings: Settings, user: str) -> str:
    """Return a token for `user` that the server with these settings accepts.

    Raises ConfigError for a name that is no id or a data directory that is none, and Unsigned where
    there is no key to sign with.
    """
    with checked():
        parse_id("user", user)
    if settings.auth is AuthMode.DEV:
        return _development_token(settings, UserId(user))
    if settings.auth is AuthMode.AGENTCORE:
        raise ConfigError(
            "with NETRA_AUTH=agentcore there are no tokens: the runtime names sessions"
        )
    return _signed_token(settings, UserId(user))


def _development_token(settings: Settings, user: UserId) -> str:
    if settings.data_dir.exists() and not settings.data_dir.is_dir():
        raise ConfigError(f"the data directory {settings.data_dir} is no directory")
    if not (settings.data_dir / "dev.key").is_file():
        raise Unsigned(
            f"there is no key in {settings.data_dir}: start the server there first, or give "
            "its --data-dir"
        )
    return DevAuth(dev_key(settings.data_dir)).token(user)


def _signed_token(settings: Settings, user: UserId) -> str:
    if settings.jwt_secret is None:
        raise Unsigned(
            "this server verifies tokens with public keys; only your identity provider can sign "
            "them"
        )
    now = int(time.time())  # without `iat` it would be older than every revocation
    claims: dict[str, Any] = {"sub": user, "iat": now, "exp": now + LIFETIME}
    if settings.jwt_audience is not None:
        claims["aud"] = settings.jwt_audience
    if settings.jwt_issuer is not None:
        claims["iss"] = settings.jwt_issuer
    secret = jwt_secret(settings.jwt_secret.get_secret_value())
    return jwt.encode(claims, secret, algorithm="HS256")
