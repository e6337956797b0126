"""The server as an ASGI application: how each request is served, from the opening to the close.

It opens its store when its lifespan starts or, where it is mounted in an application that does not
run the lifespans of what is mounted, with the first request.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

import netra_backend
from netra_backend import jsonlog
from netra_backend.core.ids import UserId
from netra_backend.errors import ConfigError, ErrorCode, NetraError, Refused
from netra_backend.server import store_failures
from netra_backend.server.clock import now
from netra_backend.server.clockwork import STEP
from netra_backend.server.cross_origin import across_origins
from netra_backend.server.entrance import Accept, Enter
from netra_backend.server.errors import answer_error, answer_missing, error_response
from netra_backend.server.headers import CORRELATION, CORRELATION_FIELD, HEADERS, NOT_KEPT
from netra_backend.server.house import House
from netra_backend.server.request_log import Answer, Strangers
from netra_backend.server.target import below_root
from netra_backend.server.withdrawals import Withdrawals

log = jsonlog.get_logger(__name__)

WebSocketEndpoint = Callable[[WebSocket], Awaitable[None]]


class NetraApp:
    """The server as an ASGI application; see `create_app`."""

    def __init__(
        self,
        house: House,
        withdrawals: Withdrawals,
        routes: list[BaseRoute],
        entrances: Mapping[str, Enter],
    ) -> None:
        self._house = house
        self._withdrawals = withdrawals
        self._asgi = Starlette(
            routes=routes,
            exception_handlers={
                HTTPException: answer_missing,
                NetraError: answer_error,
                Exception: answer_error,
            },
            lifespan=self.lifespan,
        )
        # A redirect would repeat the request's Host header, which anybody can choose.
        self._asgi.router.redirect_slashes = False
        self._sockets: dict[str, WebSocketEndpoint] = {
            route.path: route.endpoint
            for route in routes
            if isinstance(route, WebSocketRoute) and "{" not in route.path
        }
        self._entrances = entrances
        self._front = across_origins(self._answer, house.settings.allowed_origins)
        self._opening: asyncio.Task[None] | None = None
        self._closed = False
        self._strangers = Strangers()
        self.pool = house.pool
        """The live connections."""

    @property
    def about(self) -> dict[str, object]:
        """What the first line of a server's log says of it."""
        settings = self._house.settings
        return {
            "version": netra_backend.__version__,
            "agents": list(self._house.runner.agents),
            "sign_in": settings.auth.value,
            "data_dir": str(settings.data_dir.absolute()),
            "pid": os.getpid(),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, socket or lifespan, under a correlation id of its own."""
        if scope["type"] == "lifespan":
            await self._asgi(scope, receive, send)
            return
        scope = below_root(scope)
        correlation = jsonlog.new_correlation()
        answer = Answer(scope, self._house.settings.trusted_proxies, self._strangers)

        async def send_with_headers(message: Any) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                answer.status = message["status"]
                extra = {**HEADERS, CORRELATION: correlation}
                given = [*message.get("headers", ())]
                if all(name != b"cache-control" for name, _ in given):
                    extra["Cache-Control"] = NOT_KEPT
                message["headers"] = [
                    *given,
                    *((name.lower().encode(), value.encode()) for name, value in extra.items()),
                ]
            elif message["type"] == "websocket.accept":
                told = (CORRELATION_FIELD, correlation.encode())
                message["headers"] = [told, *message.get("headers", ())]
            await send(message)

        with jsonlog.bind(correlation=correlation):
            try:
                await self._front(scope, receive, send_with_headers)
            except Exception:
                # The border around one request. Starlette has answered 500 before it raised;
                # the cause goes into the log under the correlation id that the client got.
                log.exception("request failed", extra={"path": scope["path"]})
            finally:
                answer.tell()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket; while the store cannot be opened, or is closed, say so."""
        if self._closed:
            await error_response(Refused(ErrorCode.DRAINING))(scope, receive, send)
            return
        try:
            await self.open()
        except NetraError as error:
            store_failures.tell("not open", error)
            await error_response(error)(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    def netra_enter(self, scope: Scope, accept: Accept) -> bool | Refused:
        """Serve a socket at once, and return whether that can be: see `server.entrance`.

        It cannot for an application made from this one that has its own `__call__`.
        """
        enter = self._entrances.get(scope["path"])
        return (
            enter is not None
            and not scope["root_path"]
            and self._is_open
            and type(self).__call__ is NetraApp.__call__
            and enter(scope, accept)
        )

    @property
    def _is_open(self) -> bool:
        """Whether everything is ready, in this event loop."""
        opening = self._opening
        return (
            opening is not None
            and opening.done()
            and not opening.cancelled()
            and opening.exception() is None
            and opening.get_loop() is asyncio.get_running_loop()
            and not self._closed
        )

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a socket at once where its path says all; Starlette sees to everything else.

        Its layers are for HTTP, and take as long as all the rest of an opening.
        """
        connect = self._sockets.get(scope["path"]) if scope["type"] == "websocket" else None
        if connect is not None and not scope.get("root_path"):
            await connect(WebSocket(scope, receive, send))
        else:
            await self._asgi(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Open the store and the runner; on leaving, end every run and close.

        Pass it to the application in which this one is mounted: ``FastAPI(lifespan=…)``. It may
        be entered again after it was left, in another event loop too: tests do so.
        """
        if self._closed:
            self._opening, self._closed = None, False
            self.pool.open()
        await self.open()
        try:
            yield
        finally:
            await self.close()

    async def open(self) -> None:
        """Make everything ready, once; what failed may be tried again.

        Raises ConfigError in another event loop than the first: nothing would ever be answered.
        """
        if self._opening is None or (self._opening.done() and self._opening.exception()):
            self._opening = asyncio.ensure_future(self._open())
        elif self._opening.get_loop() is not asyncio.get_running_loop():
            raise ConfigError(
                "the application was opened in another event loop; enter its lifespan around all "
                "that you ask of it, as `with TestClient(app) as client:` does"
            )
        if not self._opening.done():
            await asyncio.shield(self._opening)

    async def revoke(self, user: str) -> None:
        """Refuse what was issued to the user until now, and close what they have open with it.

        For applications that know when somebody signs out or is shut out. Other processes on the
        same store follow within seconds.
        """
        await self._withdrawals.revoke(UserId(user), now())

    async def finish_runs(self) -> None:
        """Start no more runs, and return when those that there are have ended by themselves."""
        await self._house.runner.finish()

    async def end_runs(self) -> None:
        """Start no more runs, and end those that there are as interrupted, while clients watch.

        Nobody waits for an agent that does not stop at once.
        """
        await self._house.runner.end()

    async def drain(self, retry_after_ms: int) -> None:
        """Tell every client that the server restarts: close its socket with 1012, or its stream.

        Each is told a time of its own to come back, the first after `retry_after_ms` and the
        others behind it, as many a second as `Settings.reconnects_per_second` says. Nobody is let
        in any more, who would be told of none.
        """
        self.pool.close()
        gap = 1_000 / self._house.settings.reconnects_per_second
        drains: list[asyncio.Future[None]] = []
        for place, member in enumerate(self.pool):
            drain = member.drain(retry_after_ms + round(place * gap))
            drains.append(asyncio.ensure_future(drain))
            if len(drains) % STEP == 0:
                await asyncio.sleep(0)  # let the loop breathe: there may be very many
        await asyncio.gather(*drains)

    async def close(self) -> None:
        """End every run as interrupted, and close the store; serve nothing more. Idempotent."""
        await self._house.runner.close()
        self._closed = True
        await self._withdrawals.close()
        self._house.hub.close()
        await self._house.store.close()

    async def _open(self) -> None:
        await self._house.store.open()
        await self._withdrawals.open()
        self._house.hub.open()
        await self._house.runner.open()
        log.info("open", extra={"store": type(self._house.store).__name__})
