"""Threads, messages, events and runs over HTTP: pages without holes, and deletion that deletes."""

import gzip
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from ag_ui.core import BaseEvent, RunAgentInput

from netra_backend.agents.base import Text, ToolCall
from netra_backend.core.ids import ThreadKey
from netra_backend.core.pages import READ_BYTES
from netra_backend.core.ports import Store, Thread
from netra_backend.server import api
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer, endless
from tests.client import client, offset, run_input
from tests.http import http, sse_stream
from tests.live import live
from tests.openapi import Contract
from tests.server.agents import echo

UNFOLLOWED = {"type": "unfollowed", "thread": "t", "why": "deleted"}

pytestmark = pytest.mark.anyio

MakeStore = Callable[[Path], Store]

both_stores = pytest.mark.parametrize(
    "make_store", [lambda _: MemoryStore(), SqliteStore], ids=["memory", "sqlite"]
)


async def talkative(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Say three messages and call a tool: five messages with the question."""
    for word in ("one", "two", "three"):
        said = Text()
        for event in (*said.start(), *said.add(word), *said.end()):
            yield event
    call = ToolCall("count")
    for event in (*call.whole({"to": 3}), *call.result("3")):
        yield event


async def pages(
    browser: httpx.AsyncClient, path: str, key: str, cursor: str, **params: Any
) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield the pages of a listing, following `next` to the end."""
    while True:
        answered = await browser.get(path, params=params)
        assert answered.status_code == 200, answered.text
        page = answered.json()
        yield page[key]
        if page["next"] is None:
            return
        params[cursor] = page["next"]


# --- pages -----------------------------------------------------------------------------------


@both_stores
async def test_threads_that_were_updated_at_once_are_paged_without_holes_or_doubles(
    tmp_path: Path, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([5] * 9 + [4] * 3 + [7] * 8)
    names = [f"t{number:02}" for number in range(20)]
    async with (
        live({"echo": echo}, tmp_path, store=make_store(tmp_path)) as server,
        http(server.url, server.token()) as browser,
    ):
        with monkeypatch.context() as patched:
            patched.setattr(api, "now", lambda: next(clock))
            for name in names:
                await browser.post("/threads", json={"id": name})
        for limit in (1, 2, 3, 7, 19, 20, 21, 100):
            listed = [
                page async for page in pages(browser, "/threads", "threads", "before", limit=limit)
            ]
            assert [len(page) for page in listed[:-1]] == [limit] * (len(listed) - 1)
            got = [thread["id"] for page in listed for thread in page]
            assert got == [*names[:11:-1], *names[8::-1], *names[11:8:-1]], limit


async def test_a_thread_that_moves_up_while_one_pages_is_not_seen_twice(tmp_path: Path) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
        client(server.socket_url, server.token()) as alice,
    ):
        for number in range(6):
            await browser.post("/threads", json={"id": f"t{number}"})
        seen: list[str] = []
        async for page in pages(browser, "/threads", "threads", "before", limit=2):
            seen += [thread["id"] for thread in page]
            if len(seen) == 2:
                await alice.run("t5", "r")

    assert sorted(seen) == [f"t{number}" for number in range(6)]


@both_stores
async def test_the_pages_of_a_log_are_the_log(tmp_path: Path, make_store: MakeStore) -> None:
    async with (
        live({"agent": talkative}, tmp_path, store=make_store(tmp_path)) as server,
        http(server.url, server.token()) as browser,
    ):
        for run in range(3):
            await browser.post("/agui/agent", json=run_input("t", f"r{run}"))
        whole = (await browser.get("/threads/t/events", params={"limit": 1_000})).json()
        assert whole["next"] is None
        events = whole["events"]
        offsets = [int(event["id"].split("-")[1]) for event in events]
        assert offsets == list(range(1, len(events) + 1))
        for limit in (1, 4, len(events) - 1, len(events), len(events) + 1):
            paged = pages(browser, "/threads/t/events", "events", "after", limit=limit)
            assert [event async for page in paged for event in page] == events, limit
        for event in (events[0], events[10], events[-1]):
            rest = await browser.get("/threads/t/events", params={"after": event["id"]})
            assert (
                rest.json()["events"] == events[offsets.index(int(event["id"].split("-")[1])) + 1 :]
            )
        beyond = f"{events[0]['id'].split('-')[0]}-999"
        assert (await browser.get(f"/threads/t/events?after={beyond}")).json()["events"] == []


@both_stores
async def test_the_pages_of_messages_are_the_conversation(
    tmp_path: Path, make_store: MakeStore
) -> None:
    async with (
        live({"agent": talkative}, tmp_path, store=make_store(tmp_path)) as server,
        http(server.url, server.token()) as browser,
    ):
        for run in range(3):
            await browser.post("/agui/agent", json=run_input("t", f"r{run}", f"question {run}"))
        whole = (await browser.get("/threads/t/messages")).json()
        messages = whole["messages"]
        head = (await browser.get("/threads/t")).json()["head"]
        assert whole["id"] == head
        assert [message["role"] for message in messages] == [
            *["user", "assistant", "assistant", "assistant", "assistant", "tool"]
        ] * 3
        for limit in (1, 5, len(messages) - 1, len(messages), 1_000):
            paged = pages(browser, "/threads/t/messages", "messages", "before", limit=limit)
            backwards = [page async for page in paged]
            assert [message for page in backwards[::-1] for message in page] == messages, limit


async def test_the_conversation_of_an_empty_thread_is_empty(tmp_path: Path) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
    ):
        created = (await browser.post("/threads", json={"id": "t"})).json()
        messages = (await browser.get("/threads/t/messages")).json()
        events = (await browser.get("/threads/t/events")).json()

    assert messages == {"messages": [], "id": created["head"], "next": None}
    assert events == {"events": [], "next": None}


