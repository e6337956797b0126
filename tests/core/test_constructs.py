"""Constructs: what `ag_ui_validate` calls an error is rejected, and what is open can be closed."""

import json
from collections.abc import Iterator, Sequence
from importlib import resources

import pytest
from ag_ui_validate import create_validator
from ag_ui_validate.rules.catalog import RULES
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_backend.core.chunks import Expander
from netra_backend.core.constructs import Constructs, Kind, Used
from netra_backend.core.events import Event, body_of, event_from_body, event_from_json
from netra_backend.core.fold import Conversation
from netra_backend.errors import EventError
from tests.legality import errors, illegal
from tests.night import examples
from tests.strategies import JsonObject, model, runs, wire

ELSEWHERE = {
    "AGUI003": "a run that just stops: the runner ends it",
    "AGUI302": "a patch that does not apply: the runner refuses it",
    "AGUI303": "a patch that is none: the runner's models refuse it",
    "AGUI502": "bytes that are no JSON: `event_from_json`",
    "AGUI503": "an unknown type: `event_from_json`",
    "AGUI504": "a field that is missing or wrong: the runner's models",
}
"""Errors that are found before an event comes here, or after."""

RUN = {"type": "RUN_STARTED", "threadId": "t", "runId": "r"}
END = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}


def start(id: str) -> JsonObject:
    return {"type": "TEXT_MESSAGE_START", "messageId": id, "role": "assistant"}


def text(id: str, delta: str = "x") -> JsonObject:
    return {"type": "TEXT_MESSAGE_CONTENT", "messageId": id, "delta": delta}


def end(id: str) -> JsonObject:
    return {"type": "TEXT_MESSAGE_END", "messageId": id}


def call(kind: str, id: str = "c", **fields: str) -> JsonObject:
    return {"type": f"TOOL_CALL_{kind}", "toolCallId": id, **fields}


def result(id: str = "c") -> JsonObject:
    return call("RESULT", id, messageId="m9", content="found")


def thinking(kind: str, id: str = "b", **fields: str) -> JsonObject:
    return {"type": f"REASONING_{kind}", "messageId": id, **fields}


def step(kind: str, name: str = "s") -> JsonObject:
    return {"type": f"STEP_{kind}", "stepName": name}


def subagent(kind: str, **fields: object) -> JsonObject:
    return {"type": f"SUBAGENT_{kind}", "subagentRunId": "s", **fields}


CALL = call("START", toolCallName="find")
SUBAGENT = subagent("STARTED", name="n")
ERROR = {"type": "RUN_ERROR", "message": "broken"}

