"""Every place that asks whether a user may, without its question: the suite must notice each time.

The places are read from the source, so a new one has to be added here, with the test that misses
it. Other checks, of who somebody is and where they come from, are in `test_checks`.
"""

import ast
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

import netra_backend
from netra_backend.core.roles import Role
from netra_backend.server import access
from netra_backend.server.access import Access
from tests.client import BOUND, run_input
from tests.server import test_members as members
from tests.server.test_members import BOBS, Party, T, party
from tests.server.test_members import test_each_role_may_what_it_may_and_no_more as each_role

pytestmark = pytest.mark.anyio

ROOT = Path(netra_backend.__file__).parent
QUESTIONS = frozenset({"thread", "check", "run", "cancels", "role"})


class Site(NamedTuple):
    """Where it is asked: the module, the function, and the method of `Access`."""

    module: str
    function: str
    method: str


def sites() -> set[Site]:
    """Return every place in the source."""
    found: set[Site] = set()
    for path in sorted((ROOT / "server").rglob("*.py")):
        own = {"self"} if path == Path(access.__file__) else set()
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                name = path.relative_to(ROOT).as_posix()
                found |= {Site(name, function.name, m) for m in _asked(function, own)}
    return {site for site in found if site not in INSIDE}


def _asked(function: ast.AST, own: set[str]) -> set[str]:
    calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    return {
        call.attr
        for call in calls
        if isinstance(call, ast.Attribute)
        and call.attr in QUESTIONS
        and getattr(call.value, "attr", getattr(call.value, "id", "")) in {"access", *own}
    }


INSIDE = {
    Site("server/access.py", "check", "role"),
    Site("server/access.py", "thread", "check"),
    Site("server/access.py", "run", "thread"),
    Site("server/access.py", "cancels", "run"),
    Site("server/access.py", "look_again", "role"),
}
"""How `Access` asks itself for those who ask it, and `test_checks` does without."""