class Vanishing(MemoryStore):
    """Deletes a thread when somebody has looked it up, and may make it anew."""

    def __init__(self, *, anew: bool) -> None:
        super().__init__()
        self.armed = False
        self._anew = anew

    async def thread(self, key: ThreadKey) -> Thread | None:
        found = await super().thread(key)
        if self.armed:
            self.armed = False
            await self.delete_thread(key)
            if self._anew:
                await self.open_thread(key, "anew", 0)
        return found


@pytest.mark.parametrize("anew", [True, False])
async def test_the_position_of_messages_is_of_the_history_that_they_are_of(
    tmp_path: Path, anew: bool
) -> None:
    store = Vanishing(anew=anew)
    async with (
        live({"echo": echo}, tmp_path, store=store) as server,
        http(server.url, server.token()) as browser,
    ):
        await browser.post("/agui/echo", json=run_input("t", "r"))
        store.armed = True
        answered = await browser.get("/threads/t/messages")
        now = await browser.get("/threads/t")

    if anew:
        assert answered.json() == {"messages": [], "id": now.json()["head"], "next": None}
    else:
        assert (answered.status_code, now.status_code) == (404, 404)


async def test_partial_messages_are_part_of_the_conversation(tmp_path: Path) -> None:
    gate = Gate()
    async with (
        live({"agent": ScriptedAgent(answer("half of ", gate, "it"))}, tmp_path) as server,
        http(server.url, server.token()) as browser,
        client(server.socket_url, server.token()) as alice,
    ):
        await alice.run("t", "r", "question")
        await alice.follow("t")
        await alice.until("TEXT_MESSAGE_CONTENT")
        half = (await browser.get("/threads/t/messages")).json()["messages"]
        gate.open()
        await alice.until("RUN_FINISHED")
        whole = (await browser.get("/threads/t/messages")).json()["messages"]

    assert [message["content"] for message in half] == ["question", "half of "]
    assert [message["content"] for message in whole] == ["question", "half of it"]


# --- threads ---------------------------------------------------------------------------------


@both_stores
async def test_a_thread_is_created_once_and_keeps_its_title(
    tmp_path: Path, make_store: MakeStore
) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=make_store(tmp_path)) as server,
        http(server.url, server.token()) as browser,
    ):
        first = await browser.post("/threads", json={"id": "t", "title": "  A  title\n here "})
        again = await browser.post("/threads", json={"id": "t", "title": "Another"})
        unnamed = await browser.post("/threads")

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["title"] == "A title here"
    assert again.json() == first.json()
    assert unnamed.json()["id"].startswith("thread_")
    assert unnamed.json()["title"] == "New conversation"


