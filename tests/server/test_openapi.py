"""The OpenAPI document: valid, complete, and what the server really sends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from starlette.routing import Mount, Route, WebSocketRoute

from netra_backend.config import Settings
from netra_backend.errors import ERRORS, ErrorCode, StoreFailed
from netra_backend.server import health, page_turns
from netra_backend.server.app import create_app
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer
from tests.client import Client, client, run_input
from tests.http import http, sse_events
from tests.live import Live, live
from tests.openapi import Contract
from tests.server.agents import asks, asks_too_late, echo
from tests.watched_store import WatchedStore

pytestmark = pytest.mark.anyio

NO_API = {
    "/": "the chat page",
    "/page": "its assets",
    "/docs": "the documentation, as pages",
    "/docs/{page:path}": "the documentation, as pages",
    "/openapi.json": "the document itself",
    "/asyncapi.json": "what is said on the WebSocket",
    "/ws": "a WebSocket: docs/protocol.md",
    "/ai-sdk/{agent}": "a WebSocket: docs/protocol.md",
    "/{path:path}": "no WebSocket: the answer to a handshake for one",
}
"""Routes that OpenAPI does not describe, and what they are."""


def routes(app: Any) -> list[Any]:
    return list(app._asgi.routes)


async def document_of(tmp_path: Path) -> dict[str, Any]:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, None) as browser,
    ):
        answered = await browser.get("/openapi.json")
    assert answered.headers["content-type"] == "application/json"
    return dict(answered.json())


async def test_the_document_is_valid_openapi(tmp_path: Path) -> None:
    from openapi_spec_validator import OpenAPIV31SpecValidator

    document = await document_of(tmp_path)

    assert document["openapi"].startswith("3.1.")
    assert [str(problem) for problem in OpenAPIV31SpecValidator(document).iter_errors()] == []


async def test_every_route_is_documented(tmp_path: Path) -> None:
    document = await document_of(tmp_path)
    app = create_app({"echo": echo}, store=MemoryStore(), settings=Settings(data_dir=tmp_path))
    served: set[tuple[str, str]] = set()
    for route in routes(app):
        assert isinstance(route, Route | Mount | WebSocketRoute)
        if route.path in NO_API:
            continue
        assert isinstance(route, Route)
        served |= {(method, route.path) for method in (route.methods or ()) if method != "HEAD"}

    assert {route.path for route in routes(app)} >= set(NO_API)
    assert served == {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }


async def test_operations_have_distinct_names_and_say_what_they_do(tmp_path: Path) -> None:
    document = await document_of(tmp_path)
    operations = [each for item in document["paths"].values() for each in item.values()]

    assert len({each["operationId"] for each in operations}) == len(operations)
    assert all(each["summary"] for each in operations)
    # Whoever needs no credential is said so; all others can be refused for want of one.
    for each in operations:
        assert ("401" in each["responses"]) == (each.get("security") != [])
        assert {"500", "503"} <= set(each["responses"])


@pytest.fixture
async def visit(tmp_path: Path) -> AsyncIterator["Visit"]:
    store, gate = WatchedStore(MemoryStore()), Gate()
    agents = {
        "echo": echo,
        "asks": asks,
        "late": asks_too_late,
        "waits": ScriptedAgent(answer("a", gate)),
    }
    contract = Contract(await document_of(tmp_path / "document"))
    judged = {"event_hooks": {"response": [contract.check]}}
    async with (
        live(
            agents,
            tmp_path,
            store=store,
            frame_bytes=3_000,
            connections_per_user=2,
            thread_members=1,
            admins=("admin",),
        ) as server,
        client(server.socket_url, server.token()) as alice,
        http(server.url, server.token(), **judged) as browser,
        http(server.url, None, **judged) as stranger,
    ):
        url, token, admin = server.socket_url, server.token(), server.token("admin")
        yield Visit(contract, store, alice, browser, stranger, url, token, admin, judged)
        gate.open()


_ANSWER = {"interruptId": "none", "status": "resolved"}


class Visit(NamedTuple):
    """A server all of whose answers are judged."""

    contract: Contract
    store: WatchedStore
    alice: Client
    browser: httpx.AsyncClient
    stranger: httpx.AsyncClient
    url: str
    token: str
    token_of_admin: str
    judged: dict[str, Any]

    async def refusals(self, method: str, path: str, **options: Any) -> None:
        """Ask in every way that is refused before the operation itself has a say."""
        await self.stranger.request(method, path, **options)
        await self.browser.request(method, path, headers={"Host": "evil.example"}, **options)
        if options:
            await self.browser.request(method, path, content="x" * 3_001)
            await self.browser.request(method, path, content="{")

    async def health(self) -> None:
        for path in ("/health/live", "/health/ready", "/metrics"):
            await self.stranger.get(path)

    async def tickets(self) -> None:
        assert (await self.browser.post("/auth/ticket")).status_code == 201
        await self.refusals("POST", "/auth/ticket")

    async def runs(self) -> None:
        body = run_input("t", "r1", "one two")
        run = await self.browser.post("/agui/echo", json=body)
        ended = {"Last-Event-ID": sse_events(run.text)[-1].id}
        again = await self.browser.post("/agui/echo", json=body, headers=ended)
        assert again.status_code == 204
        await self.browser.post("/agui/echo", json=body, headers={"Last-Event-ID": "1-1"})
        await self.browser.post("/agui/nobody", json=run_input("t", "r2"))
        await self.browser.post("/agui/echo", json=run_input("u", "r1"))
        await self.alice.run("busy", "waiting", agent="waits")
        await self.browser.post("/agui/echo", json=run_input("busy", "r3"))
        async with client(self.url, self.token):  # the last connection of this user
            crowded = await self.browser.post("/agui/echo", json=run_input("t", "r4"))
            assert crowded.status_code == 429
        await self.refusals("POST", "/agui/echo", json=run_input("t", "r2"))
        for query in ({"runId": "r1"}, {"runId": "r1", "offset": ended["Last-Event-ID"]}, {}):
            await self.browser.get("/agui/echo", params=query)
        await self.browser.get("/agui/echo", params={"runId": "none"})
        await self.refusals("GET", "/agui/echo")
        await self.refusals("GET", "/runs/r1")
        await self.refusals("POST", "/runs/waiting/cancel")
        for name in ("waiting", "r1", "none", "a b"):
            await self.browser.post(f"/runs/{name}/cancel")
            await self.browser.get(f"/runs/{name}")

    async def copilots(self) -> None:
        await self.browser.get("/copilotkit/info")
        await self.refusals("GET", "/copilotkit/info")
        path = "/copilotkit/agent/echo"
        for body in (run_input("t", "c1"), run_input("u", "c1"), run_input("busy", "c2")):
            await self.browser.post(f"{path}/run", json=body)
        run = await self.browser.post(f"{path}/run", json=run_input("t", "c1"))
        ended = {"Last-Event-ID": sse_events(run.text)[-1].id}
        await self.browser.post(f"{path}/run", json=run_input("t", "c1"), headers=ended)
        unknown = {**run_input("none", "c3"), "resume": [_ANSWER]}
        await self.browser.post(f"{path}/run", json=unknown)
        await self.browser.post(f"{path}/connect", json=run_input("t", "c4"))
        await self.browser.post(f"{path}/stop/t")
        for call in ("run", "connect", "stop/t"):
            await self.refusals("POST", f"{path}/{call}", json=run_input("t", "c5"))
            other = f"/copilotkit/agent/nobody/{call}"
            await self.browser.post(other, json=run_input("t", "c6"))
        await self.browser.post(f"{path}/stop/a b")
        for call in ("connect", "stop/nobody,t"):
            await self.browser.post(f"{path}/{call}", json=run_input("nobody,t", "c7"))

    async def threads(self) -> None:
        await self.browser.post("/threads", json={"id": "t", "title": "first"})
        await self.browser.post("/threads", json={})
        await self.refusals("POST", "/threads", json={})
        for name, title in (("t", "second"), ("none", "x"), ("a b", "x"), ("t", "")):
            await self.browser.patch(f"/threads/{name}", json={"title": title})
        await self.refusals("PATCH", "/threads/t", json={"title": "x"})

    async def reading(self) -> None:
        for path in ("/threads", "/threads/t", "/threads/t/messages", "/threads/t/events"):
            await self.browser.get(path)
            await self.browser.get(path, params={"limit": "1"})
            await self.refusals("GET", path)
        await self.browser.get("/threads", params={"limit": "none"})
        for name in ("t", "none", "a b"):
            await self.browser.get(f"/threads/{name}")
            for part in ("messages", "events"):
                await self.browser.get(f"/threads/{name}/{part}", params={"limit": "none"})
                await self.browser.get(f"/threads/{name}/{part}")

    async def members(self) -> None:
        path = "/threads/t/members"
        for name in ("t", "none", "a b"):
            await self.browser.get(f"/threads/{name}/members")
            for user in ("bob", "carol", "a b"):
                member = f"/threads/{name}/members/{user}"
                await self.browser.put(member, json={"role": "read"})
                await self.browser.put(member, json={"role": "owner"})
        await self.refusals("GET", path)
        await self.refusals("PUT", f"{path}/bob", json={"role": "read"})
        await self.refusals("DELETE", f"{path}/bob")
        for user in ("bob", "bob", "a b"):
            await self.browser.delete(f"{path}/{user}")

    async def administration(self) -> None:
        await self.browser.delete("/users/bob/sessions")
        await self.browser.delete("/users/a b/sessions")
        await self.refusals("DELETE", "/users/bob/sessions")
        async with http(str(self.browser.base_url), self.token_of_admin, **self.judged) as admin:
            assert (await admin.delete("/users/bob/sessions")).status_code == 204
            for query in ({}, {"limit": "none"}):
                await admin.get("/connections", params=query)
            await self.alice.follow("t")
            await faults_of(admin, self.store)
            for name in (self.alice.ready["connection"], "none", "a b"):
                await admin.delete(f"/connections/{name}")
        for method, path in (("GET", "/connections"), ("DELETE", "/connections/x")):
            await self.refusals(method, path)

    async def interrupts(self) -> None:
        path = "/threads/asked/interrupts"
        await self.browser.post("/agui/asks", json=run_input("asked", "r5", "ask q1 q2"))
        await self.browser.post("/agui/late", json=run_input("late", "r6"))
        await self.refusals("GET", path)
        await self.refusals("POST", path, json={"interrupt": "q1"})
        for name in ("asked", "none", "a b"):
            await self.browser.get(f"/threads/{name}/interrupts")
        for body in ({"interrupt": "q1"}, {"interrupt": "q2", "digest": "x"}, {"status": 1}):
            await self.browser.post(path, json=body)
        await self.browser.post("/threads/none/interrupts", json={"interrupt": "q1"})
        await self.browser.post("/threads/late/interrupts", json={"interrupt": "late"})
        for change in ({"interruptId": "late"}, {"interruptId": "q2"}):
            body = {**run_input("late", "r7"), "resume": [{**change, "status": "resolved"}]}
            await self.browser.post("/agui/late", json=body)
            await self.browser.post("/copilotkit/agent/late/run", json=body)

    async def deletion(self) -> None:
        await self.refusals("DELETE", "/threads/t")
        for name in ("t", "t", "a b"):
            await self.browser.delete(f"/threads/{name}")

    async def crowd(self, tmp_path: Path) -> None:
        """Ask for event streams and pages where the user has no more of either."""
        judged = {"event_hooks": {"response": [self.contract.check]}}
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(page_turns, "PAGES_AT_ONCE", 0)
            crowded = live({"echo": echo}, tmp_path, store=MemoryStore(), connections_per_user=1)
            await self._crowd(crowded, judged)

    async def _crowd(
        self, crowded: AbstractAsyncContextManager[Live], judged: dict[str, Any]
    ) -> None:
        async with (
            crowded as server,
            client(server.socket_url, server.token()),
            http(server.url, server.token(), **judged) as browser,
        ):
            await browser.post("/agui/echo", json=run_input("t", "r"))
            await browser.get("/agui/echo", params={"runId": "r"})
            for call in ("run", "connect"):
                body = run_input("t", "r")
                await browser.post(f"/copilotkit/agent/echo/{call}", json=body)
            pages = ("", "/t/events", "/t/messages", "/t/interrupts")
            asked = [browser.get(f"/threads{page}") for page in pages]
            assert {a.status_code for a in await asyncio.gather(*asked)} == {429}

    async def faults(self) -> None:
        """Ask everything that touches the store while it fails, and while it is broken."""
        for error in (StoreFailed("the disk is full"), RuntimeError("a fault")):
            self.store.failures.update(dict.fromkeys(TOUCHED, error))
            await everything(self.browser)
        self.store.failures.clear()


async def faults_of(admin: httpx.AsyncClient, store: WatchedStore) -> None:
    """Ask what looks at the threads of a connection, while the store cannot be read."""
    for error in (StoreFailed("the disk is full"), RuntimeError("a fault")):
        store.failures["thread"] = error
        await admin.get("/connections")
    store.failures.clear()


TOUCHED = (
    "backlog",
    "probe",
    "thread",
    "threads",
    "open_thread",
    "rename_thread",
    "run",
    "run_in",
    "queued_run",
    "set_member",
    "remove_member",
    "interrupt",
    "delete_thread",
    "revoke",
)
"""The store's methods that the operations begin with."""


