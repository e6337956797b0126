"""The wall clock jumps while runs stream: order is unaffected, and no run ends for it."""

from pathlib import Path

import pytest

from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer
from tests.checker import judge
from tests.eventually import until
from tests.live import live
from tests.person import Person, read_logs

pytestmark = pytest.mark.anyio

DAY = 86_400_000
JUMPS = (DAY, -2 * DAY, DAY, -DAY, 3 * DAY)
LEASE = 0.06


class Clock:
    """Milliseconds since 1970 that only the test moves; it counts who looks."""

    def __init__(self) -> None:
        self.now = 1_800_000_000_000
        self.looks = 0

    def __call__(self) -> int:
        self.looks += 1
        return self.now


@pytest.mark.parametrize("kind", [MemoryStore, SqliteStore])
async def test_jumps_by_days_while_a_run_streams(
    tmp_path: Path, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = kind() if kind is MemoryStore else kind(tmp_path)
    gates = [Gate() for _ in JUMPS]
    agent = ScriptedAgent(answer(*[part for gate in gates for part in ("words ", gate)]))
    clock = Clock()
    monkeypatch.setattr("netra_backend.server.app.now", clock)
    async with (
        live({"agent": agent}, tmp_path, store=store, lease_seconds=LEASE) as server,
        Person(server, "ann") as ann,
    ):
        await ann.client.run("t", "r1")
        await ann.follow("t")
        for jump, gate in zip(JUMPS, gates, strict=True):
            await gate.reached()
            clock.now += jump
            looked = clock.looks
            await until(lambda since=looked: clock.looks > since + 6)  # three sweeps
            gate.open()
        await ann.settle("t")
        clock.now -= DAY
        await ann.client.run("t", "r2")  # the gates are open: it runs through
        await ann.settle("t")
        async with Person(server, "late") as late:
            await late.settle("t")
            logs = await read_logs(server, [("alice", "t")])
            verdict = judge([*ann.settled(), *late.settled()], logs)
    assert verdict, verdict
    chunks = [entry["chunk"] for entry in logs["alice", "t"]]
    ends = [chunk for chunk in chunks if chunk["type"] in ("RUN_FINISHED", "RUN_ERROR")]
    assert [end["type"] for end in ends] == ["RUN_FINISHED", "RUN_FINISHED"]
    times = [entry["at"] for entry in logs["alice", "t"]]
    assert times != sorted(times), "the clock did not jump where it matters"
