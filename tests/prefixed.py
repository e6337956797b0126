"""An application as it is reached below a path: mounted in another one, or behind a proxy."""

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

PREFIX = "/in/netra"

WAYS = ("mounted", "proxied", "proxied with root_path")
"""How it may come to be below `PREFIX`. A proxy takes the prefix off the path; ASGI servers that
are told of it (``root_path``) put it back, and say so."""


def below(app: ASGIApp, way: str) -> ASGIApp:
    """Return what serves `app` below `PREFIX` in one of the `WAYS`, and nothing beside it."""
    if way == "mounted":
        from fastapi import FastAPI

        outer = FastAPI()
        outer.mount(PREFIX, app)
        return outer

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", PREFIX)
        if scope["type"] != "lifespan" and not path.startswith(f"{PREFIX}/"):
            await PlainTextResponse("outside", status_code=404)(scope, receive, send)
        elif way == "proxied":
            await app({**scope, "path": path.removeprefix(PREFIX)}, receive, send)
        else:
            await app({**scope, "root_path": PREFIX}, receive, send)

    return proxy
