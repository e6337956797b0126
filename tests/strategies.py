"""Hypothesis strategies for AG-UI runs: legal ones, in every shape that the protocol allows.

`runs` gives one run as wire objects (RUN_STARTED to its terminal event), `threads` several in a
row, `logs` the same as entries of a log. To cut one anywhere, slice it. Constructs of all kinds
interleave; one id may be that of a text, a reasoning message, a tool call and a tool result.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jsonpatch
import msgspec
from ag_ui.core import BaseEvent
from ag_ui.core import Event as AnyEvent
from hypothesis import strategies as st
from pydantic import TypeAdapter

from netra_backend.core.events import Entry, Event, event_from_json
from netra_backend.core.ids import RunId
from netra_backend.core.positions import Position

JsonObject = dict[str, Any]
Step = tuple[int, int, int, str, Any]

THREAD = "thread-1"

_ADAPTER: TypeAdapter[BaseEvent] = TypeAdapter(AnyEvent)
_UNSET: Any = object()


def wire(fields: JsonObject) -> Event:
    """Return the event as the log keeps it."""
    return event_from_json(msgspec.json.encode(fields))


def model(fields: JsonObject) -> BaseEvent:
    """Return the event as an agent yields it."""
    return _ADAPTER.validate_python(fields)


def entries(events: Sequence[JsonObject], *, epoch: int = 1, first: int = 1) -> list[Entry]:
    """Return the events as entries of one run's log from offset `first`."""
    return [
        Entry(Position(epoch, first + index), RunId("run-1"), 1_700_000_000_000, wire(fields))
        for index, fields in enumerate(events)
    ]


def texts(max_size: int = 6) -> st.SearchStrategy[str]:
    """Return text as JSON can carry it: everything but surrogates."""
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=max_size)


def ids() -> st.SearchStrategy[str]:
    """Return whatever `parse_id` allows."""
    alphabet = "abcXYZ019_.:~@+=|-"
    shown = st.text(alphabet, min_size=1, max_size=128).filter(lambda id: id not in (".", ".."))
    return st.one_of(st.sampled_from(["t1", "-", "...", "a" * 128]), shown)


def json_values(max_leaves: int = 5) -> st.SearchStrategy[Any]:
    """Return any JSON value, within reason."""
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.floats(allow_nan=False, allow_infinity=False)
        | texts()
    )
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(3), inner, max_size=3),
        max_leaves=max_leaves,
    )


TEXTS = ["", "a", "Hel", "lo ", "é", "🦊", "\u202e", '"\\', "\0\n\x1f\x7f", "/~", "{", '"k":1}']
VALUES: list[Any] = [
    *[None, True, 0, -1, 2**70, 0.1, -1e300, "", "🦊\0", [], {}],
    *[[None, [1]], {"": {"/": "~"}}, {"k": [], "l": [1]}, {"a" * 40: [{}, {"b": False}]}],
]


@st.composite
def steps(draw: st.DrawFn, max_steps: int) -> list[Step]:
    """Return what a `Writer` writes from."""
    length = draw(st.integers(0, max_steps))  # first: what has an open size is short
    drawn = draw(st.binary(min_size=5 * length, max_size=5 * length))
    return [
        (action, a, b, TEXTS[text % len(TEXTS)], VALUES[value % len(VALUES)])
        for action, a, b, text, value in batched(drawn, 5)
    ]


def batched(drawn: bytes, size: int) -> Iterator[Sequence[int]]:
    """Yield the numbers, so many at a time."""
    return (drawn[at : at + size] for at in range(0, len(drawn), size))


@st.composite
def runs(draw: st.DrawFn, *, chunks: bool = False, max_steps: int = 40) -> list[JsonObject]:
    """Return one legal run of a new thread; with `chunks`, some of it in ``*_CHUNK`` form."""
    writer = Writer("run-1", "r", chunks=chunks)
    writer.write(draw(steps(max_steps)), draw(st.sampled_from(VALUES)), draw(st.integers(0, 5)))
    return writer.events


@st.composite
def threads(draw: st.DrawFn, *, max_runs: int = 3, max_steps: int = 25) -> list[list[JsonObject]]:
    """Return the runs of a thread, each legal after those before it."""
    written: list[list[JsonObject]] = []
    before: Writer | None = None
    for number in range(draw(st.integers(1, max_runs))):
        writer = Writer(f"run-{number}", f"r{number}", before=before)
        writer.write(draw(steps(max_steps)), draw(st.sampled_from(VALUES)), draw(st.integers(0, 5)))
        written.append(writer.events)
        before = writer
    return written


