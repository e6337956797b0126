"""Transcripts: what a page must show according to the log, and what it does show.

`expected` is a fold of its own, from the raw events of ``GET /threads/{id}/events``: it shares no
line with the server's fold or the page's.
"""

import difflib
import json
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from typing import Any, NamedTuple

from markdown_it import MarkdownIt

JsonObject = dict[str, Any]

_MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])

READ_PAGE = """
() => [...document.querySelectorAll("#items > *")].filter((node) => !node.hidden).map((node) => {
  const text = (name) => node.querySelector(`[data-part="${name}"]`)?.textContent ?? null;
  const [kind, ...id] = node.dataset.key.split(":");
  const result = node.querySelector('[data-part="result-part"]');
  return {
    kind, id: id.join(":"), name: node.dataset.tool ?? null, status: node.dataset.status ?? null,
    text: text(kind === "answer" ? "body" : "text"), args: text("args"),
    result: result && !result.hidden ? text("result") : null,
    unsent: kind === "user" && node.dataset.delivery !== "sent",
  };
})
"""
"""What `shown` reads; each item with its key's kind and id."""


class Piece(NamedTuple):
    """One item of a conversation. `text` is without white space, `args` and `result` are parsed."""

    kind: str
    id: str
    text: str = ""
    name: str = ""
    args: Any = None
    result: Any = None
    status: str = ""


def expected(events: Iterable[JsonObject]) -> list[Piece]:
    """Return the pieces that the events of a thread add up to, in the order they began."""
    transcript = _Transcript()
    for event in events:
        transcript.take(event)
    return [p for p in transcript.pieces() if p.kind not in ("answer", "thinking") or p.text]


def shown(read: Iterable[JsonObject]) -> list[Piece]:
    """Return the pieces that a page shows, from what READ_PAGE returned."""
    return [_shown(item) for item in read]


def difference(seen: Iterable[Piece], must: Iterable[Piece]) -> str:
    """Return the pieces that differ, one a line: ``-`` seen too much, ``+`` missing."""
    lines = difflib.ndiff([repr(piece) for piece in seen], [repr(piece) for piece in must])
    return "\n".join(line for line in lines if not line.startswith("  "))


def messages_of(pieces: Iterable[Piece]) -> dict[str, str]:
    """Return the texts of the messages among `pieces` by id, for a look at ``/messages``."""
    return {p.id: p.text for p in pieces if p.kind in ("user", "answer", "thinking")}


def text_of(message: JsonObject) -> str:
    """Return the text of an AG-UI message as a page shows it, without white space."""
    content = message.get("content") or ""
    return visible(content) if message["role"] == "assistant" else squeezed(content)


def visible(markdown: str) -> str:
    """Return the text that a Markdown source shows, without white space."""
    reader = _Texts()
    reader.feed(_MARKDOWN.render(markdown))
    reader.close()
    return squeezed("".join(reader.texts))


def squeezed(text: str) -> str:
    """Return `text` without white space: how much of it there is, a browser decides."""
    return re.sub(r"\s+", "", text)


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


_STATUS_OF_CODE = {"interrupted": "interrupted", "timeout": "timed_out"}

_GROWS = {
    "TEXT_MESSAGE_CONTENT": ("answer", "messageId", "text"),
    "REASONING_MESSAGE_CONTENT": ("thinking", "messageId", "text"),
    "TOOL_CALL_ARGS": ("tool", "toolCallId", "args"),
}
"""Events with a delta: which item's field it adds to."""

_SETS = {
    "TOOL_CALL_START": ("tool", "toolCallId", "name", "toolCallName"),
    "TOOL_CALL_RESULT": ("tool", "toolCallId", "result", "content"),
}
"""Events that say a field of an item."""


class _Transcript:
    """The items of a log by key, in the order of their first event."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str], JsonObject] = {}
        self._run = ""

    def take(self, event: JsonObject) -> None:
        """Take the next event."""
        type = event["type"]
        if type in _GROWS:
            kind, id, field = _GROWS[type]
            self._item(kind, event[id])[field] += event["delta"]
        elif type in _SETS:
            kind, id, field, source = _SETS[type]
            self._item(kind, event[id])[field] = event[source]
        elif type == "RUN_STARTED":
            self._run = event["runId"]
            for message in event["input"]["messages"]:
                self._item("user", message["id"])["text"] = message["content"]
        elif type == "RUN_FINISHED":
            self._finished(event.get("outcome") or {})
        elif type == "RUN_ERROR":
            status = _STATUS_OF_CODE.get(event.get("code", ""), "failed")
            self._item("ending", self._run)["status"] = status

    def pieces(self) -> list[Piece]:
        """Return the items."""
        return [_piece(kind, id, item) for (kind, id), item in self._items.items()]

    def _finished(self, outcome: JsonObject) -> None:
        for interrupt in outcome.get("interrupts") or ():
            self._item("question", interrupt["id"])["text"] = interrupt["message"]
        if outcome.get("type") == "cancelled":
            self._item("ending", self._run)["status"] = "cancelled"

    def _item(self, kind: str, id: str) -> JsonObject:
        blank = {"text": "", "name": "", "args": "", "result": None, "status": ""}
        return self._items.setdefault((kind, id), blank)


def _piece(kind: str, id: str, item: JsonObject) -> Piece:
    if kind == "tool":
        args, result = _parsed(item["args"] or "none"), item["result"]
        result = None if result is None else _parsed(result or "empty")
        return Piece(kind, id, name=item["name"], args=args, result=result)
    if kind == "ending":
        return Piece(kind, id, status=item["status"])
    text = visible(item["text"]) if kind == "answer" else squeezed(item["text"])
    return Piece(kind, id, text)


def _shown(item: JsonObject) -> Piece:
    assert not item["unsent"], f"not delivered: {item['text']}"
    if item["kind"] == "tool":
        args, result = _parsed(item["args"]), item["result"]
        result = None if result is None else _parsed(result)
        return Piece("tool", item["id"], name=item["name"], args=args, result=result)
    if item["kind"] == "ending":
        return Piece("ending", item["id"], status=item["status"])
    return Piece(item["kind"], item["id"], squeezed(item["text"]))


def _parsed(text: str) -> Any:
    """Return the JSON value that `text` spells, or `text`: the page indents what is JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text
