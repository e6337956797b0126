"""Metrics: what a monitoring system is told."""

import io
from pathlib import Path

import httpx
import pytest

from netra_backend import jsonlog
from netra_backend.server.metrics import REGISTRY
from netra_backend.stores.memory import MemoryStore
from tests.client import client
from tests.http import http
from tests.live import live
from tests.server.agents import echo

pytestmark = pytest.mark.anyio


async def test_metrics_count_what_happens(tmp_path: Path) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, None) as monitor,
    ):
        before = await samples(monitor)
        async with client(server.socket_url, server.token()) as alice:
            await alice.command("ping")
            await alice.command("cancel", run="nothing")
            during = await samples(monitor)
        await server.app.drain(0)
        after = await samples(monitor)

    def grown(name: str) -> float:
        return during.get(name, 0.0) - before.get(name, 0.0)

    assert grown("netra_frames_received_total") == 2
    assert grown('netra_refusals_total{code="not_found"}') == 1
    assert (before["netra_connections"], during["netra_connections"]) == (0, 1)
    assert after["netra_connections"] == 0
    assert after["netra_leaks_total"] == before["netra_leaks_total"]


async def test_records_that_the_log_lost_are_counted(tmp_path: Path) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, None) as monitor,
    ):
        before = await samples(monitor)
        stream = io.StringIO()
        jsonlog.configure("INFO", "json", stream)
        stream.close()
        jsonlog.get_logger("app").error("lost")
        jsonlog.unconfigure()
        after = await samples(monitor)

    name = 'netra_log_records_dropped_total{level="ERROR"}'
    assert after[name] == before.get(name, 0) + 1


async def samples(monitor: httpx.AsyncClient) -> dict[str, float]:
    """Return the metrics as their text format says them."""
    answered = await monitor.get("/metrics")
    assert answered.headers["content-type"].startswith("text/plain; version=")
    lines = [line for line in answered.text.splitlines() if line and line[0] != "#"]
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}


async def test_every_metric_says_what_it_is_and_names_nobody(tmp_path: Path) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, None) as monitor,
        client(server.socket_url, server.token("somebody-in-particular")) as alice,
    ):
        await alice.run("a-thread-of-theirs", "r")
        text = (await monitor.get("/metrics")).text

    metrics = list(REGISTRY.collect())
    assert all(metric.name.startswith("netra_") and metric.documentation for metric in metrics)
    assert {f"# HELP {metric.name}" in text.replace("_total ", " ") for metric in metrics} == {True}
    assert "somebody-in-particular" not in text
    assert "a-thread-of-theirs" not in text
