"""Metrics: what ``GET /metrics`` shows, in Prometheus' text format."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from netra_backend import jsonlog
from netra_backend.agents.callbacks import Happening, Kind
from netra_backend.core.run import RunStatus
from netra_backend.core.samples import Family, Sample
from netra_backend.errors import ErrorCode, RunError

REGISTRY = CollectorRegistry()

CONNECTIONS = Gauge("netra_connections", "Live connections.", registry=REGISTRY)
USERS = Gauge("netra_connected_users", "Users who are connected.", registry=REGISTRY)
ADDRESSES = Gauge("netra_connected_addresses", "Addresses that are connected.", registry=REGISTRY)
TURNED_AWAY = Counter(
    "netra_connections_turned_away",
    "Connections refused, by the limit that was reached, or replaced by another one.",
    ["limit"],
    registry=REGISTRY,
)
FRAMES_IN = Counter("netra_frames_received", "Frames received from clients.", registry=REGISTRY)
REFUSALS = Counter(
    "netra_refusals", "Commands and requests refused, by error code.", ["code"], registry=REGISTRY
)
CLOSED = Counter(
    "netra_closes", "Sockets closed from our side, by close code.", ["code"], registry=REGISTRY
)
PONG_SECONDS = Histogram(
    "netra_pong_seconds",
    "Seconds until a client answered a ping of the server: its network, and its event loop.",
    buckets=(0.001, 0.005, 0.02, 0.1, 0.3, 1, 3, 10),
    registry=REGISTRY,
)
COMMAND_SECONDS = Histogram(
    "netra_command_seconds",
    "Seconds that commands of netra.v1 took, by command: `ping` is what a browser measures by.",
    ["command"],
    buckets=(0.0005, 0.002, 0.01, 0.05, 0.2, 1, 5),
    registry=REGISTRY,
)
LOOP_BLOCKED = Histogram(
    "netra_loop_blocked_seconds",
    "How long something held the event loop up, where it did for `loop_blocked_seconds`.",
    buckets=(0.5, 1, 2, 5, 10, 30),
    registry=REGISTRY,
)
BEHIND = Counter(
    "netra_behind", "Times a follower fell behind and was served from the log.", registry=REGISTRY
)
LEAKS = Counter(
    "netra_leaks",
    "Frames stopped at the last hop because they were another user's. Must be 0.",
    registry=REGISTRY,
)
AGENTS = Counter(
    "netra_agent_events",
    "What agents did: started, thinking, tool executing, tool completed, completed.",
    ["event", "agent"],
    registry=REGISTRY,
)
RUN_SECONDS = Histogram(
    "netra_run_seconds",
    "How long runs took, by agent and status: finished, awaiting, failed, timed_out and so on.",
    ["agent", "status"],
    buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 900),
    registry=REGISTRY,
)
RUN_ERRORS = Counter(
    "netra_run_errors",
    "Runs that ended with RUN_ERROR, by agent and code; an agent's own codes are `other`.",
    ["agent", "code"],
    registry=REGISTRY,
)
_CODES = frozenset([*RunError, *ErrorCode])
"""Codes that are told apart: of an agent's own there may be many."""


BROKEN = frozenset({RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.INTERRUPTED})
"""Ends that are a RUN_ERROR."""


def count(happening: Happening) -> None:
    """Count what an agent did."""
    AGENTS.labels(happening.kind.value, happening.agent).inc()
    if happening.kind is not Kind.AGENT_COMPLETED or happening.status is None:
        return
    if happening.seconds is not None:
        RUN_SECONDS.labels(happening.agent, happening.status.value).observe(happening.seconds)
    if happening.status in BROKEN:
        code = happening.code if happening.code in _CODES else "other"
        RUN_ERRORS.labels(happening.agent, code).inc()


class _Log(Collector):
    """What did not get into the log: `jsonlog` counts it, and knows nothing of Prometheus."""

    def collect(self) -> Iterable[CounterMetricFamily]:
        counters = jsonlog.counters()
        told = {
            "dropped": "Log records lost because the stream did not take them, by level.",
            "suppressed": "Log records left out as repeats or by sampling, by level.",
        }
        for name, help in told.items():  # noqa: A001 - the name in prometheus_client
            family = CounterMetricFamily(f"netra_log_records_{name}", help, labels=["level"])
            for level, number in getattr(counters, name).items():
                family.add_metric([level], number)
            yield family


_LOG = _Log()
REGISTRY.register(_LOG)

OF_EACH_WORKER = frozenset({"netra_connected_users", "netra_connected_addresses"})
"""Gauges that have no sum: a user may be connected to several workers."""


def measured(worker: int | None = None) -> list[Family]:
    """Return what this process has measured; `worker` is a label of the gauges `OF_EACH_WORKER`.

    The times at which counters were made are left out, because a sum of counters has none.
    """
    return [_family(metric, worker) for metric in REGISTRY.collect()]


def measured_by_log() -> list[Family]:
    """Return what a process has measured that serves nobody."""
    return [_family(metric) for metric in _LOG.collect()]


def in_text(families: Sequence[Family]) -> bytes:
    """Return the families in Prometheus' text format."""
    return generate_latest(_Collected(families))


def _family(metric: Metric, worker: int | None = None) -> Family:
    own = worker is not None and metric.name in OF_EACH_WORKER
    more = {"worker": str(worker)} if own else {}
    samples = [
        Sample(sample.name, tuple({**sample.labels, **more}.items()), sample.value)
        for sample in metric.samples
        if not sample.name.endswith("_created")
    ]
    return Family(metric.name, metric.type, metric.documentation, samples)


class _Collected(CollectorRegistry):
    """What was collected before, here or elsewhere."""

    def __init__(self, families: Sequence[Family]) -> None:
        super().__init__()
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            metric = Metric(family.name, family.meaning, family.type)
            for sample in family.samples:
                metric.add_sample(sample.name, dict(sample.labels), sample.value)
            yield metric
