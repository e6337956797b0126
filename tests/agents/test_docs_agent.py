"""The docs agent: what it streams for questions, for actions and for answers to its question."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from ag_ui.core import BaseEvent, EventType, ResumeEntry, TextPart, UserMessage

from netra_backend.agents.answers import APPROVAL
from netra_backend.agents.docs_agent import EXAMPLES, DocsAgent
from netra_backend.errors import ConfigError
from netra_backend.testing.player import asking, play
from tests.agents.said import text

pytestmark = pytest.mark.anyio

PAGES = {
    "protocol.md": "# Protocol\n\nFrames.\n\n## Close codes\n\nA socket is closed with a code.",
    "stores.md": "# Stores\n\nThe log of a socket.\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name, page in PAGES.items():
        (docs / name).write_text(page)
    return docs


@pytest.fixture
def agent(root: Path) -> DocsAgent:
    return DocsAgent(root, pause=0)


def types(events: Sequence[BaseEvent]) -> list[str]:
    """Return the events' types, each run of equal ones once."""
    names = [event.type.value for event in events]
    return [name for number, name in enumerate(names) if names[number - 1 : number] != [name]]


async def test_an_answer_shows_its_steps_and_quotes_what_it_found(agent, assert_legal) -> None:
    question = asking("What are the close codes?")
    events = await play(agent, question)

    assert types(events) == [
        "STEP_STARTED",
        "REASONING_START",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
        "REASONING_END",
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "TOOL_CALL_RESULT",
        "STEP_FINISHED",
        "STEP_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "STEP_FINISHED",
    ]
    assert_legal(question, events)
    assert (
        text(events, "REASONING_MESSAGE_CONTENT")
        == "I search the documentation for “close” and “codes”."
    )
    assert json.loads(text(events, "TOOL_CALL_ARGS")) == {"query": "close codes"}
    assert text(events) == (
        "From [Protocol / Close codes](docs/protocol#close-codes):\n\n"
        "> A socket is closed with a code."
    )


async def test_the_tools_result_is_ranked(agent) -> None:
    events = await play(agent, asking("close a socket"))
    (result,) = [event for event in events if event.type is EventType.TOOL_CALL_RESULT]

    assert json.loads(result.content) == {
        "hits": [
            {
                "title": "Protocol / Close codes",
                "url": "docs/protocol#close-codes",
                "snippet": "A socket is closed with a code.",
            }
        ]
    }


async def test_further_hits_are_linked(agent) -> None:
    answer = text(await play(agent, asking("socket")))

    best, others = answer.split("See also:")
    linked = [re.findall(r"\((docs/[^)]*)\)", part) for part in (best, others)]
    assert sorted(linked) == [["docs/protocol#close-codes"], ["docs/stores"]]


async def test_an_answer_streams_in_small_deltas(agent) -> None:
    events = await play(agent, asking("close codes"))
    deltas = [event.delta for event in events if event.type is EventType.TEXT_MESSAGE_CONTENT]

    assert len(deltas) > 3
    assert all(len(delta.split()) <= 3 for delta in deltas)


@pytest.mark.parametrize("question", ["weather in Paris", "🦊 elephants?"])
async def test_it_says_when_it_found_nothing(agent, assert_legal, question: str) -> None:
    given = asking(question)
    events = await play(agent, given)

    assert text(events).startswith("I found nothing: the documentation does not mention “")
    assert_legal(given, events)


async def test_it_says_when_only_some_words_were_found(agent) -> None:
    missing = text(await play(agent, asking("elephants on a socket")))
    scattered = text(await play(agent, asking("frames, log")))

    assert missing.startswith("The documentation does not mention “elephants”. Closest is [")
    assert scattered.startswith("No section has all of your words. Closest is [")


async def test_it_says_when_a_word_is_in_an_example_only(root: Path) -> None:
    (root / "stores.md").write_text("# Stores\n\nThe log.\n\n```python\nredis.publish()\n```\n")
    agent = DocsAgent(root, pause=0)

    assert text(await play(agent, asking("Can I use redis?"))).startswith(
        "The documentation has “redis” in an example only, [Stores](docs/stores):"
    )


@pytest.mark.parametrize("question", ["", "hello!", "🦊", "\x00", '"', "how do I?"])
async def test_without_a_word_to_search_for_it_offers_examples(
    agent, assert_legal, question: str
) -> None:
    given = asking(question)
    events = await play(agent, given)

    assert all(example in text(events) for example in EXAMPLES)
    assert "TOOL_CALL_START" not in types(events)
    assert_legal(given, events)


async def test_a_huge_question_is_answered(agent, assert_legal) -> None:
    given = asking("socket " + "elephant" * 12_500)
    events = await play(agent, given)

    assert "docs/protocol" in text(events)
    assert len(text(events)) < 1_000
    assert_legal(given, events)


async def test_the_newest_question_in_parts_is_read(agent) -> None:
    older = UserMessage(id="u1", content="elephants")
    newer = UserMessage(id="u2", content=[TextPart(text="close codes")])

    assert "close-codes" in text(await play(agent, asking("", messages=[older, newer])))