@st.composite
def logs(draw: st.DrawFn, *, max_runs: int = 3, max_steps: int = 25) -> list[Entry]:
    """Return the entries of a thread's log: whole runs, the last one cut anywhere."""
    written = draw(threads(max_runs=max_runs, max_steps=max_steps))
    events = [event for run in written for event in run]
    end = len(events) - draw(st.integers(0, len(events) - 1))
    return entries(events[:end], epoch=draw(st.integers(1, 3)))


class Writer:
    """Writes a run from arbitrary numbers: each step does what is legal there, or nothing."""

    def __init__(
        self, run: str, prefix: str, *, chunks: bool = False, before: "Writer | None" = None
    ) -> None:
        self.events: list[JsonObject] = []
        self._run = run
        self._ids = [f"{prefix}{letter}" for letter in "abcdefgh"]
        self._given = [f"{prefix}-given-{number}" for number in range(3)]
        self._open: list[tuple[str, str]] = []
        self._used: set[tuple[str, str]] = set()
        self._chunk: tuple[str, str] | None = None
        self._calls = list(before._calls) if before else []
        self._state: Any = before._state if before else _UNSET
        self._activities = dict(before._activities) if before else {}
        self._asked = before._asked if before else []
        self._actions = [
            *[self._extend] * 6,
            *[self._text] * 2,
            *[self._reasoning] * 2,
            *[self._tool] * 2,
            *[self._close] * 3,
            self._result,
            self._block,
            self._step,
            self._subagent,
            self._state_snapshot,
            self._state_delta,
            self._state_delta,
            self._messages_snapshot,
            self._activity_snapshot,
            self._activity_delta,
            self._encrypted,
            self._custom,
            *([self._chunk_of_text, self._chunk_of_call, self._chunk_of_reasoning] * 3 * chunks),
        ]

    def write(self, steps: Sequence[Step], state: Any, ending: int) -> None:
        """Write the whole run."""
        self._begin(state, len(steps))
        for action, a, b, text, value in steps:
            self._actions[action % len(self._actions)](a, b, text, value)
        if ending == 0:
            self._emit("RUN_ERROR", message="it broke", code="broken")
            return
        self._end_chunk()
        while self._open:
            self._close(0, ending, "", None)
        outcomes: list[JsonObject] = [
            {"type": "success"},
            {"type": "cancelled"},
            {"type": "interrupt", "interrupts": self._interrupts(len(steps))},
        ]
        about = {} if ending > len(outcomes) else {"outcome": outcomes[ending - 1]}
        self._emit("RUN_FINISHED", threadId=THREAD, runId=self._run, **about)

    def _interrupts(self, how: int) -> list[JsonObject]:
        """Return one or two questions, maybe about tool calls."""
        asked: list[JsonObject] = [
            {"id": f"{self._run}-i{number}", "reason": "approval"} for number in range(1 + how % 2)
        ]
        if self._calls and how % 3:
            asked[0] |= {"toolCallId": self._calls[how % len(self._calls)], "message": "May I?"}
        self._asked = [*self._asked, *(question["id"] for question in asked)]
        return asked

    def _begin(self, state: Any, how: int) -> None:
        call = {"id": f"{self._given[2]}-call", "type": "function"}
        messages: list[JsonObject] = [
            {"id": self._given[0], "role": "user", "content": "hello"},
            {"id": self._given[1], "role": "user", "content": [{"type": "text", "text": "hi"}]},
            {
                "id": self._given[2],
                "role": "assistant",
                "toolCalls": [{**call, "function": {"name": "ask", "arguments": "{}"}}],
            },
        ]
        given = {"threadId": THREAD, "runId": self._run, "messages": messages[: how % 4]}
        if state is not None and how % 2:
            given["state"] = self._state = state
        if how % 3 != 2:
            given["resume"] = [
                {"interruptId": id, "status": "resolved", "payload": how} for id in self._asked[-2:]
            ]
        self._emit("RUN_STARTED", threadId=THREAD, runId=self._run, input=given)

    def _emit(self, kind: str, **fields: Any) -> None:
        self.events.append({"type": kind, **fields})

    def _about(self, b: int) -> JsonObject:
        """Return fields that an event may carry besides its own."""
        return {
            0: {"metadata": {"k": b, "left": None}},
            1: {"timestamp": 1_700_000_000_000 + b},
            2: {"metadata": {f"k{b % 5}": "v"}},
            3: {"subagentRunId": "s"},
            4: {"x-unknown": b},
        }.get(b % 16, {})

    def _new(self, family: str, a: int) -> str | None:
        """Return an id that is new in its family, though maybe not in others."""
        free = [id for id in self._ids if (family, id) not in self._used]
        return free[a % len(free)] if free else None

    def _start(self, kind: str, family: str, key: str, a: int, b: int, **fields: Any) -> None:
        id = self._new(family, a)
        if id is None:
            return
        self._end_chunk()
        self._open.append((family, id))
        self._used.add((family, id))
        self._emit(kind, **{key: id}, **fields, **self._about(b))

    def _text(self, a: int, b: int, text: str, value: Any) -> None:
        roles = [{}, {"role": "assistant"}, {"role": "user", "name": "n"}]
        self._start("TEXT_MESSAGE_START", "text", "messageId", a, b, **roles[b % 3])

    def _reasoning(self, a: int, b: int, text: str, value: Any) -> None:
        self._start("REASONING_MESSAGE_START", "reasoning", "messageId", a, b, role="reasoning")

    def _tool(self, a: int, b: int, text: str, value: Any) -> None:
        parents = [*self._ids, *self._given]
        parent = {} if b % 3 == 0 else {"parentMessageId": parents[b % len(parents)]}
        self._start("TOOL_CALL_START", "tool", "toolCallId", a, b, toolCallName="find", **parent)

    def _block(self, a: int, b: int, text: str, value: Any) -> None:
        self._start("REASONING_START", "block", "messageId", a, b)

    def _step(self, a: int, b: int, text: str, value: Any) -> None:
        self._start("STEP_STARTED", "step", "stepName", a, b)

    def _subagent(self, a: int, b: int, text: str, value: Any) -> None:
        parent = {"parentToolCallId": "c", "description": "d"} if b % 2 else {}
        self._start("SUBAGENT_STARTED", "subagent", "subagentRunId", a, 15, name="s", **parent)

    def _extend(self, a: int, b: int, text: str, value: Any) -> None:
        kinds = {
            "text": ("TEXT_MESSAGE_CONTENT", "messageId"),
            "tool": ("TOOL_CALL_ARGS", "toolCallId"),
            "reasoning": ("REASONING_MESSAGE_CONTENT", "messageId"),
        }
        writable = [(family, id) for family, id in self._open if family in kinds]
        if not writable:
            return
        self._end_chunk()
        family, id = writable[a % len(writable)]
        kind, key = kinds[family]
        for _ in range(1 + a % 3):
            self._emit(kind, **{key: id}, delta=text, **self._about(b))

    def _close(self, a: int, b: int, text: str, value: Any) -> None:
        if not self._open:
            return
        self._end_chunk()
        family, id = self._open.pop(a % len(self._open))
        if family == "subagent":
            self._close_subagent(id, b)
            return
        kind, key = {
            "text": ("TEXT_MESSAGE_END", "messageId"),
            "tool": ("TOOL_CALL_END", "toolCallId"),
            "reasoning": ("REASONING_MESSAGE_END", "messageId"),
            "block": ("REASONING_END", "messageId"),
            "step": ("STEP_FINISHED", "stepName"),
        }[family]
        about = {} if b % 16 == 3 else self._about(b)
        self._emit(kind, **{key: id}, **about)
        if family == "tool":
            self._calls.append(id)
        if family in ("step", "block"):
            self._used.discard((family, id))

    def _close_subagent(self, id: str, b: int) -> None:
        if b % 3 == 0:
            self._emit("SUBAGENT_ERROR", subagentRunId=id, message="it broke")
        elif b % 3 == 1:
            self._emit("SUBAGENT_FINISHED", subagentRunId=id, outcome={"type": "success"})
        else:
            outcome = {"type": "suspended", "interruptIds": []}
            self._emit("SUBAGENT_FINISHED", subagentRunId=id, outcome=outcome)
            self._used.discard(("subagent", id))

    def _result(self, a: int, b: int, text: str, value: Any) -> None:
        closed = [id for id in self._calls if ("tool", id) not in self._open]
        if closed:
            self._end_chunk()
            call = closed[a % len(closed)]
            content = [{"type": "text", "text": text}] if b % 5 == 0 else text
            id = call if b % 7 == 0 else self._ids[b % len(self._ids)]
            about = self._about(b)
            self._emit("TOOL_CALL_RESULT", messageId=id, toolCallId=call, content=content, **about)

    def _state_snapshot(self, a: int, b: int, text: str, value: Any) -> None:
        self._end_chunk()
        self._state = {"k": value, "l": []} if a % 4 else value
        self._emit("STATE_SNAPSHOT", snapshot=self._state)

    def _state_delta(self, a: int, b: int, text: str, value: Any) -> None:
        self._end_chunk()
        base = {} if self._state is _UNSET else self._state
        patch = _patch(base, a, text, value)
        self._state = jsonpatch.apply_patch(base, patch)
        self._emit("STATE_DELTA", delta=patch)

    def _messages_snapshot(self, a: int, b: int, text: str, value: Any) -> None:
        self._end_chunk()
        call = {"id": self._ids[b % 8], "type": "function"}
        call["function"] = {"name": "find", "arguments": text}  # type: ignore[assignment]
        known = [id for id in self._calls if id in self._ids]
        some: list[JsonObject] = [
            {"id": self._ids[a % 8], "role": "assistant", "content": text},
            {"id": self._ids[b % 8], "role": "user", "content": text, "metadata": {"k": "old"}},
            {"id": self._ids[(a + b) % 8], "role": "assistant", "toolCalls": [call]},
            {"id": f"{self._ids[b % 8]}-r", "role": "reasoning", "content": text},
            {"id": "activity", "role": "activity", "activityType": "plan", "content": {"n": a}},
            *[{"id": "x", "role": "tool", "toolCallId": id, "content": text} for id in known[:1]],
        ]
        chosen = [message for bit, message in enumerate(some) if b >> bit & 1]
        self._calls = [made["id"] for message in chosen for made in message.get("toolCalls", ())]
        self._emit("MESSAGES_SNAPSHOT", messages=chosen)

    def _activity_snapshot(self, a: int, b: int, text: str, value: Any) -> None:
        id = self._ids[a % 8] if b % 2 else "activity"
        content = {"n": value}
        replace = {0: {"replace": True}, 1: {"replace": False}}.get(b % 5, {})
        self._activities.setdefault(id, content)
        if replace.get("replace", True):
            self._activities[id] = content
        self._emit(
            "ACTIVITY_SNAPSHOT",
            messageId=id,
            activityType="plan",
            content=content,
            **replace,
            **self._about(b),
        )

    def _activity_delta(self, a: int, b: int, text: str, value: Any) -> None:
        if self._activities:
            id = sorted(self._activities)[a % len(self._activities)]
            patch = [{"op": "add", "path": "/n", "value": value}]
            self._emit("ACTIVITY_DELTA", messageId=id, activityType="plan2", patch=patch)

    def _encrypted(self, a: int, b: int, text: str, value: Any) -> None:
        subtype = "tool-call" if b % 2 else "message"
        self._emit(
            "REASONING_ENCRYPTED_VALUE",
            subtype=subtype,
            entityId=self._ids[a % 8],
            encryptedValue=text,
        )

    def _custom(self, a: int, b: int, text: str, value: Any) -> None:
        self._end_chunk()
        name = "netra.progress" if a % 2 else "app.note"
        self._emit("CUSTOM", name=name, value=value, **self._about(b))

    # --- chunks ---

    def _end_chunk(self) -> None:
        if self._chunk is not None and self._chunk[0] == "tool":
            self._calls.append(self._chunk[1])
        self._chunk = None

    def _chunked(self, family: str, kind: str, key: str, a: int, text: str, **first: Any) -> None:
        about: JsonObject = {"metadata": {"k": a}} if a % 7 == 0 else {}
        if self._chunk is not None and self._chunk[0] == family and a % 4:
            subject = {key: self._chunk[1]} if a % 2 else {}
            self._emit(kind, **subject, delta=text, **about)
            return
        id = self._new(family, a)
        if id is not None:
            self._end_chunk()
            self._chunk = (family, id)
            self._used.add((family, id))
            delta = {"delta": text} if a % 3 else {}
            self._emit(kind, **{key: id}, **delta, **first, **about)

    def _chunk_of_text(self, a: int, b: int, text: str, value: Any) -> None:
        role = {"role": "assistant"} if b % 2 else {}
        self._chunked("text", "TEXT_MESSAGE_CHUNK", "messageId", a, text, **role)

    def _chunk_of_call(self, a: int, b: int, text: str, value: Any) -> None:
        self._chunked("tool", "TOOL_CALL_CHUNK", "toolCallId", a, text, toolCallName="find")

    def _chunk_of_reasoning(self, a: int, b: int, text: str, value: Any) -> None:
        self._chunked("reasoning", "REASONING_MESSAGE_CHUNK", "messageId", a, text)


def _patch(document: Any, a: int, text: str, value: Any) -> list[JsonObject]:
    """Return a patch that applies to `document`."""
    if not isinstance(document, dict):
        return [{"op": "replace", "path": "", "value": {"k": value}}]
    name = text.replace("~", "~0").replace("/", "~1")
    add_m = {"op": "add", "path": "/m", "value": a}
    add_l = {"op": "add", "path": "/l", "value": []}
    choices: list[list[JsonObject]] = [
        [],
        [{"op": "add", "path": f"/{name}", "value": value}],
        [add_l, {"op": "add", "path": "/l/-", "value": a}],
        [add_m, {"op": "move", "from": "/m", "path": "/n"}],
        [add_m, {"op": "copy", "from": "/m", "path": "/o"}],
        [add_m, {"op": "test", "path": "/m", "value": a}],
        [add_m, {"op": "remove", "path": "/m"}],
    ]
    return choices[a % len(choices)]
