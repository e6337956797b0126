"""The docs agent: answers from this project's own documentation, without a key or a network.

It searches an FTS5 index through a tool call, says which words it searches for, and quotes what
it found. It has one action, to build its index anew, and asks before it does that.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from ag_ui.core import (
    BaseEvent,
    Interrupt,
    ResumeEntry,
    RunAgentInput,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    StepFinishedEvent,
    StepStartedEvent,
)

from netra_backend import jsonlog
from netra_backend.agents.answers import APPROVAL, approves
from netra_backend.agents.base import Reasoning, Text, ToolCall, question_of
from netra_backend.agents.docs_index import Found, Hit, index_of
from netra_backend.agents.docs_words import words_of
from netra_backend.agents.documentation import documentation_root
from netra_backend.core.ids import new_id

EXAMPLES = (
    "How do I serve my own agent?",
    "What survives a kill -9?",
    "Delete everything",
)
"""Questions worth trying; the last one leads to a question back."""

_ACTION = re.compile(
    r"\W*(?:(?:please|now|just|ok(?:ay)?|go ahead and|(?:can|could|would|will) you"
    r"|i (?:want|would like) you to)\W+)*"
    r"(delete|remove|erase|wipe|destroy|publish|send|deploy|rebuild|reindex)\b",
    re.IGNORECASE,
)
_ASK_ME = re.compile(r"\W*(?:please\W+)?ask me\b.{0,200}\bapprov", re.IGNORECASE | re.DOTALL)
_NOTHING_DONE = (
    "I did nothing: the index was neither thrown away nor rebuilt, because that was not approved."
)
_DONE = (
    "I threw away my search index of {before} sections and built it again from the documentation: "
    "it has {after} sections now. No file, thread or message was deleted or changed."
)
_WORD_GROUP = re.compile(r"(?:\S+\s*){1,3}|\s+")


class DocsAgent:
    """An agent that answers from the pages below `root`, by default this project's own.

    `pause` is the time in seconds between two deltas of an answer, so that streaming can be seen.
    Reads the files when it is made. Raises ConfigError if there is no documentation.
    """

    def __init__(self, root: Path | None = None, *, pause: float = 0.02) -> None:
        self._root = root if root is not None else documentation_root()
        self._pause = pause
        self._index = index_of(self._root)

    def __call__(self, input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        """Answer the newest question, or take up the answer to the agent's own question."""
        question = question_of(input)
        if input.resume:
            return self._resume(input.resume)
        if _ACTION.match(question) or _ASK_ME.match(question):
            return self._ask(input, question)
        return self._answer(question)

    async def _answer(self, question: str) -> AsyncIterator[BaseEvent]:
        yield StepStartedEvent(step_name="search")
        words = words_of(question)
        async for event in self._streamed(Reasoning(), _plan(words)):
            yield event
        found = self._index.search(question)
        if words:
            call = ToolCall("search_docs")
            for event in call.whole({"query": " ".join(words)}):
                yield event
            for event in call.result(_ranked(found.hits)):
                yield event
        yield StepFinishedEvent(step_name="search")
        yield StepStartedEvent(step_name="answer")
        async for event in self._streamed(Text(), _reply(found)):
            yield event
        yield StepFinishedEvent(step_name="answer")

    async def _ask(self, input: RunAgentInput, question: str) -> AsyncIterator[BaseEvent]:
        """Say what the agent can and cannot do, and end the run with the question."""
        thought = "This asks for an action, and before an action I ask."
        async for event in self._streamed(Reasoning(), thought):
            yield event
        async for event in self._streamed(Text(), _offer(question)):
            yield event
        asked = Interrupt(
            id=new_id("interrupt"),
            reason="approval",
            message="Throw away my search index and build it again from the documentation?",
            response_schema=APPROVAL,
        )
        yield RunFinishedEvent(
            thread_id=input.thread_id,
            run_id=input.run_id,
            outcome=RunFinishedInterruptOutcome(interrupts=[asked]),
        )

    async def _resume(self, answers: list[ResumeEntry]) -> AsyncIterator[BaseEvent]:
        if not all(map(approves, answers)):
            async for event in self._streamed(Text(), _NOTHING_DONE):
                yield event
            return
        call = ToolCall("rebuild_index")
        for event in call.whole({}):
            yield event
        before, after = await self._rebuild()
        for event in call.result({"sections_before": before, "sections_after": after}):
            yield event
        async for event in self._streamed(Text(), _DONE.format(before=before, after=after)):
            yield event

    async def _rebuild(self) -> tuple[int, int]:
        """Replace the index; return its numbers of sections before and after."""
        fresh = await asyncio.to_thread(index_of, self._root)
        old, self._index = self._index, fresh
        before = len(old)
        old.close()
        return before, len(fresh)

    async def _streamed(self, construct: Text | Reasoning, words: str) -> AsyncIterator[BaseEvent]:
        """Stream `words` as one construct, a few of them at a time."""
        for event in construct.start():
            yield event
        for delta in _WORD_GROUP.findall(words):
            for event in construct.add(delta):
                yield event
            await asyncio.sleep(self._pause)
        for event in construct.end():
            yield event


def _plan(words: tuple[str, ...]) -> str:
    """Return what the agent is about to do."""
    if not words:
        return "The question has no word that the documentation could be searched for."
    return f"I search the documentation for {_listed(words, 'and')}."


def _listed(words: tuple[str, ...], joint: str) -> str:
    quoted = [f"“{word}”" for word in words]
    return f" {joint} ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))


def _ranked(hits: Iterable[Hit]) -> str:
    """Return the tool's result: the hits as JSON, best first."""
    rows = [{"title": hit.title, "url": hit.url, "snippet": hit.snippet} for hit in hits]
    return jsonlog.dumps({"hits": rows})


def _reply(found: Found) -> str:
    if not found.words:
        return (
            "I answer from Netra's documentation, and that has no word I could search for. "
            "Try one of these:\n\n" + "\n".join(f"- {example}" for example in EXAMPLES)
        )
    if not found.hits:
        return (
            f"I found nothing: {_lacking(found)}. I know only what is written there; other words "
            "may find it."
        )
    best, *others = found.hits
    parts = [f"{_opening(found)} [{best.title}]({best.url}):", _quoted(best.passage)]
    if others:
        links = "\n".join(f"- [{hit.title}]({hit.url})" for hit in others)
        parts.append(f"See also:\n\n{links}")
    return "\n\n".join(parts)


def _lacking(found: Found) -> str:
    """Return why there is no hit."""
    if found.missing:
        return f"the documentation does not mention {_listed(found.missing, 'or')}"
    return f"no section of the documentation is about {_listed(found.words, 'and')}"


def _opening(found: Found) -> str:
    """Return how well the hits match, up to the link to the best one."""
    if found.example:
        return f"The documentation has {_listed(found.words, 'and')} in an example only,"
    if found.complete:
        return "From"
    if found.missing:
        return f"The documentation does not mention {_listed(found.missing, 'or')}. Closest is"
    return "No section has all of your words. Closest is"


def _quoted(markdown: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in markdown.splitlines())


def _offer(question: str) -> str:
    asked = " ".join(question.split())
    shown = asked if len(asked) <= 80 else asked[:79] + "…"
    return (
        f"You asked: “{shown}”. I cannot delete, publish or send anything: I can only read this "
        "project's documentation. My one action is to throw away my own search index and build "
        "it again, which deletes nothing else. I do that only if you approve it. To read about "
        "something instead, ask how it is done."
    )
