"""The checker: judges a delivery test from the client's side, by what came over the wire.

It is given a `Tape` of every connection and the truth: the logs as ``GET /threads/{id}/events``
showed them in the end. It knows the protocol from docs/protocol.md alone and shares no code with
the server. Three things are judged:

* every log: each run has one RUN_STARTED and one terminal event, and nothing after it,
* every follow of every connection: the frames are the log's, each once, in order, and only while
  the thread is followed,
* every person: whoever applies frames by the protocol's rule for clients, across all of their
  connections, has exactly what the log says.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Frame = dict[str, Any]
Log = Sequence[Frame]
"""The events of a thread as the HTTP API shows them: ``id``, ``run``, ``at``, ``chunk``."""
Name = tuple[str, str]
"""A thread: its user and its id."""

TERMINAL = ("RUN_FINISHED", "RUN_ERROR")
DELTAS = {
    "TEXT_MESSAGE_CONTENT": "messageId",
    "REASONING_MESSAGE_CONTENT": "messageId",
    "TOOL_CALL_ARGS": "toolCallId",
}
RESUMED = ("caught_up", "replay")
RESTARTED = ("snapshot", "gap")


class Fault(Enum):
    """What can be wrong with a delivery."""

    MISSING = "acknowledged and missing"
    DUPLICATED = "duplicated"
    REORDERED = "reordered"
    UNEXPECTED = "unexpected"


@dataclass
class Tape:
    """What one connection sent and got, in the order of the wire.

    Connections of the same `person` follow each other: what the person has applied goes on.
    `settled` says that in the end the connection was open and the test had waited until all was
    delivered: then everything in the log must have come, and every command be answered.
    """

    person: str
    user: str
    frames: Sequence[tuple[str, Frame]]
    settled: bool = False


@dataclass
class Verdict:
    """What was found: nothing, if all is well."""

    findings: list[tuple[Fault, str]] = field(default_factory=list)
    events: int = 0
    """How many entries of logs were seen on the wire, merged ones counted each."""

    @property
    def faults(self) -> set[Fault]:
        """The kinds of faults that were found."""
        return {fault for fault, _ in self.findings}

    def add(self, fault: Fault, text: str) -> None:
        """Note a finding."""
        self.findings.append((fault, text))

    def __bool__(self) -> bool:
        return not self.findings

    def __str__(self) -> str:
        shown = [f"{fault.value}: {text}" for fault, text in self.findings[:20]]
        more = len(self.findings) - len(shown)
        return "\n".join([*shown, *([f"and {more} more"] if more else [])]) or "all is well"


def judge(
    tapes: Sequence[Tape],
    logs: Mapping[Name, Log],
    *,
    deleted: Iterable[Name] = (),
    running: Iterable[Name] = (),
) -> Verdict:
    """Return what is wrong with what the tapes show, given the logs.

    `logs` has every thread that exists in the end. `deleted` are threads that the test has
    deleted at some time: of their earlier epochs nothing is left to compare with, except what
    the clients saw. `running` are threads whose newest run may still be in progress.
    """
    verdict = Verdict()
    truth = _Truth(logs, frozenset(deleted), verdict)
    for name, log in logs.items():
        _judge_log(name, log, verdict, running=name in set(running))
    for tape in tapes:
        _Wire(tape, truth, verdict).judge()
    _judge_decisions(tapes, verdict)
    for person in dict.fromkeys(tape.person for tape in tapes):
        _judge_person(person, [t for t in tapes if t.person == person], truth, verdict)
    return verdict


# --- the logs ------------------------------------------------------------------------------


def _judge_log(name: Name, log: Log, verdict: Verdict, *, running: bool) -> None:
    runs = _Runs(f"log of {name}", verdict)
    epoch = _position(log[0]["id"])[0] if log else 0
    for offset, entry in enumerate(log, start=1):
        if _position(entry["id"]) != (epoch, offset):
            verdict.add(Fault.UNEXPECTED, f"log of {name}: {entry['id']} at offset {offset}")
        runs.take(entry["id"], entry["chunk"])
        if runs.run != entry["run"]:
            verdict.add(Fault.UNEXPECTED, f"log of {name}: {entry['id']} is of {entry['run']}")
    if runs.active and not running:
        verdict.add(Fault.MISSING, f"log of {name}: run {runs.run} has no terminal event")


class _Runs:
    """One run after the other, each with one terminal event; unknown until the first start."""

    def __init__(self, where: str, verdict: Verdict) -> None:
        self._where = where
        self._verdict = verdict
        self._seen: set[str] = set()
        self.run: str | None = None
        self.active: bool | None = None

    def take(self, at: str, chunk: Frame) -> None:
        kind = chunk["type"]
        if kind == "RUN_STARTED":
            if self.active:
                self._say(at, f"RUN_STARTED while {self.run} has not ended")
            if chunk["runId"] in self._seen:
                self._say(at, f"run {chunk['runId']} started again")
            self.run, self.active = chunk["runId"], True
            self._seen.add(chunk["runId"])
        elif self.active is False:
            self._say(at, f"{kind} after the terminal event of {self.run}")
        elif kind in TERMINAL:
            self.active = False

    def _say(self, at: str, what: str) -> None:
        self._verdict.add(Fault.UNEXPECTED, f"{self._where}, {at}: {what}")


class _Truth:
    """What is in the logs, and what clients saw of logs that are gone."""

    def __init__(
        self, logs: Mapping[Name, Log], deleted: frozenset[Name], verdict: Verdict
    ) -> None:
        self.logs = logs
        self._epochs = {name: _position(log[0]["id"])[0] for name, log in logs.items() if log}
        self._deleted = deleted
        self._verdict = verdict
        self._gone: dict[tuple[Name, int, int], Frame] = {}

    def log(self, name: Name, epoch: int) -> Log | None:
        """Return the log in this epoch, or None if that was deleted."""
        return self.logs[name] if self._epochs.get(name) == epoch else None

    def logs_of(self, user: str) -> list[Log]:
        """Return the logs of the user's threads."""
        return [log for (owner, _), log in self.logs.items() if owner == user]

    def ends_at(self, name: Name, epoch: int, offset: int) -> bool:
        """Return whether the thread exists and its log's last entry is there."""
        log = self.logs.get(name)
        return log is not None and len(log) == offset and self._epochs.get(name, epoch) == epoch

    def was_deleted(self, name: Name, epoch: int) -> bool:
        """Return whether the test had deleted the thread that had this epoch."""
        return name in self._deleted and self._epochs.get(name) != epoch

    def may_be_gone(self, name: Name) -> bool:
        """Return whether the test has deleted the thread at some time, and what was in it."""
        return name in self._deleted

    def compare(self, where: str, name: Name, epoch: int, frame: Frame) -> None:
        """Judge the content of an event frame."""
        first, last = _covered(frame)
        log = self.log(name, epoch)
        if log is None:
            self._compare_gone(where, name, epoch, frame)
        elif last > len(log):
            self._say(
                Fault.MISSING, where, frame, f"was seen, and the log of {name} ends at {len(log)}"
            )
        elif first == last:
            if frame["chunk"] != log[first - 1]["chunk"]:
                self._say(Fault.UNEXPECTED, where, frame, "the log has another event there")
        elif frame["chunk"] != _merged([entry["chunk"] for entry in log[first - 1 : last]]):
            self._say(Fault.UNEXPECTED, where, frame, "it is not what its entries add up to")

    def _compare_gone(self, where: str, name: Name, epoch: int, frame: Frame) -> None:
        if not self.was_deleted(name, epoch):
            self._say(Fault.MISSING, where, frame, f"was seen, and {name} has no such epoch")
            return
        first, last = _covered(frame)
        if first == last:
            seen = self._gone.setdefault((name, epoch, first), frame["chunk"])
            if seen != frame["chunk"]:
                self._say(Fault.UNEXPECTED, where, frame, "another client saw another event")

    def _say(self, fault: Fault, where: str, frame: Frame, what: str) -> None:
        at = f"{frame['from']} to {frame['id']}" if "from" in frame else frame["id"]
        self._verdict.add(fault, f"{where}, {at}, {frame['chunk']['type']}: {what}")


