"""Answers: what a question's schema asks for is looked at, and nothing else is."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from ag_ui.core import (
    BaseEvent,
    Interrupt,
    ResumeEntry,
    RunAgentInput,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
)

from netra_backend.agents.answers import approves, check_answer, check_schema, reason_of
from netra_backend.core.ports import Answer
from netra_backend.core.run import RunStatus
from netra_backend.errors import AgentError, ErrorCode, Refused
from netra_backend.testing import asking
from tests.agents.running import ALICE, T1, Running, running


@pytest.mark.parametrize(
    ("status", "payload", "yes"),
    [
        ("resolved", {"approved": True}, True),
        ("resolved", {"approved": True, "reason": "why not"}, True),
        ("resolved", {"approved": False}, False),
        ("resolved", {"approved": 1}, False),
        ("resolved", {}, False),
        ("resolved", True, False),
        ("cancelled", {"approved": True}, False),
    ],
)
def test_a_yes_is_one_with_a_reason_too(status: Any, payload: object, yes: bool) -> None:
    assert approves(ResumeEntry(interrupt_id="q", status=status, payload=payload)) is yes


@pytest.mark.parametrize(
    ("payload", "reason"),
    [({"reason": "no"}, "no"), ({"reason": 1}, ""), ({}, ""), ("no", "")],
)
def test_a_reason_is_a_text(payload: object, reason: str) -> None:
    assert reason_of(ResumeEntry(interrupt_id="q", status="resolved", payload=payload)) == reason


ORDER: dict[str, Any] = {
    "type": "object",
    "required": ["name", "size"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "size": {"enum": ["S", "M", "L"]},
        "count": {"type": "integer", "minimum": 1},
        "gifts": {"type": "array", "items": {"type": "string"}},
        "when": {"type": "string", "format": "date"},
        "e-mail": {"type": "string"},
    },
}


@pytest.mark.parametrize(
    ("payload", "where", "says"),
    [
        ({"name": "Ann"}, "$.payload.size", "the value is missing"),
        ({"name": "", "size": "M"}, "$.payload.name", "shorter than 1"),
        ({"name": "Ann", "size": "XXXL"}, "$.payload.size", 'not one of "S", "M" or "L"'),
        ({"name": "Ann", "size": "M", "count": 0}, "$.payload.count", "less than the minimum of 1"),
        ({"name": "Ann", "size": "M", "count": "2"}, "$.payload.count", 'not of type "integer"'),
        ({"name": "Ann", "size": "M", "gifts": ["a", 2]}, "$.payload.gifts[1]", "not of type"),
        ({"name": "Ann", "size": "M", "when": "soon"}, "$.payload.when", 'the format "date"'),
        ({"name": "Ann", "size": "M", "e-mail": 1}, '$.payload["e-mail"]', "not of type"),
        ("Ann", "$.payload", 'not of type "object"'),
        (None, "$.payload", 'not of type "object"'),
    ],
)
def test_what_is_wrong_in_an_answer_is_named_with_its_path(
    payload: Any, where: str, says: str
) -> None:
    with pytest.raises(Refused, match=says) as refused:
        check_answer({"responseSchema": ORDER}, payload, "$.payload")
    assert (refused.value.code, refused.value.where) == (ErrorCode.BAD_ANSWER, where)


def test_a_refusal_does_not_repeat_the_answer() -> None:
    with pytest.raises(Refused) as refused:
        check_answer({"responseSchema": {"type": "integer"}}, "my secret" * 1_000, "$.payload")
    assert refused.value.message == 'the value is not of type "integer"'


@pytest.mark.parametrize(
    "schema",
    [
        {"propertyNames": {"maxLength": 3}},
        {"properties": {"a": {}}, "additionalProperties": False},
        {"unevaluatedProperties": False},
        {"additionalProperties": {"type": "integer"}},
    ],
)
def test_a_refusal_repeats_the_names_of_properties_in_its_path_only(schema: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        check_answer({"responseSchema": schema}, {"secret" * 1_000: "x"}, "$.payload")
    assert "secret" not in refused.value.message
    assert len(refused.value.where or "") < 150


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"responseSchema": None},
        {"responseSchema": {}},
        {"responseSchema": {"type": "no such type"}},
        {"responseSchema": {"$ref": "http://127.0.0.1:1/elsewhere"}},
    ],
)
def test_a_question_without_a_schema_takes_anything(question: dict[str, Any]) -> None:
    for payload in (None, True, "x", {"a": [1]}):
        check_answer(question, payload, "$.payload")


def test_a_pattern_that_goes_back_and_forth_is_not_followed_for_long() -> None:
    question = {"responseSchema": {"pattern": r"^(?=a)(a|aa)+(?<!x)$"}}
    with pytest.raises(Refused):
        check_answer(question, "a" * 5_000 + "!", "$.payload")


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "no such type"}, r"\$\.type"),
        ({"properties": {"a": {"minimum": "1"}}}, r"\$\.properties\.a\.minimum"),
        ({"$ref": "http://127.0.0.1:1/elsewhere"}, "Retrieval is disabled"),
        ({"pattern": "("}, r"\$\.pattern"),
    ],
)
def test_what_is_no_schema_is_an_error_of_the_agent(schema: dict[str, Any], says: str) -> None:
    with pytest.raises(AgentError, match=says):
        check_schema(schema)
    check_schema(ORDER)


async def orders(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    if not given.resume:
        asked = Interrupt(id="q", reason="input_required", response_schema=ORDER)
        outcome = RunFinishedInterruptOutcome(interrupts=[asked])
        yield RunFinishedEvent(thread_id=given.thread_id, run_id=given.run_id, outcome=outcome)


async def _asked(house: Running) -> None:
    await house.start(ALICE, asking("order", thread_id="t1", run_id="r1"))
    assert (await house.ended("r1")).status is RunStatus.AWAITING


@pytest.mark.anyio
async def test_a_wrong_answer_is_refused_and_the_question_stays_open() -> None:
    async with running(orders) as house:
        await _asked(house)
        wrong = Answer("q", "resolved", b'{"name": "Ann"}')
        with pytest.raises(Refused) as refused:
            await house.runner.interrupts.decide(T1, wrong, ALICE)
        assert refused.value.code is ErrorCode.BAD_ANSWER
        resume = [ResumeEntry(interrupt_id="q", status="resolved", payload={"name": "Ann"})]
        again = asking("", thread_id="t1", run_id="r2").model_copy(update={"resume": resume})
        with pytest.raises(Refused) as refused:
            await house.start(ALICE, again)
        assert refused.value.where == "$.input.resume[0].payload.size"
        (open_still,) = await house.store.asked(T1, 9)
        assert open_still.decided_by is None
        right = Answer("q", "resolved", b'{"name": "Ann", "size": "M"}')
        assert (await house.runner.interrupts.decide(T1, right, ALICE)).decision.won
        # Who comes late learns what was decided, whatever they sent.
        late = await house.runner.interrupts.decide(T1, wrong, ALICE)
        assert not late.decision.won


@pytest.mark.anyio
async def test_declining_needs_no_value() -> None:
    async with running(orders) as house:
        await _asked(house)
        decided = await house.runner.interrupts.decide(T1, Answer("q", "cancelled", b"null"), ALICE)
        assert decided.decision.won
