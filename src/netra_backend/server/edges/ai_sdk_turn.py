"""A turn of the AI SDK: what its UI message stream says of a run's AG-UI events.

A turn is one message of the assistant. It begins with a run, and the runs that go on with it (their
``parentRunId`` names it) belong to the same message. The chunks follow from the events alone, so
every replay numbers them alike. Source: `uiMessageChunkSchema` and `processUIMessageStream` of the
package ``ai`` 7.0.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from ag_ui.core import EventType

from netra_backend.core.events import TERMINAL, Body, Event, body_of

Chunk = dict[str, Any]


class Turn:
    """The chunks of the turn that `first` began, up to the end of the run `last`."""

    def __init__(self, first: str, last: str) -> None:
        self._first = first
        self._last = last
        self._run: str | None = None
        self._begun = False
        self._answered = False
        self._calls: dict[str, _Call] = {}
        self._written: set[str] = set()
        self.complete = False
        """Whether the run `last` has ended."""
        self._rules: dict[EventType, Callable[[Body], list[Chunk]]] = {
            EventType.TEXT_MESSAGE_START: self._text_start,
            EventType.TEXT_MESSAGE_CONTENT: _text_delta,
            EventType.TEXT_MESSAGE_END: _text_end,
            EventType.REASONING_MESSAGE_START: self._reasoning_start,
            EventType.REASONING_MESSAGE_CONTENT: _reasoning_delta,
            EventType.REASONING_MESSAGE_END: _reasoning_end,
            EventType.TOOL_CALL_START: self._call_start,
            EventType.TOOL_CALL_ARGS: self._call_args,
            EventType.TOOL_CALL_END: self._call_end,
            EventType.TOOL_CALL_RESULT: self._call_result,
            EventType.STEP_STARTED: lambda _: self._next_step(),
            EventType.STATE_SNAPSHOT: _state,
            EventType.STATE_DELTA: _state_delta,
            EventType.MESSAGES_SNAPSHOT: self._snapshot,
            EventType.ACTIVITY_SNAPSHOT: _activity,
            EventType.ACTIVITY_DELTA: _activity_delta,
            EventType.CUSTOM: _custom,
            EventType.RUN_FINISHED: self._finished,
            EventType.RUN_ERROR: _failed,
        }

    def take(self, event: Event) -> list[Chunk]:
        """Return what the client is told of the thread's next event."""
        body = body_of(event)
        if body.type is EventType.RUN_STARTED:
            return self._run_started(body)
        if self._run is None:
            return []  # of a run that somebody else started in between
        rule = self._rules.get(body.type)
        chunks = rule(body) if rule is not None else []
        if body.type in TERMINAL:
            self.complete = self._run == self._last
            self._run = None
            return chunks if self.complete else self._asked(body)
        return chunks

    def _run_started(self, body: Body) -> list[Chunk]:
        if body.run_id not in (self._first, self._last) and body.parent_run_id != self._first:
            return []
        self._run = body.run_id
        if self._begun:
            return self._next_step()
        self._begun = True
        return [{"type": "start", "messageId": self._first}, {"type": "start-step"}]

    def _next_step(self) -> list[Chunk]:
        self._answered = False
        return [{"type": "finish-step"}, {"type": "start-step"}]

    def _after_results(self) -> list[Chunk]:
        """Begin a step after tool results, as the SDK's own server does.

        Without it, `lastAssistantMessageIsCompleteWithToolCalls` would take results of our tools
        for results of the page's, and send them to us for ever.
        """
        return self._next_step() if self._answered else []

    def _text_start(self, body: Body) -> list[Chunk]:
        self._written.add(body.message_id or "")
        return [*self._after_results(), {"type": "text-start", "id": body.message_id}]

    def _reasoning_start(self, body: Body) -> list[Chunk]:
        return [*self._after_results(), {"type": "reasoning-start", "id": body.message_id}]

    def _call_start(self, body: Body) -> list[Chunk]:
        call = self._calls[body.tool_call_id or ""] = _Call(body.tool_call_name or "")
        start = {
            "type": "tool-input-start",
            "toolCallId": body.tool_call_id,
            "toolName": call.name,
        }
        return [*self._after_results(), start]

    def _call_args(self, body: Body) -> list[Chunk]:
        self._calls[body.tool_call_id or ""].arguments.append(body.delta)
        return [
            {
                "type": "tool-input-delta",
                "toolCallId": body.tool_call_id,
                "inputTextDelta": body.delta,
            }
        ]

    def _call_end(self, body: Body) -> list[Chunk]:
        call = self._calls[body.tool_call_id or ""]
        return [
            {
                "type": "tool-input-available",
                "toolCallId": body.tool_call_id,
                "toolName": call.name,
                "input": _json("".join(call.arguments) or "{}"),
            }
        ]

    def _call_result(self, body: Body) -> list[Chunk]:
        """Tell the output; of a call that is in an earlier message the page cannot show one."""
        if body.tool_call_id not in self._calls and self._first == self._last:
            return []
        self._answered = True
        return [
            {
                "type": "tool-output-available",
                "toolCallId": body.tool_call_id,
                "output": _output(body.content),
            }
        ]

    def _snapshot(self, body: Body) -> list[Chunk]:
        """Tell the text of this turn, after the question, that the agent did not stream."""
        messages = body.messages or []
        asked = [index for index, m in enumerate(messages) if m.get("role") == "user"]
        chunks: list[Chunk] = []
        for message in messages[asked[-1] + 1 if asked else 0 :]:
            id, content = str(message.get("id")), message.get("content")
            if message.get("role") != "assistant" or id in self._written:
                continue
            if isinstance(content, str) and content:
                said = Body(type=EventType.TEXT_MESSAGE_CONTENT, message_id=id, delta=content)
                chunks += [*self._text_start(said), *_text_delta(said), *_text_end(said)]
        return chunks

    def _finished(self, body: Body) -> list[Chunk]:
        outcome = body.outcome or {}
        if outcome.get("type") == "cancelled":
            return [{"type": "abort", "reason": "The run was cancelled."}]
        reason = "tool-calls" if outcome.get("type") == "interrupt" else "stop"
        return [
            *self._asked(body),
            *self._after_results(),
            {"type": "finish-step"},
            {"type": "finish", "finishReason": reason},
        ]

    def _asked(self, body: Body) -> list[Chunk]:
        """Tell the questions that the run leaves: about a call as its approval, and as data."""
        chunks: list[Chunk] = []
        for question in (body.outcome or {}).get("interrupts") or ():
            id, call = str(question.get("id")), question.get("toolCallId")
            chunks.append({"type": "data-interrupt", "id": id, "data": question})
            if call in self._calls:
                reason = question.get("message")
                about = {} if reason is None else {"reason": reason}
                chunks.append(
                    {
                        "type": "tool-approval-request",
                        "approvalId": id,
                        "toolCallId": call,
                        **about,
                    }
                )
        return chunks


