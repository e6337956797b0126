"""Settings: one frozen object, from ``netra.toml`` and ``NETRA_*`` variables.

A variable wins over the file. An unknown key in the file, or a value of a wrong type, is an
error that names it. ``docs/operations.md`` lists every setting and a test compares the two.
"""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Set
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from netra_backend.errors import ConfigError

SECRET_BYTES = 32
SHORT_SECRET = f"it must have at least {SECRET_BYTES} bytes (RFC 7518 section 3.2)"


class AuthMode(StrEnum):
    """How users are told apart."""

    DEV = "dev"
    JWT = "jwt"
    AGENTCORE = "agentcore"


def _no_boolean(value: object) -> object:
    """Refuse ``true`` where a number belongs: to pydantic it is 1."""
    if isinstance(value, bool):
        raise ValueError("Input should be a number, not a boolean")  # noqa: TRY004 - for pydantic
    return value


def _not_empty(value: object) -> object:
    """Refuse a text without a character: of a path it would be the working directory."""
    if not value and isinstance(value, str):
        raise ValueError("Input should not be empty")
    return value


def _from_home(path: Path) -> Path:
    """Return the path with ``~`` for what it is: a shell leaves it in ``--data-dir=~/log``."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path.parts[0]} is no home directory that is known") from error


def _in_capitals(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _in_small_letters(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_not_empty)]
Directory = Annotated[Path, BeforeValidator(_not_empty), AfterValidator(_from_home)]
Count = Annotated[int, Field(ge=1), BeforeValidator(_no_boolean)]
Number = Annotated[int, Field(ge=0), BeforeValidator(_no_boolean)]
Milliseconds = Number
Duration = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_no_boolean)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_no_boolean)]


LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_in_capitals)
]
LogFormat = Annotated[
    Literal["auto", "text", "json", "gcp", "ecs", "datadog"], BeforeValidator(_in_small_letters)
]
"""What `jsonlog.configure` takes, which this layer does not know; a test compares them."""


class WhenBusy(StrEnum):
    """What becomes of a run for a thread in which another one is active."""

    REJECT = "reject"
    ENQUEUE = "enqueue"
    INTERRUPT = "interrupt"


class WhenFull(StrEnum):
    """What becomes of a connection when its user has as many as a user may have."""

    REFUSE = "refuse"
    REPLACE = "replace"


class AgentSettings(BaseModel):
    """What can be set for one agent; what is not, is as for all."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    run_timeout: Seconds | None = None
    run_events: Count | None = None
    concurrent_runs: Count | None = None
    when_busy: WhenBusy | None = None


_ORIGIN = re.compile(
    r"(?i)(?!https://[^/]*:443$|http://[^/]*:80$)"
    r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?"
)
"""An origin as a browser spells it: letters beyond ASCII as ``xn--``, and no port that is the usual
one of its scheme (RFC 6454 section 6.2). Apps have schemes of their own."""


