"""ADK agents: confirmations over runs, users that stay apart, and thoughts that are said once."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("ag_ui_adk", reason="adk: its environment is another one, see tests/contract")

from google.adk.agents import LlmAgent
from google.adk.models import BaseLlm, LlmResponse
from google.adk.sessions import InMemorySessionService
from google.adk.tools import FunctionTool
from google.genai.types import Content, FunctionCall, Part
from pydantic import BaseModel

from netra_backend.agents.adapters.adk import ADKAgent
from netra_backend.agents.loading import adapt
from netra_backend.core.ids import ThreadId, ThreadKey, UserId
from netra_backend.core.ports import Answer
from netra_backend.core.run import RunStatus
from netra_backend.testing import asking
from tests.agents.running import ALICE, T1, Running, running
from tests.legality import illegal

pytestmark = pytest.mark.anyio


class Model(BaseLlm):
    """Calls the tool, if there is one that was not called; then says all that was said to it."""

    async def generate_content_async(
        self, llm_request: Any, stream: bool = False
    ) -> AsyncIterator[Any]:
        parts = [part for content in llm_request.contents for part in content.parts or ()]
        results = [part.function_response for part in parts if part.function_response]
        if llm_request.tools_dict and not results:
            said = Part(function_call=FunctionCall(id="call_0", name="delete", args={"what": "x"}))
        elif results:
            said = Part(text=f"result {results[-1].response}")
        else:
            said = Part(text=" ".join(part.text or "" for part in parts))
        yield LlmResponse(content=Content(role="model", parts=[said]), turn_complete=True)


def agent(*tools: Any) -> LlmAgent:
    return LlmAgent(name="agent", model=Model(model="fake"), tools=list(tools))


def texts(chunks: list[dict[str, Any]]) -> str:
    return "".join(c["delta"] for c in chunks if c["type"] == "TEXT_MESSAGE_CONTENT")


async def asked_and_answered(house: Running, payload: bytes) -> RunStatus:
    """Let a run ask, answer it, and return how the run that goes on ends."""
    await house.start(ALICE, asking("delete it", thread_id="t1", run_id="r1"))
    assert (await house.ended("r1")).status is RunStatus.AWAITING
    (asked,) = await house.store.asked(T1, 9)
    decided = await house.runner.interrupts.decide(T1, Answer(asked.id, "resolved", payload), ALICE)
    return (await house.ended(decided.run or "")).status


@pytest.mark.parametrize("confirmed", [True, False])
async def test_a_tool_that_wants_a_confirmation_asks_if_sessions_are_kept(confirmed: bool) -> None:
    deleted: list[str] = []

    def delete(what: str) -> str:
        """Delete something."""
        deleted.append(what)
        return "deleted"

    tool = FunctionTool(delete, require_confirmation=True)
    async with running(ADKAgent(agent(tool), InMemorySessionService())) as house:
        payload = b'{"confirmed":true}' if confirmed else b'{"confirmed":false}'
        status = await asked_and_answered(house, payload)
        chunks = await house.chunks()

    assert status is RunStatus.FINISHED
    assert deleted == (["x"] if confirmed else [])
    assert texts(chunks).startswith("result ")
    starts = [c["toolCallName"] for c in chunks if c["type"] == "TOOL_CALL_START"]
    assert starts == ["delete", "adk_request_confirmation"]
    assert "STATE_SNAPSHOT" not in [chunk["type"] for chunk in chunks], "nobody has changed it"
    assert illegal(chunks, later_run=True) == []


async def test_threads_of_one_name_and_two_users_share_no_session() -> None:
    async with running(ADKAgent(agent(), InMemorySessionService())) as house:
        for user, secret in ((ALICE, "hers"), (UserId("bob"), "his")):
            await house.start(user, asking(secret, thread_id="t1", run_id="r1"))
            await house.ended("r1", user)
        entries = await house.store.read(ThreadKey(UserId("bob"), ThreadId("t1")), 0, 99)
    assert "his" in str([entry.event.data for entry in entries])
    assert "hers" not in str([entry.event.data for entry in entries])


async def test_without_sessions_the_history_comes_from_the_log() -> None:
    async with running(adapt(agent())) as house:
        for run, said in (("r1", "one"), ("r2", "two")):
            await house.start(ALICE, asking(said, thread_id="t1", run_id=run))
            await house.ended(run)
        chunks = await house.chunks()
    assert texts(chunks) == "oneone one two"


class Scripted(BaseLlm):
    """Answers with the next of `answers`."""

    answers: list[LlmResponse]

    async def generate_content_async(
        self, llm_request: Any, stream: bool = False
    ) -> AsyncIterator[Any]:
        yield self.answers.pop(0)


def scripted(*answers: LlmResponse, **options: Any) -> LlmAgent:
    return LlmAgent(name="agent", model=Scripted(model="fake", answers=list(answers)), **options)


def said(*parts: Part) -> LlmResponse:
    return LlmResponse(content=Content(role="model", parts=list(parts)), turn_complete=True)


async def test_a_run_fails_whose_model_gives_no_answer(log_lines: Any) -> None:
    """Gemini says so in an answer without content, which was a run that had ended well."""
    blocked = LlmResponse(error_code="MALFORMED_FUNCTION_CALL", error_message="no such call")
    async with running(adapt(scripted(blocked))) as house:
        await house.start(ALICE, asking("hi", thread_id="t1", run_id="r1"))
        assert (await house.ended("r1")).status is RunStatus.FAILED
    assert "MALFORMED_FUNCTION_CALL no such call" in str(log_lines())


async def test_an_answer_in_a_form_of_the_agent_is_told() -> None:
    class City(BaseModel):
        name: str

    answer = said(Part(text='{"name": "Oslo"}'))
    async with running(adapt(scripted(answer, output_schema=City))) as house:
        await house.start(ALICE, asking("hi", thread_id="t1", run_id="r1"))
        assert (await house.ended("r1")).status is RunStatus.FINISHED
        assert texts(await house.chunks()) == '{"name": "Oslo"}'


async def test_calls_that_are_made_at_once_stand_in_one_message() -> None:
    def weather(city: str) -> str:
        """Tell the weather."""
        return f"sunny in {city}"

    calls = [
        Part(function_call=FunctionCall(name="weather", args={"city": name}))
        for name in ("Oslo", "Rome")
    ]
    answers = said(Part(text="Let me see."), *calls), said(Part(text="It is sunny."))
    async with running(adapt(scripted(*answers, tools=[weather]))) as house:
        await house.start(ALICE, asking("hi", thread_id="t1", run_id="r1"))
        assert (await house.ended("r1")).status is RunStatus.FINISHED
        _, made, *later = await house.messages()
    assert (made["content"], len(made["toolCalls"])) == ("Let me see.", 2)
    assert [message["role"] for message in later] == ["tool", "tool", "assistant"]