def _merged(chunks: Sequence[Frame]) -> Frame | None:
    """Return the one delta that plain deltas of one message add up to, or None."""
    key = DELTAS.get(chunks[0]["type"])
    if key is None or any(
        set(chunk) != {"type", key, "delta"}
        or (chunk["type"], chunk[key]) != (chunks[0]["type"], chunks[0][key])
        for chunk in chunks
    ):
        return None
    return {**chunks[0], "delta": "".join(chunk["delta"] for chunk in chunks)}


# --- one connection ------------------------------------------------------------------------


class _Wire:
    """One connection, frame by frame."""

    def __init__(self, tape: Tape, truth: _Truth, verdict: Verdict) -> None:
        self._tape = tape
        self._truth = truth
        self._verdict = verdict
        self._followed: dict[str, _Follow] = {}
        self._pending: dict[str, Frame] = {}

    def judge(self) -> None:
        for direction, frame in self._tape.frames:
            if direction == "sent":
                self._pending[frame["request"]] = frame
            elif "type" in frame:
                self._answer(frame)
            else:
                self._event(frame)
        for thread in list(self._followed):
            self._end(thread, settled=self._tape.settled)
        if self._tape.settled:
            for command in self._pending.values():
                self._say(Fault.MISSING, f"{command['type']} {command['request']}: no answer")

    def _event(self, frame: Frame) -> None:
        follow = self._followed.get(frame["thread"])
        if follow is None:
            self._say(Fault.UNEXPECTED, f"{frame['id']} of {frame['thread']}, not followed")
            return
        follow.take(frame)

    def _answer(self, frame: Frame) -> None:
        request = frame.get("request")
        command = None if request is None else self._pending.pop(request, None)
        if request is not None and command is None:
            self._say(Fault.UNEXPECTED, f"answer to {request}, which was not asked or answered")
        match frame["type"]:
            case "followed":
                self._end(frame["thread"])
                self._begin(frame, command or {})
            case "unfollowed":
                self._end(frame["thread"])
            case "accepted":
                self._accepted(frame)
            case "cancelled":
                self._cancelled(frame)
            case "error" if command is not None and command["type"] == "follow":
                self._end(command["thread"])

    def _begin(self, frame: Frame, command: Frame) -> None:
        if frame["resume"] not in RESUMED + RESTARTED:
            return
        thread, after = frame["thread"], command.get("after")
        epoch, offset = _position(frame["id"])
        follow = _Follow(
            f"{self._tape.person} in {thread}",
            (self._tape.user, thread),
            epoch,
            offset,
            self._truth,
            self._verdict,
        )
        self._followed[thread] = follow
        if frame["resume"] in RESUMED:
            asked = (epoch, 0) if after is None else _position(after)
            if (epoch, offset) != asked:
                self._say(Fault.UNEXPECTED, f"asked after {after}, followed from {frame['id']}")
        else:
            follow.begin_with(frame["prelude"])

    def _end(self, thread: str, *, settled: bool = False) -> None:
        follow = self._followed.pop(thread, None)
        if follow is not None:
            follow.end(settled=settled)

    def _accepted(self, frame: Frame) -> None:
        name = (self._tape.user, frame["thread"])
        if frame.get("queued"):
            self._queued(name, frame["run"])
            return
        epoch, offset = _position(frame["id"])
        log = self._truth.log(name, epoch)
        if log is None:
            if not self._truth.was_deleted(name, epoch):
                self._say(Fault.MISSING, f"run {frame['run']} was accepted; its thread is lost")
            return
        chunk = log[offset - 1]["chunk"] if offset <= len(log) else {}
        if (chunk.get("type"), chunk.get("runId")) != ("RUN_STARTED", frame["run"]):
            self._say(Fault.MISSING, f"run {frame['run']} was accepted; it is not at {frame['id']}")

    def _queued(self, name: Name, run: str) -> None:
        """A queued run has begun by now: whoever has the logs judged has waited for that."""
        chunks = [entry["chunk"] for entry in self._truth.logs.get(name, ())]
        has_begun = any(c["type"] == "RUN_STARTED" and c["runId"] == run for c in chunks)
        if not has_begun and not self._truth.may_be_gone(name):
            self._say(Fault.MISSING, f"run {run} was queued; it has not begun")

    def _cancelled(self, frame: Frame) -> None:
        """After the position comes nothing of the run but its terminal event, if that.

        Of a run that waits for its thread, RUN_STARTED comes too, and nothing else.
        """
        epoch, offset = _position(frame["id"])
        for log in self._truth.logs_of(self._tape.user):
            own = [entry for entry in log if entry["run"] == frame["run"]]
            if own and _position(own[0]["id"])[0] != epoch:
                continue  # the thread was deleted, and the run's name used again
            later = [e["chunk"]["type"] for e in own if _position(e["id"])[1] > offset]
            if later[:1] == ["RUN_STARTED"]:
                later = later[1:]
            ended = [e for e in own if e["chunk"]["type"] in TERMINAL]
            if own and not ended:
                self._say(Fault.MISSING, f"run {frame['run']} was cancelled and has not ended")
            if len(later) > 1 or (later and later[0] not in TERMINAL):
                self._say(
                    Fault.UNEXPECTED, f"{later} after the cancel of {frame['run']} at {frame['id']}"
                )

    def _say(self, fault: Fault, what: str) -> None:
        self._verdict.add(fault, f"{self._tape.person}: {what}")


