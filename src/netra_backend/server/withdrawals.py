"""Withdrawals: what was taken away, here or in another process, ends what is open.

A process looks at one number of the store each second, and at the rest when that has changed: so
a member who was removed sees nothing more, and a user who was revoked is closed, within seconds.
"""

import asyncio

from netra_backend import jsonlog
from netra_backend.core.ids import UserId
from netra_backend.core.ports import Store
from netra_backend.errors import CloseCode, NetraError
from netra_backend.server import store_failures
from netra_backend.server.access import Access
from netra_backend.server.pool import Pool
from netra_backend.server.revocations import UnrevokedAuth

log = jsonlog.get_logger(__name__)

EVERY = 1.0
"""Seconds between two looks at the store."""


class Withdrawals:
    """Notices withdrawals, from `open` to `close`."""

    def __init__(self, store: Store, auth: UnrevokedAuth, access: Access, pool: Pool) -> None:
        self._store = store
        self._auth = auth
        self._access = access
        self._pool = pool
        self._seen: int | None = None
        self._task: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()

    async def open(self) -> None:
        """Learn what has been withdrawn, and keep looking."""
        await self.look()
        self._task = asyncio.create_task(self._keep_looking(), name="look for withdrawals")

    async def close(self) -> None:
        """Look no more. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def revoke(self, user: UserId, at: int) -> None:
        """Take from the user what was issued until `at`, and close what is open with it."""
        await self._store.revoke(user, at)
        log.warning("revoked", extra={"revoked": user})
        await self.look()

    async def look(self) -> None:
        """End what is open and was withdrawn."""
        async with self._looking:  # an older answer of the store must not overtake a newer one
            await self._look()

    async def _look(self) -> None:
        count = await self._store.withdrawals()
        if count == self._seen:
            return
        await self._auth.load()
        for member in self._pool:
            if self._auth.is_revoked(member.credential):
                member.dismiss(CloseCode.UNAUTHENTICATED)
        await self._access.look_again()
        self._seen = count

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.look()
            except NetraError as error:
                store_failures.tell("withdrawals cannot be looked for", error)
            except Exception:
                # The border around one look: whatever is wrong with the store now, what will be
                # withdrawn later has to be noticed.
                log.exception("withdrawals cannot be looked for")
