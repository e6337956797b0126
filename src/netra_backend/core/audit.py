"""The audit: whether what a store keeps of a thread is what its writers can have written.

One `Audit` judges one thread, entry by entry, and needs of it as much memory as its conversation.
What it is given is as the store has it, and may be anything. A fault is told once: an event that is
illegal, or not there, would make all later ones look wrong, so legality is not judged after it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ag_ui.core import EventType
from msgspec import Struct

from netra_backend.core.events import TERMINAL, Body, Event, body_of, event_from_json
from netra_backend.core.fold import Conversation
from netra_backend.core.positions import Position
from netra_backend.core.run import ENDED, OUTCOMES, STOPPED, RunStatus
from netra_backend.errors import EventError

MAX_FINDINGS = 20
"""Findings of one thread that are told; of more it is told how many."""


class Finding(Struct, frozen=True):
    """Something that is wrong: in which thread (``OWNER,ID``), at which position, and what.

    `thread` is None where it is not of one thread, `position` where it is not of one entry.
    """

    what: str
    thread: str | None = None
    position: str | None = None


class ThreadRecord(Struct, frozen=True):
    """A thread as it is stored. `head` is the offset that the store gives as that of its end."""

    name: str
    epoch: int
    head: int


class RunRecord(Struct, frozen=True):
    """A run as it is stored; `held` is whether somebody has a lease on it."""

    id: int
    name: str
    status: str
    started: int
    ended: int | None
    held: bool


class InterruptRecord(Struct, frozen=True):
    """A question as it is stored, and the run that left it."""

    name: str
    run: int


class EntryRecord(Struct, frozen=True):
    """An entry as it is stored."""

    offset: int
    run: int
    type: str
    data: bytes


@dataclass(slots=True)
class _Trace:
    """What the log has of a run."""

    run: RunRecord
    first: EntryRecord | None = None
    last: int = 0
    """The offset of its last entry up to its terminal event."""
    end: Body | None = None
    too_late: int = 0
    """Entries after its terminal event."""


class Audit:
    """The judgement of one thread: `take` every entry in order, then `close`."""

    def __init__(
        self,
        thread: ThreadRecord,
        runs: Iterable[RunRecord],
        interrupts: Iterable[InterruptRecord] = (),
    ) -> None:
        self._thread = thread
        self._traces = {run.id: _Trace(run) for run in runs}
        self._interrupts = list(interrupts)
        self._conversation: Conversation | None = Conversation()
        self._last = 0
        self._told = 0

    @property
    def open_runs(self) -> list[str]:
        """The runs that have not ended: no fault, a server goes on with them or ends them."""
        runs = (trace.run for trace in self._traces.values())
        return [run.name for run in runs if run.held and run.status == RunStatus.RUNNING]

    def take(self, entry: EntryRecord) -> Iterator[Finding]:
        """Yield what is wrong with the next entry."""
        yield from self._limited(self._judge(entry))

    def close(self) -> Iterator[Finding]:
        """Yield what is wrong with the thread as a whole, once it has no more entries."""
        yield from self._limited(self._judge_all())
        if self._told > MAX_FINDINGS:
            yield Finding(f"and {self._told - MAX_FINDINGS} more findings", self._thread.name)

    def _limited(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        for finding in findings:
            self._told += 1
            if self._told <= MAX_FINDINGS:
                yield finding

    def _finding(self, what: str, offset: int | None = None) -> Finding:
        at = None if offset is None else str(Position(self._thread.epoch, offset))
        return Finding(what, self._thread.name, at)

    # --- an entry -----------------------------------------------------------------------------

    def _judge(self, entry: EntryRecord) -> Iterator[Finding]:
        wrong = self._misplaced(entry)
        self._last = max(self._last, entry.offset)
        if wrong is not None:
            self._conversation = None
            yield self._finding(wrong, entry.offset)
        trace = self._traces.get(entry.run)
        if trace is None:
            self._conversation = None
            yield self._finding("the entry belongs to no run of this thread", entry.offset)
            return
        if trace.end is not None:
            if not trace.too_late:
                yield self._finding(
                    f"{entry.type} after the terminal event of run {trace.run.name}", entry.offset
                )
            trace.too_late += 1
            return
        trace.first = trace.first or entry
        trace.last = entry.offset
        try:
            self._read(entry, trace)
        except EventError as error:
            self._conversation = None
            yield self._finding(str(error), entry.offset)

    def _misplaced(self, entry: EntryRecord) -> str | None:
        """Return what is wrong with where the entry stands, or None."""
        due = self._last + 1
        if entry.offset == due:
            return None
        if entry.offset < due:
            return "the entry is there twice"
        if entry.offset == due + 1:
            return f"the entry before it, {Position(self._thread.epoch, due)}, is missing"
        before = f"{Position(self._thread.epoch, due)} to {entry.offset - 1}"
        return f"the {entry.offset - due} entries before it, {before}, are missing"

    def _read(self, entry: EntryRecord, trace: _Trace) -> None:
        """Read and apply the event. Raises EventError if it is none, or illegal at its place."""
        event = event_from_json(entry.data)
        if event.type != entry.type:
            raise EventError(
                f"the entry is stored as {entry.type}, and its event is {event.type.value}"
            )
        if event.type in TERMINAL:
            trace.end = body_of(event)
        self._apply(event)

    def _apply(self, event: Event) -> None:
        if self._conversation is None:
            return
        try:
            self._conversation.apply(event)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # What no writer of ours wrote may have any shape.
            raise EventError(f"{event.type.value} has a field of a wrong shape: {error}") from error

    # --- the thread ---------------------------------------------------------------------------

    def _judge_all(self) -> Iterator[Finding]:
        if self._last != self._thread.head:
            head, last = (Position(self._thread.epoch, o) for o in (self._thread.head, self._last))
            yield self._finding(f"the head is {head}, and the last entry is {last}")
        for trace in self._traces.values():
            yield from self._judge_run(trace)
        for interrupt in self._interrupts:
            if interrupt.run not in self._traces:
                yield self._finding(
                    f"interrupt {interrupt.name!r} was left by no run of this thread"
                )

    def _judge_run(self, trace: _Trace) -> Iterator[Finding]:
        run, first = trace.run, trace.first
        if first is None:
            yield self._finding(f"run {run.name} has no entry", run.started)
            return
        if first.offset != run.started or first.type != EventType.RUN_STARTED:
            yield self._finding(
                f"run {run.name} is recorded to begin at {self._at(run.started)}, and its first "
                f"entry is {first.type} at {self._at(first.offset)}",
                first.offset,
            )
        if run.status not in tuple(RunStatus):
            yield self._finding(f"run {run.name} has the unknown status {run.status!r}")
        elif run.status in ENDED:
            yield from self._judge_ended(trace)
        else:
            yield from self._judge_open(trace)

    def _judge_open(self, trace: _Trace) -> Iterator[Finding]:
        run = trace.run
        if trace.end is not None:
            yield self._finding(
                f"run {run.name} has ended in the log, and is recorded as {run.status}", trace.last
            )
        elif run.ended is not None or not run.held:
            yield self._finding(f"run {run.name} has not ended, and nobody would end it")

    def _judge_ended(self, trace: _Trace) -> Iterator[Finding]:
        run = trace.run
        if run.held:
            yield self._finding(f"run {run.name} has ended, and still has a lease")
        if trace.end is None:
            yield self._finding(
                f"run {run.name} is recorded as {run.status}, and has no terminal event",
                run.ended,
            )
            return
        if run.ended != trace.last:
            recorded = "nowhere" if run.ended is None else f"at {self._at(run.ended)}"
            yield self._finding(
                f"run {run.name} is recorded to end {recorded}, and its terminal event is at "
                f"{self._at(trace.last)}",
                trace.last,
            )
        if run.status not in ends_of(trace.end):
            yield self._finding(
                f"run {run.name} is recorded as {run.status}, and its terminal event is "
                f"{_ending(trace.end)}",
                trace.last,
            )

    def _at(self, offset: int) -> Position:
        return Position(self._thread.epoch, offset)


def ends_of(terminal: Body) -> frozenset[RunStatus]:
    """Return how a run can have ended whose terminal event this is.

    An agent may fail with the codes that Netra uses when it stops a run.
    """
    if terminal.type is not EventType.RUN_ERROR:
        outcome = str((terminal.outcome or {}).get("type"))
        return frozenset({OUTCOMES.get(outcome, RunStatus.FINISHED)})
    stopped = (status for status, code in STOPPED.items() if code == terminal.code)
    return frozenset({RunStatus.FAILED, *stopped})


def _ending(terminal: Body) -> str:
    """Return what a terminal event says of the end."""
    said = terminal.code if terminal.type is EventType.RUN_ERROR else None
    outcome = said or (terminal.outcome or {}).get("type")
    return terminal.type.value + (f" with {outcome!r}" if outcome is not None else "")
