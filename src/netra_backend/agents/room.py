"""Room: how many runs may be executed at once, of one agent and of one user."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from netra_backend.agents.executions import Executions
from netra_backend.agents.policy import Policy
from netra_backend.core.ids import UserId
from netra_backend.errors import ErrorCode, Refused


class Room:
    """The places for runs on this node; `executions` have one each."""

    def __init__(self, executions: Executions, policies: Mapping[str, Policy]) -> None:
        self._executions = executions
        self._policies = policies
        self._beginning: Counter[tuple[UserId | None, str | None]] = Counter()

    @contextmanager
    def kept(self, user: UserId, agent: str) -> Iterator[None]:
        """Keep a place for a run that begins. Raises Refused (too_many)."""
        policy = self._policies[agent]
        of_agent = self._executions.of_agent(agent) + self._beginning[None, agent]
        of_user = self._executions.of_user(user) + self._beginning[user, None]
        for limit, count, who in (
            (policy.concurrent, of_agent, "the agent has"),
            (policy.per_user, of_user, "you have"),
        ):
            if limit is not None and count >= limit:
                raise Refused(ErrorCode.TOO_MANY, f"{who} {limit} runs already")
        kept = ((None, agent), (user, None))
        self._beginning.update(kept)
        try:
            yield
        finally:
            self._beginning.subtract(kept)
            self._beginning += Counter()  # forget those that nobody keeps any more
