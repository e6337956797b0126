"""Access: who may see which thread, and do what in it. Every command is checked here, afresh.

A user names an own thread by its id, and somebody else's as ``OWNER,ID``. Whoever has no role in a
thread is answered as if there were none of that name, and at the same cost.
"""

from collections.abc import Callable

from netra_backend.agents.executions import Executions
from netra_backend.agents.rights import role_in
from netra_backend.core.ids import (
    RunId,
    RunKey,
    ThreadKey,
    ThreadName,
    UserId,
    full_name,
    thread_key,
)
from netra_backend.core.ports import Store
from netra_backend.core.queue import QueuedRun
from netra_backend.core.roles import Role
from netra_backend.core.run import Run
from netra_backend.errors import ErrorCode, Refused


class Access:
    """The rights of all users, and the sights that are open on threads of others.

    `executions` are the runs that are executed here: they can be cancelled while the store fails.
    """

    def __init__(self, store: Store, executions: Executions) -> None:
        self._store = store
        self._executions = executions
        self._sights: dict[tuple[ThreadKey, UserId], set[Sight]] = {}

    def __repr__(self) -> str:
        return f"<Access, {sum(map(len, self._sights.values()))} sights of shared threads>"

    async def role(self, user: UserId, thread: ThreadKey) -> Role | None:
        """Return what the user is in the thread, or None; see `agents.rights`."""
        return await role_in(self._store, user, thread)

    async def check(self, user: UserId, thread: ThreadKey, needs: Role) -> None:
        """Raise Refused (``not_found``, ``forbidden``) unless the user has at least that role.

        Whether a thread of their own exists is not looked up.
        """
        role = await self.role(user, thread)
        if role is None:
            raise Refused(ErrorCode.NOT_FOUND)
        if not role.includes(needs):
            raise Refused(ErrorCode.FORBIDDEN, f"this needs the role {needs}, yours is {role}")

    async def thread(self, user: UserId, name: ThreadName, needs: Role) -> ThreadKey:
        """Return the thread that the user names. Raises Refused as `check` does."""
        thread = thread_key(user, name)
        await self.check(user, thread, needs)
        return thread

    async def run(
        self, user: UserId, id: RunId, needs: Role, thread: ThreadName | None = None
    ) -> Run | QueuedRun | None:
        """Return the run of this name in the thread, or, without one, the user's own; or None.

        Raises Refused as `check` does, for the thread that it is in.
        """
        found: Run | QueuedRun | None
        if thread is not None:
            key = await self.thread(user, thread, needs)
            found = await self._store.run_in(key, id)
            if found is None:
                waiting = await self._store.queued(key)
                found = next((queued for queued in waiting if queued.key.id == id), None)
            await self.check(user, key, needs)  # or withdrawn meanwhile
            return found
        own = RunKey(user, id)
        found = await self._store.run(own) or await self._store.queued_run(own)
        if found is not None:
            await self.check(user, found.thread, needs)
        return found

    async def cancels(self, user: UserId, id: RunId, thread: ThreadName | None = None) -> RunKey:
        """Return the run of this name that the user may cancel; as `run` finds it, if it is there.

        Raises Refused as `check` does.
        """
        own = RunKey(user, id)
        if thread is None:
            executed = self._executions.get(own)
        else:
            executed = self._executions.named(thread_key(user, thread), id)
        if executed is not None:
            await self.check(user, executed.run.thread, Role.WRITE)
            return executed.run.key
        found = await self.run(user, id, Role.WRITE, thread)
        return found.key if found is not None else own

    # --- what is open -------------------------------------------------------------------------

    def sight(self, user: UserId, thread: ThreadKey, name: ThreadName) -> "Sight":
        """Return the user's sight of the thread, which they name so. Check it before it is used."""
        sight = Sight(self, user, thread, name)
        if sight.shared:
            self._sights.setdefault((thread, user), set()).add(sight)
        return sight

    def forget(self, thread: ThreadKey, sight: "Sight") -> None:
        """Look after the sight no more. Idempotent."""
        open_ones = self._sights.get((thread, sight.user))
        if open_ones is not None:
            open_ones.discard(sight)
            if not open_ones:
                del self._sights[thread, sight.user]

    def withdraw(self, thread: ThreadKey, user: UserId) -> None:
        """End every sight that the user has of the thread, which is shared with them no more."""
        for sight in self._sights.pop((thread, user), ()):
            sight.withdraw()

    async def look_again(self) -> None:
        """End the sights of those who may see their threads no more."""
        for thread, user in list(self._sights):
            if await self.role(user, thread) is None:
                self.withdraw(thread, user)


class Sight:
    """That one user sees one thread: `thread` is it, or None once they may see it no more.

    `full` says that the user names it with its owner, `shared` that it is somebody else's.
    `withdrawn` is called when the user may see it no more.
    """

    __slots__ = ("_access", "_opened", "full", "shared", "thread", "user", "withdrawn")

    def __init__(self, access: Access, user: UserId, thread: ThreadKey, name: ThreadName) -> None:
        self.thread: ThreadKey | None = thread
        self.user = user
        self.full = name == full_name(thread)
        self.shared = thread.owner != user
        self.withdrawn: Callable[[], None] = _nothing
        self._access = access
        self._opened = thread

    def withdraw(self) -> None:
        """The user may see the thread no more."""
        self.thread = None
        self.withdrawn()

    def close(self) -> None:
        """The user does not look any more. Idempotent."""
        self.withdrawn = _nothing
        self._access.forget(self._opened, self)


def _nothing() -> None:
    """Nobody needs to be told."""
