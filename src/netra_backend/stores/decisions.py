"""Decisions: who may make them, and what they do to an interrupt, the same for every store."""

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from netra_backend.core.ids import RunKey, UserId
from netra_backend.core.ports import Answer, Interrupt, NewRun
from netra_backend.core.roles import Role, allows
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


class Resumption(Struct, frozen=True):
    """What a new run does to the interrupts that it answers, and the role that it needs."""

    taken: Sequence[Interrupt]
    needs: Role | None


def resumption(new: NewRun, find: Callable[[str], Interrupt | None]) -> Resumption:
    """Return what `new` takes up, each interrupt as it stands then; `find` has them by their ids.

    To decide one needs the role for that, too. Raises Refused: ``not_found``,
    ``already_decided``.
    """
    taken: dict[str, Interrupt] = {}
    needs = new.needs
    for answer in new.answers:
        interrupt = taken.get(answer.interrupt) or find(answer.interrupt)
        if new.ends and not _waits(interrupt, answer):
            continue
        if interrupt is None:
            raise Refused(ErrorCode.NOT_FOUND)
        if interrupt.decided_by is None and needs is not None and not needs.includes(Role.DECIDE):
            needs = Role.DECIDE
        taken[answer.interrupt] = taken_up(interrupt, answer, new.key)
    return Resumption(list(taken.values()), needs)


def _waits(interrupt: Interrupt | None, answer: Answer) -> bool:
    """Return whether the interrupt was decided so, and no run has gone on with it."""
    if interrupt is None or interrupt.decided_by is None or interrupt.resumed_by is not None:
        return False
    return (interrupt.status, interrupt.answer) == (answer.status, answer.payload)


def check(role: Role | None, needs: Role | None) -> None:
    """Raise Refused (``forbidden``) if `role` is not enough for what needs a role."""
    if needs is not None and not allows(role, needs):
        raise Refused(ErrorCode.FORBIDDEN, f"this needs the role {needs}")
