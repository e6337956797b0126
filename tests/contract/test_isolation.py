"""No operation tells a user whether an id of somebody else exists: foreign and unknown look alike.

For each operation the answer to a foreign id and the answer to an unknown id are the same bytes,
once the ids that the client sent itself and the correlation id are taken out, and both ask the
store the same things in the same order, so they also take the same time.
"""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from netra_backend.stores.sqlite import SqliteStore
from tests.client import client, run_input
from tests.http import http
from tests.live import Live, live
from tests.server.agents import asks
from tests.watched_store import WatchedStore

pytestmark = pytest.mark.anyio


class Names(NamedTuple):
    """What an operation is tried with: a thread, a run in it, an interrupt that the run left."""

    thread: str
    run: str
    interrupt: str


ALICES = Names("thread-of-alice", "run-of-alice", "question-of-alice")
NOBODYS = Names("thread-of-nobody", "run-of-nobody", "question-of-nobody")


class Bob(NamedTuple):
    """What bob can use."""

    browser: httpx.AsyncClient
    socket: ClientConnection
    plain: ClientConnection
    chat: ClientConnection

    async def call(self, method: str, path: str, **options: object) -> bytes:
        answered = await self.browser.request(method, path, **options)  # type: ignore[arg-type]
        headers = {
            name: value
            for name, value in answered.headers.items()
            if name not in ("date", "x-correlation-id", "content-length")
        }
        return json.dumps([answered.status_code, headers]).encode() + answered.content

    async def send(self, type: str, **fields: object) -> bytes:
        await self.socket.send(json.dumps({"type": type, "request": "r", **fields}))
        said = await self.socket.recv()
        return said.encode() if isinstance(said, str) else said

    async def say(self, **frame: object) -> bytes:
        """Send a frame without a subprotocol; return all up to a terminal event."""
        await self.plain.send(json.dumps(frame))
        said = b""
        while not re.search(rb"RUN_FINISHED|RUN_ERROR", said):
            said += str(await self.plain.recv()).encode()
        return said

    async def ask(self, **frame: object) -> bytes:
        """Send a frame of the AI SDK; return all up to the end of its answer."""
        await self.chat.send(json.dumps({"requestId": "q", "headers": {}, "body": {}, **frame}))
        said = b""
        while not re.search(rb'"type":"(end|error|no-active)"', said):
            said += str(await self.chat.recv()).encode()
        return said


Operation = Callable[[Bob, Names], Awaitable[bytes]]

