"""Threads that are shared: what each role may, what members see, and that it ends."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, cast

import httpx
import pytest
from websockets.asyncio.client import connect

from netra_backend.core.events import Entry
from netra_backend.core.ids import ThreadId, ThreadKey, UserId
from netra_backend.core.ports import Store
from netra_backend.core.positions import Position
from netra_backend.core.resume import Backlog
from netra_backend.core.roles import Role
from netra_backend.server.metrics import LEAKS
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer, endless
from tests.client import Client, client, run_input
from tests.eventually import until
from tests.http import http, sse_events, sse_stream
from tests.live import Live, live
from tests.night import NIGHTLY
from tests.server.agents import asks, echo
from tests.watched_store import BACKGROUND, WatchedStore

pytestmark = pytest.mark.anyio

T = "alice,t"
"""Alice's thread, as everybody else names it."""


class Party(NamedTuple):
    """A server, and what alice, bob and carol have of it."""

    server: Live
    alice: Client
    bob: Client
    carol: Client
    of_alice: httpx.AsyncClient
    of_bob: httpx.AsyncClient
    gate: Gate

    async def invite(self, role: str, user: str = "bob") -> httpx.Response:
        return await self.of_alice.put(f"/threads/t/members/{user}", json={"role": role})

    async def remove(self, user: str = "bob") -> None:
        removed = await self.of_alice.delete(f"/threads/t/members/{user}")
        assert removed.status_code == 204


@asynccontextmanager
async def party(tmp_path: Path, *, direct: bool = True, **settings: Any) -> AsyncIterator[Party]:
    async with (
        house(tmp_path, direct=direct, **settings) as (server, gate),
        met(server, gate) as there,
    ):
        yield there


@asynccontextmanager
async def house(
    tmp_path: Path, *, direct: bool = True, **settings: Any
) -> AsyncIterator[tuple[Live, Gate]]:
    """Run a server; return it, and the gate at which one of its agents waits."""
    gate = Gate()
    agents = {
        "echo": echo,
        "asks": asks,
        "waits": ScriptedAgent(answer("so", gate)),
        "endless": ScriptedAgent(endless()),
    }
    store = SqliteStore(tmp_path)
    async with live(agents, tmp_path, store=store, direct=direct, **settings) as server:
        yield server, gate


@asynccontextmanager
async def met(server: Live, gate: Gate) -> AsyncIterator[Party]:
    """Connect alice, bob and carol to a server on which alice has no thread yet."""
    async with (
        client(server.socket_url, server.token("alice")) as alice,
        client(server.socket_url, server.token("bob")) as bob,
        client(server.socket_url, server.token("carol")) as carol,
        http(server.url, server.token("alice")) as of_alice,
        http(server.url, server.token("bob")) as of_bob,
    ):
        await of_alice.post("/threads", json={"id": "t", "title": "Shared"})
        try:
            yield Party(server, alice, bob, carol, of_alice, of_bob, gate)
        finally:
            gate.open()


async def test_the_owner_invites_changes_and_removes(tmp_path: Path) -> None:
    async with party(tmp_path) as there:
        assert (await there.invite("read")).json() == {"user": "bob", "role": "read"}
        assert (await there.invite("decide")).json() == {"user": "bob", "role": "decide"}
        await there.invite("write", "carol")
        listed = await there.of_bob.get(f"/threads/{T}/members")
        assert listed.json()["members"] == [
            {"user": "alice", "role": "owner"},
            {"user": "bob", "role": "decide"},
            {"user": "carol", "role": "write"},
        ]
        await there.remove()
        assert (await there.of_bob.get(f"/threads/{T}/members")).status_code == 404
        listed = await there.of_alice.get(f"/threads/{T}/members")  # its owner may say so too
        assert [member["user"] for member in listed.json()["members"]] == ["alice", "carol"]