async def test_what_the_server_sends_is_what_the_document_says(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tour through every operation, its successes and its refusals."""
    monkeypatch.setattr(health, "SHARED", 0.0)  # each fault of the store is a verdict of its own
    await visit.health()
    await visit.tickets()
    await visit.runs()
    await visit.copilots()
    await visit.threads()
    await visit.reading()
    await visit.members()
    await visit.administration()
    await visit.interrupts()
    await visit.crowd(tmp_path / "crowded")
    await visit.faults()
    await visit.deletion()

    documented = {
        (method.upper(), path, int(status))
        for path, item in visit.contract.document["paths"].items()
        for method, operation in item.items()
        for status in operation["responses"]
    }
    # These touch neither the store nor anything of the client's.
    never = {
        (method, path, status)
        for method, path in (
            ("GET", "/health/live"),
            ("GET", "/metrics"),
            ("POST", "/auth/ticket"),
            ("GET", "/copilotkit/info"),
            ("DELETE", "/connections/{connection}"),
        )
        for status in (500, 503)
    }
    assert documented - visit.contract.seen == never


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (418, {"status": "live"}),
        (200, {"status": "live", "secret": 1}),
        (200, {"status": 1}),
        (200, {}),
        (200, [{"status": "live"}]),
    ],
)
async def test_the_judge_finds_what_is_not_documented(
    tmp_path: Path, status: int, body: Any
) -> None:
    contract = Contract(await document_of(tmp_path))
    request = httpx.Request("GET", "http://localhost/health/live")
    await contract.check(httpx.Response(200, json={"status": "live"}, request=request))

    with pytest.raises(AssertionError, match="GET /health/live"):
        await contract.check(httpx.Response(status, json=body, request=request))


async def everything(browser: httpx.AsyncClient) -> None:
    """Ask every operation that touches the store."""
    await browser.get("/health/ready")
    await browser.get("/threads")
    await browser.post("/threads", json={})
    for path in ("/threads/t", "/threads/t/messages", "/threads/t/events", "/runs/r1"):
        await browser.get(path)
    await browser.patch("/threads/t", json={"title": "x"})
    await browser.delete("/threads/t")
    await browser.post("/runs/r1/cancel")
    await browser.get("/threads/t/members")
    await browser.put("/threads/t/members/bob", json={"role": "read"})
    await browser.delete("/threads/t/members/bob")
    await browser.delete("/users/alice/sessions")
    await browser.get("/threads/t/interrupts")
    await browser.post("/threads/t/interrupts", json={"interrupt": "q1"})
    await browser.post("/agui/echo", json=run_input("t", "r9"))
    await browser.get("/agui/echo", params={"runId": "r1"})
    for call in ("run", "connect", "stop/t"):
        await browser.post(f"/copilotkit/agent/echo/{call}", json=run_input("t", "c9"))


async def test_every_error_has_the_status_of_the_table(tmp_path: Path) -> None:
    document = await document_of(tmp_path)
    described = "\n".join(
        f"{status} {response['description']}"
        for item in document["paths"].values()
        for operation in item.values()
        for status, response in operation["responses"].items()
    )
    for code in ErrorCode:
        if f"`{code.value}`" in described:
            lines = [line for line in described.splitlines() if f"`{code.value}`" in line]
            assert {line.split()[0] for line in lines} == {str(ERRORS[code].status)}
