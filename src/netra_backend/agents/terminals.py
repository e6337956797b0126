"""Terminal events: the words with which Netra itself ends a run, wherever it comes to that."""

from ag_ui.core import EventType, RunAgentInput

from netra_backend.core.events import Body, Event, event_from_body
from netra_backend.core.run import OUTCOMES, STOPPED, Run, RunStatus
from netra_backend.errors import RunError

_SAID: dict[RunStatus, str] = {
    RunStatus.TIMED_OUT: "The agent took too long and was stopped.",
    RunStatus.INTERRUPTED: "The server stopped while this run was in progress.",
}
"""RUN_ERROR's text for the ends that are not the agent's own."""


def error(code: str, text: str) -> Event:
    """Return the RUN_ERROR with this code and text."""
    return event_from_body(Body(type=EventType.RUN_ERROR, message=text, code=code))


def finished(given: RunAgentInput) -> Event:
    """Return the end of a run whose agent returned without one."""
    return event_from_body(
        Body(
            type=EventType.RUN_FINISHED,
            thread_id=given.thread_id,
            run_id=given.run_id,
            outcome={"type": "success"},
        )
    )


def failed(run: Run, code: RunError, said: str = "The run failed") -> Event:
    """Return the end of a run that failed: users learn the correlation id, not the exception."""
    return error(code, f"{said}. The server's log tells more under {run.correlation}.")


def stopped(run: Run, status: RunStatus) -> Event:
    """Return the end of a run that was cancelled, timed out or interrupted."""
    if status is not RunStatus.CANCELLED:
        return error(STOPPED[status], _SAID[status])
    return event_from_body(
        Body(
            type=EventType.RUN_FINISHED,
            thread_id=run.thread.id,
            run_id=run.key.id,
            outcome={"type": "cancelled"},
        )
    )


def status_of(terminal: Body) -> RunStatus:
    """Return how the run ended whose terminal event this is."""
    if terminal.type is EventType.RUN_ERROR:
        said = (terminal.code, terminal.message)  # an agent may have the code, with its own words
        ours = (status for status, code in STOPPED.items() if (code, _SAID[status]) == said)
        return next(ours, RunStatus.FAILED)
    outcome = terminal.outcome or {}
    return OUTCOMES.get(str(outcome.get("type")), RunStatus.FINISHED)


def readdressed(yielded: object, given: RunAgentInput) -> object:
    """Return the item, of a RUN_FINISHED with the ids of the run: agents make up theirs."""
    if getattr(yielded, "type", None) is EventType.RUN_FINISHED and hasattr(yielded, "model_copy"):
        return yielded.model_copy(update={"thread_id": given.thread_id, "run_id": given.run_id})
    return yielded
