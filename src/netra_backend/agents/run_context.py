"""RunContext: what a run offers an agent that was written for Netra.

An agent may take it as its second argument, ``async def agent(input, run: RunContext)``, and code
that an agent calls, such as a tool, gets it from `current_run`. A plain generator needs none of it.
"""

import asyncio
import hashlib
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from numbers import Real
from typing import Any, TypeVar

from ag_ui.core import BaseEvent, CustomEvent, Interrupt, RunAgentInput, StateSnapshotEvent

from netra_backend import jsonlog
from netra_backend.agents.answers import APPROVAL, APPROVALS, check_schema
from netra_backend.agents.questions import Unanswered
from netra_backend.agents.shapes import shaped
from netra_backend.agents.size import MAX_EVENT_BYTES, size_of
from netra_backend.core.events import PROGRESS
from netra_backend.core.ids import ThreadKey, UserId, new_id
from netra_backend.errors import AgentError

T = TypeVar("T")
Question = Mapping[str, Any]
"""An AG-UI interrupt of this thread, as JSON."""


class RunContext:
    """One run, seen from inside.

    `user` is whose run it is. `scope` names the thread as no thread of another user, and none
    that was deleted, is or was named: the key for what an agent keeps of a thread.
    """

    def __init__(
        self,
        input: RunAgentInput,
        *,
        user: UserId,
        scope: str,
        say: Callable[[BaseEvent, bool], None],
        room: Callable[[], Awaitable[None]],
        question: Callable[[str], Awaitable[Question | None]],
        watchers: Callable[[], int] = lambda: 0,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.input = input
        self.user = user
        self.scope = scope
        self._loop = asyncio.get_running_loop()
        self._say = say
        self._room = room
        self._question = question
        self._watchers = watchers
        self._cancelled = cancelled
        self._answers: dict[str, Any] | None = None
        self._times: dict[str, int] = {}

    @property
    def watchers(self) -> int:
        """How many connections follow the thread now, on this node."""
        return self._watchers()

    @property
    def cancelled(self) -> bool:
        """Whether the run is ending: for code that no CancelledError reaches, as in a thread."""
        return self._cancelled()

    async def question(self, id: str) -> Question | None:
        """Return the AG-UI interrupt of this thread with the id, or None."""
        return await self._question(id)

    def progress(self, text: str, done: float | None = None, total: float | None = None) -> None:
        """Tell the followers how far the run is: a CUSTOM event ``netra.progress``.

        May be called from a thread. Left out when the log is behind, and after the run's end.
        Raises TypeError for what is no text or number, and ValueError for infinity and NaN.
        """
        if not isinstance(text, str):
            raise TypeError(f"progress: text is of type {type(text).__name__}, not str")
        value = {"text": text, "done": _number("done", done), "total": _number("total", total)}
        told = {name: part for name, part in value.items() if part is not None}
        self._send(CustomEvent(name=PROGRESS, value=told), urgent=False)

    def state(self, shape: type[T]) -> T:
        """Return the thread's state as `shape`; ``shape()`` if there is none.

        What the state has beside the fields of `shape` is left out. Raises AgentError naming the
        field that does not fit, and if a state that is not empty has none of them: it is somebody
        else's, and the next `save` would overwrite it.
        """
        return shaped(self.input.state, shape)

    async def save(self, state: object) -> None:
        """Make `state` the thread's: a STATE_SNAPSHOT, which later runs get as their input.

        It is saved in the form that `jsonlog.jsonable` gives it: models, dataclasses, enums, dates
        and all else of which nothing is lost. Raises TypeError, naming where it stands, for what
        has no such form, such as an object of any class or a list that holds itself, and for what
        is too big for an event; then the state stays what it was.
        """
        is_plain = _check_room(state)  # of what is far too big nothing is made
        plain = jsonlog.jsonable(state, limits=jsonlog.WIRE_LIMITS)
        if not is_plain:
            _check_room(plain)
            lost = jsonlog.losses(state, "state", jsonlog.WIRE_LIMITS, only_lossy=True)
            if lost:
                raise TypeError(f"the state cannot be saved: {lost[0]}")
        self.input.state = plain
        self._send(StateSnapshotEvent(snapshot=plain), urgent=True)
        await self._room()

    async def ask(
        self,
        message: str,
        *,
        schema: dict[str, Any] | None = None,
        reason: str = "question",
        tool_call_id: str | None = None,
        expires: timedelta | None = None,
    ) -> Any:
        """Return a person's answer; None if they declined.

        The first time nobody has answered: the run ends with the outcome ``interrupt``. When the
        answer comes, a new run calls the agent from its beginning, and then `ask` returns. So what
        stands before it happens again, and must not do harm twice. An answer counts only for the
        same question: same text, schema, reason, and how often it was asked before. Questions
        that are asked at once in an ``asyncio.TaskGroup`` are put together.

        `reason` is AG-UI's word for why the run stops. `tool_call_id` names the call that is to be
        approved: once that call has changed, no answer counts (``changed``). After `expires`, from
        now on, no answer is taken any more (``expired``); without it the question stays open.

        `schema` is the JSON Schema of the answer: the page makes its form of it, and the server
        takes nothing else. Without it any JSON value is an answer (the page asks for a text), but
        with the reason ``approval``, ``confirmation`` or ``tool_call``, or with a `tool_call_id`,
        it is ``{"approved": true}`` or ``{"approved": false}``. Raises AgentError if it is no
        schema, and in a tool of another library, which has questions of its own.
        """
        if LIBRARY.get():
            raise AgentError(
                "run.ask: a tool of another library's agent cannot ask so, because the model would "
                "be asked anew with the answer: use the approvals or interrupts of that library"
            )
        if schema is None and (tool_call_id or reason in APPROVALS):
            schema = APPROVAL
        if schema is not None:
            check_schema(schema)
        key = self._key(message, schema, reason)
        answers = await self._given()
        if key in answers:
            return answers[key]
        until = None if expires is None else (datetime.now(UTC) + expires).isoformat()
        raise Unanswered(
            Interrupt(
                id=new_id("ask"),
                reason=reason,
                message=message,
                tool_call_id=tool_call_id,
                response_schema=schema,
                expires_at=until,
                metadata={"netra": {"key": key, "answers": answers}},
            )
        )

    def close(self) -> None:
        """Let go of the run, which has ended: for who executes it. Nothing is said after it."""
        self._say = _unsaid
        self._room = _at_once
        self._question = _unknown
        self._watchers = lambda: 0
        self._cancelled = lambda: True

    def _key(self, message: str, schema: dict[str, Any] | None, reason: str) -> str:
        named = jsonlog.dumps([message, schema, reason])
        count = self._times[named] = self._times.get(named, 0) + 1
        return hashlib.sha256(f"{count} {named}".encode()).hexdigest()[:32]

    async def _given(self) -> dict[str, Any]:
        """Return the answers so far, by question: a question carries those given before it."""
        if self._answers is None:
            answers: dict[str, Any] = {}
            for entry in self.input.resume or ():
                asked = await self.question(entry.interrupt_id)
                own = ((asked or {}).get("metadata") or {}).get("netra") or {}
                answers.update(own.get("answers") or {})
                if "key" in own:
                    declined = entry.status == "cancelled"
                    answers[own["key"]] = None if declined else entry.payload
            self._answers = answers  # whole: somebody else may ask at the same time
        return self._answers

    def _send(self, event: BaseEvent, *, urgent: bool) -> None:
        try:
            inside = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            inside = False
        if inside:
            self._say(event, urgent)
        else:
            self._loop.call_soon_threadsafe(self._say, event, urgent)


def _number(name: str, given: object) -> int | float | None:
    """Return the number, of which there are kinds that JSON has not, as one that it has."""
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, Real | Decimal):
        raise TypeError(f"progress: {name} is of type {type(given).__name__}, not a number")
    if isinstance(given, int):
        return given
    try:
        number = float(given)
    except OverflowError:  # of a fraction; a decimal becomes infinity
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"progress: {name} is {number}, which JSON has not")
    return number


