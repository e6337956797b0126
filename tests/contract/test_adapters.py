"""Every adapter keeps the contract of an agent, over its library's own offline model."""

import asyncio

import pytest

from netra_backend.agents.loading import adapt
from netra_backend.core.ids import RunId, RunKey
from netra_backend.core.run import RunStatus
from netra_backend.testing import asking
from tests.agents.running import ALICE, Running, running
from tests.contract.adapters import ADAPTERS, Adapter, shown
from tests.contract.stage import SECRET, Scenario, Stage
from tests.legality import illegal

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("few_certificates"),
]
BOUND = 90.0
"""Seconds that nothing here may take: an import of a library can take ten on a busy machine."""


def named(value: Adapter | Scenario) -> str:
    return value.value if isinstance(value, Scenario) else value.name


EACH = pytest.mark.parametrize("adapter", ADAPTERS, ids=named)


async def played(adapter: Adapter, scenario: Scenario, check) -> None:
    """Start a run of the scenario, and let `check` look at it."""
    reason = adapter.missing(scenario)
    if reason is not None:
        pytest.skip(reason)
    stage = Stage(scenario)
    async with (
        asyncio.timeout(BOUND),
        adapter.playing(stage) as thing,
        running(adapt(thing)) as house,
    ):
        given = asking("How is the weather?", thread_id="t1", run_id="r1")
        await house.start(ALICE, given)
        await check(house, stage)
        assert illegal(await house.chunks()) == []


def text(chunks: list, kind: str = "TEXT_MESSAGE_CONTENT") -> str:
    return "".join(chunk["delta"] for chunk in chunks if chunk["type"] == kind)


def of_type(chunks: list, kind: str) -> list:
    return [chunk for chunk in chunks if chunk["type"] == kind]


@EACH
async def test_a_plain_answer_and_another_with_the_history(adapter: Adapter) -> None:
    async def check(house: Running, _: Stage) -> None:
        assert (await house.ended("r1")).status is RunStatus.FINISHED
        assert text(await house.chunks()) == "Hello world"
        await house.start(ALICE, asking("Again?", thread_id="t1", run_id="r2"))
        assert (await house.ended("r2")).status is RunStatus.FINISHED
        assert text(await house.chunks()) == "Hello world" * 2
        conversation, _ = await house.runner.conversations.fold((await house.ended("r2")).thread)
        roles = [message["role"] for message in conversation.messages()]
        assert roles == ["user", "assistant"] * 2

    await played(adapter, Scenario.ANSWER, check)


@EACH
async def test_a_tool_call_twice_in_a_thread(adapter: Adapter) -> None:
    async def check(house: Running, _: Stage) -> None:
        for run in ("r1", "r2"):
            await house.start(ALICE, asking("And now?", thread_id="t1", run_id=run))
            assert (await house.ended(run)).status is RunStatus.FINISHED
        chunks = await house.chunks()
        starts = of_type(chunks, "TOOL_CALL_START")
        assert [start["toolCallName"] for start in starts] == ["weather"] * 2
        assert len({start["toolCallId"] for start in starts}) == 2
        assert text(chunks, "TOOL_CALL_ARGS").replace(" ", "") == '{"city":"Oslo"}' * 2
        results = of_type(chunks, "TOOL_CALL_RESULT")
        assert [result["toolCallId"] for result in results] == [s["toolCallId"] for s in starts]
        assert all("sunny in Oslo" in shown(result["content"]) for result in results)
        assert text(chunks) == "It is sunny." * 2

    await played(adapter, Scenario.TOOL, check)


AT_ONCE = [one for one in ADAPTERS if one.name in ("openai", "openai-agents", "strands", "adk")]
"""Those that get one call after the other; for AG2 see its own tests."""


@pytest.mark.parametrize("adapter", AT_ONCE, ids=named)
async def test_calls_that_are_made_at_once_stand_in_one_message(adapter: Adapter) -> None:
    """The model would read that it had waited for the first before it made the second."""

    async def check(house: Running, _: Stage) -> None:
        assert (await house.ended("r1")).status is RunStatus.FINISHED
        _, said, *later = await house.messages()
        assert said["content"] == "Let me see."
        assert len(said["toolCalls"]) == 2
        if adapter.name != "openai":
            assert [message["role"] for message in later] == ["tool", "tool", "assistant"]

    await played(adapter, Scenario.TOOLS, check)


@EACH
async def test_a_call_that_was_cancelled_is_not_made_again(adapter: Adapter) -> None:
    """APIs of models refuse a call without a result, and one library carried it out."""

    async def check(house: Running, stage: Stage) -> None:
        await house.ended("r1")
        linger = {"name": "linger", "arguments": "{}"}
        call = {"id": "call_9", "type": "function", "function": linger}
        messages = [
            {"id": "u2", "role": "user", "content": "Wait."},
            {"id": "a2", "role": "assistant", "toolCalls": [call]},
            {"id": "u3", "role": "user", "content": "And now?"},
        ]
        await house.start(ALICE, asking("", messages=messages, thread_id="t1", run_id="r2"))
        assert (await house.ended("r2")).status is RunStatus.FINISHED
        assert text(await house.chunks()) == "Hello world" * 2
        assert "TOOL_CALL_RESULT" not in await house.types()
        assert not stage.waiting.is_set()

    await played(adapter, Scenario.ANSWER, check)