async def test_shared_threads_are_listed_and_read_by_their_full_name(tmp_path: Path) -> None:
    async with party(tmp_path) as there:
        await there.of_bob.post("/threads", json={"id": "t", "title": "Bob's own"})
        await there.invite("read")
        threads = (await there.of_bob.get("/threads")).json()["threads"]
        first = (await there.of_bob.get("/threads?limit=1")).json()
        second = (await there.of_bob.get(f"/threads?limit=1&before={first['next']}")).json()
        seen = {(each["id"], each["owner"], each["role"], each["title"]) for each in threads}

        assert seen == {("t", "bob", "owner", "Bob's own"), (T, "alice", "read", "Shared")}
        assert first["threads"] + second["threads"] == threads
        assert second["next"] is None
        assert (await there.of_bob.get(f"/threads/{T}")).json() in threads
        await there.remove()
        assert [each["id"] for each in (await there.of_bob.get("/threads")).json()["threads"]] == [
            "t"
        ]


Operation = Callable[[Party], Awaitable[str | None]]


def code_of(answered: httpx.Response) -> str | None:
    """Return the code of an error, or None."""
    return answered.json()["error"]["code"] if answered.is_error else None


async def socket_code(asked: Awaitable[dict[str, Any]]) -> str | None:
    frame = await asked
    if frame.get("resume") == "unknown":
        return "not_found"
    return frame["code"] if frame["type"] == "error" else None


async def tanstack(there: Party, frame: dict[str, Any]) -> str | None:
    """Return the code with which a frame of TanStack's dialect is refused, or None."""
    url = f"{there.server.socket_url}?agent=echo"
    headers = {"Authorization": f"Bearer {there.server.token('bob')}"}
    async with connect(url, additional_headers=headers) as plain:
        await plain.send(json.dumps(frame))
        said = json.loads(await plain.recv())
    return said.get("code") if "chunk" not in said else None


async def ai_sdk(there: Party, type: str) -> str | None:
    url = f"{there.server.socket_url.removesuffix('/ws')}/ai-sdk/echo"
    headers = {"Authorization": f"Bearer {there.server.token('bob')}"}
    async with connect(url, additional_headers=headers) as chat:
        part = {"type": "text", "text": "hi"}
        message = {"id": "m", "role": "user", "parts": [part]}
        frame = {"type": type, "requestId": "q", "id": T, "messages": [message], "body": {}}
        await chat.send(json.dumps(frame if type == "send" else {**frame, "messages": []}))
        said = json.loads(await chat.recv())
    return said.get("code")


def run_of_bob(there: Party) -> Awaitable[dict[str, Any]]:
    return there.bob.command("run", input=run_input(T, "bobs"), agent="echo")


BOBS: dict[str, tuple[str, Operation]] = {
    "GET thread": ("read", lambda p: coded(p.of_bob.get(f"/threads/{T}"))),
    "GET messages": ("read", lambda p: coded(p.of_bob.get(f"/threads/{T}/messages"))),
    "GET events": ("read", lambda p: coded(p.of_bob.get(f"/threads/{T}/events"))),
    "GET members": ("read", lambda p: coded(p.of_bob.get(f"/threads/{T}/members"))),
    "GET interrupts": ("read", lambda p: coded(p.of_bob.get(f"/threads/{T}/interrupts"))),
    "GET run": ("read", lambda p: coded(p.of_bob.get(f"/runs/asked?thread={T}"))),
    "GET agui": ("read", lambda p: coded(p.of_bob.get(f"/agui/asks?runId=asked&threadId={T}"))),
    "copilot connect": (
        "read",
        lambda p: coded(p.of_bob.post("/copilotkit/agent/asks/connect", json=run_input(T, "x"))),
    ),
    "AI SDK resume": ("read", lambda p: ai_sdk(p, "resume")),
    "follow": ("read", lambda p: socket_code(p.bob.follow(T))),
    "run": ("write", lambda p: socket_code(run_of_bob(p))),
    "plain run": ("write", lambda p: tanstack(p, run_input(T, "bobs"))),
    "AI SDK send": ("write", lambda p: ai_sdk(p, "send")),
    "POST agui": ("write", lambda p: coded(p.of_bob.post("/agui/echo", json=run_input(T, "b")))),
    "copilot run": (
        "write",
        lambda p: coded(p.of_bob.post("/copilotkit/agent/echo/run", json=run_input(T, "b"))),
    ),
    "copilot stop": (
        "write",
        lambda p: coded(p.of_bob.post(f"/copilotkit/agent/echo/stop/{T}", json={})),
    ),
    "cancel": ("write", lambda p: socket_code(p.bob.command("cancel", run="asked", thread=T))),
    "POST cancel": ("write", lambda p: coded(p.of_bob.post(f"/runs/asked/cancel?thread={T}"))),
    "decide": (
        "decide",
        lambda p: socket_code(p.bob.command("decide", thread=T, interrupt="q1")),
    ),
    "POST interrupts": (
        "decide",
        lambda p: coded(p.of_bob.post(f"/threads/{T}/interrupts", json={"interrupt": "q1"})),
    ),
    "PATCH thread": (
        "owner",
        lambda p: coded(p.of_bob.patch(f"/threads/{T}", json={"title": "x"})),
    ),
    "DELETE thread": ("owner", lambda p: coded(p.of_bob.delete(f"/threads/{T}"))),
    "PUT member": (
        "owner",
        lambda p: coded(p.of_bob.put(f"/threads/{T}/members/eve", json={"role": "read"})),
    ),
    "PUT oneself": (
        "owner",
        lambda p: coded(p.of_bob.put(f"/threads/{T}/members/bob", json={"role": "decide"})),
    ),
    "DELETE member": ("owner", lambda p: coded(p.of_bob.delete(f"/threads/{T}/members/carol"))),
}
"""What bob may try in alice's thread, and the role that it needs."""