@both_stores
async def test_a_thread_is_named_by_its_first_question_until_it_is_renamed(
    tmp_path: Path, make_store: MakeStore
) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=make_store(tmp_path)) as server,
        http(server.url, server.token()) as browser,
    ):
        await browser.post("/agui/echo", json=run_input("t", "r1", "  \nHow are you?\nWell?"))
        named = (await browser.get("/threads/t")).json()
        renamed = (await browser.patch("/threads/t", json={"title": "Ümläuts 💐"})).json()
        await browser.post("/agui/echo", json=run_input("t", "r2", "Another question"))
        later = (await browser.get("/threads/t")).json()

    assert named["title"] == "How are you?"
    assert named["run"] == {"id": "r1", "status": "finished"}
    assert renamed == {**named, "title": "Ümläuts 💐"}
    assert (later["title"], later["run"]["id"]) == ("Ümläuts 💐", "r2")
    assert later["created_at"] == named["created_at"]
    assert later["updated_at"] >= named["updated_at"]


@both_stores
async def test_a_deleted_thread_is_gone_with_everything_in_it(
    tmp_path: Path, make_store: MakeStore
) -> None:
    agent = ScriptedAgent(endless())
    async with (
        live({"agent": agent}, tmp_path, store=make_store(tmp_path)) as server,
        http(server.url, server.token()) as browser,
        client(server.socket_url, server.token()) as alice,
        client(server.socket_url, server.token()) as other,
    ):
        await alice.run("t", "r")
        for follower in (alice, other):
            await follower.follow("t")
            await follower.until("TEXT_MESSAGE_CONTENT")
        deleted = await browser.delete("/threads/t")
        for follower in (alice, other):
            assert await follower.notice("unfollowed") == UNFOLLOWED
            assert follower.events[-1]["chunk"]["outcome"] == {"type": "cancelled"}
        await agent.stopped()
        gone = [
            await browser.get("/threads/t"),
            await browser.get("/threads/t/messages"),
            await browser.get("/threads/t/events"),
            await browser.get("/runs/r"),
            await browser.post("/runs/r/cancel"),
            await browser.delete("/threads/t"),
        ]
        unknown = await alice.follow("t", after=alice.events[-1]["id"])
        listed = (await browser.get("/threads")).json()
        # The names are free again, and what was seen before is not in the new history.
        await alice.run("t", "r")
        returned = await alice.follow("t", after=alice.events[-1]["id"])

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert [answered.status_code for answered in gone] == [404] * 6
    assert unknown["resume"] == "unknown"
    assert listed["threads"] == []
    assert returned["resume"] == "gap"


