"""The contract of `core.ports.Tickets` as tests."""

import asyncio

from netra_backend.core.ports import Store
from netra_backend.testing.scenario import Contract, expect, scenario


class TicketsContract(Contract):
    """Tickets are good once."""

    @scenario
    async def test_a_ticket_is_spent_once(self, store: Store) -> None:
        """Of many calls at once one wins, and none does later."""
        outcomes = await asyncio.gather(*(store.spend("a", 2_000, 1_000) for _ in range(20)))
        expect(sorted(outcomes), [False] * 19 + [True])
        expect(await store.spend("a", 2_000, 1_999), False)
        expect(await store.spend("b", 2_000, 1_000), True)

    @scenario
    async def test_what_is_forgotten_had_expired(self, store: Store) -> None:
        """Others that expire make no ticket good again before its own end."""
        expect(await store.spend("long", 9_000, 1_000), True)
        for number in range(5):
            expect(await store.spend(f"short {number}", 2_000, 1_000), True)
        expect(await store.spend("later", 9_000, 5_000), True)
        expect(await store.spend("long", 9_000, 8_999), False)
