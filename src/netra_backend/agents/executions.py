"""Executions: the runs that one node executes, found by their key, their thread, agent and user.

Whoever asks, as each command does that begins or cancels a run, pays the same for ten thousand
executions as for ten.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

from netra_backend.agents.execution import Execution
from netra_backend.core.ids import RunId, RunKey, ThreadKey, UserId
from netra_backend.core.run import Run


class Executions(Mapping[RunKey, Execution]):
    """The executions of a node by their runs' keys, in the order in which they began."""

    def __init__(self) -> None:
        self._by_key: dict[RunKey, Execution] = {}
        self._by_thread: dict[ThreadKey, dict[RunId, Execution]] = {}
        self._counts: Counter[tuple[str, str]] = Counter()

    def __getitem__(self, key: RunKey) -> Execution:
        return self._by_key[key]

    def __iter__(self) -> Iterator[RunKey]:
        return iter(self._by_key)

    def __len__(self) -> int:
        return len(self._by_key)

    def __repr__(self) -> str:
        return f"<Executions {len(self)} in {len(self._by_thread)} threads>"

    def in_thread(self, thread: ThreadKey) -> list[Execution]:
        """Return those in the thread: one that is active, and any that do not stop."""
        return list(self._by_thread.get(thread, {}).values())

    def named(self, thread: ThreadKey, id: RunId) -> Execution | None:
        """Return the one of this name in the thread, whoever started it."""
        return self._by_thread.get(thread, {}).get(id)

    def of_agent(self, agent: str) -> int:
        """Return how many are of the agent."""
        return self._counts["agent", agent]

    def of_user(self, user: UserId) -> int:
        """Return how many are of the user."""
        return self._counts["user", user]

    def add(self, execution: Execution) -> None:
        """Take one that begins, in the place of one of the same key that has not stopped yet.

        There is one if the thread was deleted meanwhile. Which of the two was in it is told, for
        its lease will not be renewed from here any more: it may be the one that begins.
        """
        run = execution.run
        before = self._by_key.get(run.key)
        if before is not None:
            if before.lease.fence > execution.lease.fence:
                execution.lose()
                return
            self.discard(before)
            if before.ends_itself:
                before.lose()
        self._by_key[run.key] = execution
        self._by_thread.setdefault(run.thread, {})[run.key.id] = execution
        self._counts.update(_counted(run))

    def discard(self, execution: Execution) -> bool:
        """Forget one that has stopped; return whether it was there."""
        run = execution.run
        if self._by_key.get(run.key) is not execution:
            return False
        del self._by_key[run.key]
        of_thread = self._by_thread.get(run.thread, {})
        if of_thread.get(run.key.id) is execution:  # another user's run may have its name
            del of_thread[run.key.id]
            if not of_thread:
                del self._by_thread[run.thread]
        for counted in _counted(run):
            self._counts[counted] -= 1
            if not self._counts[counted]:
                del self._counts[counted]
        return True


def _counted(run: Run) -> tuple[tuple[str, str], ...]:
    return ("agent", run.agent), ("user", run.key.owner)
