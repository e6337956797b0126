"""Interrupts over HTTP and WebSocket: listed, decided once, expiring, bound to their tool call."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ag_ui.core import (
    BaseEvent,
    Interrupt,
    MessagesSnapshotEvent,
    RunAgentInput,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
)

from netra_backend.agents.base import ToolCall, question_of
from netra_backend.core.ids import ThreadId, ThreadKey, UserId
from netra_backend.core.pages import READ_BYTES
from netra_backend.core.ports import Answer
from netra_backend.core.roles import Role
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from tests.client import client, run_input
from tests.conftest import Lines
from tests.http import http
from tests.live import live
from tests.server.agents import asks

pytestmark = pytest.mark.anyio


class Careful:
    """An agent that asks before it calls its tool, which counts how often it ran."""

    def __init__(self) -> None:
        self.ran: list[Any] = []

    async def __call__(self, given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        if given.resume:
            self.ran.append(given.resume[0].payload)
            call = given.messages[-1].tool_calls[0]  # type: ignore[union-attr,index]
            for event in ToolCall("", id=call.id).result("deleted"):
                yield event
            return
        call = ToolCall("delete", id="call-1")
        for event in call.whole({"path": question_of(given), "force": True}):
            yield event
        asked = Interrupt(id="q1", reason="approval", tool_call_id=call.id)
        yield ending(given, asked)


def ending(given: RunAgentInput, *asked: Interrupt) -> RunFinishedEvent:
    outcome = RunFinishedInterruptOutcome(interrupts=list(asked))
    return RunFinishedEvent(thread_id=given.thread_id, run_id=given.run_id, outcome=outcome)


async def test_two_hundred_answers_from_two_sockets_and_http_and_the_tool_runs_once(
    tmp_path: Path,
) -> None:
    agent = Careful()
    async with (
        live({"careful": agent}, tmp_path, store=SqliteStore(tmp_path)) as server,
        client(server.socket_url, server.token()) as one,
        client(server.socket_url, server.token()) as two,
        http(server.url, server.token()) as browser,
    ):
        await one.run("t", "r", "a.txt")
        await one.follow("t")
        await one.until("RUN_FINISHED")

        async def over_socket(number: int) -> dict[str, Any]:
            socket = one if number % 2 else two
            return await socket.command("decide", thread="t", interrupt="q1", payload=number)

        async def over_http(number: int) -> dict[str, Any]:
            body = {"interrupt": "q1", "payload": number}
            answered = await browser.post("/threads/t/interrupts", json=body)
            assert answered.status_code == 200, answered.text
            return dict(answered.json())

        answers = await asyncio.gather(
            *((over_socket if number % 3 else over_http)(number) for number in range(200))
        )
        await one.until_frame(
            lambda f: f["chunk"]["type"] == "RUN_FINISHED" and f["chunk"]["runId"] != "r"
        )
        listed = (await browser.get("/threads/t/interrupts")).json()["interrupts"]

    (winner,) = [answer for answer in answers if answer["won"]]
    told = {(answer["by"], answer["status"], answer["payload"]) for answer in answers}
    assert told == {("alice", "resolved", winner["payload"])}, "losers learn who decided what"
    assert agent.ran == [winner["payload"]], "the tool ran once, with the winner's answer"
    (shown,) = listed
    assert (shown["status"], shown["by"], shown["payload"]) == (
        "resolved",
        "alice",
        winner["payload"],
    )
    assert shown["resumed_by"] == winner["run"]


async def test_what_was_asked_is_listed(tmp_path: Path) -> None:
    async with (
        live({"asks": asks}, tmp_path, store=SqliteStore(tmp_path)) as server,
        http(server.url, server.token()) as browser,
        http(server.url, server.token("mallory")) as foreign,
    ):
        await browser.post("/agui/asks", json=run_input("t", "r", "ask q1 q2 q3"))
        await browser.post("/threads/t/interrupts", json={"interrupt": "q2", "status": "cancelled"})
        everything = (await browser.get("/threads/t/interrupts")).json()["interrupts"]
        open_ones = (await browser.get("/threads/t/interrupts?status=open")).json()["interrupts"]
        newest = (await browser.get("/threads/t/interrupts?limit=1")).json()["interrupts"]
        refusals = [
            await browser.get("/threads/t/interrupts?status=asked"),
            await browser.get("/threads/t/interrupts?limit=0"),
            await browser.get("/threads/none/interrupts"),
            await foreign.get("/threads/t/interrupts"),
            await foreign.post("/threads/t/interrupts", json={"interrupt": "q1"}),
            await browser.post("/threads/t/interrupts", json={"interrupt": "q9"}),
            await browser.post("/threads/t/interrupts", json={"interrupt": "q1", "status": "no"}),
        ]

    assert [(one["id"], one["status"]) for one in everything] == [
        ("q1", "open"),
        ("q2", "cancelled"),
        ("q3", "open"),
    ]
    assert {one["run"] for one in everything} == {"r"}
    assert everything[0]["question"] == {"id": "q1", "reason": "approval"}
    assert [one["id"] for one in open_ones] == ["q1", "q3"]
    assert [one["id"] for one in newest] == ["q3"]
    assert [answer.status_code for answer in refusals] == [422, 422, 404, 404, 404, 404, 422]


async def test_a_page_of_what_was_asked_says_where_to_go_on(tmp_path: Path) -> None:
    """Also where questions and answers are large: there it has fewer than were asked for."""

    async def asks_much(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        reason = "x" * 300_000
        yield ending(given, *(Interrupt(id=f"q{n}", reason=reason) for n in range(9)))

    async with (
        live({"asks": asks_much}, tmp_path, store=SqliteStore(tmp_path)) as server,
        http(server.url, server.token()) as browser,
    ):
        await browser.post("/agui/asks", json=run_input("t", "r"))
        for number in range(0, 9, 2):
            answer = {"interrupt": f"q{number}", "payload": "y" * 500_000}
            assert (await browser.post("/threads/t/interrupts", json=answer)).status_code == 200
        for limit in (1, 2, 9, 1_000):
            got: list[str] = []
            query: dict[str, Any] = {"limit": limit}
            while True:
                answered = await browser.get("/threads/t/interrupts", params=query)
                assert len(answered.content) < READ_BYTES + 900_000
                page = answered.json()
                assert len(page["interrupts"]) <= limit
                got = [one["id"] for one in page["interrupts"]] + got
                if page["next"] is None:
                    break
                query["before"] = page["next"]
            assert got == [f"q{n}" for n in range(9)]
        unknown = await browser.get("/threads/t/interrupts", params={"before": "q10"})
        assert (unknown.status_code, unknown.json()["error"]["where"]) == (422, "$.before")


async def test_an_interrupt_expires(tmp_path: Path) -> None:
    def until(seconds: int) -> str:
        return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()

    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        if not given.resume:
            late = Interrupt(id="late", reason="approval", expires_at=until(-1))
            yield ending(given, late, Interrupt(id="soon", reason="x", expires_at=until(3600)))

    async with (
        live({"agent": agent}, tmp_path) as server,
        client(server.socket_url, server.token()) as alice,
        http(server.url, server.token()) as browser,
    ):
        await browser.post("/agui/agent", json=run_input("t", "r"))
        listed = (await browser.get("/threads/t/interrupts")).json()["interrupts"]
        over_http = await browser.post("/threads/t/interrupts", json={"interrupt": "late"})
        over_socket = await alice.command("decide", thread="t", interrupt="late")
        resume = [{"interruptId": "late", "status": "resolved"}]
        run = await alice.command("run", input={**run_input("t", "r2"), "resume": resume})
        soon = await alice.command("decide", thread="t", interrupt="soon")

    assert [(one["id"], one["status"]) for one in listed] == [("late", "expired"), ("soon", "open")]
    assert (over_http.status_code, over_http.json()["error"]["code"]) == (410, "expired")
    assert over_socket["code"] == run["code"] == "expired"
    assert soon["won"] is True


async def test_an_answer_is_bound_to_the_tool_call_and_its_arguments(tmp_path: Path) -> None:
    agent = Careful()
    async with (
        live({"careful": agent}, tmp_path) as server,
        client(server.socket_url, server.token()) as alice,
        http(server.url, server.token()) as browser,
    ):
        for thread, path in (("t1", "a.txt"), ("t2", "b.txt")):
            await browser.post("/agui/careful", json=run_input(thread, f"r-{thread}", path))
        digests = [
            (await browser.get(f"/threads/{thread}/interrupts")).json()["interrupts"][0][
                "question"
            ]["metadata"]["netra"]["digest"]
            for thread in ("t1", "t2")
        ]
        wrong = {"thread": "t1", "interrupt": "q1", "digest": digests[1]}
        refused = await alice.command("decide", **wrong)
        right = await alice.command("decide", **{**wrong, "digest": digests[0]})

    assert digests[0] != digests[1]
    assert refused["code"] == "changed"
    assert right["won"] is True


async def test_a_call_that_was_changed_since_is_not_approved(tmp_path: Path) -> None:
    careful = Careful()

    async def forger(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        """Write the asked call's arguments anew."""
        messages = [message.model_copy(deep=True) for message in given.messages]
        for message in messages:
            for call in getattr(message, "tool_calls", None) or ():
                call.function.arguments = '{"path": "/", "force": true}'
        yield MessagesSnapshotEvent(messages=messages)

    async with (
        live({"careful": careful, "forger": forger}, tmp_path) as server,
        http(server.url, server.token()) as browser,
    ):
        await browser.post("/agui/careful", json=run_input("t", "r1", "a.txt"))
        await browser.post("/agui/forger", json=run_input("t", "r2"))
        refused = await browser.post("/threads/t/interrupts", json={"interrupt": "q1"})
        resume = [{"interruptId": "q1", "status": "resolved"}]
        again = await browser.post("/agui/careful", json={**run_input("t", "r3"), "resume": resume})

    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "changed")
    assert again.json()["error"]["code"] == "changed"
    assert careful.ran == []