class _Call:
    """A tool call whose arguments are being written."""

    __slots__ = ("arguments", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.arguments: list[str] = []


def _text_delta(body: Body) -> list[Chunk]:
    return [{"type": "text-delta", "id": body.message_id, "delta": body.delta}]


def _text_end(body: Body) -> list[Chunk]:
    return [{"type": "text-end", "id": body.message_id}]


def _reasoning_delta(body: Body) -> list[Chunk]:
    return [{"type": "reasoning-delta", "id": body.message_id, "delta": body.delta}]


def _reasoning_end(body: Body) -> list[Chunk]:
    return [{"type": "reasoning-end", "id": body.message_id}]


def _state(body: Body) -> list[Chunk]:
    return [{"type": "data-state", "id": "state", "data": body.snapshot}]


def _state_delta(body: Body) -> list[Chunk]:
    return [{"type": "data-state-delta", "data": body.delta, "transient": True}]


def _activity(body: Body) -> list[Chunk]:
    data = {"activityType": body.activity_type, "content": body.content}
    return [{"type": "data-activity", "id": body.message_id, "data": data}]


def _activity_delta(body: Body) -> list[Chunk]:
    data = {"messageId": body.message_id, "patch": body.patch}
    return [{"type": "data-activity-delta", "data": data, "transient": True}]


def _custom(body: Body) -> list[Chunk]:
    data = {"name": body.name, "value": body.value}
    return [{"type": "data-custom", "data": data, "transient": True}]


def _failed(body: Body) -> list[Chunk]:
    return [{"type": "error", "errorText": body.message or "The run failed."}]


def _json(text: str) -> Any:
    """Return what the text spells as JSON, or the text if it spells none."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _output(content: Any) -> Any:
    """Return a tool's output: an object or a list as such, other text as it is."""
    if not isinstance(content, str):
        return content
    output = _json(content)
    return output if isinstance(output, dict | list) else content