ROLES = [None, "read", "write", "decide"]


def tried(needs: str) -> list[str | None]:
    """Return the roles to try: by day nobody's, and those at the border of what is allowed."""
    needed = [*ROLES, "owner"].index(needs)
    return ROLES if NIGHTLY else [None, *ROLES[max(1, needed - 1) : needed + 1]]


async def coded(asked: Awaitable[httpx.Response]) -> str | None:
    return code_of(await asked)


@pytest.mark.parametrize("operation", BOBS)
async def test_each_role_may_what_it_may_and_no_more(tmp_path: Path, operation: str) -> None:
    needs, act = BOBS[operation]
    async with house(tmp_path) as (server, gate):
        for role in tried(needs):
            async with met(server, gate) as there:
                await asked_as(there, role, needs, act)


async def asked_as(there: Party, role: str | None, needs: str, act: Operation) -> None:
    """See what bob is answered in a new thread of alice's in which this is his role."""
    await there.alice.run("t", "asked", "ask q1", agent="asks")
    await there.alice.follow("t")
    await there.alice.until("RUN_FINISHED")
    await there.invite("read", "carol")
    if role is not None:
        await there.invite(role)
    code = await act(there)
    if role is None:
        assert code == "not_found"
    elif [*ROLES, "owner"].index(role) >= [*ROLES, "owner"].index(needs):
        assert code is None
    else:
        assert code == "forbidden"
    await there.of_alice.delete("/threads/t")


@pytest.mark.parametrize("direct", [True, False], ids=["lane", "send"])
async def test_members_get_the_same_events_under_the_name_they_use(
    tmp_path: Path, direct: bool
) -> None:
    async with party(tmp_path, direct=direct) as there:
        await there.invite("write")
        await there.invite("read", "carol")
        await there.bob.run("t", "own", "bob's own thread", agent="echo")
        for member in (there.bob, there.carol):
            assert (await member.follow(T))["thread"] == T
        await there.bob.follow("t")
        await there.alice.follow("t")
        await there.bob.run(T, "r", "one two", agent="echo")
        for follower, name in ((there.alice, "t"), (there.bob, T), (there.carol, T)):
            await follower.until("RUN_FINISHED", thread=name)
        shared = {
            who: [f["chunk"] for f in person.events if f["thread"] == name]
            for who, person, name in (
                ("alice", there.alice, "t"), ("bob", there.bob, T), ("carol", there.carol, T),
            )
        }  # fmt: skip
        assert shared["alice"] == shared["bob"] == shared["carol"]
        assert shared["alice"][0]["threadId"] == "t"
        await there.bob.until("RUN_FINISHED", thread="t")
        own = [f["chunk"] for f in there.bob.events if f["thread"] == "t"]
        assert own[0]["runId"] == "own"
        assert "bob's own thread" not in json.dumps(there.alice.events + there.carol.events)


