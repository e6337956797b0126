"""Decisions: who may make them, and what they do to an interrupt, the same for every store."""

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from netra_backend.core.ids import RunKey, UserId
from netra_backend.core.ports import Answer, Interrupt, NewRun
from netra_backend.core.roles import Role, allows
from netra_backend.errors import ErrorCode, Refused

MAX_TOLD = 200
"""Characters of an answer that are told to who came too late; the list of interrupts has all."""


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
    same = (interrupt.status, interrupt.answer) == (answer.status, answer.payload)
    if not same or interrupt.resumed_by not in {None, run.id}:
        raise Refused(ErrorCode.ALREADY_DECIDED, _told(interrupt))
    return replace(interrupt, resumed_by=run.id)


def _told(interrupt: Interrupt) -> str:
    """Return who decided `interrupt`, and what, for who came too late."""
    what = (interrupt.answer or b"null").decode(errors="replace")
    if len(what) > MAX_TOLD:
        what = f"{what[:MAX_TOLD]}…"
    return f"{interrupt.decided_by} decided {interrupt.id!r} before: {interrupt.status}, {what}"


class Resumption(Struct, frozen=True):
    """What a new run does to the interrupts that it answers, and the role that it needs."""

    run: RunKey
    answered: Sequence[tuple[Interrupt, Answer]]
    needs: Role | None

    def taken(self) -> list[Interrupt]:
        """Return each interrupt as it stands then. Raises Refused (``already_decided``).

        To be asked once the role was checked: the refusal tells of the decision.
        """
        taken: dict[str, Interrupt] = {}
        for interrupt, answer in self.answered:
            stands = taken.get(interrupt.id, interrupt)
            taken[interrupt.id] = taken_up(stands, answer, self.run)
        return list(taken.values())


def resumption(new: NewRun, find: Callable[[str], Interrupt | None]) -> Resumption:
    """Return what `new` takes up; `find` has the interrupts by their ids.

    To decide one needs the role for that, too. Raises Refused (``not_found``).
    """
    answered: list[tuple[Interrupt, Answer]] = []
    needs = new.needs
    for answer in new.answers:
        interrupt = find(answer.interrupt)
        if new.ends and not _waits(interrupt, answer):
            continue
        if interrupt is None:
            raise Refused(ErrorCode.NOT_FOUND)
        if interrupt.decided_by is None and needs is not None and not needs.includes(Role.DECIDE):
            needs = Role.DECIDE
        answered.append((interrupt, answer))
    return Resumption(new.key, answered, needs)


def _waits(interrupt: Interrupt | None, answer: Answer) -> bool:
    """Return whether the interrupt was decided so, and no run has gone on with it."""
    if interrupt is None or interrupt.decided_by is None or interrupt.resumed_by is not None:
        return False
    return (interrupt.status, interrupt.answer) == (answer.status, answer.payload)


def check(role: Role | None, needs: Role | None) -> None:
    """Raise Refused (``forbidden``) unless `role` includes `needs`; None needs no role."""
    if needs is not None and not allows(role, needs):
        raise Refused(ErrorCode.FORBIDDEN, f"this needs the role {needs}")
