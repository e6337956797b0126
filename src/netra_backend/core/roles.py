"""Roles: what a user may do in a thread.

Each role includes the ones before it: who may decide may also write, and who may write may also
read. The owner of a thread may everything, and alone may rename it, delete it and say who else may
see it; nobody can be made the owner of a thread that there is.
"""

from enum import StrEnum

from netra_backend.core.ids import UserId


class Role(StrEnum):
    """What a user may do in a thread, the least first. The values are stored and sent."""

    READ = "read"
    """Follow it, and read its messages, events, runs and questions."""
    WRITE = "write"
    """Start runs in it and cancel them, whoever started them."""
    DECIDE = "decide"
    """Answer what its runs ask."""
    OWNER = "owner"
    """Rename it, delete it, and say who is a member."""

    def includes(self, other: "Role") -> bool:
        """Return whether who has this role may do what needs the `other`."""
        return _RANK[self] >= _RANK[other]


def role_of(user: UserId, owner: UserId, invited: Role | None) -> Role | None:
    """Return what `user` may do in a thread of `owner` in which they are `invited`, or not."""
    return Role.OWNER if user == owner else invited


def allows(role: Role | None, needs: Role) -> bool:
    """Return whether `role`, or having none, is enough for what needs `needs`."""
    return role is not None and role.includes(needs)


_RANK = {role: rank for rank, role in enumerate(Role)}
