"""Canaries in every field of two users: nothing of one reaches the other, a log or a metric.

Both use a real server at once, partly under the same names, while sockets are cut, runs cancelled
and the process is killed. A canary says whose it is. Names, which log lines carry so that one can
find a run, and what an agent's exception says, which only the log may know, are told apart.
"""

import asyncio
import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedOK

from netra_backend.stores.sqlite_queries import OFFSETS
from tests.client import BOUND, Frame
from tests.eventually import until
from tests.http import http
from tests.live import ServerProcess
from tests.person import Person

pytestmark = pytest.mark.anyio

AGENT = '''
import asyncio
import json

from ag_ui.core import (
    CustomEvent, Interrupt, RunFinishedEvent, RunFinishedInterruptOutcome, StateSnapshotEvent,
    StepFinishedEvent, StepStartedEvent, TextMessageStartEvent,
)

from netra_backend.agents.base import Reasoning, Text, ToolCall, question_of


async def agent(given):
    """Say the canaries of the message in every event that has room for one."""
    if given.resume:
        said = Text()
        told = json.dumps([entry.payload for entry in given.resume])
        for event in (*said.start(), *said.add(told), *said.end()):
            yield event
        return
    mark = json.loads(question_of(given))
    step = mark["step"]
    yield StepStartedEvent(step_name=step)
    thought, said, call = Reasoning(), Text(), ToolCall(mark["tool"], id=mark["call"])
    for event in (*thought.start(), *thought.add(mark["thought"]), *thought.end()):
        yield event
    for event in (*call.whole({"argument": mark["argument"]}), *call.result(mark["result"])):
        yield event
    yield StateSnapshotEvent(snapshot={"state": mark["state"]})
    yield CustomEvent(name=mark["custom"], value=mark["value"])
    yield TextMessageStartEvent(
        message_id=said.id, role="assistant", metadata={"own": mark["metadata"]}
    )
    for event in (*said.add(mark["answer"]), *said.end()):
        yield event
    yield StepFinishedEvent(step_name=step)
    if mark["then"] == "hang":
        await asyncio.Event().wait()
    if mark["then"] == "fail":
        raise RuntimeError(mark["fault"][::-1])
    if mark["then"] == "ask":
        asked = Interrupt(
            id=mark["interrupt"], reason="input", message=mark["question"],
            metadata={"own": mark["asked"]}, tool_call_id=call.id,
        )
        yield RunFinishedEvent(
            thread_id="", run_id="", outcome=RunFinishedInterruptOutcome(interrupts=[asked])
        )
'''

SAID = (
    "thought", "argument", "result", "state", "value", "metadata", "answer", "question", "asked",
)  # fmt: skip
"""What the agent says, by field."""
NAMED = ("step", "tool", "call", "custom", "interrupt")
"""What the agent names."""


