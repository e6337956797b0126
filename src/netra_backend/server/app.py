"""The application: everything put together, as one ASGI callable.

``create_app`` is the composition root. The application opens its store when its lifespan starts
or, where it is mounted in an application that does not run the lifespans of what is mounted,
with the first request.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

import netra_backend
from netra_backend import jsonlog
from netra_backend.agents.base import Agent
from netra_backend.agents.loading import adapt, load_agent
from netra_backend.agents.policy import policies
from netra_backend.agents.runner import Runner
from netra_backend.config import AuthMode, Settings, load_settings
from netra_backend.core.ids import UserId
from netra_backend.core.nodes import Nodes
from netra_backend.core.ports import Bus, Store
from netra_backend.errors import ConfigError, ErrorCode, NetraError, Refused
from netra_backend.server import metrics, store_failures
from netra_backend.server.access import Access
from netra_backend.server.administration import AdministrationApi
from netra_backend.server.api import Api
from netra_backend.server.auth import Hook, authenticator, kept_key
from netra_backend.server.clock import now
from netra_backend.server.clockwork import STEP
from netra_backend.server.cross_origin import across_origins
from netra_backend.server.dialects import spoken_on_ws
from netra_backend.server.edges.agentcore import AgentCoreEdge
from netra_backend.server.edges.agui import AguiEdge
from netra_backend.server.edges.copilotkit import CopilotKitEdge
from netra_backend.server.endpoints import Endpoint
from netra_backend.server.entrance import Accept, Enter
from netra_backend.server.errors import answer_error, answer_missing, error_response
from netra_backend.server.headers import CORRELATION, CORRELATION_FIELD, HEADERS
from netra_backend.server.health import Health
from netra_backend.server.house import House
from netra_backend.server.hub import Hub
from netra_backend.server.interrupts import InterruptsApi
from netra_backend.server.members import MembersApi
from netra_backend.server.page_turns import PageTurns
from netra_backend.server.pool import Pool
from netra_backend.server.request_log import Answer, Strangers
from netra_backend.server.revocations import UnrevokedAuth
from netra_backend.server.roster import Roster
from netra_backend.server.routes import routes_of
from netra_backend.server.seating import Seating
from netra_backend.server.target import below_root
from netra_backend.server.tickets import TicketAuth
from netra_backend.server.websocket import SocketRoute
from netra_backend.server.withdrawals import Withdrawals
from netra_backend.stores.local_bus import LocalBus
from netra_backend.stores.sqlite import SqliteStore

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
                message["headers"] = [
                    *message.get("headers", ()),
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


def create_app(
    agents: Mapping[str, object] | None = None,
    *,
    settings: Settings | None = None,
    store: Store | None = None,
    bus: Bus | None = None,
    nodes: Nodes | None = None,
    authenticate: Hook | None = None,
    callbacks: Sequence[object] = (),
    agentcore: bool = False,
) -> NetraApp:
    """Return the server as an ASGI application.

    `agents` maps names to what can be adapted to an agent: a callable ``RunAgentInput ->
    AsyncIterator[BaseEvent]``, or a framework's agent object whose extra is installed; the first
    is the default, and without any the docs agent answers. `settings` default to ``netra.toml``
    and ``NETRA_*``, `store` to SQLite in the data directory; `nodes` are others that share it.
    `authenticate` tells who sends a request, where the application around knows its users, and
    replaces the settings' way.
    `callbacks` are objects with some of the methods that `agents.callbacks` names. With
    `agentcore` it is also what Amazon Bedrock AgentCore asks of a container. Raises ConfigError.
    """
    settings = settings if settings is not None else load_settings()
    store = store if store is not None else SqliteStore(settings.data_dir)
    bus = bus if bus is not None else LocalBus()
    hub = Hub(bus)
    runner = _runner(settings, store, bus, hub, _adapted(agents))
    if nodes is not None:
        runner.share(nodes)
    for target in callbacks:
        runner.projection.subscribe(target)
    tickets = TicketAuth(
        authenticator(settings, authenticate),
        store,
        cache(lambda: kept_key(settings.data_dir / "ticket.key")),
        now,
    )
    auth = UnrevokedAuth(tickets, store, now, settings.admins)
    pool = _pool(settings)
    signs_in = authenticate is None and settings.auth is AuthMode.DEV
    key_dir = str(settings.data_dir.resolve()) if signs_in else None
    access, seating = Access(store, runner.executions), Seating(settings, pool, auth, nodes)
    house = House(settings, auth, store, access, runner, hub, pool, seating, key_dir)
    withdrawals = Withdrawals(store, auth, house.access, pool)
    endpoints = [*tickets.endpoints(), *_endpoints(house, withdrawals, nodes)]
    if agentcore:
        endpoints += AgentCoreEdge(house).endpoints()
    sockets = SocketRoute(house, partial(spoken_on_ws, house=house, container=agentcore))
    routes = routes_of(house, tuple(endpoints), sockets)
    return NetraApp(house, withdrawals, routes, {"/ws": sockets.enter})


def _runner(
    settings: Settings, store: Store, bus: Bus, hub: Hub, agents: Mapping[str, Agent]
) -> Runner:
    runner = Runner(
        store,
        bus,
        agents,
        policies=policies(settings, agents),
        lease_ms=int(settings.lease_seconds * 1000),
        window=settings.coalesce_ms / 1000,
        now=now,
        watchers=hub.watchers,
    )
    runner.projection.observe(metrics.count)
    return runner


def _pool(settings: Settings) -> Pool:
    return Pool(
        limit=settings.connections,
        per_user=settings.connections_per_user,
        per_address=settings.connections_per_address,
        when_full=settings.when_full,
    )


def _endpoints(house: House, withdrawals: Withdrawals, nodes: Nodes | None) -> tuple[Endpoint, ...]:
    turns = PageTurns()
    return (
        *AguiEdge(house).endpoints(),
        *CopilotKitEdge(house).endpoints(),
        *Api(house, turns).endpoints(),
        *MembersApi(house).endpoints(),
        *InterruptsApi(house, turns).endpoints(),
        *AdministrationApi(Roster(house, nodes), withdrawals).endpoints(),
        *Health(house, nodes).endpoints(),
    )


def _adapted(agents: Mapping[str, object] | None) -> dict[str, Agent]:
    if agents is None:
        name, agent = load_agent("docs")
        return {name: agent}
    if not agents:
        raise ConfigError("agents is empty; name at least one, or leave it out for the docs agent")
    return {name: adapt(thing) for name, thing in agents.items()}
