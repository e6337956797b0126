"""Rights: what a user may do in a thread, as the store knows it now."""

from netra_backend.core.ids import ThreadKey, UserId
from netra_backend.core.ports import Members
from netra_backend.core.roles import Role, allows, role_of


async def role_in(store: Members, user: UserId, thread: ThreadKey) -> Role | None:
    """Return what the user is in the thread, or None. Of an own thread nothing is looked up."""
    own = role_of(user, thread.owner, None)
    return own if own is not None else await store.role(thread, user)


async def may(store: Members, user: UserId, thread: ThreadKey, needs: Role) -> bool:
    """Return whether the user has at least the role `needs` in the thread."""
    return allows(await role_in(store, user, thread), needs)
