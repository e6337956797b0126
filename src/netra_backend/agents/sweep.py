"""The sweep: renews the leases of this node's runs, and ends the runs that nobody executes."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import NamedTuple

from netra_backend import jsonlog
from netra_backend.agents.endings import Endings
from netra_backend.agents.execution import Execution
from netra_backend.agents.lease_clock import LeaseClock
from netra_backend.core.ids import RunKey, ThreadKey
from netra_backend.core.ports import Runs
from netra_backend.core.run import ENDED, Lease, Run
from netra_backend.errors import StoreError

log = jsonlog.get_logger(__name__)

Write = Callable[[Run, Lease], Awaitable[None]]
"""Writes the end of a run, see `Endings`."""


class _Unended(NamedTuple):
    """A run of ours, and what writes its end."""

    run: Run
    lease: Lease
    write: Write


class Sweep:
    """Looks after leases, each time that it is asked to `look`.

    `executions` are the runs that are executed here, `starting` the keys of those that are about
    to be. `freed` is told of each thread in which a run was ended.
    """

    def __init__(
        self,
        store: Runs,
        endings: Endings,
        *,
        holder: str,
        lease_ms: int,
        now: Callable[[], int],
        executions: Mapping[RunKey, Execution],
        starting: Callable[[], Collection[RunKey]],
        freed: Callable[[ThreadKey], None],
    ) -> None:
        self._store = store
        self._endings = endings
        self._holder = holder
        self._lease_ms = lease_ms
        self._now = now
        self._clock = LeaseClock(lease_ms, now())
        self._executions = executions
        self._starting = starting
        self._freed = freed
        self._unended: dict[RunKey, _Unended] = {}
        """Runs of ours whose end could not be written when it was due."""
        self._has_told = False
        """Whether it is told that the store fails, since the last look began."""

    async def look(self) -> None:
        """Renew leases, and end the runs that nobody executes or that could not be ended."""
        failed, self._has_told = self._has_told, False
        await self._look()
        if failed and not self._has_told:
            log.warning("the sweep reaches the store again")

    async def _look(self) -> None:
        await self.guard(self._renew())
        for unended in list(self._unended.values()):
            if not await self.guard(self._renew_if_due()):
                return
            await self.guard(self._end_late(unended))
        await self.guard(self._end_orphans())

    async def guard(self, step: Awaitable[object]) -> bool:
        """Take one step, and return whether it was one; a border around one run.

        Its failure must not harm the others. That the store fails is told once a look: on a full
        disk it does for each of a thousand runs.
        """
        try:
            await step
        except StoreError:
            if not self._has_told:
                log.exception("the sweep could not reach the store")
            self._has_told = True
        except Exception:
            log.exception("the sweep failed for a run")
        else:
            return True
        return False

    async def end(self, run: Run, lease: Lease, write: Write) -> None:
        """End a run that does not execute here; if it cannot be now, a later look ends it so.

        Until this returns it has to be one that is `starting`.
        """
        if await self.guard(write(run, lease)):
            self._freed(run.thread)
        else:
            self._unended[run.key] = _Unended(run, lease, write)

    def end_failed(self, run: Run, lease: Lease) -> None:
        """Have a later look write the end of a run whose own could not be written."""
        self._unended[run.key] = _Unended(run, lease, self._endings.failed)

    async def _end_late(self, unended: "_Unended") -> None:
        run, lease, write = unended
        await write(run, lease)
        if self._unended.get(run.key) is unended:  # else meanwhile one has its name
            del self._unended[run.key]
        self._freed(run.thread)

    async def _renew(self) -> None:
        """Renew the leases, also if there are none: that others can renew theirs is seen by it."""
        executions = [e for e in self._executions.values() if e.ends_itself]
        leases = {key: unended.lease for key, unended in self._unended.items()}
        # A run here that has the name of an unended one has it because that one's thread is gone.
        leases.update((e.run.key, e.lease) for e in executions)
        asked = self._now()
        lost = await self._store.renew(list(leases.values()), asked + self._lease_ms)
        self._clock.renewed(asked, self._now())
        for execution in executions:  # those by now may have other leases, on runs of their names
            if execution.run.key in lost and execution.status not in ENDED:
                execution.lose()

    async def _renew_if_due(self) -> None:
        """Renew while there is much to end: of a worker with a thousand runs, say, that has died.

        Else others would take the leases of who has all that work.
        """
        if self._clock.is_due(self._now()):
            await self._renew()

    async def _end_orphans(self) -> None:
        """Write the terminal event of every run that nobody executes, and we do not end."""
        for run in await self._store.orphans(self._clock.upto):
            execution = self._executions.get(run.key)
            is_ours = execution is not None and execution.ends_itself
            is_ours = is_ours or run.key in self._unended or run.key in self._starting()
            if not is_ours:
                if not await self.guard(self._renew_if_due()):
                    return
                with jsonlog.bind(run=run.key.id, thread=run.thread.id, user=run.key.owner):
                    await self.guard(self._end_orphan(run))

    async def _end_orphan(self, run: Run) -> None:
        expires_at = self._now() + self._lease_ms
        lease = await self._store.adopt(run.key, self._holder, expires_at, self._clock.upto)
        if lease is not None:
            await self._endings.interrupted(run, lease)
            self._freed(run.thread)
