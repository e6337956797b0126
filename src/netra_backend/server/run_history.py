"""Where a client stands in the history of a run."""

from netra_backend.core.ports import Store
from netra_backend.core.positions import Position, parse_position
from netra_backend.core.run import Run
from netra_backend.errors import ErrorCode, Refused


def before(run: Run) -> Position:
    """Return the position just before the run's first event."""
    return Position(run.started.epoch, run.started.offset - 1)


async def position_in(store: Store, run: Run, text: str, *, where: str) -> Position:
    """Return the position that `text` spells, which came in `where`.

    Raises FrameError if it spells none, Refused (``not_found``) if it is before the run, beyond
    the log, or of a history that was lost or restored.
    """
    position = parse_position(text, where=where)
    thread = await store.thread(run.thread)
    first = before(run)
    head = thread.head if thread is not None else first
    one_history = first.epoch == position.epoch == head.epoch
    if not (one_history and first <= position <= head):
        raise Refused(ErrorCode.NOT_FOUND, f"{where} is not in this run's history")
    return position
