"""The input of a run, from what the AI SDK sends: a chat's messages in the SDK's own form.

The conversation is the server's. What counts is what the user says, what the page's tools answer,
and what the user decides; the assistant's messages are ours and are not taken back. Source:
`UIMessage` of the package ``ai`` 7.0.
"""

from typing import Any

import msgspec
from ag_ui.core import RunAgentInput
from msgspec import Struct

from netra_backend.core.codec import decode_input
from netra_backend.core.ids import parse_id, parse_thread

Part = dict[str, Any]


class UiMessage(Struct, frozen=True):
    """A message of the page."""

    id: str
    role: str
    parts: list[Part]


def run_input(
    thread: str, run: str, messages: list[UiMessage], forwarded: dict[str, Any]
) -> RunAgentInput:
    """Return the input of the run. Raises FrameError if it cannot be one.

    Where the last message is the assistant's, the run goes on with that turn: it takes up the
    approvals that were answered. ``resume`` of `forwarded` is AG-UI's own list of answers.
    """
    parse_thread("id", thread)
    parse_id("requestId", run)
    answers = [m for m in messages if m.role == "assistant"][-1:]
    going_on = bool(messages) and messages[-1].role == "assistant"
    given: dict[str, Any] = {
        "threadId": thread,
        "runId": run,
        "messages": [
            *(result for message in answers for result in _results(message)),
            *(_said(m) for m in messages if m.role in ("user", "system")),
        ],
        "forwardedProps": forwarded,
    }
    if going_on:
        given["parentRunId"] = messages[-1].id
    decided = forwarded.get("resume") or (going_on and _approvals(messages[-1]))
    if decided:
        given["resume"] = decided
    return decode_input(msgspec.json.encode(given), where="$")


def _said(message: UiMessage) -> dict[str, Any]:
    """Return a message of the user, or of the system, in AG-UI's form."""
    content = [part for part in map(_content, message.parts) if part is not None]
    texts = [part["text"] for part in content if isinstance(part.get("text"), str)]
    only_text = len(texts) == len(content) or message.role != "user"
    return {
        "id": message.id,
        "role": message.role,
        "content": "\n".join(texts) if only_text else content,
    }


def _content(part: Part) -> Part | None:
    """Return a part of a message in AG-UI's form, or None for what a user does not say."""
    if part.get("type") == "text":
        return {"type": "text", "text": part.get("text")}
    if part.get("type") != "file":
        return None
    media, url = str(part.get("mediaType")), str(part.get("url"))
    kind = media.split("/", maxsplit=1)[0]
    source = {"type": "url", "value": url, "mimeType": media}
    if url.startswith("data:"):
        source = {"type": "data", "value": url.partition(",")[2], "mimeType": media}
    return {"type": kind if kind in ("image", "audio", "video") else "document", "source": source}


def _results(message: UiMessage) -> list[dict[str, Any]]:
    """Return the outputs of tools that the page has run; the thread knows which it has already."""
    results = []
    for part in message.parts:
        call, state = part.get("toolCallId"), part.get("state")
        if call is None or state not in ("output-available", "output-error"):
            continue
        output = part.get("errorText") if state == "output-error" else part.get("output")
        text = output if isinstance(output, str) else msgspec.json.encode(output).decode()
        result = {"id": f"{call}:result", "role": "tool", "toolCallId": call, "content": text}
        results.append({**result, **({"error": text} if state == "output-error" else {})})
    return results


def _approvals(message: UiMessage) -> list[dict[str, Any]]:
    """Return the decisions about tool calls, as answers to our questions."""
    decided = []
    for part in message.parts:
        approval = part.get("approval")
        if part.get("state") == "approval-responded" and isinstance(approval, dict):
            payload = {"approved": approval.get("approved"), "reason": approval.get("reason")}
            answer = {k: v for k, v in payload.items() if v is not None}
            decided.append(
                {"interruptId": approval.get("id"), "status": "resolved", "payload": answer}
            )
    return decided