class _Follow:
    """What one ``follow`` brought: from its position on, everything, once, in order."""

    def __init__(
        self, where: str, name: Name, epoch: int, offset: int, truth: _Truth, verdict: Verdict
    ) -> None:
        self._where = where
        self._name = name
        self._epoch = epoch
        self._begun_at = offset
        self._next = offset + 1
        self._skipped: set[int] = set()
        self._runs = _Runs(where, verdict)
        self._truth = truth
        self._verdict = verdict

    def begin_with(self, prelude: Sequence[Frame]) -> None:
        """Judge a prelude: it adds up to the log before the position."""
        for chunk in prelude:
            self._runs.take("prelude", chunk)
        log = self._truth.log(self._name, self._epoch)
        if log is None:
            return
        told, real = Picture(), Picture()
        for chunk in prelude:
            told.apply(chunk)
        for entry in log[: self._begun_at]:
            real.apply(entry["chunk"])
        if told != real:
            self._say(Fault.UNEXPECTED, f"prelude at {self._begun_at}: {told.difference(real)}")

    def take(self, frame: Frame) -> None:
        """Judge an event frame: its place first, then its content."""
        first, last = _covered(frame)
        epochs = {_position(frame[key])[0] for key in ("from", "id") if key in frame}
        if epochs != {self._epoch} or first > last:
            self._say(Fault.UNEXPECTED, f"{frame['id']} in a follow of epoch {self._epoch}")
            return
        self._verdict.events += last - first + 1
        for offset in range(first, last + 1):
            self._place(offset)
        self._runs.take(frame["id"], frame["chunk"])
        self._truth.compare(self._where, self._name, self._epoch, frame)

    def end(self, *, settled: bool) -> None:
        """Judge what never came."""
        if self._skipped:
            self._say(Fault.MISSING, f"offsets {sorted(self._skipped)}")
        if settled and not self._truth.ends_at(self._name, self._epoch, self._next - 1):
            at = f"{self._epoch}-{self._next - 1}"
            self._say(Fault.MISSING, f"followed to {at}, where the log does not end")

    def _place(self, offset: int) -> None:
        if offset >= self._next:
            self._skipped.update(range(self._next, offset))
            self._next = offset + 1
        elif offset in self._skipped:
            self._skipped.remove(offset)
            self._say(Fault.REORDERED, f"offset {offset} came late")
        else:
            self._say(Fault.DUPLICATED, f"offset {offset} came again")

    def _say(self, fault: Fault, what: str) -> None:
        self._verdict.add(fault, f"{self._where}: {what}")