async def test_a_message_says_which_member_it_is_of(tmp_path: Path) -> None:
    async with party(tmp_path) as there:
        await there.invite("write")
        await there.alice.run("t", "r1", "mine", agent="echo")
        await there.alice.follow("t")
        await there.alice.until("RUN_FINISHED")
        forged = run_input(T, "r2", "his")
        forged["messages"][0]["metadata"] = {"netra": {"user": "alice"}}
        await there.bob.command("run", input=forged, agent="echo")
        begun = await there.alice.until_frame(lambda f: f["chunk"].get("runId") == "r2")
        signed = {"netra": {"user": "bob"}}
        assert [m["metadata"] for m in begun["chunk"]["input"]["messages"]] == [signed]
        told = (await there.of_alice.get("/threads/t/messages")).json()["messages"]
        said = {m["content"]: m.get("metadata") for m in told if m["role"] == "user"}
        assert said == {"mine": None, "his": signed}


async def test_a_run_of_a_member_is_everybodys_to_cancel(tmp_path: Path) -> None:
    """Its starter names it alone, the others with the thread; the log says who started it."""
    async with party(tmp_path) as there:
        await there.invite("write")
        for number, canceller in enumerate((there.alice, there.bob)):
            run = f"r{number}"
            accepted = await there.bob.run(T, run, agent="endless")
            assert (accepted["type"], accepted["thread"]) == ("accepted", T)
            view = (await there.of_alice.get(f"/runs/{run}?thread=t")).json()
            assert (view["user"], view["thread"]) == ("bob", "t")
            assert (await there.of_bob.get(f"/runs/{run}")).json()["thread"] == T
            assert (await there.of_alice.get(f"/runs/{run}")).status_code == 404
            where = {"thread": "t"} if canceller is there.alice else {}
            assert (await canceller.command("cancel", run=run, **where))["type"] == "cancelled"
            ended = (await there.of_bob.get(f"/runs/{run}")).json()
            assert ended["status"] == "cancelled"


async def test_a_run_id_that_the_thread_has_attaches(tmp_path: Path) -> None:
    """And one that another thread of the owner has tells nothing of it."""
    async with party(tmp_path) as there:
        await there.invite("write")
        await there.alice.run("t", "r", agent="echo")
        await there.alice.run("secret", "secret-run", agent="echo")
        await until(lambda: there.server.app._house.runner.active == 0)
        again = await there.bob.run(T, "r", agent="echo")
        assert again["id"] == (await there.of_alice.get("/runs/r")).json()["started"]
        started = await there.bob.run(T, "secret-run", agent="echo")
        assert (started["type"], started["thread"]) == ("accepted", T)
        assert (await there.of_alice.get("/runs/secret-run")).json()["thread"] == "secret"
        stream = await there.of_bob.post("/agui/echo", json=run_input(T, "r"))
        assert [e.chunk["type"] for e in sse_events(stream.text)][-1] == "RUN_FINISHED"


async def test_a_decision_of_a_member_goes_on_in_the_name_of_who_asked(tmp_path: Path) -> None:
    async with party(tmp_path) as there:
        await there.invite("write")
        await there.invite("decide", "carol")
        await there.bob.run(T, "asked", "ask q1", agent="asks")
        await there.carol.follow(T)
        await there.carol.until("RUN_FINISHED")
        decided = await there.carol.command("decide", thread=T, interrupt="q1")
        assert (decided["won"], decided["by"]) == (True, "carol")
        run = (await there.of_alice.get(f"/runs/{decided['run']}?thread=t")).json()
        assert run["user"] == "bob"
        await there.carol.until_frame(ended(decided["run"]))
        await there.bob.run(T, "asked2", "ask q2", agent="asks")
        await there.carol.until_frame(ended("asked2"))
        await there.remove()
        decided = await there.carol.command("decide", thread=T, interrupt="q2")
        run = (await there.of_alice.get(f"/runs/{decided['run']}?thread=t")).json()
        assert run["user"] == "alice"