ILLEGAL = [
    # what it is, the events, the validator's rule for it, what our error says
    ("an event before RUN_STARTED", [start("m")], "AGUI001", "before any RUN_STARTED"),
    ("a second RUN_STARTED", [RUN, RUN], "AGUI002", "RUN_STARTED while run 'r' has not ended"),
    ("an event after the end", [RUN, END, start("m")], "AGUI004", "after the run's terminal event"),
    ("a second end", [RUN, END, END], "AGUI004", "after the run's terminal event"),
    ("an error after the end", [RUN, END, ERROR], "AGUI005", "after the run's terminal event"),
    ("an end after an error", [RUN, ERROR, END], "AGUI005", "after the run's terminal event"),
    ("a step's end alone", [RUN, step("FINISHED")], "AGUI006", "no such step is open"),
    ("a step left open", [RUN, step("STARTED"), END], "AGUI007", "while step 's' is open"),
    ("a step in itself", [RUN, step("STARTED"), step("STARTED")], None, "this step is open"),
    ("text without a start", [RUN, text("m")], "AGUI101", "no such text message is open"),
    ("text after the end", [RUN, start("m"), end("m"), text("m")], "AGUI101", "no such text"),
    ("text of another", [RUN, start("m"), text("n")], "AGUI101", "no such text message is open"),
    ("an end without a start", [RUN, end("m")], "AGUI102", "no such text message is open"),
    ("a message left open", [RUN, start("m"), END], "AGUI103", "while text message 'm' is open"),
    ("an id used again", [RUN, start("m"), end("m"), start("m")], "AGUI104", "this id was used"),
    ("a start in itself", [RUN, start("m"), start("m")], "AGUI106", "text message is open already"),
    ("arguments alone", [RUN, call("ARGS", delta="{}")], "AGUI201", "no such tool call is open"),
    ("a call's end alone", [RUN, call("END")], "AGUI202", "no such tool call is open"),
    ("a call left open", [RUN, CALL, END], "AGUI203", "while tool call 'c' is open"),
    ("a call's id again", [RUN, CALL, call("END"), CALL], "AGUI205", "this id was used before"),
    ("a call in itself", [RUN, CALL, CALL], "AGUI205", "this tool call is open already"),
    ("a result too early", [RUN, CALL, result()], "AGUI206", "TOOL_CALL_END must come before"),
    ("a result of nothing", [RUN, result()], "AGUI207", "there was no such tool call"),
    (
        "a result for a message",
        [RUN, start("c"), end("c"), result()],
        "AGUI207",
        "there was no such tool call",
    ),
    (
        "a thought without a start",
        [RUN, thinking("MESSAGE_CONTENT", delta="x")],
        "AGUI401",
        "no such reasoning message is open",
    ),
    (
        "a result of a call that a snapshot has dropped",
        [RUN, CALL, call("END"), {"type": "MESSAGES_SNAPSHOT", "messages": []}, result()],
        None,
        "there was no such tool call",
    ),
    ("a thought's end alone", [RUN, thinking("MESSAGE_END")], None, "no such reasoning message"),
    (
        "a thought left open",
        [RUN, thinking("MESSAGE_START", role="reasoning"), END],
        "AGUI402",
        "while reasoning message 'b' is open",
    ),
    ("a block left open", [RUN, thinking("START"), END], "AGUI402", "reasoning block 'b' is open"),
    ("a block's end alone", [RUN, thinking("END")], None, "no such reasoning block is open"),
    ("a subagent twice", [RUN, SUBAGENT, SUBAGENT], "AGUI601", "this subagent is open already"),
    (
        "a subagent after its end",
        [RUN, SUBAGENT, subagent("FINISHED"), SUBAGENT],
        "AGUI601",
        "this id was used before",
    ),
    (
        "a subagent after its failure",
        [RUN, SUBAGENT, subagent("ERROR", message="x"), SUBAGENT],
        "AGUI601",
        "this id was used before",
    ),
    ("a subagent's end alone", [RUN, subagent("FINISHED")], "AGUI602", "no such subagent is open"),
    (
        "a subagent's failure alone",
        [RUN, subagent("ERROR", message="x")],
        "AGUI603",
        "no such subagent is open",
    ),
    ("a subagent left open", [RUN, SUBAGENT, END], "AGUI604", "while subagent 's' is open"),
    (
        "a chunk",
        [RUN, {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m", "delta": "x"}],
        None,
        "must be written out",
    ),
    (
        "a start without an id",
        [RUN, {"type": "TEXT_MESSAGE_START"}],
        "AGUI504",
        "does not say which text message it means",
    ),
    ("a delta that is no text", [RUN, CALL, {**call("ARGS"), "delta": 5}], "AGUI504", "a string"),
]


def fold(events: Sequence[JsonObject]) -> Conversation:
    conversation = Conversation()
    for fields in events:
        conversation.apply(wire(fields))
    return conversation


def accept(constructs: Constructs, events: Sequence[Event]) -> None:
    for event in events:
        constructs.accept(event, body_of(event))


@pytest.mark.parametrize(
    ("events", "rule", "told"), [pytest.param(*row[1:], id=row[0]) for row in ILLEGAL]
)
def test_an_illegal_stream_is_rejected_at_its_last_event(
    events: list[JsonObject], rule: str | None, told: str
) -> None:
    legal = fold(events[:-1])
    with pytest.raises(EventError, match=told):
        legal.apply(wire(events[-1]))
    if rule is not None:
        validator = create_validator()
        for event in events[:-1]:
            assert rule not in {finding.rule for finding in validator.feed(event)}
        assert rule in {finding.rule for finding in validator.feed(events[-1])}


def corpus(kind: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the validator's own examples: the rule or name, and the lines."""
    root = resources.files("ag_ui_validate") / "spec" / "fixtures" / kind
    for item in sorted(root.iterdir(), key=lambda item: item.name):
        stream = item / "stream.jsonl" if item.is_dir() else item
        if stream.name.endswith(".jsonl") and stream.is_file():
            lines = stream.read_text(encoding="utf-8").splitlines()
            yield item.name, [line for line in lines if line]


def test_every_error_rule_about_a_stream_stands_in_the_table_or_elsewhere() -> None:
    of_streams = {id for id, rule in RULES.items() if rule.severity == "error" and id < "AGUI501"}
    of_streams |= {id for id, rule in RULES.items() if rule.severity == "error" and id > "AGUI600"}
    in_table = {row[2] for row in ILLEGAL if row[2] is not None}
    assert of_streams - {"AGUI204"} <= in_table | ELSEWHERE.keys()


@pytest.mark.parametrize(
    ("name", "lines"), [pytest.param(*example, id=example[0]) for example in corpus("invalid")]
)
def test_the_validators_examples_of_errors_are_rejected(name: str, lines: list[str]) -> None:
    rules = {finding.rule for finding in errors(lines)} - ELSEWHERE.keys()
    if name.startswith("AGUI204"):
        assert rules == {"AGUI204"}
        fold([json.loads(line) for line in lines])
    elif rules:
        with pytest.raises(EventError):
            fold([json.loads(line) for line in lines])


@pytest.mark.parametrize(
    ("name", "lines"), [pytest.param(*example, id=example[0]) for example in corpus("valid")]
)
def test_the_validators_valid_examples_are_accepted(name: str, lines: list[str]) -> None:
    expander, events = Expander(), [event_from_json(line.encode()) for line in lines]
    conversation = Conversation()
    for event in events:
        for body in expander.expand(body_of(event)):
            conversation.apply(event if body.type is event.type else event_from_body(body))
    assert conversation.terminal == events[-1]


def mangled(events: list[JsonObject], how: int, at: int, to: int) -> list[JsonObject]:
    """Return the run with one event lost, doubled, moved, or given the ids of another."""
    at, to = 1 + at % (len(events) - 1), 1 + to % (len(events) - 1)
    rest = events[:at] + events[at + 1 :]
    if how == 0:
        return rest
    if how == 1:
        return [*events[: to + 1], events[at], *events[to + 1 :]]
    if how == 2:
        return [*rest[:to], events[at], *rest[to:]]
    ids = {k: v for k, v in events[to].items() if k in ("messageId", "toolCallId", "stepName")}
    same = ids.keys() & events[at].keys()
    return [*events[:at], {**events[at], **{k: ids[k] for k in same}}, *events[at + 1 :]]


@settings(max_examples=examples(200), deadline=None)
@given(runs(max_steps=20), st.integers(0, 3), st.integers(0, 60), st.integers(0, 60))
def test_what_the_validator_calls_an_error_is_rejected(
    events: list[JsonObject], how: int, at: int, to: int
) -> None:
    events = mangled(events, how, at, to)
    broken = {found.rule for found in errors(events) if found.event_index >= 0}
    if broken - ELSEWHERE.keys() - {"AGUI204"}:
        with pytest.raises(EventError):
            fold(events)


@settings(max_examples=examples(80), deadline=None)
@given(runs(), st.integers(0, 80))
def test_a_run_cut_anywhere_can_be_closed_and_ended(events: list[JsonObject], cut: int) -> None:
    prefix = events[: max(1, min(cut, len(events) - 1))]
    constructs = fold(prefix).constructs
    closers = constructs.closers()
    accept(constructs, closers)
    assert constructs.closers() == []
    assert constructs.openers() == []
    closed = prefix + [json.loads(event.data) for event in closers]
    for fields in closed:
        model(fields)
    for terminal in (END, ERROR):
        assert illegal([*closed, {**terminal}]) == []
    constructs.accept(wire(END), body_of(wire(END)))


@settings(max_examples=examples(60), deadline=None)
@given(runs(), st.integers(0, 80))
def test_what_is_open_can_be_opened_again(events: list[JsonObject], cut: int) -> None:
    constructs = fold(events[: 1 + cut % len(events)]).constructs
    openers = constructs.openers()
    again = Constructs()
    accept(again, openers)
    assert again.closers() == constructs.closers()
    assert again.openers() == openers
    assert all(b'"metadata"' not in event.data for event in openers)


def test_the_innermost_is_closed_first() -> None:
    events = [RUN, step("STARTED"), SUBAGENT, thinking("START"), start("m"), CALL]
    closers = [event.type.value for event in fold(events).constructs.closers()]
    assert closers == [
        "TOOL_CALL_END",
        "TEXT_MESSAGE_END",
        "REASONING_END",
        "SUBAGENT_ERROR",
        "STEP_FINISHED",
    ]


LEGAL = [
    ("an empty delta: AG-UI 1.0 allows it", [RUN, start("m"), text("m", "")]),
    ("one id in two families", [RUN, start("m"), thinking("MESSAGE_START", "m", role="reasoning")]),
    ("a step taken twice", [RUN, step("STARTED"), step("FINISHED"), step("STARTED")]),
    ("a block that comes again", [RUN, thinking("START"), thinking("END"), thinking("START")]),
    (
        "a suspended subagent that goes on",
        [RUN, SUBAGENT, subagent("FINISHED", outcome={"type": "suspended"}), SUBAGENT],
    ),
    ("two results of one call", [RUN, CALL, call("END"), result(), result()]),
    ("an error while something is open", [RUN, start("m"), CALL, ERROR]),
    ("a run after another", [RUN, END, {**RUN, "runId": "r2"}]),
    ("arguments that are no JSON", [RUN, CALL, call("ARGS", delta="{"), call("END")]),
]


@pytest.mark.parametrize("events", [pytest.param(row[1], id=row[0]) for row in LEGAL])
def test_what_is_legal(events: list[JsonObject]) -> None:
    fold(events)


def test_ids_of_the_thread_are_not_started_again() -> None:
    used = Used(messages=frozenset({"m"}), calls=frozenset({"c"}))
    reasoning = thinking("MESSAGE_START", "m", role="reasoning")
    for fields in (start("m"), reasoning, CALL):
        with pytest.raises(EventError, match="was used before in the thread"):
            accept(Constructs(used), [wire(fields)])
    accept(Constructs(used), [wire(start("c")), wire(call("START", "m", toolCallName="x"))])


def test_a_result_may_come_for_a_call_of_the_thread_or_of_a_snapshot() -> None:
    accept(Constructs(Used(calls=frozenset({"c"}))), [wire(result())])
    tool_call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"id": "m", "role": "assistant", "toolCalls": [tool_call]}
    snapshot = {"type": "MESSAGES_SNAPSHOT", "messages": [message]}
    accept(Constructs(), [wire(snapshot), wire(result())])
    with pytest.raises(EventError, match="no such tool call"):
        accept(Constructs(Used(messages=frozenset({"c"}))), [wire(result())])


def test_what_is_open_is_known_by_family_and_id() -> None:
    constructs = fold([RUN, start("m"), CALL]).constructs
    assert constructs.is_open(Kind.TEXT, "m")
    assert constructs.is_open(Kind.TOOL, "c")
    assert not constructs.is_open(Kind.REASONING, "m")
    assert not constructs.is_open(Kind.TEXT, "c")


def test_run_started_comes_first_or_not_at_all() -> None:
    constructs = Constructs()
    accept(constructs, [wire(RUN), wire(start("m"))])
    with pytest.raises(EventError, match="in the middle of a run"):
        accept(constructs, [wire(RUN)])


def test_an_error_names_the_event_and_its_id() -> None:
    with pytest.raises(EventError, match=r"TOOL_CALL_ARGS 'c9': no such tool call is open"):
        fold([RUN, call("ARGS", "c9", delta="x")])