def _check_room(state: object) -> bool:
    """Return whether the state is plain. Raises TypeError if it surely does not fit an event."""
    size = size_of(state)
    if size.least > MAX_EVENT_BYTES:
        raise TypeError(
            f"the state cannot be saved: it has at least {size.least} bytes, and an event may have "
            f"{MAX_EVENT_BYTES}"
        )
    return size.plain


def _unsaid(event: BaseEvent, urgent: bool) -> None:
    """Leave out what is said when the run has ended."""


async def _at_once() -> None:
    """Nothing waits for a run that has ended."""


async def _unknown(id: str) -> None:
    """A run that has ended looks nothing up."""


CURRENT: ContextVar[RunContext | None] = ContextVar("netra_run", default=None)
"""Set by whoever runs an agent, in the task that runs it."""


LIBRARY: ContextVar[bool] = ContextVar("netra_library", default=False)
"""Whether an agent of another library calls, whose run does not begin anew with an answer."""


@contextmanager
def library() -> Iterator[None]:
    """Tell code that is called meanwhile, and tasks that begin, that a library calls it."""
    token = LIBRARY.set(True)
    try:
        yield
    finally:
        LIBRARY.reset(token)


def current_run() -> RunContext:
    """Return the run that the caller is part of. Raises AgentError outside of one."""
    run = CURRENT.get()
    if run is None:
        raise AgentError("no run is being executed here")
    return run


def scope(thread: ThreadKey, epoch: int) -> str:
    """Return the name of a thread among those of all users, also of deleted ones."""
    named = f"{epoch}\n{thread.owner}\n{thread.id}"
    return f"thread-{hashlib.sha256(named.encode()).hexdigest()[:32]}"


def scope_of(input: RunAgentInput) -> str:
    """Return the name under which an adapter may keep something of the thread."""
    run = CURRENT.get()
    return run.scope if run is not None else input.thread_id