async def test_who_may_write_decides_nothing_by_a_run(tmp_path: Path) -> None:
    """Neither by taking up a question, nor by taking the name of the run that will follow."""
    async with party(tmp_path) as there:
        await there.invite("write")
        await there.alice.run("t", "asked", "ask q1", agent="asks")
        await there.alice.follow("t")
        await there.alice.until("RUN_FINISHED")
        taken = run_input(T, "mine")
        taken["resume"] = [{"interruptId": "q1", "status": "resolved", "payload": True}]
        refused = await there.of_bob.post("/agui/asks", json=taken)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
        squatted = await there.bob.run(T, "resume_0123456789abcdef01234567", agent="echo")
        assert squatted["code"] == "bad_input"
        decided = await there.alice.command("decide", thread="t", interrupt="q1")
        assert decided["won"] is True
        await there.alice.until_frame(ended(decided["run"]))


def ended(run: str) -> Callable[[dict[str, Any]], bool]:
    """Return what tells the frame with which the run finishes."""
    return lambda frame: (
        frame["chunk"].get("runId") == run and frame["chunk"]["type"] == "RUN_FINISHED"
    )


@pytest.mark.parametrize("direct", [True, False], ids=["lane", "send"])
async def test_removal_ends_what_is_followed_and_nothing_more_comes(
    tmp_path: Path, direct: bool
) -> None:
    leaks = LEAKS._value.get()
    async with party(tmp_path, direct=direct) as there:
        await there.invite("read")
        await there.invite("read", "carol")
        await there.alice.run("t", "r", agent="endless")
        for member in (there.bob, there.carol):
            await member.follow(T)
            await member.until("TEXT_MESSAGE_CONTENT")
        await there.remove()
        told = await there.bob.notice("unfollowed")
        assert told == {"type": "unfollowed", "thread": T, "why": "denied"}
        seen = len(there.bob.events)
        more = len(there.carol.events) + 20
        await there.carol.arrived(lambda: len(there.carol.events) >= more)
        assert (await there.bob.command("ping"))["type"] == "pong"
        assert len(there.bob.events) == seen
        assert (await there.bob.follow(T))["resume"] == "unknown"
        await there.invite("read")
        assert (await there.bob.follow(T))["resume"] == "replay"
        assert LEAKS._value.get() == leaks


async def test_removal_breaks_a_stream_off(tmp_path: Path) -> None:
    async with party(tmp_path) as there:
        await there.invite("read")
        await there.alice.run("t", "r", agent="endless")
        query = f"/agui/endless?runId=r&threadId={T}&offset=-1"
        async with there.of_bob.stream("GET", query) as stream:
            events = sse_stream(stream)
            assert (await anext(events)).chunk["type"] == "RUN_STARTED"
            await there.remove()
            with pytest.raises(httpx.RemoteProtocolError):
                async for _ in events:
                    pass


async def test_removal_is_told_to_the_other_dialects(tmp_path: Path) -> None:
    async with party(tmp_path) as there:
        await there.invite("write")
        url, headers = there.server.socket_url, {
            "Authorization": f"Bearer {there.server.token('bob')}"
        }  # fmt: skip
        async with connect(f"{url}?agent=endless", additional_headers=headers) as plain:
            await plain.send(json.dumps(run_input(T, "r")))
            await plain.recv()
            await there.remove()
            async for text in plain:
                if "chunk" not in (said := json.loads(text)):
                    break
            assert (said["type"], said["code"], said["threadId"]) == ("RUN_ERROR", "not_found", T)
            await plain.send('{"type":"abort","runId":"r"}')
            assert json.loads(await plain.recv())["code"] == "not_found"
        assert (await there.of_alice.get("/runs/r?thread=t")).json()["status"] == "running"


async def test_a_member_may_leave_and_nobody_else(tmp_path: Path) -> None:
    async with party(tmp_path) as there:
        await there.invite("read")
        await there.invite("read", "carol")
        await there.bob.follow(T)
        assert (await there.of_bob.delete(f"/threads/{T}/members/bob")).status_code == 204
        assert (await there.bob.notice("unfollowed"))["why"] == "denied"
        assert (await there.of_bob.delete(f"/threads/{T}/members/bob")).status_code == 404
        assert (await there.of_bob.delete("/threads/t/members/bob")).status_code == 404


async def test_the_owner_is_no_member(tmp_path: Path) -> None:
    async with party(tmp_path) as there:
        invited = await there.of_alice.put("/threads/t/members/alice", json={"role": "read"})
        assert (invited.status_code, code_of(invited)) == (422, "bad_input")
        assert (await there.of_alice.delete("/threads/t/members/alice")).status_code == 404
        assert (await there.of_alice.patch("/threads/t", json={"title": "mine"})).is_success