HIDDEN: dict[str, Operation] = {
    "GET thread": lambda bob, its: bob.call("GET", f"/threads/{its.thread}"),
    "PATCH thread": lambda bob, its: bob.call(
        "PATCH", f"/threads/{its.thread}", json={"title": "x"}
    ),
    "DELETE thread": lambda bob, its: bob.call("DELETE", f"/threads/{its.thread}"),
    "GET messages": lambda bob, its: bob.call("GET", f"/threads/{its.thread}/messages"),
    "GET messages before": lambda bob, its: bob.call(
        "GET", f"/threads/{its.thread}/messages?before={ALICES.run}-user"
    ),
    "GET events": lambda bob, its: bob.call("GET", f"/threads/{its.thread}/events"),
    "GET interrupts": lambda bob, its: bob.call("GET", f"/threads/{its.thread}/interrupts"),
    "POST interrupts": lambda bob, its: bob.call(
        "POST", f"/threads/{its.thread}/interrupts", json={"interrupt": its.interrupt}
    ),
    "GET members": lambda bob, its: bob.call("GET", f"/threads/{its.thread}/members"),
    "PUT member": lambda bob, its: bob.call(
        "PUT", f"/threads/{its.thread}/members/carol", json={"role": "read"}
    ),
    "DELETE member": lambda bob, its: bob.call("DELETE", f"/threads/{its.thread}/members/carol"),
    "GET run in thread": lambda bob, its: bob.call("GET", f"/runs/{its.run}?thread={its.thread}"),
    "POST cancel in thread": lambda bob, its: bob.call(
        "POST", f"/runs/{its.run}/cancel?thread={its.thread}"
    ),
    "cancel in thread": lambda bob, its: bob.send("cancel", run=its.run, thread=its.thread),
    "GET agui in thread": lambda bob, its: bob.call(
        "GET", f"/agui/asks?runId={its.run}&threadId={its.thread}"
    ),
    "GET run": lambda bob, its: bob.call("GET", f"/runs/{its.run}"),
    "POST cancel": lambda bob, its: bob.call("POST", f"/runs/{its.run}/cancel"),
    "follow": lambda bob, its: bob.send("follow", thread=its.thread),
    "follow after": lambda bob, its: bob.send("follow", thread=its.thread, after="1-1"),
    "unfollow": lambda bob, its: bob.send("unfollow", thread=its.thread),
    "cancel": lambda bob, its: bob.send("cancel", run=its.run),
    "decide": lambda bob, its: bob.send("decide", thread=its.thread, interrupt=its.interrupt),
    "plain abort": lambda bob, its: bob.say(type="abort", runId=its.run),
    "plain run that resumes": lambda bob, its: bob.say(
        **run_input(its.thread, "bobs-resuming-run"),
        resume=[{"interruptId": its.interrupt, "status": "resolved"}],
    ),
    "AI SDK send that resumes": lambda bob, its: bob.ask(
        type="send",
        id=its.thread,
        messages=[],
        body={"resume": [{"interruptId": its.interrupt, "status": "resolved"}]},
    ),
    "run that resumes": lambda bob, its: bob.send(
        "run",
        input={
            **run_input(its.thread, "bobs-resuming-run"),
            "resume": [{"interruptId": its.interrupt, "status": "resolved"}],
        },
    ),
    "GET agui": lambda bob, its: bob.call("GET", f"/agui/asks?runId={its.run}"),
    "GET agui from the start": lambda bob, its: bob.call(
        "GET", f"/agui/asks?runId={its.run}&offset=-1"
    ),
    "POST agui that resumes": lambda bob, its: bob.call(
        "POST",
        "/agui/asks",
        json={
            **run_input(its.thread, "bobs-resuming-run"),
            "resume": [{"interruptId": its.interrupt, "status": "resolved"}],
        },
    ),
}
"""Operations that answer with nothing about a thing that is not the user's."""

OWN: dict[str, Operation] = {
    "POST thread": lambda bob, its: bob.call("POST", "/threads", json={"id": its.thread}),
    "run": lambda bob, its: bob.send("run", input=run_input(its.thread, its.run)),
    "AI SDK send": lambda bob, its: bob.ask(
        type="send", requestId=its.run, id=its.thread, messages=[]
    ),
    "plain run": lambda bob, its: bob.say(**run_input(its.thread, its.run)),
    "POST copilotkit run": lambda bob, its: bob.call(
        "POST", "/copilotkit/agent/asks/run", json=run_input(its.thread, its.run)
    ),
    "POST agui": lambda bob, its: bob.call(
        "POST", "/agui/asks", json=run_input(its.thread, its.run)
    ),
}
"""Operations that create something of the user's own under that name."""


class Place(NamedTuple):
    """A server on which alice has something that bob tries to find."""

    server: Live
    store: WatchedStore
    bob: Bob


@asynccontextmanager
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    store = WatchedStore(SqliteStore(tmp_path))
    async with (
        live({"asks": asks}, tmp_path, store=store) as server,
        client(server.socket_url, server.token("alice")) as alice,
        http(server.url, server.token("bob")) as browser,
        connect(
            server.socket_url,
            subprotocols=["netra.v1"],
            additional_headers={"Authorization": f"Bearer {server.token('bob')}"},
        ) as socket,
        connect(
            server.socket_url,
            additional_headers={"Authorization": f"Bearer {server.token('bob')}"},
        ) as plain,
        connect(
            f"{server.socket_url.removesuffix('/ws')}/ai-sdk/asks",
            additional_headers={"Authorization": f"Bearer {server.token('bob')}"},
        ) as chat,
    ):
        await socket.recv()
        await alice.run(ALICES.thread, ALICES.run, f"ask {ALICES.interrupt}")
        await alice.follow(ALICES.thread)
        await alice.until("RUN_FINISHED")
        yield Place(server, store, Bob(browser, socket, plain, chat))