def without(removed: set[Site], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let these places be told that the user may."""
    check, role = Access.check, Access.role

    async def checked(self: Access, *asked: Any) -> None:
        if not _askers(sys._getframe(1), "check") & removed:
            await check(self, *asked)

    async def told(self: Access, *asked: Any) -> Role | None:
        if _askers(sys._getframe(1), "role") & removed:
            return Role.OWNER
        return await role(self, *asked)

    monkeypatch.setattr(Access, "check", checked)
    monkeypatch.setattr(Access, "role", told)


def _askers(frame: FrameType | None, method: str) -> set[Site]:
    """Return which places ask by `method`, from inside `Access` to the one outside it."""
    asking: set[Site] = set()
    while frame is not None:
        code = frame.f_code
        if code.co_filename == __file__:
            frame = frame.f_back
            continue
        module = Path(code.co_filename)
        name = module.relative_to(ROOT).as_posix() if ROOT in module.parents else str(module)
        asking.add(Site(name, code.co_name, method))
        if code.co_filename != access.__file__:
            break
        method, frame = code.co_name, frame.f_back
    return asking


Attack = Callable[[Path], Awaitable[object]]


def bobs(operation: str) -> Attack:
    """Return the test that bob may do this with the role that it needs and no other."""
    assert operation in BOBS
    return partial(each_role, operation=operation)


def removed_while(path: str) -> Attack:
    """Return the test that who is removed in the middle of this request gets nothing."""
    return partial(members.test_nothing_for_who_was_removed_before_any_step_of_an_answer, path=path)


async def replay(tmp_path: Path) -> None:
    """A stranger asks for the events of a run over TanStack's socket."""
    async with party(tmp_path) as there:
        await there.alice.run("t", "r", "the secret", agent="echo")
        for run in ("r", "none"):
            async with opened(there, f"/ws?runId={run}&threadId={T}&offset=-1") as plain:
                with pytest.raises(ConnectionClosedError):
                    assert await plain.recv() == "nothing"
                assert plain.close_code == 1008


async def abort(tmp_path: Path) -> None:
    """Who may only read any more aborts the run that they have started, over TanStack's socket."""
    async with party(tmp_path) as there:
        await there.invite("write")
        async with opened(there, "/ws?agent=endless") as plain:
            await plain.send(json.dumps(run_input(T, "r")))
            await plain.recv()
            await there.invite("read")
            await plain.send('{"type":"abort","runId":"r"}')
            await refused(plain)


async def abort_a_request(tmp_path: Path) -> None:
    """The same over the AI SDK's socket."""
    async with party(tmp_path) as there:
        await there.invite("write")
        message = {"id": "m", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
        sent = {"type": "send", "requestId": "q", "id": T, "messages": [message], "body": {}}
        async with opened(there, "/ai-sdk/endless") as chat:
            await chat.send(json.dumps(sent))
            await chat.recv()
            await there.invite("read")
            await chat.send('{"type":"abort","requestId":"q"}')
            await refused(chat)


def opened(there: Party, path: str) -> connect:
    """Return what opens a socket of bob at the path."""
    headers = {"Authorization": f"Bearer {there.server.token('bob')}"}
    url = there.server.socket_url.removesuffix("/ws") + path
    return connect(url, additional_headers=headers)


async def refused(socket: ClientConnection) -> None:
    """Read until what was asked for is refused; the run goes on."""
    async with asyncio.timeout(BOUND):
        async for frame in socket:
            assert "cancelled" not in str(frame)
            assert '"abort"' not in str(frame)
            if "this needs the role write" in str(frame):
                return


async def cancel_what_runs(tmp_path: Path) -> None:
    """A reader cancels a run that is executed here."""
    async with party(tmp_path) as there:
        await there.invite("read")
        await there.alice.run("t", "r", agent="endless")
        told = await there.bob.command("cancel", run="r", thread=T)
        assert told.get("code") == "forbidden"


API, CONNECTION = "server/api.py", "server/connection.py"
INTERRUPTS, MEMBERS = "server/interrupts.py", "server/members.py"
AGUI, COPILOT = "server/edges/agui.py", "server/edges/copilotkit.py"
AI_SDK, TANSTACK = "server/edges/ai_sdk.py", "server/edges/tanstack.py"

MISSED: dict[Site, Attack] = {
    Site(API, "rename_thread", "thread"): bobs("PATCH thread"),
    Site(API, "delete_thread", "thread"): bobs("DELETE thread"),
    Site(API, "list_messages", "check"): removed_while(f"/threads/{T}/messages"),
    Site(API, "read_run", "run"): bobs("GET run"),
    Site(API, "cancel_run", "cancels"): bobs("POST cancel"),
    Site(API, "_thread", "thread"): bobs("GET thread"),
    Site(API, "_seen", "role"): removed_while(f"/threads/{T}"),
    Site(CONNECTION, "_start_run", "thread"): bobs("run"),
    Site(CONNECTION, "_cancel", "cancels"): bobs("cancel"),
    Site(CONNECTION, "_decide", "thread"): bobs("decide"),
    Site(AGUI, "stream_run", "thread"): bobs("POST agui"),
    Site(AGUI, "stream_run", "run"): bobs("POST agui"),
    Site(AGUI, "_run", "run"): bobs("GET agui"),
    Site(AI_SDK, "_carry_out", "check"): abort_a_request,
    Site(AI_SDK, "_resume", "thread"): bobs("AI SDK resume"),
    Site(COPILOT, "connect_copilot", "thread"): bobs("copilot connect"),
    Site(COPILOT, "stop_copilot", "thread"): bobs("copilot stop"),
    Site("server/edges/edge_dialogue.py", "_start", "thread"): bobs("plain run"),
    Site(TANSTACK, "_abort", "cancels"): abort,
    Site(TANSTACK, "_found", "run"): replay,
    Site(INTERRUPTS, "list_interrupts", "thread"): bobs("GET interrupts"),
    Site(INTERRUPTS, "list_interrupts", "check"): removed_while(f"/threads/{T}/interrupts"),
    Site(INTERRUPTS, "decide_interrupt", "thread"): bobs("POST interrupts"),
    Site(MEMBERS, "list_members", "thread"): bobs("GET members"),
    Site(MEMBERS, "list_members", "check"): removed_while(f"/threads/{T}/members"),
    Site(MEMBERS, "set_member", "thread"): bobs("PUT member"),
    Site(MEMBERS, "remove_member", "thread"): bobs("DELETE member"),
    Site("server/access.py", "run", "check"): removed_while(f"/runs/r?thread={T}"),
    Site("server/access.py", "cancels", "check"): cancel_what_runs,
}
"""The test of the suite, or the attack, that misses each place."""

NOTICED = (AssertionError, httpx.RemoteProtocolError)
"""What a test fails with, also where a stream begins that is broken off."""

TWICE = {
    Site(API, "_thread", "thread"): Site(API, "_seen", "role"),
    Site(AGUI, "stream_run", "run"): Site(AGUI, "stream_run", "thread"),
    Site(INTERRUPTS, "list_interrupts", "thread"): Site(INTERRUPTS, "list_interrupts", "check"),
    Site(MEMBERS, "list_members", "thread"): Site(MEMBERS, "list_members", "check"),
}
"""Places behind which the same is asked once more: that one is taken away too."""


def test_every_place_that_asks_is_listed() -> None:
    assert sites() == set(MISSED)


@pytest.mark.parametrize("site", MISSED, ids=lambda site: f"{site.function}-{site.method}")
async def test_a_place_that_does_not_ask_is_missed(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    without({site, TWICE.get(site, site)}, monkeypatch)
    with pytest.raises(NOTICED):
        await MISSED[site](tmp_path)


@pytest.mark.parametrize("attack", [replay, abort, abort_a_request, cancel_what_runs])
async def test_an_attack_is_held_off(tmp_path: Path, attack: Attack) -> None:
    """Those of the suite have tests of their own."""
    await attack(tmp_path)