async def test_a_thread_has_room_for_so_many(tmp_path: Path) -> None:
    async with party(tmp_path, thread_members=1) as there:
        assert (await there.invite("read")).is_success
        assert code_of(await there.invite("read", "carol")) == "too_many"


async def test_a_run_that_waits_ends_when_its_user_may_write_no_more(tmp_path: Path) -> None:
    async with party(tmp_path, when_busy="enqueue") as there:
        await there.invite("write")
        await there.alice.run("t", "first", agent="waits")
        assert (await there.bob.run(T, "second", agent="echo"))["queued"] is True
        await there.invite("read")
        there.gate.open()
        await there.alice.follow("t")
        ended = await there.alice.until("RUN_ERROR")
        assert "forbidden" in json.dumps(ended["chunk"])
        run = (await there.of_alice.get("/runs/second?thread=t")).json()
        assert (run["user"], run["status"]) == ("bob", "failed")


async def test_a_thread_that_is_deleted_is_gone_for_its_members(tmp_path: Path) -> None:
    async with party(tmp_path) as there:
        await there.invite("decide")
        await there.bob.run(T, "r", agent="endless")
        await there.bob.follow(T)
        assert (await there.of_alice.delete("/threads/t")).status_code == 204
        assert (await there.bob.notice("unfollowed"))["why"] == "deleted"
        refused = await there.bob.run(T, "r2", agent="echo")
        assert refused["code"] == "not_found"  # and it was not made anew
        assert (await there.of_alice.get("/threads")).json()["threads"] == []
        await there.of_alice.post("/threads", json={"id": "t"})
        assert (await there.bob.follow(T))["resume"] == "unknown"


async def test_removal_races_a_follow_and_wins(tmp_path: Path) -> None:
    """Whichever comes first: after the removal has been answered, nothing is delivered."""
    async with party(tmp_path) as there:
        await there.alice.run("t", "r", agent="endless")
        for _ in range(20):
            await there.invite("read")
            following = asyncio.create_task(there.bob.follow(T))
            await there.remove()
            await following
            assert (await there.bob.command("ping"))["type"] == "pong"
            before = len(there.bob.events)
            await there.of_alice.get("/threads")
            assert (await there.bob.command("ping"))["type"] == "pong"
            assert len(there.bob.events) == before


class Meanwhile(MemoryStore):
    """A store in which another process acts while somebody's prelude is made."""

    def __init__(self) -> None:
        super().__init__()
        self.act: Callable[[], Awaitable[object]] | None = None

    async def read(self, thread: ThreadKey, after: int, limit: int) -> list[Entry]:
        act, self.act = self.act, None
        if act is not None:
            await act()
        return await super().read(thread, after, limit)


class BeforeBacklog(Meanwhile):
    """One that acts before a backlog, too, is read: each of which is of one moment."""

    async def backlog(
        self, thread: ThreadKey, user: UserId, after: Position | None, limit: int
    ) -> Backlog | None:
        act, self.act = self.act, None
        if act is not None:
            await act()
        return await super().backlog(thread, user, after, limit)


@asynccontextmanager
async def told_late(
    tmp_path: Path, make: Callable[[], Meanwhile] = Meanwhile
) -> AsyncIterator[tuple[Live, Meanwhile]]:
    """Run a server whose thread t, of alice, has a run with a secret and bob as a reader.

    Whoever follows it is told a prelude, and while that is made another process removes bob.
    """
    store = make()
    key, bob = ThreadKey(UserId("alice"), ThreadId("t")), UserId("bob")
    async with (
        live({"echo": echo}, tmp_path, store=store, replay_entries=1) as server,
        http(server.url, server.token("alice")) as alice,
    ):
        await alice.post("/agui/echo", json=run_input("t", "r", "the secret"))
        await store.set_member(key, bob, Role.READ, 9)
        store.act = lambda: store.remove_member(key, bob)
        yield server, store