async def test_an_answer_that_is_not_what_was_asked_for_is_refused_everywhere(
    tmp_path: Path,
) -> None:
    schema = {
        "type": "object",
        "properties": {"count": {"type": "integer", "minimum": 1}},
        "required": ["count"],
    }
    asked = Interrupt(id="q1", reason="input_required", response_schema=schema)
    ran: list[Any] = []

    async def orders(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        ran.extend(entry.payload for entry in given.resume or ())
        if not given.resume:
            yield ending(given, asked)

    resume = [{"interruptId": "q1", "status": "resolved", "payload": {"count": 0}}]
    async with (
        live({"orders": orders}, tmp_path, store=SqliteStore(tmp_path)) as server,
        client(server.socket_url, server.token()) as socket,
        http(server.url, server.token()) as browser,
    ):
        await socket.run("t", "r", "two")
        await socket.follow("t")
        await socket.until("RUN_FINISHED")
        by_socket = await socket.command("decide", thread="t", interrupt="q1", payload={})
        again = {**run_input("t", "r2", ""), "messages": [], "resume": resume}
        by_run = await socket.command("run", thread="t", input=again)
        body = {"interrupt": "q1", "payload": {"count": "two"}}
        by_http = await browser.post("/threads/t/interrupts", json=body)
        by_sse = await browser.post("/agui/orders", json=again)
        (open_still,) = (await browser.get("/threads/t/interrupts")).json()["interrupts"]
        right = await socket.command("decide", thread="t", interrupt="q1", payload={"count": 2})
        await socket.until_frame(
            lambda f: f["chunk"]["type"] == "RUN_FINISHED" and f["chunk"]["runId"] != "r"
        )

    assert (by_socket["code"], by_socket["where"]) == ("bad_answer", "$.payload.count")
    assert (by_run["code"], by_run["where"]) == ("bad_answer", "$.input.resume[0].payload.count")
    assert (by_http.status_code, by_http.json()["error"]["where"]) == (422, "$.payload.count")
    assert by_sse.json()["error"]["code"] == "bad_answer"
    assert open_still["status"] == "open"
    assert right["won"]
    assert ran == [{"count": 2}]


async def test_a_thread_is_listed_with_the_questions_that_can_still_be_answered(
    tmp_path: Path,
) -> None:
    """Whichever run asked; not those that have expired."""

    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        if question_of(given) == "ask":
            past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
            late = Interrupt(id="late", reason="input", expires_at=past)
            yield ending(given, late, Interrupt(id="open", reason="input"))

    async with (
        live({"a": agent}, tmp_path) as server,
        http(server.url, server.token()) as browser,
    ):
        for run, words in (("r1", "ask"), ("r2", "go on")):
            await browser.post("/agui/a", json=run_input("t", run, words))
        (listed,) = (await browser.get("/threads")).json()["threads"]
        answered = await browser.post("/threads/t/interrupts", json={"interrupt": "open"})
        (after,) = (await browser.get("/threads")).json()["threads"]
    assert (listed["run"]["id"], listed["questions"]) == ("r2", 1)
    assert answered.status_code == 200
    assert after["questions"] == 0


async def test_of_two_hundred_deciders_one_wins_and_the_run_goes_on_once(tmp_path: Path) -> None:
    async with (
        live({"asks": asks}, tmp_path, store=SqliteStore(tmp_path)) as server,
        client(server.socket_url, server.token()) as alice,
        AsyncExitStack() as stack,
    ):
        await alice.run("t", "r", "ask q1")
        await alice.follow("t")
        await alice.until("RUN_FINISHED")
        deciders = [
            await stack.enter_async_context(client(server.socket_url, server.token()))
            for _ in range(10)
        ]
        answers = await asyncio.gather(
            *(
                one.answer(
                    {
                        "type": "decide",
                        "request": f"{number}-{turn}",
                        "thread": "t",
                        "interrupt": "q1",
                        "payload": {"from": f"{number}-{turn}"},
                        "status": "cancelled" if turn % 3 else "resolved",
                    }
                )
                for turn in range(20)
                for number, one in enumerate(deciders)
            )
        )
        said = await alice.until("TEXT_MESSAGE_CONTENT")
        resumed = await alice.until_frame(
            lambda f: f["chunk"]["type"] == "RUN_FINISHED" and f["chunk"]["runId"] != "r"
        )
        late = await alice.command("decide", thread="t", interrupt="q1", payload="late")
        async with http(server.url, server.token()) as browser:
            log = (await browser.get("/threads/t/events")).json()["events"]

    assert len(answers) == 200
    assert {frame["type"] for frame in answers} == {"decided"}
    (winner,) = [frame for frame in answers if frame["won"]]
    assert winner["payload"] == {"from": winner["request"]}
    decision = {name: winner[name] for name in ("interrupt", "by", "status", "payload")}
    assert all({name: frame[name] for name in decision} == decision for frame in answers)
    assert {frame.get("run") for frame in answers} <= {None, winner["run"]}
    assert late["won"] is False
    assert late["run"] == winner["run"] == resumed["chunk"]["runId"]
    assert json.loads(said["chunk"]["delta"]) == [["q1", winner["status"], winner["payload"]]]
    started = [e["run"] for e in log if e["chunk"]["type"] == "RUN_STARTED"]
    assert started == ["r", winner["run"]]


async def test_the_run_goes_on_when_the_last_question_is_decided(tmp_path: Path) -> None:
    async with (
        live({"asks": asks}, tmp_path, store=MemoryStore()) as server,
        client(server.socket_url, server.token()) as alice,
    ):
        await alice.run("t", "r", "ask q1 q2")
        await alice.follow("t")
        await alice.until("RUN_FINISHED")
        first = await alice.command("decide", thread="t", interrupt="q2", payload=[1])
        assert first["won"] is True
        assert "run" not in first
        second = await alice.command("decide", thread="t", interrupt="q1", status="cancelled")
        assert second["payload"] is None
        said = await alice.until("TEXT_MESSAGE_CONTENT")
        assert json.loads(said["chunk"]["delta"]) == [
            ["q1", "cancelled", None],
            ["q2", "resolved", [1]],
        ]


async def test_a_run_may_take_up_the_answer_itself(tmp_path: Path, log_lines: Lines) -> None:
    """As AG-UI's own clients do: the answer comes as ``resume`` of the next run."""

    def resuming(run: str, payload: Any) -> dict[str, Any]:
        entry = {"interruptId": "q1", "status": "resolved", "payload": payload}
        return {**run_input("t", run), "resume": [entry]}

    async with (
        live({"asks": asks}, tmp_path, store=MemoryStore()) as server,
        client(server.socket_url, server.token()) as alice,
    ):
        await alice.run("t", "r1", "ask q1")
        await alice.follow("t")
        await alice.until("RUN_FINISHED")
        assert (await alice.command("run", input=resuming("r2", "yes")))["type"] == "accepted"
        said = await alice.until("TEXT_MESSAGE_CONTENT")
        assert json.loads(said["chunk"]["delta"]) == [["q1", "resolved", "yes"]]
        await alice.until_frame(lambda f: f["chunk"].get("runId") == "r2")
        await alice.until_frame(
            lambda f: f["chunk"]["type"] == "RUN_FINISHED" and f["chunk"]["runId"] == "r2"
        )
        for payload in ("yes", "no"):
            late = await alice.command("run", input=resuming(f"r3-{payload}", payload))
            assert late["code"] == "already_decided"
            assert late["message"] == "alice decided 'q1' before: resolved, \"yes\""
        decided = await alice.command("decide", thread="t", interrupt="q1", payload="no")
        assert (decided["won"], decided["payload"], decided["run"]) == (False, "yes", "r2")
    refused = [line for line in log_lines() if line.get("code") == "already_decided"]
    assert [line["why"] for line in refused] == ["alice decided 'q1' before: …"] * 2


async def test_a_decision_made_just_before_a_crash_is_taken_up_after_it(tmp_path: Path) -> None:
    """The process dies between the decision and the run that goes on with it."""
    async with (
        live({"asks": asks}, tmp_path, store=SqliteStore(tmp_path)) as server,
        client(server.socket_url, server.token()) as alice,
    ):
        await alice.run("t", "r", "ask q1")
        await alice.follow("t")
        await alice.until("RUN_FINISHED")
    store = SqliteStore(tmp_path)
    await store.open()
    key = ThreadKey(UserId("alice"), ThreadId("t"))
    decision = await store.decide(
        key, Answer("q1", "resolved", b'{"approved":true}'), key.owner, Role.DECIDE
    )
    await store.close()
    assert decision is not None
    assert decision.won

    async with (
        live({"asks": asks}, tmp_path, store=SqliteStore(tmp_path)) as server,
        client(server.socket_url, server.token()) as alice,
    ):
        await alice.follow("t")
        said = await alice.until("TEXT_MESSAGE_CONTENT")
        late = await alice.command("decide", thread="t", interrupt="q1", payload="no")
        async with http(server.url, server.token()) as browser:
            log = (await browser.get("/threads/t/events")).json()["events"]

    assert json.loads(said["chunk"]["delta"]) == [["q1", "resolved", {"approved": True}]]
    assert (late["won"], late["payload"]) == (False, {"approved": True})
    started = [e["run"] for e in log if e["chunk"]["type"] == "RUN_STARTED"]
    assert started == ["r", late["run"]]
