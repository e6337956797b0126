"""Fixtures that all tests share."""

from collections.abc import Callable, Sequence

import pytest
from ag_ui.core import BaseEvent, RunAgentInput, RunFinishedEvent, RunStartedEvent
from ag_ui_validate.pytest_plugin import assert_valid_agui

Check = Callable[[RunAgentInput, Sequence[BaseEvent]], None]


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio: the server is built on it."""
    return "asyncio"


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
