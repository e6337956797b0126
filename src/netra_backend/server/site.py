"""The site: the chat page, its assets and the documentation."""

import re
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from netra_backend.agents.documentation import documentation_root, pages, pictures
from netra_backend.errors import ErrorCode, Refused
from netra_backend.server.auth import COOKIE, Authenticator

PAGE = Path(__file__).parent / "page"

_WEIGHT = re.compile(rb"\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*")
"""RFC 9110 section 12.4.2."""

_MARK = "~"
"""What a version begins with in the address of an asset: no file does."""


class Site:
    """``/``, ``/page/…`` and ``/docs/…``."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._assets = _Assets()

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the site."""
        small = [Middleware(_Compressed)]
        return [
            Route("/", self._index, middleware=small),
            Mount("/page", self._assets, middleware=small),
            Route("/docs", self._documentation, middleware=small),
            Route("/docs/{page:path}", self._documentation, middleware=small),
        ]

    async def _index(self, request: Request) -> Response:
        """Return the chat page; in development, sign a new visitor in."""
        value = await self._authenticator.signs_in(request)
        shell = self._assets.shell("index.html", '="')
        response = Response(shell, media_type="text/html", headers={"Cache-Control": "no-cache"})
        if value is not None:
            # Without a path it is for what is beside the page and below, as the browser sees the
            # address (RFC 6265 section 5.1.4): a proxy may have taken a prefix off it.
            response.set_cookie(
                COOKIE, value, path=None, httponly=True, samesite="strict", max_age=31_536_000
            )
        return response

    async def _documentation(self, request: Request) -> Response:
        """Return a page of the documentation: as HTML that shows it, its source, or a picture."""
        name = request.path_params.get("page", "").strip("/") or "index"
        if name.endswith(".png"):
            path, media_type = pictures(documentation_root()).get(name), "image/png"
        elif name.endswith(".md"):
            path = pages(documentation_root()).get(name.removesuffix(".md"))
            media_type = "text/markdown; charset=utf-8"
        else:
            return Response(self._shell(request), media_type="text/html")
        if path is None:
            raise Refused(ErrorCode.NOT_FOUND)
        return _File(path, media_type=media_type)

    def _shell(self, request: Request) -> str:
        """Return what shows a page, with links that lead up from it to the root of the server."""
        page = request.path_params.get("page")
        up = "" if page is None else "../" * (1 + page.count("/"))
        return self._assets.shell("docs.html", '="./').replace('="./', f'="./{up}')


class _Compressed:
    """The application `app`, with answers compressed for who takes that.

    A first visit is a third of the bytes; of no file a piece takes more than two milliseconds. All
    that is served so is the same for everybody, so that its length tells nobody anything.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = GZipMiddleware(app, compresslevel=4)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                headers["Vary"] = "Accept-Encoding"  # also of a 304 (RFC 9110 section 15.4.5)
                if "ETag" in headers:  # which two codings have in common (section 8.8.1)
                    headers["ETag"] = f"W/{headers['ETag']}"
            await send(message)

        # HEAD has the head that GET has (section 9.3.2); the server leaves the body out.
        await self._app({**scope, "method": "GET", "headers": _asked(scope)}, receive, send_marked)


def _asked(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the request's fields, with one Accept-Encoding that only names what is to be sent.

    Starlette looks for ``gzip`` in it, whatever it says of it.
    """
    fields = [field for field in scope["headers"] if field[0] != b"accept-encoding"]
    accepted = [value for name, value in scope["headers"] if name == b"accept-encoding"]
    coding = b"gzip" if takes_gzip(b",".join(accepted)) else b"identity"
    return [*fields, (b"accept-encoding", coding)]


def takes_gzip(accepted: bytes) -> bool:
    """Return whether who sent this Accept-Encoding wants gzip rather than no coding.

    By RFC 9110 section 12.5.3: a weight of 0 refuses, ``*`` stands for what is not named, and
    what has no coding is worst unless it is named. A weight that is none refuses, too.
    """
    weights = dict(map(_weighed, accepted.lower().split(b",")))
    gzip = weights.get(b"gzip", weights.get(b"x-gzip", weights.get(b"*", 0.0)))
    return gzip > 0 and gzip >= weights.get(b"identity", 0.0)


def _weighed(accepted: bytes) -> tuple[bytes, float]:
    coding, _, weight = accepted.partition(b";")
    found = _WEIGHT.fullmatch(weight)
    return coding.strip(), (1.0 if not weight else float(found[1]) if found else 0.0)


def _whole(scope: Scope) -> Scope:
    """Return the request as one for a whole file, as RFC 9110 section 14.2 lets us.

    None is so long that a browser asks for a part, and Starlette refuses a wrong range in words
    that have neither code nor correlation.
    """
    fields = [field for field in scope["headers"] if field[0] != b"range"]
    return {**scope, "headers": fields}


class _File(FileResponse):
    """A file, always whole."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers["accept-ranges"] = "none"
        await super().__call__(_whole(scope), receive, send)


class _Assets(StaticFiles):
    """The page's files, of one version: their addresses begin with it in what `shell` returns.

    So a browser keeps them, and a reload asks for one file and not for fifty. Of an address without
    the present version, such as that of another node's, it asks each time whether it has changed.
    """

    def __init__(self) -> None:
        super().__init__(directory=PAGE)
        self._version = ""  # Until a browser asks: many a server has none.

    def shell(self, name: str, before: str) -> str:
        """Return the HTML file; `before` is what stands in it before the addresses of assets."""
        self._version = _version()  # Who changes the page need not start the server again.
        html = (PAGE / name).read_text(encoding="utf-8")
        return html.replace(f"{before}page/", f"{before}page/{self._version}/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(_whole(scope), receive, send)

    async def get_response(self, path: str, scope: Scope) -> Response:
        version, _, rest = path.partition("/")
        if not version.startswith(_MARK):
            version, rest = "", path
        self._version = self._version or _version()
        response = await super().get_response(rest, scope)
        known = version == self._version
        response.headers["Cache-Control"] = "max-age=31536000, immutable" if known else "no-cache"
        response.headers["Accept-Ranges"] = "none"
        return response


def _version() -> str:
    """Return what is another one whenever a file of the page has another content."""
    files = sorted(path for path in PAGE.rglob("*") if path.is_file())
    stats = ((path, path.stat()) for path in files)
    return _digest(tuple((path, stat.st_mtime_ns, stat.st_size) for path, stat in stats))


@lru_cache(maxsize=1)
def _digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Return the version of the files; their times and sizes say when to look again."""
    digest = sha256()
    for path, _, size in files:
        digest.update(f"{path.relative_to(PAGE)} {size}\n".encode())
        digest.update(path.read_bytes())
    return _MARK + digest.hexdigest()[:16]
