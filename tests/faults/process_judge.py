"""The judgement of a `ProcessLife`: by the log, and by what everybody was told and shown."""

import asyncio
import json
import signal
from collections import Counter, defaultdict
from collections.abc import Sequence

import psutil

from netra_backend.stores.sqlite_inspection import inspection
from tests.checker import TERMINAL, Log, Name, Picture, Tape, judge
from tests.eventually import until
from tests.faults.game import THREADS, USERS, Game, Told
from tests.faults.moody_agent import notes
from tests.faults.process_life import ProcessLife
from tests.faults.run_streams import RunStream
from tests.http import http
from tests.person import read_logs

AT_ONCE = 10.0
"""Seconds in which every command is answered while the operator is idle, on a machine that is
shared."""
TAKEN_AWAY = 3.0
"""Seconds after which a role that was taken away has ended what other workers show."""
FAULTS = ("internal", "bad_frame", "bad_request", "bad_method", "bad_input")
"""What nobody is to be told, whatever happens: players ask for nothing that is malformed."""
RANKS = {"": 0, "read": 1, "write": 2, "decide": 3, "owner": 4}
NEEDS = {"run": "write", "stream": "write", "cancel": "write", "decide": "decide"}
"""The least role that a command needs; all others need to read."""
FOR_A_WHILE = ("store_failed", "draining", "overloaded")
"""What is told only where the operator is at work."""

EXPECTED = {
    "the agent failed", "the agent broke the protocol", "the agent cancelled itself",
    "the agent does not stop",
}  # fmt: skip
"""The errors in the log that tell of an agent."""
DISTURBED = {
    "a worker has ended and is started again", "a worker does not stop and is killed",
    "the process that keeps the store is gone", "the store failed", "the log cannot be read",
    "a command failed in the store", "the log refused an event", "the queue of a thread waits",
    "the sweep could not reach the store", "withdrawals cannot be looked for",
    "the run cannot begin",
    "something does not stop; the process ends without it",
}  # fmt: skip
"""Those that tell what the operator has done."""


