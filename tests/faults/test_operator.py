"""What an operator sees of several workers behind one port: always all of them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.eventually import until
from tests.faults.crew import processes, worker_at, worker_of, workers
from tests.http import http
from tests.live import BOUND, ServerProcess
from tests.person import Person

pytestmark = pytest.mark.anyio

EACH = 3
"""Connections of each worker, and workers."""

AtWork = tuple[ServerProcess, "Desk", dict[int, list[Person]]]
"""A server, its operator's desk, and its people: so many at each worker."""


class Desk:
    """Where an operator sits: clients of the HTTP API, each of which one worker answers."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._clients: dict[int, httpx.AsyncClient] = {}

    async def open(self, stack: AsyncExitStack) -> None:
        """Have a client for every worker, which has one connection, and asks one thing at a time.

        Another connection could be that of a worker which does not answer.
        """
        while set(self._clients) != {process.pid for process in processes(self._server)}:
            root = http(self._server.url, self._server.token("root"))
            await stack.enter_async_context(root)
            self._clients.setdefault(await self._worker(root), root)

    async def _worker(self, client: httpx.AsyncClient) -> int:
        async with client.stream("GET", "/health/live") as answered:
            port = answered.extensions["network_stream"].get_extra_info("client_addr")[1]
            worker = worker_at(self._server, port)
            assert worker is not None
            await answered.aread()
            return worker.pid

    @property
    def workers(self) -> list[int]:
        return list(self._clients)

    async def metrics(self, worker: int) -> dict[str, float]:
        """Return the metrics as this worker tells them."""
        text = (await self._clients[worker].get("/metrics")).text
        samples = [line.rsplit(" ", 1) for line in text.splitlines() if line[:1] not in ("", "#")]
        assert len({name for name, _ in samples}) == len(samples), "each sample once"
        return {name: float(value) for name, value in samples}

    async def connections(self, worker: int, **query: Any) -> dict[str, Any]:
        """Return a page of connections as this worker tells them."""
        answered = await self._clients[worker].get("/connections", params=query)
        assert answered.status_code == 200, answered.text
        return dict(answered.json())

    async def close(self, worker: int, connection: str) -> httpx.Response:
        return await self._clients[worker].delete(f"/connections/{connection}")


@asynccontextmanager
async def at_work(
    tmp_path: Path,
) -> AsyncIterator[AtWork]:
    async with (
        workers(tmp_path, EACH, NETRA_ADMINS='["root"]') as server,
        AsyncExitStack() as stack,
    ):
        await until(lambda: len(processes(server)) == EACH)
        people: dict[int, list[Person]] = {process.pid: [] for process in processes(server)}
        while any(len(theirs) < EACH for theirs in people.values()):
            person = Person(server, "someone", f"user{len(stack._exit_callbacks)}")  # type: ignore[attr-defined]
            await person.connect()
            worker = worker_of(server, person)
            if worker is None or len(people[worker.pid]) == EACH:
                await person.leave()
                continue
            stack.push_async_callback(person.leave)
            people[worker.pid].append(person)
        yield server, await stack.enter_async_context(_desk(server)), people


@asynccontextmanager
async def _desk(server: ServerProcess) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        desk = Desk(server)
        await desk.open(stack)
        yield desk


@contextmanager
def frozen(worker: int) -> Iterator[None]:
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


@pytest.mark.nightly
async def test_whichever_worker_answers_tells_of_all(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (_, desk, people):
        everybody = [person for theirs in people.values() for person in theirs]
        ids = {person.client.ready["connection"] for person in everybody}
        for person in everybody:
            await person.client.command("ping")
        for worker in desk.workers:
            told = await desk.metrics(worker)
            assert told["netra_connections"] == len(everybody)
            assert told["netra_frames_received_total"] == len(everybody)
            assert told['netra_command_seconds_count{command="ping"}'] == len(everybody)
            assert told['netra_command_seconds_bucket{command="ping",le="+Inf"}'] == len(everybody)
            for each in people:
                assert told[f'netra_connected_users{{worker="{each}"}}'] == EACH
                assert told[f'netra_worker_up{{worker="{each}"}}'] == 1
            listed = await desk.connections(worker, limit=1_000)
            assert {one["id"] for one in listed["connections"]} == ids
            assert (listed["total"], listed["missing"]) == (len(ids), [])
            assert {one["worker"] for one in listed["connections"]} == set(people)
            paged: list[str] = []
            after: dict[str, str] = {}
            while True:  # whoever answers the next page
                page = await desk.connections(desk.workers[len(paged) % EACH], limit=2, **after)
                paged += [one["id"] for one in page["connections"]]
                if page["next"] is None:
                    break
                after = {"after": page["next"]}
            assert len(paged) == len(set(paged)) == len(ids)
        for worker, theirs in people.items():
            for asked, person in zip(desk.workers, theirs, strict=True):
                assert (
                    await desk.close(asked, person.client.ready["connection"])
                ).status_code == 204
                assert await person.client.closed() == 1001, worker
        assert (await desk.close(desk.workers[0], "conn-none")).status_code == 404


async def test_a_worker_that_is_frozen_is_named_and_one_that_dies_takes_no_count_along(
    tmp_path: Path,
) -> None:
    async with at_work(tmp_path) as (server, desk, people), AsyncExitStack() as stack:
        everybody = [person for theirs in people.values() for person in theirs]
        for person in everybody:
            await person.client.command("ping")
        victim, other, third = desk.workers
        before = await desk.metrics(other)
        spare = await stack.enter_async_context(_desk(server))
        unsaid_id = people[victim][0].client.ready["connection"]
        with frozen(victim):
            told, again, listed, unsaid = await asyncio.wait_for(
                asyncio.gather(
                    desk.metrics(other),
                    desk.metrics(third),
                    spare.connections(other),
                    spare.close(third, unsaid_id),
                ),
                BOUND,
            )
        for figures in (told, again):
            assert figures[f'netra_worker_up{{worker="{victim}"}}'] == 0
            assert figures[f'netra_worker_up{{worker="{other}"}}'] == 1
            assert figures["netra_connections"] == len(everybody), "its last figures count"
            assert figures["netra_frames_received_total"] == before["netra_frames_received_total"]
        assert listed["missing"] == [victim]
        assert {one["worker"] for one in listed["connections"]} == {other, third}
        assert (unsaid.status_code, unsaid.json()["error"]["code"]) == (503, "overloaded")
        assert str(victim) in unsaid.json()["error"]["message"]

        os.kill(victim, signal.SIGKILL)
        await until(lambda: not psutil.pid_exists(victim))
        for worker in (other, third):
            told = await desk.metrics(worker)
            assert told["netra_connections"] == len(everybody) - EACH
            assert f'netra_worker_up{{worker="{victim}"}}' not in told
            assert told["netra_frames_received_total"] == before["netra_frames_received_total"]
        await server.wait_ready()
        async with asyncio.timeout(BOUND):
            while sum(name.startswith("netra_worker_up") for name in told) < EACH:
                told = await desk.metrics(other)
        assert told["netra_frames_received_total"] == before["netra_frames_received_total"]