class User:
    """One user, their canaries, their connections, and everything that they were ever told."""

    def __init__(self, server: ServerProcess, whose: str) -> None:
        self.server = server
        self.mark = f"canary-{whose}"
        self.user = f"{self.mark}-id-user"
        self.person = Person(server, whose, self.user)
        self.answers: list[str] = []
        self._count = 0

    def says(self, field: str) -> str:
        """Return a new canary of content, which no log may have."""
        self._count += 1
        return f"{self.mark}-says-{field}-{self._count}"

    def names(self, field: str) -> str:
        """Return a new canary that is a name."""
        self._count += 1
        return f"{self.mark}-id-{field}-{self._count}"

    def fault(self) -> str:
        """Return, backwards, a new canary for what only the log may know."""
        self._count += 1
        return f"{self.mark}-fault-{self._count}"[::-1]

    @property
    def heard(self) -> str:
        """Everything that the user was told, in whatever way."""
        frames = [
            json.dumps(frame)
            for tape in self.person.tapes
            for direction, frame in tape.frames
            if direction == "got"
        ]
        return "\n".join([*self.answers, *frames])

    async def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Send a request, and keep all of the answer."""
        async with http(self.server.url, self.server.token(self.user)) as browser:
            answered = await browser.request(method, path, json=body)
        self.answers.append(f"{dict(answered.headers)} {answered.text}")
        return answered

    async def create(self, thread: str) -> None:
        """Open a thread, with somebody else in it, and follow it."""
        await self.ask("POST", "/threads", {"id": thread, "title": self.says("title")})
        await self.ask("PATCH", f"/threads/{thread}", {"title": self.says("title")})
        await self.ask(
            "PUT", f"/threads/{thread}/members/{self.names('member')}", {"role": "decide"}
        )
        await self.person.follow(thread)

    async def run(self, thread: str, run: str, then: str) -> dict[str, str]:
        """Have the agent say a canary in each field; return once it has said its last."""
        marks = {field: self.says(field) for field in SAID}
        marks |= {field: self.names(field) for field in NAMED}
        marks |= {"fault": self.fault(), "then": then}
        message = {"id": self.names("message"), "role": "user", "content": json.dumps(marks)}
        frame: Frame = {
            "type": "run",
            "request": self.names("request"),
            "input": {
                "threadId": thread,
                "runId": run,
                "state": {"given": self.says("given-state")},
                "messages": [message | {"name": self.names("author")}],
                "tools": [
                    {"name": self.names("offered"), "description": self.says("offer"),
                     "parameters": {}},
                ],
                "context": [{"description": self.says("context"), "value": self.says("context")}],
                "forwardedProps": {"own": self.says("prop")},
            },
        }  # fmt: skip
        accepted = await self.person.client.answer(frame)
        assert accepted["type"] == "accepted", accepted
        await self.person.client.until_frame(
            lambda f: marks["answer"] in json.dumps(f["chunk"].get("delta", ""))
        )
        return marks

    async def decide(self, thread: str, interrupt: str) -> None:
        """Answer with a canary, wrongly first."""
        wrong = self.says("digest")
        for request, more in ((self.names("request"), {"digest": wrong}), (self.names("r"), {})):
            answered = await self.person.client.answer(
                {"type": "decide", "request": request, "thread": thread, "interrupt": interrupt,
                 "payload": {"own": self.says("payload")}, **more}
            )  # fmt: skip
        assert answered["won"] is True, answered

    async def try_what_is_refused(self, run: str) -> None:
        """Be refused in every way that repeats something."""
        client = self.person.client
        for frame in (
            {"type": self.says("type"), "request": self.names("request")},
            {"type": "follow", "request": self.names("request"), "thread": self.says("not/a/name")},
            {"type": "cancel", "request": self.names("request"), "run": self.names("no-run")},
            {"type": "decide", "request": self.names("request"), "thread": "same",
             "interrupt": self.names("no-interrupt"), "payload": self.says("payload")},
            {"type": "run", "request": self.names("request"), "agent": self.names("no-agent"),
             "input": {"threadId": "same", "runId": self.names("run"), "messages": []}},
            {"type": "run", "request": self.names("request"),
             "input": {"threadId": self.names("other"), "runId": run, "messages": []}},
        ):  # fmt: skip
            assert (await client.answer(frame))["type"] == "error"
        for path in (f"/runs/{self.names('no-run')}", f"/threads/{self.names('no-thread')}/events"):
            assert (await self.ask("GET", path)).status_code == 404
        await self.ask("POST", "/threads", {"title": [self.says("title")]})
        assert (await self.ask("GET", "/connections")).status_code == 403

    async def read_all(self) -> None:
        """Read whatever there is to read, in every dialect that has no live part."""
        threads = (await self.ask("GET", "/threads?limit=100")).json()["threads"]
        for thread in threads:
            for what in ("", "/events?limit=1000", "/messages", "/interrupts", "/members"):
                await self.ask("GET", f"/threads/{thread['id']}{what}")
            run = thread["run"]["id"]
            await self.ask("GET", f"/runs/{run}")
            await self.ask("GET", f"/agui/agent?runId={run}")
            await self.ask("GET", f"/agui/agent?runId={run}&offset=-1")
            await self._replay(run)
        await self.ask("GET", "/openapi.json")

    async def _replay(self, run: str) -> None:
        """Have a run replayed on a socket of TanStack's dialect."""
        headers = {"Authorization": f"Bearer {self.server.token(self.user)}"}
        url = f"{self.server.socket_url}?runId={run}&offset=-1"
        try:
            async with asyncio.timeout(BOUND), connect(url, additional_headers=headers) as socket:
                while True:
                    self.answers.append(str(await socket.recv()))
        except ConnectionClosedOK:  # with 1000: it is complete
            pass


async def before_the_kill(user: User) -> None:
    """Live through what ends well, badly and not at all; leave two runs hanging."""
    await user.person.connect()
    own = user.names("thread")
    for thread in ("same", own):
        await user.create(thread)
    await user.run("same", "same-run", "finish")
    await user.person.drop()
    await user.person.connect()
    for thread in ("same", own):
        await user.person.follow(thread)
    asked = await user.run(own, user.names("run"), "ask")
    await user.person.settle(own)
    await user.decide(own, asked["interrupt"])
    await user.person.settle(own)
    failing = user.names("run")
    await user.run("same", failing, "fail")
    await user.person.settle("same")
    await user.try_what_is_refused(failing)
    cancelled = user.names("run")
    await user.run(own, cancelled, "hang")
    await user.person.drop()
    await user.ask("POST", f"/runs/{cancelled}/cancel")
    await user.person.connect()
    for thread in ("same", own):
        await user.person.follow(thread)
        await user.person.settle(thread)
        await user.run(thread, user.names("run"), "hang")