async def test_a_deleted_thread_leaves_nothing_in_the_files(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    async with (
        live({"echo": echo}, tmp_path, store=store) as server,
        http(server.url, server.token()) as browser,
    ):
        await browser.post("/agui/echo", json=run_input("t", "r", "a-very-private-question"))
        assert b"a-very-private-question" in contents(tmp_path)
        await browser.delete("/threads/t")

    assert b"a-very-private-question" not in contents(tmp_path)


def contents(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in directory.rglob("*") if file.is_file())


async def test_the_stream_of_a_deleted_thread_ends(tmp_path: Path) -> None:
    async with (
        live({"agent": ScriptedAgent(endless())}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
        http(server.url, server.token()) as other,
        browser.stream("POST", "/agui/agent", json=run_input("t", "r")) as stream,
    ):
        events = sse_stream(stream)
        await anext(events)
        await other.delete("/threads/t")
        rest = [event async for event in events]

    assert rest[-1].chunk["code"] == "cancelled"  # the client says no version: it is of AG-UI 0.x


# --- runs ------------------------------------------------------------------------------------


async def test_a_run_says_what_it_does_and_how_it_ended(tmp_path: Path) -> None:
    gate = Gate()
    async with (
        live({"agent": ScriptedAgent(answer("x", gate))}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
        client(server.socket_url, server.token()) as alice,
    ):
        accepted = await alice.run("t", "r")
        running = (await browser.get("/runs/r")).json()
        await alice.follow("t")
        gate.open()
        end = await alice.until("RUN_FINISHED")
        finished = (await browser.get("/runs/r")).json()

    assert running == {
        "id": "r",
        "thread": "t",
        "user": "alice",
        "agent": "agent",
        "status": "running",
        "started": accepted["id"],
        "ended": None,
        "correlation": running["correlation"],
    }
    assert finished == {**running, "status": "finished", "ended": end["id"]}


# --- what is refused -------------------------------------------------------------------------

BAD: list[tuple[str, str, Any, str]] = [
    ("GET", "/threads?limit=0", None, "$.limit"),
    ("GET", "/threads?limit=101", None, "$.limit"),
    ("GET", "/threads?limit=%D9%A1", None, "$.limit"),
    ("GET", "/threads?limit=1e1", None, "$.limit"),
    ("GET", "/threads?limit=", None, "$.limit"),
    ("GET", "/threads?limit=9999999999999999999999", None, "$.limit"),
    ("GET", "/threads?before=x", None, "$.before"),
    ("GET", "/threads?before=1-", None, "$.before"),
    ("GET", "/threads?before=1-a%20b", None, "$.before"),
    ("GET", "/threads?before=9999999999999999-t", None, "$.before"),
    ("GET", "/threads?before=-1-t", None, "$.before"),
    ("GET", "/threads/t/messages?limit=1001", None, "$.limit"),
    ("GET", "/threads/t/messages?before=nothing", None, "$.before"),
    ("GET", "/threads/t/events?limit=1001", None, "$.limit"),
    ("GET", "/threads/t/events?after=1", None, "$.after"),
    ("GET", "/threads/t/events?after=1-1", None, "$.after"),
    ("GET", "/threads/t/events?after=9223372036854775808-1", None, "$.after"),
    ("GET", "/threads/%2e%2e", None, "$.thread"),
    ("GET", "/threads/%00", None, "$.thread"),
    ("GET", "/threads/%ff", None, "$.thread"),
    ("GET", f"/threads/{'t' * 129}", None, "$.thread"),
    ("GET", "/runs/a%20b", None, "$.run"),
    ("POST", "/runs/a%20b/cancel", None, "$.run"),
    ("POST", "/threads", b"{", "$"),
    ("POST", "/threads", b"[]", "$"),
    ("POST", "/threads", b"null", "$"),
    ("POST", "/threads", b"[" * 2_000, "$"),
    ("POST", "/threads", b"\xff", "$"),
    ("POST", "/threads", b'{"id":1}', "$.id"),
    ("POST", "/threads", b'{"id":"a b"}', "$.id"),
    ("POST", "/threads", b'{"id":"\\u0000"}', "$.id"),
    ("POST", "/threads", b'{"title":""}', "$.title"),
    ("POST", "/threads", b'{"title":" \\n "}', "$.title"),
    ("POST", "/threads", b'{"title":"\\ud800"}', "$"),
    ("POST", "/threads", b'{"owner":"bob"}', "$"),
    ("POST", "/threads", b'{"title":"' + b"x" * 201 + b'"}', "$.title"),
    ("PATCH", "/threads/t", b"", "$"),
    ("PATCH", "/threads/t", b"{}", "$"),
    ("PATCH", "/threads/t", b'{"title":null}', "$.title"),
    ("PATCH", "/threads/t", b'{"title":"x","owner":"bob"}', "$"),
    ("POST", "/agui/echo", b"{}", "$.threadId"),
    ("POST", "/agui/echo", json.dumps(run_input("../t", "r")).encode(), "$.threadId"),
    ("POST", "/agui/echo", json.dumps(run_input("t", "a b")).encode(), "$.runId"),
    ("POST", "/agui/echo", b"[" * 2_000, "$"),
]


async def test_bad_input_is_refused_with_the_field(tmp_path: Path) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=SqliteStore(tmp_path)) as server,
        http(server.url, server.token()) as browser,
    ):
        contract = Contract((await browser.get("/openapi.json")).json())
        await browser.post("/threads", json={"id": "t"})
        for method, path, body, where in BAD:
            refused = await browser.request(method, path, content=body)
            await contract.check(refused)
            error = refused.json()["error"]
            assert (refused.status_code, error["code"]) == (422, "bad_input"), (method, path, body)
            assert error["where"] == where, (method, path, body)
            assert len(error["message"]) < 400
        threads = (await browser.get("/threads")).json()["threads"]
        assert [(thread["id"], thread["title"]) for thread in threads] == [
            ("t", "New conversation")
        ]


async def test_a_body_that_is_no_text_is_refused_in_words(tmp_path: Path) -> None:
    body = b'{"title":"a\xff"}'
    compressed = {"Content-Encoding": "gzip"}
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
    ):
        refused = [
            await browser.post("/threads", content=body),
            await browser.post("/agui/echo", content=body),
            await browser.post("/threads", content=gzip.compress(body), headers=compressed),
        ]
        plain = {"Content-Encoding": "identity"}
        assert (await browser.post("/threads", content=b"{}", headers=plain)).status_code == 201
    said = [one.json()["error"] for one in refused]
    assert {one["code"] for one in said} == {"bad_input"}
    assert [one["message"] for one in said] == [
        "JSON is malformed: it is not UTF-8 (byte 11)",
        "JSON is malformed: it is not UTF-8 (byte 11)",
        "the body has a Content-Encoding, of which this server knows none",
    ]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/threads/t/nothing", 404),
        ("GET", "/threads/a/b/c/d", 404),
        ("GET", "/page/nothing.js", 404),
        ("PUT", "/threads", 405),
        ("DELETE", "/threads", 405),
        ("GET", "/runs/r/cancel", 405),
        ("PUT", "/agui/echo", 405),
        ("POST", "/health/live", 405),
    ],
)
async def test_what_is_not_there_has_the_same_body_as_every_error(
    tmp_path: Path, method: str, path: str, status: int
) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
    ):
        answered = await browser.request(method, path)

    assert answered.status_code == status
    code = "not_found" if status == 404 else "bad_method"
    assert answered.json()["error"]["code"] == code
    assert ("allow" in answered.headers) == (status == 405)


