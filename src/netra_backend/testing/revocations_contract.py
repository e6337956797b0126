"""The contract of `core.ports.Revocations` as tests."""

from netra_backend.core.ids import UserId, new_id
from netra_backend.core.ports import Store
from netra_backend.core.roles import Role
from netra_backend.testing.scenario import Contract, a_thread, expect, scenario


class RevocationsContract(Contract):
    """What was taken away, and that it is noticed."""

    @scenario
    async def test_the_latest_revocation_of_a_user_counts(self, store: Store) -> None:
        """Whatever the order of the calls; other users are as they were."""
        one, other = UserId(new_id("user")), UserId(new_id("user"))
        expect(one in await store.revocations(), False)
        for at in (5, 9, 7):
            await store.revoke(one, at)
        revoked = await store.revocations()
        expect((revoked[one], other in revoked), (9, False))

    @scenario
    async def test_each_withdrawal_is_counted(self, store: Store) -> None:
        """Revoking a user and removing a member are withdrawals; sharing and reading are none."""
        thread, bob = a_thread(), UserId("bob")
        await store.open_thread(thread, "", 1)
        before = await store.withdrawals()
        await store.set_member(thread, bob, Role.READ, 9)
        await store.set_member(thread, bob, Role.WRITE, 9)
        await store.remove_member(thread, UserId("nobody"))
        expect(await store.withdrawals(), before)
        await store.remove_member(thread, bob)
        removed = await store.withdrawals()
        await store.revoke(bob, 1)
        expect(before < removed < await store.withdrawals(), True)
