"""Every adapter through every edge: answer, tool call, reasoning, error, cancel, cut and resume.

A test is an edge: one server with all agents, one Node process with the edge's published client,
one cell after the other. ``make test`` plays our own adapter at every edge and a foreign one at the
first, ``make nightly`` all.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from ag_ui.core import BaseEvent, RunAgentInput

from netra_backend.agents.loading import adapt
from netra_backend.server.auth import SESSION_HEADER
from netra_backend.stores.sqlite import SqliteStore
from tests.cable import Cable, cable
from tests.contract.adapters import ADAPTERS, Adapter, shown
from tests.contract.edges import EDGES, Cancels, Edge, Resumes
from tests.contract.stage import SECRET, Scenario, Stage
from tests.e2e.node_client import NodeClient, node_client, script_folder
from tests.http import http
from tests.live import live

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

OURS, FOREIGN = "generator", "pydantic-ai"
"""The adapters that stand for all in ``make test``: no edge can tell who made its events."""

SCENARIOS = (
    Scenario.ANSWER,
    Scenario.TOOL,
    Scenario.REASONING,
    Scenario.ERROR,
    Scenario.CANCEL,
    Scenario.RESUME,
)
SESSION = "session-of-the-matrix-0123456789-0123456789"
BOUND = 30.0
"""Seconds after which a cell has failed."""


class Cell(NamedTuple):
    """One scenario of one adapter at one edge."""

    adapter: Adapter
    scenario: Scenario
    stage: Stage

    @property
    def name(self) -> str:
        return f"{self.adapter.name}-{self.scenario.name}".lower().replace("_", "-")

    @property
    def is_paged(self) -> bool:
        return self.scenario in self.adapter.paged


class Bench(NamedTuple):
    """Where the cells of an edge are played."""

    edge: Edge
    node: NodeClient
    cable: Cable
    browser: httpx.AsyncClient

    def arguments(self, cell: Cell) -> dict[str, str]:
        about = {"thread": cell.name, "agent": cell.name, "run": cell.name, "text": "How is it?"}
        return {**self.edge.call, **about, **({"page": "has the tool"} if cell.is_paged else {})}

    async def run_of(self, cell: Cell) -> dict[str, Any]:
        """Return the thread's newest run, as the server has it: the only one, or the second."""
        events = (await self.browser.get(f"/threads/{cell.name}/events")).json()["events"]
        runs = list(dict.fromkeys(event["run"] for event in events))
        assert len(runs) == 1 + cell.is_paged
        return dict((await self.browser.get(f"/runs/{runs[-1]}")).json())


async def play(bench: Bench, cell: Cell) -> None:
    """Play one cell. Raises AssertionError."""
    plays = {Scenario.CANCEL: cancelled, Scenario.RESUME: cut}
    async with asyncio.timeout(BOUND):
        await plays.get(cell.scenario, asked)(bench, cell)


async def asked(bench: Bench, cell: Cell) -> None:
    told = await bench.node.call("ask", **bench.arguments(cell))
    if cell.scenario is Scenario.ERROR:
        assert told["error"], told
        assert SECRET not in str(told)
        assert (await bench.run_of(cell))["status"] == "failed"
        return
    assert told["error"] is None, told
    assert (await bench.run_of(cell))["status"] == "finished"
    if cell.scenario is Scenario.ANSWER:
        assert told["text"] == "Hello world", told
    elif cell.scenario is Scenario.REASONING:
        assert (told["reasoning"], told["text"]) == ("Let me see.", "Answer"), told
    else:
        (call,) = told["calls"]
        assert (call["name"], call["arguments"]) == ("weather", {"city": "Oslo"}), told
        assert "sunny in Oslo" in shown(call["result"]), told
        assert told["text"] == "It is sunny.", told


async def cancelled(bench: Bench, cell: Cell) -> None:
    asking = bench.node.begin("ask", **bench.arguments(cell))
    await asking.event()
    await cell.stage.waiting.wait()
    run = await bench.run_of(cell)
    if bench.edge.cancels is Cancels.CLIENT:
        await bench.node.call("stop", **bench.arguments(cell))
    else:
        await bench.browser.post(f"/runs/{run['id']}/cancel")
    told = await asking.result()
    await cell.stage.stopped.wait()
    assert told["text"] == "Half a ", told
    while (run := await bench.run_of(cell))["status"] == "running":  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    assert run["status"] == "cancelled"