async def test_a_page_of_long_titles_ends_sooner_and_says_where_to_go_on(tmp_path: Path) -> None:
    sizes = [10_000, 9] * 40
    async with (
        live({"echo": echo}, tmp_path, store=SqliteStore(tmp_path), title_length=10_000) as server,
        http(server.url, server.token()) as browser,
    ):
        for n, size in enumerate(sizes):
            await browser.post("/threads", json={"id": f"t{n}", "title": "😀" * size})
        got, query = [], {"limit": "100"}
        while True:
            answered = await browser.get("/threads", params=query)
            assert len(answered.content) < READ_BYTES + 400_000
            got += answered.json()["threads"]
            if answered.json()["next"] is None:
                break
            query["before"] = answered.json()["next"]
    assert sorted(one["id"] for one in got) == sorted(f"t{n}" for n in range(len(sizes)))


async def test_a_page_of_large_things_ends_sooner_and_says_where_to_go_on(tmp_path: Path) -> None:
    async def talks(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        for _ in range(9):
            text = Text()
            for event in (*text.start(), *text.add("x" * 300_000), *text.end()):
                yield event

    async with (
        live({"talks": talks}, tmp_path, store=SqliteStore(tmp_path)) as server,
        http(server.url, server.token()) as browser,
    ):
        await browser.post("/agui/talks", json=run_input("t", "r"))
        for what, cursor in (("events", "after"), ("messages", "before")):
            got, query = [], {"limit": "1000"}
            while True:
                answered = await browser.get(f"/threads/t/{what}", params=query)
                page = answered.json()
                assert len(answered.content) < READ_BYTES + 400_000
                got += page[what] if what == "events" else page[what][::-1]
                if page["next"] is None:
                    break
                query[cursor] = page["next"]
            if what == "events":
                assert [offset(one["id"]) for one in got] == list(range(1, len(got) + 1))
                assert got[-1]["chunk"]["type"] == "RUN_FINISHED"
            else:
                assert len(got) == len({one["id"] for one in got}) == 10
