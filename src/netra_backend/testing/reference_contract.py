"""The contract of `core.ports` as one law: whatever is called, the answer is the reference's.

The other tests of a store call it for one purpose each. Here many calls follow each other in an
order that nobody thought of, with the same few names, and `stores.memory` is asked the same.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import asdict, replace

from netra_backend.core.events import Event
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId, new_id
from netra_backend.core.ports import Answer, End, NewRun, Store
from netra_backend.core.positions import MAX_NUMBER, Position
from netra_backend.core.queue import QueuedRun
from netra_backend.core.roles import Role
from netra_backend.core.run import IllegalMove, Lease, RunStatus
from netra_backend.errors import LeaseLost, Refused
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scenario import Contract, event, question, scenario

T = TypeVar("T")

STORIES = 3
"""Sequences of calls that are tried, each with other names and choices."""

CALLS = 200
"""Calls of a story."""

_TOLD = 40
"""Calls that are told where the answers differ."""

_ERRORS = (LeaseLost, IllegalMove, ValueError)

_OF_ALL = frozenset({"orphans", "queued"})
"""Methods that tell of all threads, where others may have used the store, too."""

_USERS = ("u", "U")
_THREADS = ("t", "T")
_RUNS = ("r", "R", "a", "b", "c", "d")
_QUESTIONS = ("q", "q\0", "\u00e9", "e\u0301")
_TEXTS = ("", "a", "\0", "\u2028", "\U0001f600", '"\\', "x" * 3_000)


class ReferenceContract(Contract):
    """Any calls in any order."""

    @scenario
    async def test_any_calls_are_answered_as_the_reference_answers(self, store: Store) -> None:
        """Names differ in case, in marks and in how Unicode spells them; numbers are extreme."""
        for seed in range(STORIES):
            await tell_story(store, seed, CALLS)


async def tell_story(store: Store, seed: int, calls: int) -> None:
    """Fail unless the calls that follow from `seed` are answered as the reference answers them."""
    caller = _Caller(store, seed)
    for _ in range(calls):
        await caller.call()


class _Caller:
    """Calls a store and the reference, which number epochs and fences differently."""

    def __init__(self, store: Store, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - no secrets
        self._story = new_id("story")
        self._reference, self._store = MemoryStore(), store
        self._epochs: dict[int, int] = {}
        """Those of the reference, and what the store has instead; so with fences."""
        self._fences: dict[int, int] = {}
        self._leases: list[Lease] = []
        self._asked: list[tuple[ThreadKey, str]] = []
        self._told: deque[str] = deque(maxlen=_TOLD)
        self.now = 1

    async def call(self) -> None:
        """Make the next call. Appends are made several at once: they keep their order."""
        (method,) = self._random.choices(list(_CALLS), [weight for weight, _ in _CALLS.values()])
        if method != "append":
            asked = [_CALLS[method][1](self)]
        else:
            asked = [_CALLS[method][1](self) for _ in range(self._random.choice((1, 1, 3)))]
        known = [arguments for arguments in asked if arguments is not None]
        ours = await asyncio.gather(*(self._outcome(self._reference, method, a) for a in known))
        theirs = await asyncio.gather(
            *(self._outcome(self._store, method, self._theirs(a)) for a in known)
        )
        for arguments, our, their in zip(known, ours, theirs, strict=True):
            self._told.append(f"{method}{arguments}")
            if not self._is_alike(our, their):
                calls = "\n".join(self._told)
                raise AssertionError(f"got {their!r}, want {our!r}, after\n{calls}")

    async def _outcome(self, store: Store, method: str, arguments: Sequence[Any]) -> object:
        """Return what the call returns, or which error it raises, as far as that is promised."""
        try:
            if method == "append":
                events, writer, at, end = arguments
                return await store.append(events, writer=writer, at=at, end=end)
            outcome = await getattr(store, method)(*arguments)
        except Refused as refusal:
            return [Refused, refusal.code]
        except _ERRORS as error:
            return [next(kind for kind in _ERRORS if isinstance(error, kind))]
        if method == "revocations":
            return {user: at for user, at in outcome.items() if user.startswith(self._story)}
        if method in _OF_ALL:
            return [found for found in outcome if found.thread.owner.startswith(self._story)]
        if method == "undelivered":
            mine = [asked for asked in outcome if asked.thread.owner.startswith(self._story)]
            return sorted(mine, key=lambda asked: (asked.thread, asked.id))
        return outcome

    def _theirs(self, value: Any) -> Any:
        """Return what the store is told for what the reference is told."""
        if isinstance(value, Lease):
            return replace(value, fence=self._fences[value.fence])
        if isinstance(value, Position):
            return Position(self._epochs.get(value.epoch, value.epoch), value.offset)
        if type(value) in (tuple, list):
            return [self._theirs(each) for each in value]
        return value

    def _is_alike(self, our: Any, their: Any) -> bool:
        if isinstance(our, Position) and isinstance(their, Position):
            epoch = self._epochs.setdefault(our.epoch, their.epoch)
            return Position(epoch, our.offset) == their
        if isinstance(our, Lease) and isinstance(their, Lease):
            if our.fence not in self._fences:
                self._leases.append(our)
            fence = self._fences.setdefault(our.fence, their.fence)
            return replace(our, fence=fence) == their
        if isinstance(our, Struct):
            return type(our) is type(their) and self._is_alike(asdict(our), asdict(their))
        if isinstance(our, dict) and isinstance(their, dict):
            return our.keys() == their.keys() and all(
                self._is_alike(value, their[key]) for key, value in our.items()
            )
        if isinstance(our, list | tuple) and isinstance(their, list | tuple):
            return len(our) == len(their) and all(map(self._is_alike, our, their))
        return bool(our == their)

    # --- what is called with -----------------------------------------------------------------

    def one_of(self, choices: Sequence[T]) -> T:
        return self._random.choice(choices)

    def user(self) -> UserId:
        return UserId(f"{self._story}{self.one_of(_USERS)}")

    def thread(self) -> ThreadKey:
        return ThreadKey(self.user(), ThreadId(self.one_of(_THREADS)))

    def run(self) -> RunId:
        return RunId(self.one_of(_RUNS))

    def key(self) -> RunKey:
        return RunKey(self.user(), self.run())

    def text(self) -> str:
        return self.one_of(_TEXTS)

    def role(self) -> Role:
        return self.one_of((Role.READ, Role.WRITE, Role.DECIDE))

    def limit(self) -> int:
        return self.one_of((-1, 0, 1, 2, 17, 1_000, 1_000, 1_000))

    def time(self) -> int:
        """Return a time that is no earlier than the one before."""
        self.now += self.one_of((0, 1, 5))
        return self.now

    def events(self) -> list[Event]:
        return [event(self.text()) for _ in range(self.one_of((0, 1, 1, 1, 2, 2, 40)))]

    def place(self) -> tuple[ThreadKey, str]:
        """Return a thread and a question, which were asked together if any was."""
        return self.one_of((*self._asked[-3:], (self.thread(), self.one_of(_QUESTIONS))))

    def answer(self, id: str) -> Answer:
        return Answer(id, self.one_of(("resolved", "cancelled")), self.one_of((b"1", b"null")))

    def new_run(self) -> NewRun:
        thread, asked = self.place()
        user = self.one_of((thread.owner, self.user()))
        return NewRun(
            RunKey(user, self.run()), thread, "agent", "c", "node", self.time(),
            self.now + self.one_of((0, 9)),
            answers=[self.answer(asked) for _ in range(self.one_of((0, 0, 1, 2)))],
            needs=self.one_of((None, self.role())), ends=self.one_of((False, False, True)),
        )  # fmt: skip

    def append(self) -> tuple[object, ...] | None:
        lease = self.lease()
        if lease is None:
            return None
        asked = [question(lease, self.one_of(_QUESTIONS)) for _ in range(self.one_of((0, 1, 2)))]
        end = self.one_of((None, None, End(self.one_of(tuple(RunStatus)), asked)))
        self._asked += [(lease.thread, each.id) for each in asked if end is not None]
        return self.events(), lease, self.time(), end

    def decision(self) -> tuple[object, ...]:
        thread, asked = self.place()
        return thread, self.answer(asked), self.one_of((thread.owner, self.user())), self.role()

    def page(self) -> tuple[object, ...]:
        thread, asked = self.place()
        return thread, self.limit(), self.one_of((None, asked))

    def lease(self) -> Lease | None:
        return self.one_of(self._leases[-2:]) if self._leases else None

    def leases(self) -> list[Lease]:
        return self._leases[-self.one_of((1, 3)) :]

    def position(self) -> Position | None:
        epoch = self.one_of((0, MAX_NUMBER, *self._epochs))
        return self.one_of((None, Position(epoch, self.one_of((0, 1, 20, MAX_NUMBER)))))


_CALLS: dict[str, tuple[int, Callable[[_Caller], Any]]] = {
    "open_thread": (6, lambda of: (of.thread(), of.text(), of.time())),
    "create_run": (16, lambda of: (of.new_run(), of.events())),
    "append": (12, _Caller.append),
    "decide": (4, _Caller.decision),
    "enqueue": (4, lambda of: (_queued(of), of.limit())),
    "set_member": (4, lambda of: (of.thread(), of.user(), of.role(), of.one_of((1, 2, 2)))),
    "renew": (1, lambda of: (of.leases(), of.now + 9)),
    "adopt": (2, lambda of: (of.key(), "other", of.now + 9, of.now)),
    "rename_thread": (1, lambda of: (of.thread(), of.one_of(("\ud800", of.text())))),
    "delete_thread": (1, lambda of: (of.thread(),)),
    "remove_member": (1, lambda of: (of.thread(), of.user())),
    "cancel_queued": (1, lambda of: (of.key(),)),
    "spend": (1, lambda of: (f"{of.user()}{of.text()}", of.now + 1_000_000, of.now)),
    "thread": (1, lambda of: (of.thread(),)),
    "threads": (2, lambda of: (of.user(), of.limit(), of.one_of((None, (of.now, of.thread()))))),
    "members": (1, lambda of: (of.thread(),)),
    "role": (1, lambda of: (of.thread(), of.user())),
    "run": (1, lambda of: (of.key(),)),
    "run_in": (1, lambda of: (of.thread(), of.run())),
    "last_run": (1, lambda of: (of.thread(),)),
    "read": (2, lambda of: (of.thread(), of.one_of((-1, 0, 1, 16, MAX_NUMBER)), of.limit())),
    "backlog": (4, lambda of: (of.thread(), of.user(), of.position(), of.limit())),
    "interrupt": (1, _Caller.place),
    "interrupts": (1, lambda of: (of.thread(), of.run())),
    "asked": (2, _Caller.page),
    "queued_run": (1, lambda of: (of.key(),)),
    "queued": (1, lambda of: (of.one_of((None, of.thread())),)),
    "orphans": (1, lambda of: (of.now + of.one_of((0, 9)),)),
    "undelivered": (1, lambda of: ()),
    "revoke": (1, lambda of: (of.user(), of.one_of((-1, of.now, MAX_NUMBER)))),
    "revocations": (1, lambda of: ()),
}
"""How often each method is called, and with what."""


def _queued(of: _Caller) -> QueuedRun:
    return QueuedRun(of.key(), of.thread(), "agent", b"{}", of.time())
