"""What a decision does to an interrupt: the same for every store, whatever it keeps it in."""

from msgspec.structs import replace

from netra_backend.core.ids import RunKey, UserId
from netra_backend.core.ports import Answer, Interrupt
from netra_backend.errors import ErrorCode, Refused


def decided(interrupt: Interrupt, answer: Answer, by: UserId) -> Interrupt:
    """Return the open `interrupt` as it stands once `by` has decided it."""
    return replace(interrupt, decided_by=by, status=answer.status, answer=answer.payload)


def taken_up(interrupt: Interrupt, answer: Answer, run: RunKey) -> Interrupt:
    """Return `interrupt` as it stands once `run` goes on with `answer`, deciding it if open.

    Raises Refused (``already_decided``) if the decision made was another one, byte for byte, or
    another run went on with it.
    """
    if interrupt.decided_by is None:
        interrupt = decided(interrupt, answer, run.owner)
    if (interrupt.status, interrupt.answer) != (answer.status, answer.payload):
        raise Refused(ErrorCode.ALREADY_DECIDED)
    if interrupt.resumed_by not in {None, run.id}:
        raise Refused(ErrorCode.ALREADY_DECIDED)
    return replace(interrupt, resumed_by=run.id)
