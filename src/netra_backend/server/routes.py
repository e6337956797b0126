"""The routes: which path is served by what, for HTTP and for sockets that ASGI opens."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

import netra_backend
from netra_backend import jsonlog
from netra_backend.errors import ErrorCode, Refused
from netra_backend.server.asyncapi import asyncapi
from netra_backend.server.edges.ai_sdk import spoken_on_ai_sdk
from netra_backend.server.endpoints import Endpoint
from netra_backend.server.house import House
from netra_backend.server.openapi import openapi
from netra_backend.server.origin import check_host, check_origin
from netra_backend.server.request_log import note
from netra_backend.server.site import Site
from netra_backend.server.websocket import SocketRoute

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def routes_of(
    house: House, endpoints: tuple[Endpoint, ...], sockets: SocketRoute
) -> list[BaseRoute]:
    """Return all routes; `sockets` serves ``/ws``, and refuses what there is not."""

    return [
        WebSocketRoute("/ws", sockets.connect),
        WebSocketRoute(
            "/ai-sdk/{agent}", SocketRoute(house, partial(spoken_on_ai_sdk, house=house)).connect
        ),
        *(Route(path, _needs_upgrade) for path in ("/ws", "/ai-sdk/{agent}")),
        *(_route(house, endpoint) for endpoint in endpoints),
        _document("/openapi.json", partial(openapi, endpoints)),
        _document("/asyncapi.json", asyncapi),
        *Site(house.authenticator).routes(),
        WebSocketRoute("/{path:path}", sockets.refuse),
    ]


def _document(path: str, describe: Callable[[str], dict[str, Any]]) -> Route:
    """Return the route of what `describe` makes for this version, once it is asked for."""

    @cache
    def encoded() -> bytes:
        return msgspec.json.encode(describe(netra_backend.__version__))

    async def show(request: Request) -> Response:
        return Response(encoded(), media_type="application/json")

    return Route(path, show)


async def _needs_upgrade(request: Request) -> Response:
    raise Refused(ErrorCode.UPGRADE_REQUIRED)


def _route(house: House, endpoint: Endpoint) -> Route:
    """Return the route of `endpoint`: it authenticates, then calls."""

    async def call(request: Request) -> Response:
        if endpoint.open:
            return await endpoint.call(request)
        check_host(request, house.settings.allowed_hosts)
        if request.method not in SAFE_METHODS:
            check_origin(request, house.settings.allowed_origins)
        user = await house.authenticator.user(request)
        note(request, user=user.id)
        with jsonlog.bind(user=user.id):
            return await endpoint.call(request, user)

    return Route(endpoint.path, call, methods=[endpoint.method])