class Settings(BaseSettings):
    """Everything that can be set, with its default. Frozen: a server never changes its mind.

    ``Settings(...)`` takes what it is given and reads nothing; `load_settings` reads.
    """

    # A traceback shows pydantic's own text, which would otherwise quote the values.
    model_config = SettingsConfigDict(
        env_prefix="NETRA_", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    data_dir: Directory = Path("netra-data")
    """Where the SQLite log and the development key live; ``~`` is the home directory."""
    log_level: LogLevel = "INFO"
    """The least severe level that is logged."""
    log_format: LogFormat = "auto"
    """``json``, ``gcp``, ``ecs``, ``datadog``, ``text``, or ``auto``: text on a terminal, JSON
    elsewhere."""

    auth: AuthMode = AuthMode.DEV
    """``dev`` signs browsers in by a cookie, on loopback only; ``jwt`` verifies tokens;
    ``agentcore`` believes the session header of Amazon's runtime."""
    jwt_secret: SecretStr | None = None
    """The key for HS256 tokens, at least 32 bytes, or ``@path`` of a file that holds it."""
    jwt_public_key: Text | None = None
    """The PEM public key for RS256, ES256 or EdDSA tokens, or ``@path`` of a file that holds it."""
    jwt_jwks: dict[str, str] = Field({}, examples=[{"https://ISSUER": "https://ISSUER/jwks.json"}])
    """Issuers, and the URL where each publishes the keys for its tokens (JWKS)."""
    jwt_audience: Text | None = None
    """Tokens must be for this audience; without it one that is for any is refused."""
    jwt_issuer: Text | None = None
    """If set, tokens must come from this issuer."""
    jwt_cookie: Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")] | None = None
    """A cookie that holds the token of a browser, where a request has no other."""
    jwt_admin_claim: Text | None = None
    """A claim that is ``true`` in the tokens of administrators."""
    admins: tuple[str, ...] = Field((), examples=[["bob"]])
    """Users who are administrators, whatever their credential."""
    allowed_origins: tuple[str, ...] = Field((), examples=[["https://a.example"]])
    """Origins besides the server's own that may open sockets and send commands."""
    allowed_hosts: tuple[str, ...] = Field((), examples=[["a.example"]])
    """Host headers, with or without port, for which sockets are opened and requests of users
    answered; none means every one."""

    run_timeout: Seconds = 600.0
    """Seconds after which a run is ended with RUN_ERROR ``timeout``."""
    run_events: Count = 100_000
    """Events one run may say; with one more it ends as failed."""
    concurrent_runs: Count | None = None
    """Runs of one agent that may be executed at once; more are refused with ``too_many``."""
    runs_per_user: Count | None = 1_000
    """Runs of one user that may be executed at once; more are refused with ``too_many``."""
    when_busy: WhenBusy = WhenBusy.REJECT
    """What becomes of a run for a busy thread: ``reject``, ``enqueue`` or ``interrupt``."""
    queued_runs: Count = 16
    """Runs that may wait in one thread."""
    agents: dict[str, AgentSettings] = Field({}, examples=[{"NAME": {"run_timeout": 60}}])
    """Limits and ``when_busy`` of one agent, in a table ``[agents.NAME]``."""
    lease_seconds: Seconds = 15.0
    """Seconds a lease lasts; it is renewed at a third of that."""
    coalesce_ms: Milliseconds = 40
    """Milliseconds that a delta may wait for the next ones; after such a pause one goes at once."""

    frame_bytes: Count = 1_048_576
    """Bytes of one frame from a client, and of one HTTP body."""
    head_bytes: Count = 65_536
    """Bytes of the head of a request, or of a handshake."""
    title_length: Annotated[Count, Field(le=10_000)] = 200
    """Characters of a thread's title, 10,000 at most."""
    commands_per_second: Count = 100
    """Frames that one connection may send in a second, in the long run."""
    command_burst: Count = 500
    """Frames that one connection may send at once."""
    followed_threads: Count = 64
    """Threads one connection may follow at once."""
    connections: Count = 100_000
    """Live connections in all, sockets and event streams."""
    connections_per_user: Count = 1_000
    """Live connections of one user."""
    connections_per_address: Count | None = None
    """Live connections from one address, or one IPv6 network of 64 bits; none means no limit."""
    when_full: WhenFull = WhenFull.REFUSE
    """What becomes of a connection when its user has too many: ``refuse`` it, or let it
    ``replace`` the user's socket that has been silent longest."""
    trusted_proxies: Number = 0
    """Proxies in front of the server that add to X-Forwarded-For; with 0 the header is ignored."""
    bad_frames: Count = 8
    """Unreadable frames in a row after which a connection is closed."""

    thread_members: Count = 100
    """Users with whom one thread may be shared."""

    write_high_water: Count = 65_536
    """Bytes unsent to one socket above which it gets nothing until it has drained."""
    behind_seconds: Seconds = 60.0
    """Seconds a socket may stay behind before it is closed with 4408."""
    replay_entries: Count = 5_000
    """Entries a follower may be behind and still get a replay; above that, a snapshot."""
    ping_seconds: Seconds = 20.0
    """Seconds between WebSocket pings, and the time a pong may take."""
    websocket_deflate: bool = False
    """Whether frames are compressed for a WebSocket client that offers it (permessage-deflate)."""
    finish_seconds: Duration = 0.0
    """Seconds that active runs may go on after the server was asked to stop."""
    reconnects_per_second: Count = 500
    """Clients that the servers which stay, or come next, take back in a second."""
    loop_blocked_seconds: Seconds = 1.0
    """Seconds that something may hold the event loop up before the log warns, and says where."""
    grace_seconds: Seconds = 5.0
    """Seconds running agents get to stop when they are cancelled or the server stops."""

    @model_validator(mode="after")
    def _jwt_has_a_key(self) -> "Settings":
        unset = self.jwt_secret is None and self.jwt_public_key is None and not self.jwt_jwks
        if self.auth is AuthMode.JWT and unset:
            raise ValueError(
                "auth = jwt needs jwt_secret (HS256), jwt_public_key (RS256, ES256, EdDSA) or "
                "jwt_jwks (issuers and where they publish their keys)"
            )
        return self

    @field_validator("jwt_secret")
    @classmethod
    def _the_secret_cannot_be_guessed(cls, secret: SecretStr | None) -> SecretStr | None:
        text = "" if secret is None else secret.get_secret_value()
        if secret is not None and not text.startswith("@") and len(text.encode()) < SECRET_BYTES:
            raise ValueError(SHORT_SECRET)
        return secret

    @field_validator("jwt_jwks")
    @classmethod
    def _keys_come_over_tls(cls, urls: dict[str, str]) -> dict[str, str]:
        """Whoever can change the answer on its way can make tokens."""
        for url in urls.values():
            parts = urlsplit(url)
            local = parts.hostname in ("localhost", "127.0.0.1", "::1")
            if not (parts.scheme == "https" or (parts.scheme == "http" and local)):
                raise ValueError(f"{url} is no https URL")
        return urls

    @field_validator("allowed_origins")
    @classmethod
    def _origins_are_as_browsers_send_them(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        """Any other would be compared in vain; `*` and `null` would be every page."""
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                shown = origin.rpartition("@")[2]  # what stands before it may be a password
                raise ValueError(
                    f"{shown!r} is no origin: write https://HOST, or https://HOST:PORT if the port "
                    "is not 443, without a path or a slash at its end"
                )
        return tuple(origin.lower() for origin in origins)

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts_are_compared_in_small_letters(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(host.lower() for host in hosts)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only the arguments: what is read, and in which order, stands in `load_settings`."""
        return (init_settings,)


def load_settings(file: Path | None = None, **overrides: Any) -> Settings:
    """Return the settings: `overrides`, over ``NETRA_*``, over `file` (default ``netra.toml``).

    Raises ConfigError naming the file, the key (with the variable, where that counted) and what
    was wrong with it.
    """
    path = file if file is not None else Path("netra.toml")
    values: dict[str, Any] = {}
    if file is not None or path.exists():
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from error
    variables = _variables()
    try:
        return Settings(**{**values, **variables, **overrides})
    except ValidationError as error:
        counted = variables.keys() - overrides.keys()
        lines = "; ".join(_problem(problem, counted) for problem in error.errors())
        raise ConfigError(f"settings ({path} and NETRA_* variables): {lines}") from error


_SERVICE = re.compile(r"NETRA_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
_SERVICE_URL = re.compile(r"NETRA_(\w+_)?PORT=\w+://.*")
"""What Kubernetes sets in each container for a Service of the namespace, as one named ``netra``:
https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables."""


def _variables() -> dict[str, Any]:
    """Return what the ``NETRA_*`` variables set; a name that sets nothing is an error."""
    known = [name.upper() for name in Settings.model_fields]
    for variable, value in os.environ.items():
        prefix, name = variable[:6], variable[6:]
        if _SERVICE.fullmatch(variable) or _SERVICE_URL.fullmatch(f"{variable}={value}"):
            continue
        # In small letters too, because pydantic would read it.
        if prefix.upper() == "NETRA_" and (prefix != "NETRA_" or name not in known):
            hint = _hint(name.upper(), known, "NETRA_")
            raise ConfigError(f"the environment variable {variable} is no setting{hint}")
    for name, field in Settings.model_fields.items():
        variable = f"NETRA_{name.upper()}"
        if field.examples and not _is_json(os.environ.get(variable, "null")):
            example = json.dumps(field.examples[0])
            raise ConfigError(f"{variable} must be JSON, such as {example}")
    return EnvSettingsSource(Settings)()


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _problem(problem: Any, variables: Set[str]) -> str:
    """Return one problem of a setting, which may come from one of `variables`.

    Without the value, which may be a secret.
    """
    path = [str(part) for part in problem.get("loc", ())]
    key = ".".join(path)
    if path and path[0] in variables:
        key = f"{key} (NETRA_{path[0].upper()})"
    if problem.get("type") == "extra_forbidden":
        known = Settings if len(path) == 1 else AgentSettings
        return f"{key} is no setting{_hint(path[-1], list(known.model_fields))}"
    text = str(problem["msg"]).removeprefix("Value error, ")  # what pydantic puts before ours
    return f"{key}: {text}" if key else text


def _hint(name: str, known: list[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else ""
