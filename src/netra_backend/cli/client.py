"""What the commands that talk to a server share: its address and a credential for it."""

import json
import unicodedata
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPException
from typing import Annotated, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import typer
from msgspec import Struct
from rich.console import Console
from rich.text import Text

from netra_backend.cli.settings import settings_with
from netra_backend.cli.token import Unsigned, make_token
from netra_backend.config import AuthMode
from netra_backend.core.events import PROGRESS
from netra_backend.errors import ConfigError, ErrorCode, NetraError

Url = Annotated[str, typer.Option(help="The server.")]
AsUser = Annotated[str, typer.Option("--user", help="Whose thread it is; makes a token for them.")]
Credential = Annotated[str | None, typer.Option("--token", help="A token, instead of --user.")]
DataDir = Annotated[
    str | None, typer.Option(metavar="PATH", help="The server's data directory, for its key.")
]

_COLOURS = {
    "RUN": "bold blue",
    "TEXT": "green",
    "REASONING": "magenta",
    "TOOL": "yellow",
    "STEP": "cyan",
    "PROGRESS": "cyan",
}

_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Control and format characters, among them those that turn the direction of a text (Unicode's
UAX 9), what is not assigned or private, surrogates, and the separators of lines and paragraphs."""

_JOINERS = "\u200c\u200d"
"""Format characters that Persian, Hindi and emoji are written with."""


class Server(Struct, frozen=True):
    """A running server, a token for it, and if we signed that: with what, and what to give else."""

    url: str
    token: str
    signer: str | None = None

    @property
    def socket_url(self) -> str:
        """The address of its WebSocket."""
        return f"ws{self.url.removeprefix('http')}/ws"

    def get(self, path: str) -> Any:
        """Return the JSON at `path`. Raises ServerError with what the server said."""
        request = Request(  # noqa: S310 - the scheme was checked
            f"{self.url}{path}", headers={"Authorization": f"Bearer {self.token}"}
        )
        try:
            with urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.load(answer)
        except HTTPError as error:
            raise self.refusal(error.read(), error.code) from error
        except (URLError, OSError, HTTPException) as error:
            raise ServerError(f"no answer from {self.url}: {error}") from error
        except ValueError as error:
            raise ServerError(f"{self.url} is no Netra server: its answer is not JSON") from error

    def refusal(self, body: bytes, status: int) -> "ServerError":
        """Return what the server says in the body of a refusal; its status, if that is not ours."""
        told = _refusal(body)
        text = str(told.get("message", f"the server answered {status}"))
        if told.get("code") == ErrorCode.NOT_FOUND:
            return NotFound(text)
        if status == HTTPStatus.UNAUTHORIZED and self.signer is not None:
            text += f": it was signed with {self.signer}, or a --token"
        return ServerError(text)

    def events(self, thread: str, after: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield the thread's events after the position, page by page.

        Raises ServerError as `get` does; NotFound names the thread.
        """
        path = f"/threads/{thread}/events"
        while True:
            try:
                page = self.get(f"{path}?after={after}" if after else path)
            except NotFound as error:
                raise no_thread(thread) from error
            yield from page["events"]
            after = page["next"]
            if after is None:
                return


class ServerError(NetraError):
    """The server could not be reached, or refused; the text says which and why."""


class NotFound(ServerError):
    """There is no such thing, or it is another user's: the two look the same."""


def no_thread(thread: str) -> NotFound:
    """Return the error that names the thread which is not there."""
    return NotFound(f"there is no thread {thread} that this user may see")


def reach(url: str, user: str, token: str | None, data_dir: str | None) -> Server:
    """Return the server at `url` with `token`, or one made for `user`. Raises ConfigError."""
    if not _is_address(url):
        raise ConfigError(f"--url {url!r} must look like http://127.0.0.1:8000")
    if token is not None and not token.strip():
        raise ConfigError("--token is empty")
    if token is not None and not (token.isascii() and token.isprintable()):
        raise ConfigError("--token has a character that no token has, such as a line break")
    url = url.rstrip("/")
    if token is not None:
        return Server(url, token)
    settings = settings_with(data_dir)
    try:
        made = make_token(settings, user)
    except Unsigned as error:
        raise ConfigError(f"{error}; or pass a token with --token") from error
    if settings.auth is AuthMode.DEV:
        signer = f"the key in {settings.data_dir}; give the server's --data-dir"
    else:
        signer = "NETRA_JWT_SECRET; give the server's"
    return Server(url, made, signer)


def show(console: Console, position: str, chunk: dict[str, Any], *, as_json: bool) -> None:
    """Print one event with its position on one line."""
    if as_json:
        told = json.dumps({"id": position, "chunk": chunk}, ensure_ascii=False)
        typer.echo(_readable(told, console.encoding))
        return
    kind, fields = _told(chunk)
    style = _COLOURS.get(kind.split("_", maxsplit=1)[0], "white")
    line = Text(f"{position:>16}  ", style="dim")
    line.append(_readable(f"{kind:<26}", console.encoding), style=style)
    line.append(_readable(fields, console.encoding))
    console.print(line, soft_wrap=True)


def _told(chunk: dict[str, Any]) -> tuple[str, str]:
    """Return what kind of event it is, and what it says."""
    value = chunk.get("value")
    if chunk.get("name") == PROGRESS and isinstance(value, dict) and _is_progress(value):
        done, total = value.get("done"), value.get("total")
        amount = "" if done is None else f" ({done})" if total is None else f" ({done} of {total})"
        return "PROGRESS", f"{value['text']}{amount}"
    rest = {key: value for key, value in chunk.items() if key != "type"}
    return str(chunk.get("type")), " ".join(
        f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in rest.items()
    )


def _is_progress(value: dict[str, Any]) -> bool:
    """Return whether it is as `RunContext.progress` says it; an agent may yield any value."""
    numbers = (value.get("done"), value.get("total"))
    return isinstance(value.get("text"), str) and all(
        number is None or isinstance(number, int | float) for number in numbers
    )


def _readable(text: str, encoding: str) -> str:
    """Return `text` in its own script, but escaped as in JSON what is no part of a word.

    That is what a terminal of this `encoding` cannot show, or takes as an order to it.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _is_seen(char, encoding) else _escaped(char) for char in text)


def _is_seen(char: str, encoding: str) -> bool:
    if unicodedata.category(char) in _UNSEEN and char not in _JOINERS:
        return False
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _escaped(char: str) -> str:
    """Return the JSON escape of `char`: of one beyond 16 bits two."""
    return json.dumps(char)[1:-1] if char != "\x7f" else r"\u007f"


def _refusal(body: bytes) -> dict[str, Any]:
    """Return what our servers say of a refusal; nothing if the body is not one of theirs."""
    try:
        told = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return told if isinstance(told, dict) else {}


def _is_address(url: str) -> bool:
    """Return whether `url` names a host to speak HTTP with, on a port that there can be."""
    try:
        parts = urlsplit(url)
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return named and url.isprintable() and " " not in url