def _judge_decisions(tapes: Sequence[Tape], verdict: Verdict) -> None:
    """Each interrupt was decided once, and all who asked were told the same."""
    told: dict[tuple[str, str], list[Frame]] = {}
    for tape in tapes:
        for direction, frame in tape.frames:
            if direction == "got" and frame.get("type") == "decided":
                told.setdefault((tape.user, frame["interrupt"]), []).append(frame)
    for about, answers in told.items():
        if sum(answer["won"] for answer in answers) > 1:
            verdict.add(Fault.UNEXPECTED, f"{about} was won more than once")
        said = {(a["by"], a["status"], repr(a["payload"])) for a in answers}
        if len(said) > 1:
            verdict.add(Fault.UNEXPECTED, f"{about} has several decisions: {said}")


# --- one person ----------------------------------------------------------------------------


def _judge_person(person: str, tapes: Sequence[Tape], truth: _Truth, verdict: Verdict) -> None:
    """Apply frames as docs/protocol.md tells clients to, across connections; compare the end."""
    have: dict[Name, Reader] = {}
    for tape in tapes:
        for direction, frame in tape.frames:
            if direction == "got" and "thread" in frame:
                have.setdefault((tape.user, frame["thread"]), Reader()).read(frame)
    for name, reader in have.items():
        log = truth.log(name, reader.epoch)
        if reader.lost:
            verdict.add(Fault.MISSING, f"{person} in {name}: must follow again at {reader.lost}")
        if log is None or reader.picture is None:
            continue  # judged frame by frame
        real = Picture()
        for entry in log[: reader.offset]:
            real.apply(entry["chunk"])
        if reader.picture != real:
            what = reader.picture.difference(real)
            verdict.add(Fault.UNEXPECTED, f"{person} in {name} at {reader.offset}: {what}")