async def test_without_any_message_it_offers_examples(agent) -> None:
    assert EXAMPLES[0] in text(await play(agent, asking("", messages=[])))


@pytest.mark.parametrize(
    "request_",
    [
        "Delete everything",
        "please delete my account!",
        "Can you publish this?",
        "ok, now send it",
        "Ask me something that needs approval",
        "rebuild the index",
    ],
)
async def test_an_action_ends_the_run_with_a_question(agent, assert_legal, request_: str) -> None:
    given = asking(request_)
    events = await play(agent, given)
    (asked,) = events[-1].outcome.interrupts

    assert (asked.reason, asked.response_schema) == ("approval", APPROVAL)
    assert asked.message == "Throw away my search index and build it again from the documentation?"
    assert f"You asked: “{request_}”. I cannot delete" in text(events)
    assert "TOOL_CALL_START" not in types(events)
    assert_legal(given, events)


@pytest.mark.parametrize(
    "question", ["How do I delete a thread?", "What does send do?", "deleted threads", "removal"]
)
async def test_a_question_about_an_action_is_a_question(agent, question: str) -> None:
    events = await play(agent, asking(question))

    assert "RUN_FINISHED" not in types(events)


async def test_the_last_example_leads_to_the_question(agent) -> None:
    events = await play(agent, asking(EXAMPLES[-1]))

    assert events[-1].outcome.type == "interrupt"


def resuming(*payloads: object, status: str = "resolved") -> list[ResumeEntry]:
    return [
        ResumeEntry(interrupt_id=f"i{number}", status=status, payload=payload)
        for number, payload in enumerate(payloads)
    ]


async def test_an_approved_action_is_done_and_told(agent, root: Path, assert_legal) -> None:
    (root / "new.md").write_text("# New\n\nWord: zebra.")
    given = asking("Delete everything", resume=resuming({"approved": True}))
    events = await play(agent, given)
    (result,) = [event for event in events if event.type is EventType.TOOL_CALL_RESULT]

    assert json.loads(result.content) == {"sections_before": 3, "sections_after": 4}
    assert text(events).startswith("I threw away my search index of 3 sections and built it again")
    assert_legal(given, events)
    assert "docs/new" in text(await play(agent, asking("zebra")))


@pytest.mark.parametrize(
    "answers",
    [
        resuming({"approved": False}),
        resuming({"approved": "true"}),
        resuming({"approved": 1}),
        resuming(None),
        resuming("yes"),
        resuming({"approved": True}, status="cancelled"),
        resuming({"approved": True}, {"approved": False}),
    ],
    ids=lambda answers: repr([(answer.status, answer.payload) for answer in answers]),
)
async def test_whatever_is_no_approval_does_nothing(
    agent, root: Path, assert_legal, answers: list[ResumeEntry]
) -> None:
    (root / "new.md").write_text("# New\n\nWord: zebra.")
    given = asking("Delete everything", resume=answers)
    events = await play(agent, given)

    assert types(events) == ["TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"]
    assert text(events).startswith("I did nothing:")
    assert_legal(given, events)
    assert "I found nothing" in text(await play(agent, asking("zebra")))


async def test_it_can_be_closed_in_the_middle_of_its_answer(agent, assert_legal) -> None:
    stream = agent(asking("close codes"))
    async for event in stream:
        if event.type is EventType.TEXT_MESSAGE_CONTENT:
            break
    await stream.aclose()

    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_runs_of_one_thread_use_different_ids(agent) -> None:
    ids = [
        event.message_id
        for _ in range(2)
        for event in await play(agent, asking("close codes"))
        if event.type is EventType.TEXT_MESSAGE_START
    ]

    assert len(set(ids)) == 2


async def test_the_projects_own_documentation_answers_the_first_example() -> None:
    answer = text(await play(DocsAgent(pause=0), asking(EXAMPLES[0])))

    assert "docs/" in answer


def test_missing_documentation_is_a_config_error(monkeypatch, tmp_path: Path) -> None:
    module = tmp_path / "lib" / "site" / "netra_backend" / "agents" / "documentation.py"
    monkeypatch.setattr("netra_backend.agents.documentation.__file__", str(module))

    with pytest.raises(ConfigError, match="the documentation is missing"):
        DocsAgent()


async def test_what_is_known_of_a_question_may_be_too_little_for_an_answer() -> None:
    """One common word of it is no answer, and what is missing is told."""
    answer = text(await play(DocsAgent(pause=0), asking("Who won the world cup 2018?")))

    assert answer.startswith("I found nothing: the documentation does not mention “world”, ")
    assert "From" not in answer


async def test_the_answer_for_nginx_has_the_lines_to_copy() -> None:
    answer = text(await play(DocsAgent(pause=0), asking("how do I put it behind nginx?")))

    assert answer.startswith("From [Deployment / nginx](docs/deployment#nginx):")
    assert "proxy_pass http://127.0.0.1:8000;" in answer


async def test_a_heading_that_has_the_rarest_word_is_an_answer() -> None:
    answer = text(await play(DocsAgent(pause=0), asking("how do I backup the database?")))

    assert answer.startswith("From [Operations / Backup and restore](docs/operations#backup-and-")
