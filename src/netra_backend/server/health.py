"""Health: whether the process lives, whether it can serve, and its metrics. Open to everyone."""

import asyncio
import os

from msgspec import Struct, msgpack
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from netra_backend.core.nodes import METRICS, Nodes
from netra_backend.core.samples import Family
from netra_backend.errors import ErrorCode, Refused, StoreFailed
from netra_backend.server.endpoints import Endpoint, answer
from netra_backend.server.house import House
from netra_backend.server.metrics import in_text, measured

SHARED = 0.25
"""Seconds for which the store's verdict counts for whoever asks."""

ANSWERS = 3.0
"""Seconds after which a store that has not answered is told to have failed."""


class HealthView(Struct, frozen=True):
    """``live`` or ``ready``."""

    status: str


class Health:
    """The endpoints that a supervisor and a monitoring system ask.

    Whichever node is asked for metrics, it tells those of all.
    """

    def __init__(self, house: House, nodes: Nodes | None = None) -> None:
        self._house = house
        self._nodes = nodes
        self._probe: asyncio.Task[StoreFailed | None] | None = None
        self._told = 0.0
        if nodes is not None:
            nodes.let_answer(METRICS, self._measured_here)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the operations for the table of endpoints."""
        return (
            Endpoint(
                "GET",
                "/health/live",
                self.read_live,
                "Whether the process answers.",
                result=HealthView,
                open=True,
            ),
            Endpoint(
                "GET",
                "/health/ready",
                self.read_ready,
                "Whether the store answers and a run could start.",
                result=HealthView,
                errors=(ErrorCode.DRAINING,),
                open=True,
            ),
            Endpoint(
                "GET",
                "/metrics",
                self.read_metrics,
                "Metrics in Prometheus' text format, of all workers together.",
                result={"type": "string"},
                media_type="text/plain",
                open=True,
            ),
        )

    async def read_live(self, request: Request) -> Response:
        return answer(HealthView("live"))

    async def read_ready(self, request: Request) -> Response:
        if self._house.runner.closing:
            raise Refused(ErrorCode.DRAINING)
        await self._probed()
        return answer(HealthView("ready"))

    async def _probed(self) -> None:
        """Return if the store answers; raise as it did. Its verdict is shared for `SHARED` seconds.

        Anybody may ask, as often as they like, and shall not keep the store busy.
        """
        loop = asyncio.get_running_loop()
        if self._probe is None or self._probe.get_loop() is not loop or self._is_old(loop.time()):
            self._probe = loop.create_task(self._ask())
            self._probe.add_done_callback(lambda _: self._probed_at(loop.time()))
        try:
            error = await asyncio.wait_for(asyncio.shield(self._probe), ANSWERS)
        except TimeoutError:
            error = StoreFailed("the store does not answer")
        if error is not None:
            raise StoreFailed(str(error)) from error  # each its own: a traceback grows

    def _is_old(self, now: float) -> bool:
        probe = self._probe
        return probe is not None and probe.done() and now - self._told >= SHARED

    def _probed_at(self, now: float) -> None:
        self._told = now

    async def _ask(self) -> StoreFailed | None:
        try:
            await self._house.store.probe()
        except StoreFailed as error:
            return error
        return None

    async def read_metrics(self, request: Request) -> Response:
        families = self._measured() if self._nodes is None else await self._nodes.measured()
        return Response(in_text(families), media_type=CONTENT_TYPE_LATEST)

    async def _measured_here(self, question: bytes) -> bytes:
        return msgpack.encode(self._measured(os.getpid()))

    def _measured(self, worker: int | None = None) -> list[Family]:
        self._house.pool.measure()
        return measured(worker)