class Reader:
    """A client that keeps the rule of docs/protocol.md for one thread."""

    def __init__(self) -> None:
        self.epoch = 0
        self.offset = 0
        self.lost: list[str] = []
        """The frames that say that others were missed."""
        self.picture: Picture | None = Picture()
        """What it shows; None if it asked for a part without having what is before."""

    @property
    def after(self) -> str | None:
        """The position to follow after; None before the first."""
        return f"{self.epoch}-{self.offset}" if self.epoch else None

    def read(self, frame: Frame) -> None:
        """Take any frame about the thread."""
        if "type" not in frame:
            self.take(frame)
        elif frame["type"] == "followed" and frame["resume"] in RESUMED + RESTARTED:
            self.follow(frame)

    def follow(self, frame: Frame) -> None:
        """Take the answer to a follow that was granted."""
        epoch, offset = _position(frame["id"])
        if frame["resume"] in RESTARTED:
            self.picture = Picture()
            for chunk in frame["prelude"]:
                self.picture.apply(chunk)
        elif (epoch, offset) != (self.epoch, self.offset):
            self.picture = Picture() if offset == 0 else None
        self.epoch, self.offset = epoch, offset

    def take(self, frame: Frame) -> bool:
        """Take an event frame; return whether it was applied."""
        first, last = _covered(frame)
        if last <= self.offset:
            return False
        if first != self.offset + 1:
            self.lost.append(frame["id"])
            return False
        self.offset = last
        if self.picture is not None:
            self.picture.apply(frame["chunk"])
        return True


class Picture:
    """What a client shows: a fold of its own, simpler than AG-UI's and independent of ours.

    Messages without text are left out: whether a message that only holds tool calls is there
    yet makes no difference to a reader.
    """

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[str, list[str]] = {}
        self._open: set[str] = set()
        self._state: Any = None
        self._run: str | None = None
        self._end: Frame | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picture) and self._shown() == other._shown()

    __hash__ = None  # type: ignore[assignment]

    def difference(self, real: "Picture") -> str:
        """Return what differs, for a person."""
        mine, theirs = self._shown(), real._shown()
        return "; ".join(
            f"{key} is {_short(mine[key])} instead of {_short(theirs[key])}"
            for key in mine
            if mine[key] != theirs[key]
        )

    def apply(self, chunk: Frame) -> None:
        """Take an AG-UI event."""
        kind = chunk["type"]
        id = chunk.get("toolCallId") or chunk.get("messageId") or ""
        if kind in ("TEXT_MESSAGE_CONTENT", "REASONING_MESSAGE_CONTENT"):
            self._texts.setdefault(id, []).append(chunk["delta"])
        elif kind == "TOOL_CALL_ARGS":
            self._calls.setdefault(id, []).append(chunk["delta"])
        elif kind == "TOOL_CALL_RESULT":
            self._texts[chunk["messageId"]] = [chunk["content"]]
        elif kind == "STATE_SNAPSHOT":
            self._state = chunk["snapshot"]
        elif kind == "MESSAGES_SNAPSHOT":
            self._restart(chunk["messages"])
        elif kind == "RUN_STARTED":
            self._start(chunk)
        elif kind in TERMINAL:
            self._end = chunk
        elif kind.endswith("_START"):
            self._open.add(f"{kind.removesuffix('_START')} {id}")
        elif kind.endswith("_END"):
            self._open.discard(f"{kind.removesuffix('_END')} {id}")

    def _start(self, chunk: Frame) -> None:
        self._run, self._end, self._open = chunk["runId"], None, set()
        given = chunk.get("input") or {}
        for message in given.get("messages") or ():
            self._texts.setdefault(message["id"], [message["content"]])
        if given.get("state") is not None:
            self._state = given["state"]

    def _restart(self, messages: Sequence[Frame]) -> None:
        self._texts = {m["id"]: [m["content"]] for m in messages if m.get("content")}
        calls = [call for message in messages for call in message.get("toolCalls") or ()]
        self._calls = {call["id"]: [call["function"]["arguments"]] for call in calls}

    def _shown(self) -> dict[str, Any]:
        texts = {id: "".join(parts) for id, parts in self._texts.items()}
        calls = {id: "".join(parts) for id, parts in self._calls.items()}
        return {
            "texts": {id: text for id, text in texts.items() if text},
            "calls": {id: text for id, text in calls.items() if text},
            "open": self._open,
            "state": self._state,
            "run": self._run,
            "end": self._end,
        }


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:100]} … {text[-100:]}"


def _position(text: str) -> tuple[int, int]:
    epoch, offset = text.split("-")
    return int(epoch), int(offset)


def _covered(frame: Frame) -> tuple[int, int]:
    """Return the first and the last offset that an event frame stands for."""
    return _position(frame.get("from", frame["id"]))[1], _position(frame["id"])[1]