async def test_no_prelude_for_who_was_removed_while_it_was_made(tmp_path: Path) -> None:
    async with (
        told_late(tmp_path) as (server, store),
        client(server.socket_url, server.token("bob")) as bob,
    ):
        answered = await bob.follow(T)
        assert answered["resume"] == "unknown"
        assert store.act is None  # it was made
        assert "secret" not in json.dumps(bob.tape)
        assert server.app._house.hub.followers == 0


async def test_no_stream_for_who_was_removed_while_its_prelude_was_made(tmp_path: Path) -> None:
    async with (
        told_late(tmp_path) as (server, store),
        http(server.url, server.token("bob")) as of_bob,
    ):
        told: list[bytes] = []
        async with of_bob.stream("GET", f"/agui/echo?runId=r&threadId={T}") as stream:
            with pytest.raises(httpx.RemoteProtocolError):
                await _take(stream, told)
        assert (store.act, told) == (None, [])


async def test_no_messages_for_who_was_removed_while_they_were_put_together(tmp_path: Path) -> None:
    async with (
        told_late(tmp_path) as (server, store),
        http(server.url, server.token("bob")) as of_bob,
    ):
        answered = await of_bob.get(f"/threads/{T}/messages")
        assert (store.act, code_of(answered)) == (None, "not_found")
        assert "secret" not in answered.text


async def test_no_events_for_who_was_removed_while_they_were_read(tmp_path: Path) -> None:
    async with (
        told_late(tmp_path, BeforeBacklog) as (server, store),
        http(server.url, server.token("bob")) as of_bob,
    ):
        answered = await of_bob.get(f"/threads/{T}/events")
        assert (store.act, code_of(answered)) == (None, "not_found")
        assert "secret" not in answered.text


class Removes(WatchedStore):
    """A store that removes bob just before one of the calls of a request."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.before: int | None = None
        """Calls to let through before that; None for all of them."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        watched = super().__getattr__(name)

        async def removing(*args: Any, **options: Any) -> Any:
            if self.before is not None and name not in BACKGROUND:
                if self.before == 0:
                    key = ThreadKey(UserId("alice"), ThreadId("t"))
                    await self._store.remove_member(key, UserId("bob"))
                self.before -= 1
            return await watched(*args, **options)

        return removing


@pytest.mark.parametrize(
    "path",
    [
        "/threads",
        f"/threads/{T}",
        f"/threads/{T}/members",
        f"/threads/{T}/messages",
        f"/threads/{T}/events",
        f"/threads/{T}/interrupts",
        f"/runs/r?thread={T}",
    ],
)
async def test_nothing_for_who_was_removed_before_any_step_of_an_answer(
    tmp_path: Path, path: str
) -> None:
    store = Removes(MemoryStore())
    key, bob = ThreadKey(UserId("alice"), ThreadId("t")), UserId("bob")
    async with (
        live({"asks": asks}, tmp_path, store=cast(Store, store)) as server,
        http(server.url, server.token("alice")) as alice,
        http(server.url, server.token("bob")) as of_bob,
    ):
        await alice.post("/agui/asks", json=run_input("t", "r", "the secret"))
        await store.set_member(key, bob, Role.READ, 9)
        whole = await of_bob.get(path)
        for step in count():
            await store.set_member(key, bob, Role.READ, 9)
            store.before = step
            answered = await of_bob.get(path)
            was_reached, store.before = store.before < 0, None
            if not was_reached:  # the answer has no more steps
                break
            if path == "/threads":
                assert T not in answered.text
            else:
                assert code_of(answered) == "not_found", step
        assert step > 0
        assert (answered.status_code, answered.text) == (200, whole.text)


async def _take(stream: httpx.Response, told: list[bytes]) -> None:
    async for part in stream.aiter_bytes():
        told += [part]


async def test_a_reader_is_told_the_prelude(tmp_path: Path) -> None:
    """What the two tests before would miss otherwise."""
    async with (
        told_late(tmp_path) as (server, store),
        client(server.socket_url, server.token("bob")) as bob,
        http(server.url, server.token("bob")) as of_bob,
    ):
        store.act = None
        answered = await bob.follow(T)
        assert (answered["resume"], "secret" in json.dumps(answered["prelude"])) == (
            "snapshot",
            True,
        )
        told = await of_bob.get(f"/agui/echo?runId=r&threadId={T}")
        assert "secret" in told.text
