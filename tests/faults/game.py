"""A game: what all players at a server share. Who they are, what is there, and what was told."""

import asyncio
import time
from collections.abc import Iterator

from msgspec import Struct

from tests.checker import Frame, Name
from tests.faults.run_streams import RunStream
from tests.live import ServerProcess

THREADS: list[Name] = [("alice", "t0"), ("alice", "t1"), ("bob", "t0"), ("bob", "t1")]
PEOPLE = (("ann", "alice"), ("abe", "alice"), ("bob", "bob"), ("ben", "bob"), ("cat", "carol"))
USERS = ("alice", "bob", "carol")
ROLES = ("read", "write", "decide", "decide", None)
Change = tuple[float, float, str | None]
"""When a change of a role was asked for and answered, and the new role."""
NEVER = float("inf")


class Told(Struct):
    """What was asked, and when, and what was told; None if the connection ended before."""

    user: str
    kind: str
    about: Frame
    asked: float
    answered: float = NEVER
    answer: Frame | None = None

    @property
    def view(self) -> str:
        """The thread that it is about, as the user calls it; "" if it is about none."""
        path = self.about.get("path", "")
        if path.startswith("/threads/"):
            return str(path.split("/")[2]).replace("%2C", ",")
        given = self.about.get("input") or {}
        return str(self.about.get("thread") or given.get("threadId") or "")

    @property
    def run(self) -> str:
        """The run that it asks for; "" if it asks for none."""
        given = self.about.get("input") or {}
        return str(given.get("runId", ""))

    @property
    def code(self) -> str | None:
        """The code of the error that was told."""
        answer = self.answer or {}
        return answer["code"] if answer.get("type") == "error" else None


class Stamped(list[tuple[str, Frame]]):
    """A tape that knows when each frame was sent or came."""

    def __init__(self, frames: list[tuple[str, Frame]]) -> None:
        super().__init__(frames)
        self.times = [time.monotonic()] * len(frames)

    def append(self, frame: tuple[str, Frame]) -> None:
        super().append(frame)
        self.times.append(time.monotonic())


class Game:
    """What all players share: the server, the names, and what was told. `pace` is in seconds."""

    def __init__(self, server: ServerProcess, pace: float) -> None:
        self.server = server
        self.pace = pace
        self.over = False
        self.told: list[Told] = []
        self.streams: list[RunStream] = []
        self.odd: list[tuple[float, str]] = []
        """What is right only while the operator is at work, and when it was."""
        self.questions: dict[Name, list[str]] = {}
        self.runs: dict[Name, list[tuple[str, str]]] = {name: [] for name in THREADS}
        """The runs that somebody has asked for in each thread: user and name."""
        self.roles: dict[tuple[Name, str], list[Change]] = {
            (name, user): [] for name in THREADS for user in USERS
        }
        self.deletions: dict[Name, list[float]] = {name: [] for name in THREADS}
        """When each deletion was answered."""
        self.sharing = asyncio.Lock()
        """Held by who changes roles: what came after what is certain then."""
        self._number = 0

    def new_run(self, user: str) -> str:
        """Return a name that no run has."""
        self._number += 1
        return f"{user}-{self._number}"

    def deleted(self, name: Name, since: float = 0.0) -> bool:
        """Return whether the thread was deleted then or later."""
        return any(answered >= since for answered in self.deletions[name])

    def role(self, name: Name, user: str, since: float, until: float) -> str | None:
        """Return the role that a user had all the time; "?" if that is not certain."""
        for begin, end, role in self._spans(name, user):
            if begin < since and until < end:
                return role
        return "?"

    def _spans(self, name: Name, user: str) -> Iterator[Change]:
        """Yield from when to when a role is certain, and which it is."""
        changes = self.roles[name, user]
        yield 0.0, changes[0][0] if changes else NEVER, "owner" if user == name[0] else None
        later = [asked for asked, _, _ in changes[1:]] + [NEVER]
        for (_, answered, role), end in zip(changes, later, strict=True):
            if answered == NEVER:
                return  # a worker that stands still may make it at any time from now on
            yield answered, end, role
