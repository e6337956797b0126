"""The AsyncAPI document: valid, complete, and what is really said on a socket."""

import asyncio
import base64
import copy
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple, get_args

import jsonschema_rs
import msgspec
import pytest
from ag_ui.core import EventType
from websockets.asyncio.client import connect

import netra_backend
from netra_backend.core import frames
from netra_backend.errors import CLOSES, ERRORS
from netra_backend.server.asyncapi import EVENT_FRAME, asyncapi
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer
from tests.client import Client, Frame, client, run_input
from tests.e2e.node_folder import node_folder
from tests.http import http
from tests.live import Live, live
from tests.server.agents import asks, echo

pytestmark = pytest.mark.anyio

DRAFT = "http://json-schema.org/draft-07/schema#"
COMMANDS = {str(f.__struct_config__.tag): f for f in get_args(frames.ClientFrame)}
ANSWERS = {str(f.__struct_config__.tag): f for f in frames.ServerFrame.__subclasses__()}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document as a client of the server gets it, which the tests below compare."""
    text = msgspec.json.encode(asyncapi(netra_backend.__version__))
    return dict(json.loads(text))


def parts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from parts(part)


class Judge:
    """Judges frames by the schemas of the document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._validators = {}
        for name, message in document["components"]["messages"].items():
            schema = {"$schema": DRAFT, "components": document["components"], **message["payload"]}
            self._validators[name] = jsonschema_rs.validator_for(schema)

    def fits(self, frame: Frame) -> list[str]:
        """Return the messages that the frame is."""
        return [name for name, each in self._validators.items() if each.is_valid(frame)]

    def check(self, frame: Frame) -> None:
        """Fail unless the frame is the message that it says it is, and no other."""
        name = frame.get("type", EVENT_FRAME)
        problems = [error.message for error in self._validators[name].iter_errors(frame)]
        assert problems == [], (frame, problems)
        assert self.fits(frame) == [name], frame


class Talk(NamedTuple):
    """All that was said on a live socket, and the document that the same server showed."""

    document: dict[str, Any]
    tape: list[tuple[str, Frame]]

    @property
    def told(self) -> list[Frame]:
        return [frame for _, frame in self.tape]


@pytest.fixture
async def talk(tmp_path: Path) -> Talk:
    gate = Gate()
    agents = {"echo": echo, "asks": asks, "waits": ScriptedAgent(answer("a", gate))}
    async with AsyncExitStack() as left_last, AsyncExitStack() as left_first:
        server = await left_first.enter_async_context(
            live(agents, tmp_path, store=MemoryStore(), bad_frames=1_000)
        )
        alice = await left_last.enter_async_context(client(server.socket_url, server.token()))
        browser = await left_first.enter_async_context(http(server.url, server.token()))
        document = (await browser.get("/asyncapi.json")).json()
        await converse(alice, server)
        await share_and_withdraw(alice, server)
        gate.open()
        await browser.delete("/threads/t")
        await alice.notice("unfollowed")
        await left_first.aclose()
        await alice.notice("draining")
        return Talk(document, list(alice.tape))


async def converse(alice: Client, server: Live) -> None:
    """Say every command in the ways that it is answered, and see events of every kind."""
    await alice.run("t", "r1", "one two three")
    await alice.follow("t")
    await alice.until("RUN_FINISHED", thread="t")
    await alice.follow("t", alice.events[1]["id"])
    await alice.follow("t", "1-1")
    await alice.follow("none")
    await alice.run("q", "r2", "ask q1", agent="asks")
    await alice.follow("q")
    await alice.until("RUN_FINISHED", thread="q")
    decided = await alice.command("decide", thread="q", interrupt="q1", payload={"a": [1]})
    assert decided["won"]
    await alice.run("w", "r3", agent="waits")
    await alice.follow("w")
    await alice.command("cancel", run="r3")
    await alice.command("unfollow", thread="w")
    await alice.command("auth", token=server.token())
    await alice.command("ping")
    for command in wrong_commands():
        refused = await alice.answer(command)
        assert refused["type"] == "error", command
        assert refused["request"] == command["request"]


async def share_and_withdraw(alice: Client, server: Live) -> None:
    """Let another user's thread end for her, which nobody asks for."""
    async with (
        client(server.socket_url, server.token("bob")) as bob,
        http(server.url, server.token("bob")) as browser,
    ):
        await bob.run("shared", "b1", "hello")
        await browser.put("/threads/shared/members/alice", json={"role": "read"})
        await alice.follow("bob,shared")
        await browser.delete("/threads/shared/members/alice")
        await alice.arrived(lambda: any(n.get("why") == "denied" for n in alice.notices))
    alice.notices.clear()