async def after_the_kill(user: User) -> None:
    """Come back, see the end of what hung, and go on."""
    await user.person.connect()
    await user.person.settle("same")
    asked = await user.run("same", user.names("run"), "ask")
    await user.person.settle("same")
    await user.decide("same", asked["interrupt"])
    await user.person.settle("same")
    await user.read_all()
    await user.person.leave()


def rows_by_owner(file: Path) -> dict[str, str]:
    """Return the text of all rows that belong to each user's threads."""
    database = sqlite3.connect(file)
    owners = dict(database.execute("SELECT id, owner FROM threads").fetchall())
    rows = dict.fromkeys(owners.values(), "")
    tables = {
        "threads": "id", "runs": "thread", "interrupts": "thread", "queued_runs": "thread",
        "members": "thread", "entries": f"id >> {OFFSETS.bit_length()}",
        "tail": f"id >> {OFFSETS.bit_length()}", "tail_index": f"id >> {OFFSETS.bit_length()}",
    }  # fmt: skip
    for table, thread in tables.items():
        for owner, *row in database.execute(f"SELECT {thread}, * FROM {table}"):  # noqa: S608
            rows[owners[owner]] += f"{row}\n"
    unowned = {"counters", "spent_tickets", "revocations", "sqlite_sequence"}
    names = {
        name
        for (name,) in database.execute(
            "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE TABLE%'"
        )
    }
    assert names - unowned == set(tables), "a table that nobody here knows"
    database.close()
    return rows


def leaked(mark: str, outputs: Iterable[tuple[str, str]]) -> list[str]:
    """Return where the mark is in what is not for it, and what follows it there."""
    return [
        f"{where}: …{text[at : at + 60]}" for where, text in outputs if (at := text.find(mark)) >= 0
    ]


async def test_nothing_of_one_is_in_anything_of_the_other(tmp_path: Path) -> None:
    (tmp_path / "canary_agent.py").write_text(AGENT)
    server = ServerProcess(
        tmp_path / "data",
        ("agent=canary_agent:agent",),
        cwd=tmp_path,
        environment={"NETRA_COALESCE_MS": "0", "NETRA_REPLAY_ENTRIES": "8"},
    )
    server.start()
    metrics = ""
    alice, bob = User(server, "alice"), User(server, "bob")
    try:
        await server.wait_ready()
        await asyncio.gather(before_the_kill(alice), before_the_kill(bob))
        metrics += (await alice.ask("GET", "/metrics")).text
        server.kill()
        for user in (alice, bob):
            await until(lambda user=user: not user.person.connected)
            await user.person.leave()
        server.start()
        await server.wait_ready()
        await asyncio.gather(after_the_kill(alice), after_the_kill(bob))
        metrics += (await bob.ask("GET", "/metrics")).text
    finally:
        server.stop()

    rows = rows_by_owner(server.data_dir / "netra.db")
    log = server.log_file.read_text()
    for user, other in ((alice, bob), (bob, alice)):
        told = user.heard
        missing = [
            field
            for field in (*SAID, *NAMED, "title", "request", "run", "thread", "payload", "member")
            if f"{user.mark}-says-{field}" not in told and f"{user.mark}-id-{field}" not in told
        ]
        assert not missing, f"{user.mark} was never told of their own {missing}"
        assert f"{user.mark}-fault" in log
        assert user.mark in rows[user.user]
        assert not leaked(other.mark, [("told", told), ("rows", rows[user.user])])
        assert not leaked(f"{user.mark}-fault", [("told", told), *rows.items()])
        assert not leaked(f"{user.mark}-says", [("log", log)])
    mixed = [line for line in log.splitlines() if alice.mark in line and bob.mark in line]
    assert not mixed
    assert not leaked("canary", [("metrics", metrics)])


def test_a_leak_is_found() -> None:
    outputs = [("log", "all well"), ("metrics", 'runs{user="canary-bob-id-user"} 1')]
    assert leaked("canary-alice", outputs) == []
    assert leaked("canary-bob", outputs) == ['metrics: …canary-bob-id-user"} 1']
