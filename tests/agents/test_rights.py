"""Rights: the owner may everything, a member what the store says at that moment."""

import pytest

from netra_backend.agents.rights import may, role_in
from netra_backend.core.ids import ThreadId, ThreadKey, UserId
from netra_backend.core.roles import Role
from netra_backend.stores.memory import MemoryStore
from tests.watched_store import WatchedStore

pytestmark = pytest.mark.anyio

ALICE, BOB = UserId("alice"), UserId("bob")
THREAD = ThreadKey(ALICE, ThreadId("t"))


async def test_the_owner_may_everything_and_nobody_is_asked() -> None:
    store = WatchedStore(MemoryStore())
    assert await role_in(store, ALICE, THREAD) is Role.OWNER
    assert await may(store, ALICE, THREAD, Role.OWNER)
    assert store.calls == []


async def test_a_member_may_what_their_role_includes_now() -> None:
    store = MemoryStore()
    await store.open_thread(THREAD, "", 1)
    assert await role_in(store, BOB, THREAD) is None
    assert not await may(store, BOB, THREAD, Role.READ)
    await store.set_member(THREAD, BOB, Role.WRITE, 9)
    assert await role_in(store, BOB, THREAD) is Role.WRITE
    allowed = [role for role in Role if await may(store, BOB, THREAD, role)]
    assert allowed == [Role.READ, Role.WRITE]