class Judgement:
    """What is wrong with a life that is at rest: nothing, if `problems` is empty in the end."""

    def __init__(self, life: ProcessLife) -> None:
        self.life = life
        self.game: Game = life.game
        self.problems: list[str] = []
        self.events = 0
        self.ends: Counter[str] = Counter()

    async def judge(self) -> list[str]:
        """Look at everything, stop the server, and return what is wrong."""
        logs = await read_logs(self.life.server, THREADS)
        self._count(logs)
        tapes = await self._settled()
        views = {
            (user, self._view(user, name)): logs[name]
            for user in USERS
            for name in THREADS
            if name in logs
        }
        gone = [
            (user, self._view(user, name))
            for user in USERS
            for name in THREADS
            if self.game.deletions[name]
        ]
        verdict = judge(tapes, views, deleted=gone)
        self.problems += [f"{fault.value}: {what}" for fault, what in verdict.findings]
        self.events = verdict.events
        for stream in self.game.streams:
            self._judge_stream(stream, views.get((stream.user, stream.thread), ()))
        for told in self.game.told:
            self._judge_told(told)
        for at, what in self.game.odd:
            if self.life.quiet(at, at) and not self._took_away(at):
                self._say(f"while the operator was idle, {what}")
        self._judge_runs(logs)
        self._judge_sight(tapes)
        self._judge_decisions(tapes)
        self._judge_notes()
        await self._judge_processes()
        self._judge_lines()
        return self.problems

    def _say(self, what: str) -> None:
        self.problems.append(what)

    @staticmethod
    def _view(user: str, name: Name) -> str:
        return name[1] if user == name[0] else ",".join(name)

    @staticmethod
    def _name(user: str, view: str) -> Name:
        owner, _, thread = view.rpartition(",")
        return owner or user, thread

    def _count(self, logs: dict[Name, Log]) -> None:
        chunks = [entry["chunk"] for log in logs.values() for entry in log]
        for chunk in (chunk for chunk in chunks if chunk["type"] in TERMINAL):
            how = chunk.get("code") or (chunk.get("outcome") or {}).get("type", "success")
            self.ends[how] += 1

    async def _settled(self) -> list[Tape]:
        """Have everybody see everything that they may see."""
        tapes: list[Tape] = []
        for player in self.life.players:
            person = player.person
            if not person.connected:
                await person.leave()
                await person.connect()
            for name in THREADS:
                await person.settle(player.view(name))
            tapes += [*person.settled(), player.by_http]
        return tapes

    # --- what was told of runs ---

    def _judge_stream(self, stream: RunStream, log: Log) -> None:
        """A stream is its run's entries from the first on, whatever was broken off."""
        where = f"the stream of {stream.run} in {stream.thread} to {stream.user}"
        epochs = {id.split("-")[0] for id, _ in stream.events}
        own = [e for e in log if e["run"] == stream.run and e["id"].split("-")[0] in epochs]
        if not own:
            is_gone = self.game.deleted(self._name(stream.user, stream.thread))
            if stream.events and not is_gone:
                self._say(f"{where}: there is no such run")
            return
        offsets = [int(id.split("-")[1]) for id, _ in stream.events]
        if offsets != sorted(set(offsets)) or len(epochs) > 1:
            self._say(f"{where}: {offsets}")
        told, real = Picture(), Picture()
        for _, chunk in stream.events:
            told.apply(chunk)
        for entry in own:
            if int(entry["id"].split("-")[1]) <= offsets[-1]:
                real.apply(entry["chunk"])
        if told != real:
            self._say(f"{where}: {told.difference(real)}")
        if stream.whole and offsets[-1] != int(own[-1]["id"].split("-")[1]):
            self._say(f"{where} was whole at {offsets[-1]}, before its end")

    def _judge_told(self, told: Told) -> None:
        if told.answer is None:
            return
        what = f"{told.kind} {told.about}: {told.answer}"
        quiet = self.life.quiet(told.asked, told.answered)
        took = told.answered - told.asked
        if told.code in FAULTS or (told.code in FOR_A_WHILE and quiet):
            self._say(what)
        if quiet and told.kind not in ("stream", "join") and took > AT_ONCE:
            self._say(f"it took {took:.1f} s to answer {what}")
        if "," in told.view:
            role = self.game.role(
                self._name(told.user, told.view), told.user, told.asked, told.answered
            )
            needs = NEEDS.get(told.kind, "read")
            may = RANKS.get(role or "", 0) >= RANKS[needs]
            if role != "?" and not may and _shows(told):
                self._say(f"{told.user} may {role}, and not {needs}: {what}")
            is_plain = told.kind == "run" and not told.about["input"].get("resume")
            if role != "?" and may and is_plain and told.code in ("not_found", "forbidden"):
                self._say(f"{told.user} may {role}: {what}")

    def _took_away(self, at: float) -> bool:
        """Return whether somebody lost a role then, or a thread was deleted: streams end by it."""
        changes = [change for some in self.game.roles.values() for change in some]
        return any(
            asked - 2.0 < at and (role is None and at < min(answered, asked + 60.0) + 2.0)
            for asked, answered, role in changes
        )

    def _judge_runs(self, logs: dict[Name, Log]) -> None:
        """What was refused does not begin, and what waits begins in its turn."""
        asked: defaultdict[str, list[Told]] = defaultdict(list)
        for told in self.game.told:
            if told.run:
                asked[told.run].append(told)
        begun = {entry["run"] for log in logs.values() for entry in log}
        for run, several in asked.items():
            # One that waits in vain for its answer over SSE is told so, and waits on.
            unsure = (None, "store_failed", "not_found", "draining")
            if run in begun and all(told.code not in unsure for told in several):
                self._say(f"{run} began, and was refused: {several}")
        for name, log in logs.items():
            self._judge_queue(name, log, asked)

    def _judge_queue(self, name: Name, log: Log, asked: dict[str, list[Told]]) -> None:
        order = list(dict.fromkeys(entry["run"] for entry in log))
        for told in self.game.told:
            is_queued = (told.answer or {}).get("queued") and told.run
            place = self._name(told.user, told.view)
            if not is_queued or place != name or self.game.deleted(name, told.asked):
                continue
            if told.run not in order:
                self._say(f"{told.run} waited in {name}, and did not begin")
                continue
            for early in order[: order.index(told.run)]:
                if early in asked and min(t.asked for t in asked[early]) > told.answered:
                    self._say(f"{early} was asked for when {told.run} waited, and began before it")

    # --- what was shown to whom ---

    def _judge_sight(self, tapes: Sequence[Tape]) -> None:
        """No event came to who had no role in its thread any more, on whichever worker."""
        for tape in tapes:
            times = getattr(tape.frames, "times", ())
            for at, (direction, frame) in zip(times, tape.frames, strict=False):
                if direction == "got" and "type" not in frame and "," in frame["thread"]:
                    name = self._name(tape.user, frame["thread"])
                    role = self.game.role(name, tape.user, at - TAKEN_AWAY, at)
                    if role is None and self.life.quiet(at - TAKEN_AWAY, at):
                        self._say(f"a leak to {tape.user}: {str(frame)[:200]}")

    def _judge_decisions(self, tapes: Sequence[Tape]) -> None:
        """Each question was decided once, whoever of whichever user was told."""
        wins: Counter[str] = Counter()
        said: defaultdict[str, set[str]] = defaultdict(set)
        for frame in (frame for tape in tapes for way, frame in tape.frames if way == "got"):
            if frame.get("type") == "decided":
                wins[frame["interrupt"]] += frame["won"]
                decision = frame["by"], frame["status"], frame["payload"]
                said[frame["interrupt"]].add(repr(decision))
        for question, number in wins.items():
            if number > 1 or len(said[question]) > 1:
                self._say(f"{question} was won {number} times: {said[question]}")

    def _judge_notes(self) -> None:
        """Each run was executed once, and each answer told in one run."""
        seen = notes(self.life.folder)
        for run, times in Counter((note["scope"], note["run"]) for note in seen).items():
            if times > 1:
                self._say(f"the agent was called {times} times for {run}")
        runs: defaultdict[str, set[str]] = defaultdict(set)
        for note in seen:
            for answer in note["answers"]:
                runs[answer].add(note["run"])
        for answer, told in runs.items():
            if len(told) > 1:
                self._say(f"the answer to {answer} was told in {told}")

    # --- what is left behind ---

    async def _judge_processes(self) -> None:
        """Nothing has leaked; the server ends in peace, and its files are whole."""
        life = self.life
        async with http(life.server.url, life.server.token()) as browser:
            text = (await browser.get("/metrics")).text
        leaks = [line for line in text.splitlines() if line.startswith("netra_leaks_total")]
        if not leaks or any(float(line.split()[-1]) for line in leaks):
            self._say(f"leaks: {leaks}")
        for player in life.players:
            await player.person.leave()
            await player.browser.aclose()
        for process in life.everything():
            if process.pid in life.descriptors:
                await self._judge_descriptors(process, life.descriptors[process.pid])
        workers = life.everything()[1:]
        code = await asyncio.to_thread(life.server.stop, signal.SIGTERM)
        if code or any(worker.is_running() for worker in workers):
            self._say(f"exit code {code}, of {workers}")
        with inspection(life.folder / "data") as found:
            findings = [*found.file_findings()]
            for seen in found.threads():
                findings += getattr(seen, "findings", [seen])
        self.problems += [str(finding) for finding in findings]

    async def _judge_descriptors(self, process: psutil.Process, before: int) -> None:
        """A process has given back what it had for those who were there."""
        try:
            await until(lambda: process.num_fds() <= before)
        except TimeoutError:
            self._say(f"{process.num_fds()} descriptors, and there were {before}")

    def _judge_lines(self) -> None:
        """Standard error has lines of JSON, and at ERROR only what somebody can act on."""
        expected = EXPECTED if self.life.calm else EXPECTED | DISTURBED
        for text in self.life.server.log_file.read_text(encoding="utf-8").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                self._say(f"no line of JSON: {text[:300]}")
                continue
            if line["level"] in ("ERROR", "CRITICAL") and line["message"] not in expected:
                self._say(f"in the log: {text[:1_000]}")


def _shows(told: Told) -> bool:
    """Return whether an answer tells that there is such a thread."""
    answer = told.answer or {}
    is_granted = answer.get("type") in ("accepted", "cancelled", "decided")
    return is_granted or answer.get("status") == 200 or "id" in answer
