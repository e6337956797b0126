"""Fixtures that all tests share."""

import gc
import io
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import certifi
import pytest
from ag_ui.core import BaseEvent, RunAgentInput, RunFinishedEvent, RunStartedEvent
from ag_ui_validate.pytest_plugin import assert_valid_agui
from hypothesis import HealthCheck, settings

from netra_backend import jsonlog
from netra_backend.server import store_failures
from tests.scheduling import scheduler

# How long a case takes is no fault of it: other work may be in the way, at night too.
_patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# `make nightly` loads it: where a test does not say itself how many examples it needs.
settings.register_profile("nightly", _patient, max_examples=10_000)
# A third of hypothesis's own number, written out: `tests.night`, asked before the profile is
# chosen, would say for ever that it is day.
settings.register_profile("day", _patient, max_examples=33)
if settings.get_current_profile_name() == "default":
    settings.load_profile("day")

# A shell has its jobs in the background ignore it, and so would the servers that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

HERE = Path(__file__).parent
WAITING = pytest.StashKey[int]()
"""How many tests wait for the night."""

TOLD = "told"
"""The property of a test that is a line for the last screen."""

FRAMEWORK = 200
"""Modules; a test of ours imports fewer."""

IMPORTED = pytest.StashKey[int]()
"""How many modules there were when garbage was last looked for in all that there is."""

LONG = (
    "e2e/page",
    "faults",
    "e2e",
    "contract",
    "cli",
    "docs",
    "jsonlog/laws",
    "security",
    "stores",
    "testing",
    "server/test_intake.py",
    "server/test_members.py",
    "server/test_close_codes.py",
)

Check = Callable[[RunAgentInput, Sequence[BaseEvent]], None]
Lines = Callable[[], list[dict[str, Any]]]
Tell = Callable[[str], None]


# What collecting makes stays until the end: looking for garbage in it is a fifth of its cost, and
# later a second of each full collection that a test asks for.
gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Look for garbage from here on, and never in what was there before."""
    gc.freeze()
    gc.enable()
    session.config.stash[IMPORTED] = len(sys.modules)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Look for no garbage in a framework that the test has imported: all later tests would."""
    if len(sys.modules) - item.config.stash[IMPORTED] > FRAMEWORK:
        gc.collect()
        gc.freeze()
        item.config.stash[IMPORTED] = len(sys.modules)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count what waits for the night."""
    for item in items:
        if item.get_closest_marker("nightly"):
            item.config.stash[WAITING] = item.config.stash.get(WAITING, 0) + 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Have a worker of pytest-xdist tell who writes the summary."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["waiting"] = session.config.stash.get(WAITING, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker counted; all have collected the same."""
    node.config.stash[WAITING] = getattr(node, "workeroutput", {}).get("waiting", 0)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what tests have told, and how much was left out."""
    reports = [each for some in terminalreporter.stats.values() for each in some]
    for report in reports:
        if getattr(report, "when", None) == "call":
            for name, line in report.user_properties:
                if name == TOLD:
                    terminalreporter.write_line(line)
    if waiting := config.stash.get(WAITING, 0):
        terminalreporter.write_line(f"{waiting} tests wait for the night: `make nightly` runs them")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders of long tests: all workers wait for the one that begins last."""

    @cache
    def rank(file: Path) -> int:
        begins = (n for n, name in enumerate(LONG) if file.is_relative_to(HERE / name))
        return next(begins, len(LONG))

    items.sort(key=lambda item: rank(item.path))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let a worker have together what shares a set-up."""
    return scheduler(config, log)


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Return what puts a line with figures on the last screen, from any worker of pytest-xdist."""
    return partial(record_property, TOLD)


@pytest.fixture
def log_lines() -> Iterator[Lines]:
    """Log as JSON from DEBUG on, and return what reads all lines so far: each must be an object.

    The root logger is afterwards as it was before.
    """
    stream = io.StringIO()
    jsonlog.configure(level="DEBUG", format="json", stream=stream)
    lines: list[dict[str, Any]] = []
    length = 0

    def read() -> list[dict[str, Any]]:
        nonlocal length
        assert jsonlog.flush()
        text = stream.getvalue()
        new = [json.loads(x, parse_constant=_refuse) for x in text[length:].splitlines()]
        assert all(type(line) is dict for line in new)
        lines.extend(new)  # each is read once: a law asks for them a thousand times
        length = len(text)
        return list(lines)

    yield read
    jsonlog.unconfigure()


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


@pytest.fixture(autouse=True)
def no_failure_was_told() -> None:
    """Have the first failure of the store in each test told, whatever another test has met."""
    store_failures._failures = store_failures.StoreFailures()


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio: the server is built on it."""
    return "asyncio"


@pytest.fixture(scope="session")
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with one of the certificates that httpx trusts."""
    end = "-----END CERTIFICATE-----\n"
    first, *_ = Path(certifi.where()).read_text(encoding="utf-8").partition(end)
    file = tmp_path_factory.mktemp("certificates") / "one.pem"
    file.write_text(first + end, encoding="utf-8")
    return file


@pytest.fixture
def few_certificates(one_authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have clients that a framework makes trust one authority: reading all takes 25 ms for each."""
    monkeypatch.setenv("SSL_CERT_FILE", str(one_authority))


@pytest.fixture
def assert_legal() -> Check:
    """Return what fails unless a run with these events is legal AG-UI for `ag_ui_validate`.

    RUN_STARTED and RUN_FINISHED are added where the agent leaves them to the runner.
    """

    def check(given: RunAgentInput, events: Sequence[BaseEvent]) -> None:
        ids = {"thread_id": given.thread_id, "run_id": given.run_id}
        stream = list(events)
        if not stream or stream[0].type != "RUN_STARTED":
            stream.insert(0, RunStartedEvent(**ids))
        if stream[-1].type not in ("RUN_FINISHED", "RUN_ERROR"):
            stream.append(RunFinishedEvent(**ids))
        lines = [event.model_dump(mode="json", by_alias=True) for event in stream]
        assert_valid_agui(lines, max_warnings=0)

    return check