def wrong_commands() -> list[Frame]:
    """Return commands that the server refuses for what is in them alone."""
    fine: list[Frame] = [
        {"type": "run", "input": run_input("t", "x")},
        {"type": "follow", "thread": "t", "after": "1-1"},
        {"type": "unfollow", "thread": "t"},
        {"type": "cancel", "run": "r1"},
        {"type": "decide", "thread": "q", "interrupt": "q1"},
        {"type": "auth", "token": "x"},
        {"type": "ping"},
    ]
    wrong = [{**frame, "extra": 1} for frame in fine]
    wrong += [{**frame, key: 7} for frame in fine for key in frame if key != "type"]
    wrong += [
        {k: v for k, v in frame.items() if k != key}
        for frame in fine
        for key in frame
        if key not in ("type", "after")
    ]
    wrong += [{**fine[1], "thread": name} for name in ("", "..", "a b", "a,", "a,b,c", "x" * 129)]
    wrong += [{**fine[1], "after": at} for at in ("", "1", "01-1", "1-", "1-1-1")]
    wrong += [{**fine[3], "run": name} for name in ("", ".", "a,b")]
    wrong += [{**fine[4], "status": "maybe"}]
    for member, value in (("messages", [{"role": "user"}]), ("threadId", 1), ("tools", {})):
        wrong.append({"type": "run", "input": {**run_input("t", "x"), member: value}})
    return [{"request": f"w{n}", **frame} for n, frame in enumerate(wrong)]


# --- the document --------------------------------------------------------------------------


async def test_it_is_served_as_openapi_is(tmp_path: Path, document: dict[str, Any]) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, None) as stranger,
    ):
        answered = await stranger.get("/asyncapi.json")
        beside = await stranger.get("/openapi.json")
        refused = await stranger.post("/asyncapi.json")

    assert (answered.status_code, refused.status_code) == (200, 405)
    varying = ("content-length", "x-correlation-id", "date")
    assert [h for h in answered.headers.items() if h[0] not in varying] == [
        h for h in beside.headers.items() if h[0] not in varying
    ]
    assert answered.json() == document


def test_it_is_valid_by_the_published_schema(document: dict[str, Any]) -> None:
    published = node_folder() / "node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json"
    validator = jsonschema_rs.validator_for(json.loads(published.read_text("utf-8")))

    assert [error.message for error in validator.iter_errors(document)] == []
    broken = copy.deepcopy(document)
    broken["operations"]["run"]["action"] = "take"
    assert not validator.is_valid(broken)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = [part["$ref"] for part in parts(document) if "$ref" in part]
    assert len(references) > 100
    for reference in references:
        found = document
        for step in reference.removeprefix("#/").split("/"):
            assert step in found, reference
            found = found[step]


def test_each_frame_of_the_code_is_there_exactly_once(document: dict[str, Any]) -> None:
    kinds = [*COMMANDS, *ANSWERS, EVENT_FRAME]
    messages = document["components"]["messages"]
    assert sorted(messages) == sorted(kinds)
    assert list(document["channels"]["ws"]["messages"]) == kinds
    payloads = [message["payload"]["$ref"] for message in messages.values()]
    assert len(set(payloads)) == len(kinds)
    for tag, frame in {**COMMANDS, **ANSWERS}.items():
        schema = document["components"]["schemas"][frame.__name__]
        fields = msgspec.structs.fields(frame)
        assert list(schema["properties"]) == ["type", *(f.encode_name for f in fields)]
        assert schema["required"] == ["type", *(f.encode_name for f in fields if f.required)]
        assert schema["properties"]["type"] == {"const": tag}
        assert messages[tag]["description"].startswith(messages[tag]["summary"][:20])
        assert len(messages[tag]["summary"]) > 10


def test_every_message_is_received_answered_or_sent(document: dict[str, Any]) -> None:
    received: list[str] = []
    sent: set[str] = set()
    for operation in document["operations"].values():
        names = [each["$ref"].rpartition("/")[2] for each in operation["messages"]]
        if operation["action"] == "receive":
            received += names
            replies = [each["$ref"].rpartition("/")[2] for each in operation["reply"]["messages"]]
            assert replies[1:] == ["error"]
            sent |= set(replies)
        else:
            sent |= set(names)
    assert received == list(COMMANDS)
    assert sent == {*ANSWERS, EVENT_FRAME}


def test_agui_and_netra_have_no_name_in_common(document: dict[str, Any]) -> None:
    ours = {frame.__name__ for frame in (*COMMANDS.values(), *ANSWERS.values())}
    ours |= {"EventFrame", "Limits", "Resume", "RunState", "ErrorCode"}
    from ag_ui import core

    assert [name for name in ours if hasattr(core, name)] == []


def test_the_codes_are_those_of_the_tables(document: dict[str, Any]) -> None:
    codes = document["components"]["schemas"]["ErrorCode"]
    assert set(codes["enum"]) == set(codes["x-error-codes"]) == {code.value for code in ERRORS}
    closes = document["channels"]["ws"]["x-close-codes"]
    assert {int(code): (row["reason"], row["retry"]) for code, row in closes.items()} == {
        int(code): (row.reason, row.retry.value) for code, row in CLOSES.items()
    }


