"""Health: whether the process lives, whether it can serve, and its metrics. Open to everyone."""

import os

from msgspec import Struct, msgpack
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from netra_backend.core.nodes import METRICS, Nodes
from netra_backend.errors import ErrorCode, Refused
from netra_backend.server.endpoints import Endpoint, answer
from netra_backend.server.house import House
from netra_backend.server.metrics import in_text, measured


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
        await self._house.store.probe()
        return answer(HealthView("ready"))

    async def read_metrics(self, request: Request) -> Response:
        families = measured() if self._nodes is None else await self._nodes.measured()
        return Response(in_text(families), media_type=CONTENT_TYPE_LATEST)

    async def _measured_here(self, question: bytes) -> bytes:
        return msgpack.encode(measured(os.getpid()))
