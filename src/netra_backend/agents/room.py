"""Room: how many runs may be executed at once, of one agent and of one user."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager

from netra_backend.agents.executions import Executions
from netra_backend.agents.policy import Policy
from netra_backend.core.ids import RunKey, UserId
from netra_backend.core.nodes import Freed, Nodes, Seat
from netra_backend.errors import ErrorCode, Refused

OF_AGENT, OF_USER = "runs of agent", "runs of user"
"""The kinds of seats."""

_WHOSE = {OF_AGENT: "the agent has", OF_USER: "you have"}


class Room:
    """The places for runs: of this node, and of all nodes that it is `share`d with.

    `executions` have one each here.
    """

    def __init__(self, executions: Executions, policies: Mapping[str, Policy]) -> None:
        self._nodes: Nodes | None = None
        self._executions = executions
        self._policies = policies
        self._beginning: Counter[tuple[str, str]] = Counter()
        self._seats: dict[RunKey, Sequence[Seat]] = {}

    def share(self, nodes: Nodes, freed: Freed) -> None:
        """Count with other nodes; have `freed` told when they have room they may have refused."""
        self._nodes = nodes
        nodes.tell_freed(freed)

    @asynccontextmanager
    async def kept(self, key: RunKey, agent: str) -> AsyncIterator[None]:
        """Keep a place for a run that begins. Raises Refused (too_many).

        A run that is executed after the block has its place until `leave`.
        """
        seats = self._limited(key.owner, agent)
        with self._kept_here(seats):
            await self._take(seats)
            try:
                yield
            finally:
                if key in self._executions and key not in self._seats:
                    self._seats[key] = seats
                else:
                    self._give(seats)

    def leave(self, key: RunKey) -> None:
        """The run is executed no more. Idempotent."""
        self._give(self._seats.pop(key, ()), used=True)

    def _limited(self, user: UserId, agent: str) -> list[Seat]:
        """Return a seat of each kind that is limited."""
        policy = self._policies[agent]
        limits = ((OF_AGENT, agent, policy.concurrent), (OF_USER, user, policy.per_user))
        return [Seat(kind, of, limit) for kind, of, limit in limits if limit is not None]

    @contextmanager
    def _kept_here(self, seats: Sequence[Seat]) -> Iterator[None]:
        kept = [(seat.kind, seat.of) for seat in seats]
        for seat, place in zip(seats, kept, strict=True):
            if self._executed(seat) + self._beginning[place] >= seat.limit:
                raise _too_many(seat)
        self._beginning.update(kept)
        try:
            yield
        finally:
            self._beginning.subtract(kept)
            self._beginning += Counter()  # forget those that nobody keeps any more

    def _executed(self, seat: Seat) -> int:
        """Return how many such seats the runs have that are executed here."""
        if seat.kind == OF_AGENT:
            return self._executions.of_agent(seat.of)
        return self._executions.of_user(UserId(seat.of))

    async def _take(self, seats: Sequence[Seat]) -> None:
        """Take the seats among all nodes. Raises Refused."""
        if self._nodes is not None and seats:
            for seat in await self._nodes.take(seats):
                raise _too_many(seat)

    def _give(self, seats: Sequence[Seat], *, used: bool = False) -> None:
        if self._nodes is not None and seats:
            self._nodes.give(seats, used=used)


def _too_many(seat: Seat) -> Refused:
    return Refused(ErrorCode.TOO_MANY, f"{_WHOSE[seat.kind]} {seat.limit} runs already")