@EACH
async def test_a_thread_goes_on_after_arguments_that_are_no_json_object(adapter: Adapter) -> None:
    """A model that was cut off has written them, and libraries and APIs refuse them for good."""

    async def check(house: Running, _: Stage) -> None:
        await house.ended("r1")
        broken = {"call_8": '["Oslo"]', "call_9": '{"city": "Os'}
        calls = [
            {"id": id, "type": "function", "function": {"name": "weather", "arguments": written}}
            for id, written in broken.items()
        ]
        messages = [
            {"id": "u2", "role": "user", "content": "The weather?"},
            {"id": "a2", "role": "assistant", "toolCalls": calls},
            *({"id": f"t_{id}", "role": "tool", "toolCallId": id, "content": "?"} for id in broken),
            {"id": "u3", "role": "user", "content": "And now?"},
        ]
        await house.start(ALICE, asking("", messages=messages, thread_id="t1", run_id="r2"))
        assert (await house.ended("r2")).status is RunStatus.FINISHED
        assert text(await house.chunks()) == "Hello world" * 2

    await played(adapter, Scenario.ANSWER, check)


@EACH
async def test_reasoning(adapter: Adapter) -> None:
    async def check(house: Running, _: Stage) -> None:
        assert (await house.ended("r1")).status is RunStatus.FINISHED
        chunks = await house.chunks()
        assert text(chunks, "REASONING_MESSAGE_CONTENT") == "Let me see."
        assert text(chunks) == "Answer"

    await played(adapter, Scenario.REASONING, check)


@EACH
async def test_a_failure_is_told_without_its_text(adapter: Adapter, log_lines) -> None:
    async def check(house: Running, _: Stage) -> None:
        assert (await house.ended("r1")).status is RunStatus.FAILED
        chunks = await house.chunks()
        assert chunks[-1]["type"] == "RUN_ERROR"
        assert chunks[-1]["code"] == "agent_failed"
        assert SECRET not in str(chunks)

    await played(adapter, Scenario.ERROR, check)
    if adapter.name != "remote":  # the other server keeps its cause to itself
        assert SECRET in str(log_lines())


BEFORE_THE_CANCEL = {
    Scenario.CANCEL: "TEXT_MESSAGE_CONTENT",
    Scenario.CANCEL_CALL: "TOOL_CALL_ARGS",
    Scenario.CANCEL_TOOL: "TOOL_CALL_START",
}
"""What everybody has seen before the run is stopped."""

AFTER_THE_CANCEL = {
    Scenario.CANCEL: "TEXT_MESSAGE_END",
    Scenario.CANCEL_CALL: "TOOL_CALL_END",
    Scenario.CANCEL_TOOL: "TOOL_CALL_END",
}
"""What everybody sees once in the end, whoever has written it."""


@pytest.mark.parametrize(
    ("adapter", "scenario"),
    [
        (one, scenario)
        for one in ADAPTERS
        for scenario in BEFORE_THE_CANCEL
        if scenario not in one.cannot
    ],
    ids=named,
)
async def test_a_cancel_stops_it_and_closes_what_is_open(
    adapter: Adapter, scenario: Scenario
) -> None:
    async def check(house: Running, stage: Stage) -> None:
        await stage.waiting.wait()
        await house.until(lambda types: BEFORE_THE_CANCEL[scenario] in types)
        position = await house.runner.cancel(RunKey(ALICE, RunId("r1")))
        run = await house.ended("r1")
        assert run.status is RunStatus.CANCELLED
        assert run.ended is not None
        assert run.ended.offset == position.offset + 1
        chunks = await house.chunks()
        assert chunks[-1]["outcome"] == {"type": "cancelled"}
        assert len(of_type(chunks, AFTER_THE_CANCEL[scenario])) == 1
        await stage.stopped.wait()

    await played(adapter, scenario, check)


@EACH
async def test_a_tool_result_that_is_not_json(adapter: Adapter) -> None:
    async def check(house: Running, _: Stage) -> None:
        assert (await house.ended("r1")).status is RunStatus.FINISHED
        (result,) = of_type(await house.chunks(), "TOOL_CALL_RESULT")
        assert "2026" in shown(result["content"])

    await played(adapter, Scenario.ODD, check)


NEVER_COMES = {
    Scenario.TOOL: "TOOL_CALL_RESULT",
    Scenario.CANCEL_CALL: "TOOL_CALL_ARGS",
    Scenario.CANCEL_TOOL: "TOOL_CALL_RESULT",
    Scenario.ODD: "TOOL_CALL_RESULT",
}
"""What would come if an adapter could after all."""


@pytest.mark.parametrize(
    ("adapter", "scenario"),
    [(one, scenario) for one in ADAPTERS for scenario in one.cannot if one.name != "remote"],
    ids=named,
)
async def test_what_it_is_said_that_it_cannot_it_still_cannot(
    adapter: Adapter, scenario: Scenario
) -> None:
    for module in adapter.needs:
        pytest.importorskip(module)
    stage = Stage(scenario)
    stopped = scenario is Scenario.CANCEL_CALL
    async with (
        asyncio.timeout(BOUND),
        adapter.playing(stage) as thing,
        running(adapt(thing)) as house,
    ):
        await house.start(ALICE, asking("How is the weather?", thread_id="t1", run_id="r1"))
        if stopped:
            await stage.waiting.wait()
            await house.runner.cancel(RunKey(ALICE, RunId("r1")))
            await stage.stopped.wait()
        expected = RunStatus.CANCELLED if stopped else RunStatus.FINISHED
        assert (await house.ended("r1")).status is expected
        assert NEVER_COMES[scenario] not in await house.types()
