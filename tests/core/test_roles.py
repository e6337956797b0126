"""Roles: what each may, and that no one else is among those who can be invited."""

import pytest

from netra_backend.core.roles import INVITED, Role

ORDER = ["read", "write", "decide", "owner"]


def test_there_are_four_and_the_last_is_nobody_elses() -> None:
    assert [role.value for role in Role] == ORDER
    assert set(Role) - set(INVITED) == {Role.OWNER}


@pytest.mark.parametrize("role", ORDER)
@pytest.mark.parametrize("other", ORDER)
def test_each_role_includes_those_before_it(role: str, other: str) -> None:
    assert Role(role).includes(Role(other)) == (ORDER.index(role) >= ORDER.index(other))
