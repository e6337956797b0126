"""Running an agent without a server."""

import pytest
from ag_ui.core import EventType, RunStartedEvent, StepFinishedEvent, StepStartedEvent

from netra_backend.errors import EventError
from netra_backend.testing.player import asking, play
from netra_backend.testing.scripted_agent import ScriptedAgent, answer, endless, events

pytestmark = pytest.mark.anyio


def test_the_input_asks_the_question_in_a_new_thread() -> None:
    one, two = asking("Hello"), asking("", thread_id="t1", state={"a": 1})

    assert [message.content for message in one.messages] == ["Hello"]
    assert one.thread_id != asking("Hello").thread_id
    assert (two.thread_id, two.state) == ("t1", {"a": 1})


async def test_it_returns_what_the_agent_yields() -> None:
    steps = [StepStartedEvent(step_name="s"), StepFinishedEvent(step_name="s")]

    assert await play(ScriptedAgent(events(*steps)), asking("")) == steps


async def test_the_agent_may_start_the_run_itself() -> None:
    started = RunStartedEvent(thread_id="t", run_id="r")

    assert await play(ScriptedAgent(events(started)), asking("")) == [started]


async def test_it_refuses_what_the_runner_would_refuse() -> None:
    agent = ScriptedAgent(events(StepFinishedEvent(step_name="s")), endless())

    with pytest.raises(EventError, match="STEP_FINISHED 's'"):
        await play(agent, asking(""))
    await agent.stopped()


async def test_it_refuses_an_id_that_the_conversation_has() -> None:
    played = await play(ScriptedAgent(answer("a")), asking(""))
    (start,) = [event for event in played if event.type is EventType.TEXT_MESSAGE_START]
    before = {"id": start.message_id, "role": "assistant", "content": "a"}

    with pytest.raises(EventError, match="used before"):
        await play(ScriptedAgent(events(*played)), asking("", messages=[before]))
