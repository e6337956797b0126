"""Terminal events: the words with which Netra itself ends a run, wherever it comes to that."""

from ag_ui.core import EventType

from netra_backend.core.events import Body, Event, event_from_body
from netra_backend.core.run import Run, RunStatus

_SAID: dict[RunStatus, tuple[str, str]] = {
    RunStatus.TIMED_OUT: ("timeout", "The agent took too long and was stopped."),
    RunStatus.INTERRUPTED: ("interrupted", "The server stopped while this run was in progress."),
}
"""RUN_ERROR's code and text for the ends that are not the agent's own."""


def error(code: str, text: str) -> Event:
    """Return the RUN_ERROR with this code and text."""
    return event_from_body(Body(type=EventType.RUN_ERROR, message=text, code=code))


def failed(run: Run, code: str, cause: str | None = None) -> Event:
    """Return the end of a run that failed: users learn the correlation id, not the exception."""
    said = "The run failed" if cause is None else f"The run failed: {cause}"
    return error(code, f"{said}. The server's log tells more under {run.correlation}.")


def stopped(run: Run, status: RunStatus) -> Event:
    """Return the end of a run that was cancelled, timed out or interrupted."""
    if status is not RunStatus.CANCELLED:
        return error(*_SAID[status])
    return event_from_body(
        Body(
            type=EventType.RUN_FINISHED,
            thread_id=run.thread.id,
            run_id=run.key.id,
            outcome={"type": "cancelled"},
        )
    )
