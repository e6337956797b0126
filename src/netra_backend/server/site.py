"""The site: the chat page, its assets and the documentation."""

from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from netra_backend.agents.documentation import documentation_root, pages, pictures
from netra_backend.errors import ErrorCode, Refused
from netra_backend.server.auth import COOKIE, Authenticator

PAGE = Path(__file__).parent / "page"


class Site:
    """``/``, ``/page/…`` and ``/docs/…``."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the site."""
        return [
            Route("/", self._index),
            Mount("/page", _Assets(directory=PAGE)),
            Route("/docs", self._documentation),
            Route("/docs/{page:path}", self._documentation),
        ]

    async def _index(self, request: Request) -> Response:
        """Return the chat page; in development, sign a new visitor in."""
        value = await self._authenticator.signs_in(request)
        response = _File(PAGE / "index.html", headers={"Cache-Control": "no-cache"})
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
        return (PAGE / "docs.html").read_text(encoding="utf-8").replace('="./', f'="./{up}')


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
    """The page's files. A browser asks each time whether one has changed: its modules must be of
    one version."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(_whole(scope), receive, send)

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        response.headers["Accept-Ranges"] = "none"
        return response
