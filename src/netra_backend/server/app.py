"""The composition root: everything put together, as one ASGI application."""

from collections.abc import Mapping, Sequence
from functools import cache, partial

from netra_backend.agents.base import Agent
from netra_backend.agents.loading import adapt, load_agent
from netra_backend.agents.policy import policies
from netra_backend.agents.runner import Runner
from netra_backend.config import AuthMode, Settings, load_settings
from netra_backend.core.ids import parse_id
from netra_backend.core.nodes import Nodes
from netra_backend.core.ports import Bus, Store
from netra_backend.errors import ConfigError, FrameError
from netra_backend.server import metrics
from netra_backend.server.access import Access
from netra_backend.server.administration import AdministrationApi
from netra_backend.server.api import Api
from netra_backend.server.auth import Hook, authenticator
from netra_backend.server.clock import now
from netra_backend.server.dialects import spoken_on_ws
from netra_backend.server.edges.agentcore import AgentCoreEdge
from netra_backend.server.edges.agui import AguiEdge
from netra_backend.server.edges.copilotkit import CopilotKitEdge
from netra_backend.server.endpoints import Endpoint
from netra_backend.server.health import Health
from netra_backend.server.house import House
from netra_backend.server.hub import Hub
from netra_backend.server.interrupts import InterruptsApi
from netra_backend.server.kept_keys import kept_key
from netra_backend.server.members import MembersApi
from netra_backend.server.netra_app import NetraApp
from netra_backend.server.page_turns import PageTurns
from netra_backend.server.pool import Pool
from netra_backend.server.revocations import UnrevokedAuth
from netra_backend.server.roster import Roster
from netra_backend.server.routes import routes_of
from netra_backend.server.seating import Seating
from netra_backend.server.tickets import TicketAuth
from netra_backend.server.websocket import SocketRoute
from netra_backend.server.withdrawals import Withdrawals
from netra_backend.stores.local_bus import LocalBus
from netra_backend.stores.sqlite import SqliteStore


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
    return {_name(name): _agent(name, thing) for name, thing in agents.items()}


def _name(name: str) -> str:
    """Return the name of an agent, which stands in addresses and in the log."""
    try:
        return parse_id("name", name)
    except FrameError as error:
        raise ConfigError(f"agents: {error}") from error


def _agent(name: str, thing: object) -> Agent:
    try:
        return adapt(thing)
    except ConfigError as error:
        raise ConfigError(f"agents: {name}: {error}") from error
