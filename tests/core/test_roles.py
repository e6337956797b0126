"""Roles: what each may. That nobody is invited as an owner, tests/server/test_members.py says."""

import pytest

from netra_backend.core.roles import Role

ORDER = ["read", "write", "decide", "owner"]


def test_there_are_four() -> None:
    assert [role.value for role in Role] == ORDER


@pytest.mark.parametrize("role", ORDER)
@pytest.mark.parametrize("other", ORDER)
def test_each_role_includes_those_before_it(role: str, other: str) -> None:
    assert Role(role).includes(Role(other)) == (ORDER.index(role) >= ORDER.index(other))