async def cut(bench: Bench, cell: Cell) -> None:
    asking = bench.node.begin("ask", **bench.arguments(cell))
    await asking.event()
    await cell.stage.gate.reached()
    await bench.cable.pull()
    if bench.edge.resumes is Resumes.ITSELF:
        cell.stage.gate.open()
        await bench.cable.plug()
        told = await asking.result()
    else:
        assert (await asking.result())["error"], "the client says that it was cut"
        await bench.cable.plug()
        again = bench.node.begin(
            bench.edge.rejoin, **{**bench.arguments(cell), "tab": "loaded anew"}
        )
        cell.stage.gate.open()
        told = await again.result()
    assert (told["error"], told["text"]) == (None, "one two three"), told
    assert (await bench.run_of(cell))["status"] == "finished"


def cells_of(names: Sequence[str], edge: Edge) -> tuple[list[Cell], dict[str, str]]:
    """Return the cells that can be played, and why the others cannot."""
    cells, reasons = [], {}
    for adapter in (adapter for adapter in ADAPTERS if adapter.name in names):
        for scenario in SCENARIOS:
            cell = Cell(adapter, scenario, Stage(scenario))
            reason = adapter.missing(scenario, page=True) or edge.cannot.get(scenario)
            if reason is None:
                cells.append(cell)
            else:
                reasons[cell.name] = reason
    return cells, reasons


async def agents_of(cells: Sequence[Cell], edge: Edge, stack: AsyncExitStack) -> dict[str, object]:
    """Return the agents of the cells; for a container, one that plays them all by their threads."""
    agents = {
        cell.name: await stack.enter_async_context(cell.adapter.playing(cell.stage))
        for cell in cells
    }
    if edge.name != "agentcore":
        return agents
    adapted = {name: adapt(agent) for name, agent in agents.items()}

    async def main(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        async for event in adapted[given.thread_id](given):
            yield event

    return {"main": main}


async def matrix(tmp_path: Path, edge: Edge, names: Sequence[str]) -> None:
    """Play the cells of the edge, and fail with all that failed."""
    folder = await asyncio.to_thread(script_folder, tmp_path)
    cells, reasons = cells_of(names, edge)
    container = edge.name == "agentcore"
    settings = {"agentcore": True, "auth": "agentcore"} if container else {}
    async with AsyncExitStack() as stack:
        agents = await agents_of(cells, edge, stack)
        server = await stack.enter_async_context(
            live(agents, tmp_path / "data", store=SqliteStore(tmp_path / "data"), **settings)
        )
        token = SESSION if container else server.token()
        headers = {SESSION_HEADER: SESSION} if container else {}
        laid = await stack.enter_async_context(cable(server.port))
        node = await stack.enter_async_context(node_client(folder, edge.driver, laid.url, token))
        browser = await stack.enter_async_context(
            http(server.url, None if container else token, headers=headers)
        )
        bench = Bench(edge, node, laid, browser)
        failed = {}
        for cell in cells:
            try:
                await play(bench, cell)
            except (AssertionError, TimeoutError, ValueError) as error:
                failed[cell.name] = f"{type(error).__name__}: {error}"
    for name, reason in reasons.items():
        print(f"{edge.name} x {name} cannot be: {reason}")  # noqa: T201
    assert cells
    assert not failed, "\n".join(f"{edge.name} x {name}: {why}" for name, why in failed.items())


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: edge.name)
async def test_some_adapters_through_every_edge(tmp_path: Path, edge: Edge) -> None:
    await matrix(tmp_path, edge, (OURS, FOREIGN) if edge is EDGES[0] else (OURS,))


@pytest.mark.nightly
@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: edge.name)
async def test_every_adapter_through_every_edge(tmp_path: Path, edge: Edge) -> None:
    await matrix(tmp_path, edge, [adapter.name for adapter in ADAPTERS])


def test_every_cell_is_played_or_has_its_reason() -> None:
    """Nothing is left out in silence: an adapter or an edge says why it cannot."""
    every = len(ADAPTERS) * len(SCENARIOS)
    for edge in EDGES:
        cells, reasons = cells_of([adapter.name for adapter in ADAPTERS], edge)
        assert len(cells) + len(reasons) == every
        assert all(reasons.values())
    assert {OURS, FOREIGN} <= {adapter.name for adapter in ADAPTERS}