# --- what is said --------------------------------------------------------------------------


async def test_what_is_said_on_a_socket_is_what_it_says(talk: Talk) -> None:
    judge = Judge(talk.document)
    refused = {f.get("request") for f in talk.told if f.get("type") == "error"}
    for way, frame in talk.tape:
        if way == "sent" and frame["request"] in refused:
            assert judge.fits(frame) == [], f"the server refuses {frame}"
        else:
            judge.check(frame)

    seen = {frame.get("type", EVENT_FRAME) for frame in talk.told}
    assert seen == {*COMMANDS, *ANSWERS, EVENT_FRAME}
    assert {f["resume"] for f in talk.told if "resume" in f} >= {"replay", "gap", "unknown"}


async def test_each_command_is_answered_with_what_it_says(talk: Talk) -> None:
    sent = {frame["request"]: frame["type"] for way, frame in talk.tape if way == "sent"}
    operations = talk.document["operations"]
    answered: dict[str, set[str]] = {name: set() for name in COMMANDS}
    for way, frame in talk.tape:
        if way == "got" and frame.get("request") in sent:
            answered[sent[frame["request"]]].add(frame["type"])
    for name, kinds in answered.items():
        replies = operations[name]["reply"]["messages"]
        assert kinds == {each["$ref"].rpartition("/")[2] for each in replies}, name


async def test_a_frame_that_is_changed_is_none(talk: Talk) -> None:
    judge = Judge(talk.document)
    schemas = talk.document["components"]["schemas"]
    tried = 0
    good = [frame for frame in talk.told if judge.fits(frame)]
    for frame in good:
        kind = frame.get("type")
        name = {**COMMANDS, **ANSWERS}[kind].__name__ if kind else "EventFrame"
        for field in schemas[name]["required"]:
            assert judge.fits({k: v for k, v in frame.items() if k != field}) == [], (field, frame)
            if field not in ("payload",):
                assert judge.fits({**frame, field: None}) == [], (field, frame)
            tried += 1
        assert judge.fits({**frame, "type": "other"}) == [], frame
    assert tried > 100


async def test_an_event_frame_has_an_event_that_a_log_can_have(talk: Talk) -> None:
    judge = Judge(talk.document)
    frame = next(frame for frame in talk.told if "chunk" in frame)
    for chunk in (
        {"type": "RAW", "event": {}},
        {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": "d"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m"},
        {"type": "OTHER"},
        {"messageId": "m", "delta": "d"},
    ):
        assert judge.fits({**frame, "chunk": chunk}) == [], chunk
    delta = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "d"}
    assert judge.fits({**frame, "chunk": delta}) == [EVENT_FRAME]
    known = talk.document["components"]["schemas"]["Event"]["oneOf"]
    assert len(known) == len([k for k in EventType if k != "RAW" and not k.endswith("_CHUNK")])


# --- getting in ----------------------------------------------------------------------------


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Live]:
    async with live({"echo": echo}, tmp_path, store=MemoryStore()) as server:
        yield server


@pytest.mark.parametrize("name", ["token", "tokenSubprotocol", "ticket", "development"])
async def test_each_way_to_say_who_one_is_opens_a_socket(
    server: Live, document: dict[str, Any], name: str
) -> None:
    schemes = document["components"]["securitySchemes"]
    assert len(schemes) == 4
    for each in document["servers"].values():
        assert each["security"] == [{"$ref": f"#/components/securitySchemes/{n}"} for n in schemes]
    scheme, url = schemes[name], server.socket_url
    offered = document["channels"]["ws"]["bindings"]["ws"]["headers"]["properties"]
    protocols, headers = ["netra.v1"], {}
    if scheme["type"] == "http":
        headers["Authorization"] = f"{scheme['scheme'].title()} {server.token()}"
    elif scheme["in"] == "query":
        async with http(server.url, server.token()) as browser:
            ticket = (await browser.post("/auth/ticket")).json()["ticket"]
        url += f"?{scheme['name']}={ticket}"
    elif scheme["in"] == "cookie":
        headers["Cookie"] = f"{scheme['name']}={server.token()}"
    else:
        coded = base64.urlsafe_b64encode(server.token().encode()).decode().rstrip("=")
        protocols.append(f"netra.token.{coded}")
        assert scheme["name"] in offered
    pattern = offered["Sec-WebSocket-Protocol"]["pattern"]
    assert re.search(pattern, ", ".join(protocols))
    async with connect(url, subprotocols=protocols, additional_headers=headers) as socket:
        assert socket.subprotocol == "netra.v1"
        ready = json.loads(await asyncio.wait_for(socket.recv(), 60))
    assert (ready["type"], ready["user"]) == ("ready", "alice")