def without_ids(answered: bytes) -> bytes:
    """Return the answer without what bob said himself, times, positions and correlation ids."""
    for names in (ALICES, NOBODYS):
        for kind, name in names._asdict().items():
            answered = answered.replace(name.encode(), f"<{kind}>".encode())
    answered = re.sub(rb'"correlation":"[0-9a-f]{16}"', b'"correlation":"<correlation>"', answered)
    answered = re.sub(rb'"(created_at|updated_at)":\d+', rb'"\1":"<time>"', answered)
    answered = re.sub(rb"\b\d{13}-(\d+)", rb"<epoch>-\1", answered)
    return re.sub(rb"msg_[0-9a-f]{24}", b"<message>", answered)


async def test_a_foreign_and_an_unknown_id_look_and_cost_the_same(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        for operation in HIDDEN:
            with named(operation):
                await look_and_cost_the_same(there, operation)


@contextmanager
def named(operation: str) -> Iterator[None]:
    """Have a failure say at which operation: all share a server, on which none changes a thing."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"operation: {operation}")
        raise


async def look_and_cost_the_same(there: Place, operation: str) -> None:
    asked: list[list[str]] = []
    answers: list[bytes] = []
    for names in (ALICES, NOBODYS):
        there.store.calls.clear()
        answers.append(without_ids(await HIDDEN[operation](there.bob, names)))
        asked.append(list(there.store.calls))

    assert answers[0] == answers[1]
    assert asked[0] == asked[1]
    assert b"alice" not in answers[0]
    if operation not in ("unfollow", "follow", "follow after"):
        assert re.search(b"not_found|There is no such thing", answers[0])
    await assert_alice_has_everything(there.server)


def full(names: Names) -> Names:
    """Return the names with that of the thread as a member would say it."""
    return names._replace(thread=f"alice,{names.thread}")


async def test_so_do_threads_that_are_named_with_their_owner(tmp_path: Path) -> None:
    """Nothing of the user's own is made under such a name; ``POST /threads`` takes ids only."""
    async with place(tmp_path) as there:
        for operation in sorted({*HIDDEN, *OWN} - {"POST thread"}):
            with named(operation):
                await look_the_same_with_their_owner(there, operation)


async def look_the_same_with_their_owner(there: Place, operation: str) -> None:
    act = {**HIDDEN, **OWN}[operation]
    asked: list[list[str]] = []
    answers: list[bytes] = []
    for names in (full(ALICES), full(NOBODYS), full(NOBODYS)._replace(thread="eve,x")):
        there.store.calls.clear()
        said = await act(there.bob, names)
        answers.append(without_ids(said.replace(names.thread.encode(), b"<thread>")))
        asked.append(list(there.store.calls))

    assert answers[0] == answers[1] == answers[2]
    assert asked[0] == asked[1] == asked[2]
    if operation not in ("unfollow", "follow", "follow after"):
        assert re.search(b"not_found|There is no such thing", answers[0])
    assert (await there.bob.browser.get("/threads")).json()["threads"] == []
    await assert_alice_has_everything(there.server)


@pytest.mark.parametrize("operation", OWN)
async def test_a_foreign_name_can_be_used_and_leads_to_an_own_thing(
    tmp_path: Path, operation: str
) -> None:
    async with place(tmp_path) as there:
        asked: list[list[str]] = []
        answers: list[bytes] = []
        for names in (ALICES, NOBODYS):
            there.store.calls.clear()
            answers.append(without_ids(await OWN[operation](there.bob, names)))
            asked.append(sorted(set(there.store.calls) - {"append", "read"}))

        assert answers[0] == answers[1]
        assert asked[0] == asked[1]
        assert b"error" not in answers[0].replace(b'"error":null', b"")
        threads = (await there.bob.browser.get("/threads")).json()["threads"]
        assert {thread["id"] for thread in threads} == {ALICES.thread, NOBODYS.thread}
        await assert_alice_has_everything(there.server)


async def assert_alice_has_everything(server: Live) -> None:
    """Nothing of hers was renamed, deleted, decided, cancelled or added to."""
    async with http(server.url, server.token("alice")) as browser:
        (thread,) = (await browser.get("/threads")).json()["threads"]
        events = (await browser.get(f"/threads/{ALICES.thread}/events")).json()["events"]
        run = (await browser.get(f"/runs/{ALICES.run}")).json()
    assert thread["title"] == f"ask {ALICES.interrupt}"
    assert [event["chunk"]["type"] for event in events] == ["RUN_STARTED", "RUN_FINISHED"]
    assert run["status"] == "awaiting"


async def test_every_operation_is_tried(tmp_path: Path) -> None:
    """A new operation of the API or of netra.v1 has to be added above."""
    from netra_backend.core.frames import ClientFrame

    async with live({"asks": asks}, tmp_path) as server, http(server.url, None) as browser:
        document = (await browser.get("/openapi.json")).json()
    operations = {
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if operation.get("security") != []
    }
    assert operations == {
        ("GET", "/threads"),
        ("POST", "/threads"),
        ("GET", "/threads/{thread}"),
        ("PATCH", "/threads/{thread}"),
        ("DELETE", "/threads/{thread}"),
        ("GET", "/threads/{thread}/messages"),
        ("GET", "/threads/{thread}/events"),
        ("GET", "/threads/{thread}/interrupts"),
        ("POST", "/threads/{thread}/interrupts"),
        ("GET", "/threads/{thread}/members"),
        ("PUT", "/threads/{thread}/members/{user}"),
        ("DELETE", "/threads/{thread}/members/{user}"),
        ("GET", "/connections"),
        ("DELETE", "/connections/{connection}"),
        ("DELETE", "/users/{user}/sessions"),  # tests/server/test_administration.py
        ("GET", "/runs/{run}"),
        ("POST", "/runs/{run}/cancel"),
        ("POST", "/agui/{agent}"),
        ("POST", "/auth/ticket"),  # names nothing; whose it is: tests/server/test_tickets.py
        ("GET", "/agui/{agent}"),
        ("GET", "/copilotkit/info"),
        ("POST", "/copilotkit/agent/{agent}/run"),
        ("POST", "/copilotkit/agent/{agent}/connect"),
        ("POST", "/copilotkit/agent/{agent}/stop/{thread}"),
    }
    commands = {frame.__struct_config__.tag for frame in ClientFrame.__args__}
    assert commands == {"run", "follow", "unfollow", "cancel", "decide", "auth", "ping"}


async def test_a_list_shows_only_the_own_threads(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        listed = await there.bob.browser.get("/threads")

        assert listed.json() == {"threads": [], "next": None}


async def test_two_users_with_the_same_names_hear_only_themselves(tmp_path: Path) -> None:
    """The same thread and run id, followed by both at the same time."""
    async with (
        live({"asks": asks}, tmp_path) as server,
        client(server.socket_url, server.token("alice")) as alice,
        client(server.socket_url, server.token("bob")) as bob,
        http(server.url, None) as browser,
    ):
        for user in (alice, bob):
            await user.command("run", input=run_input("t", "r", f"ask {user.ready['user']}"))
            await user.follow("t")
        for user in (alice, bob):
            await user.until("RUN_FINISHED")
            decided = await user.command("decide", thread="t", interrupt=user.ready["user"])
            assert (decided["won"], decided["by"]) == (True, user.ready["user"])
            await user.until("TEXT_MESSAGE_END")
        for user, other in ((alice, "bob"), (bob, "alice")):
            assert other not in json.dumps(user.events)
            refused = await user.command("decide", thread="t", interrupt=other)
            assert refused["code"] == "not_found"

        assert "netra_leaks_total 0.0" in (await browser.get("/metrics")).text
