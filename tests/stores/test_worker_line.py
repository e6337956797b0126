"""The keeper's end of a line: a worker that takes nothing, says nothing, or is slow."""

import asyncio

import pytest

from netra_backend.stores import worker_line
from netra_backend.testing.scenario import a_thread, entries, start
from tests.eventually import until
from tests.stores.workers import Workers, as_store


@pytest.mark.anyio
async def test_a_worker_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_line, "MAX_UNSENT", 100_000)
    monkeypatch.setattr(worker_line, "STUCK", 0.05)
    workers = Workers()
    one, two = [await workers.worker() for _ in range(2)]
    two._line._transport.pause_reading()
    thread = a_thread()
    await start(as_store(one), thread, "r")
    log = await entries(as_store(one), thread)
    for _ in range(200):
        one.bus.publish(thread, log * 20)
    await until(lambda: len(workers.keeper._lines) == 1)
    two._line._transport.resume_reading()
    await until(lambda: workers.lost == [2])
    await one.close()


@pytest.mark.anyio
async def test_a_worker_is_silent_only_while_it_waits_for_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    workers = Workers()
    begins, works, waits, hangs = [await workers.worker() for _ in range(4)]
    for worker in (works, waits, hangs):
        await worker.probe()
    lines = list(workers.keeper._lines)
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    lines[2].calls.add(never)
    for _ in range(worker_line.SILENT + 1):
        for line in lines:
            line._look_after()
        await works.probe()
    await until(lambda: workers.lost == [4])
    assert list(workers.keeper._lines) == lines[:3]
    told = [(record.getMessage(), record.__dict__["worker"]) for record in caplog.records]
    assert told == [
        ("a worker does not come to serve", 1),  # and is left alone
        ("a worker says nothing; its line is cut", 4),
    ]
    lines[2].calls.clear()
    for worker in (begins, works, waits):
        await worker.close()


@pytest.mark.anyio
async def test_a_worker_that_is_slow_gets_the_last_of_each_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_line, "MAX_UNSENT", 100_000)
    workers = Workers()
    one, two = [await workers.worker() for _ in range(2)]
    heard: list[tuple[object, object]] = []
    two.bus.subscribe(lambda thread, entries: heard.append((thread, entries)))
    threads = [a_thread(), a_thread()]
    logs = []
    for thread in threads:
        await start(as_store(one), thread, "r")
        logs.append(await entries(as_store(one), thread))
    two._line._transport.pause_reading()
    for _ in range(2_000):
        one.bus.publish(threads[0], logs[0] * 20)
    for thread, log in zip(threads, logs, strict=True):
        one.bus.publish(thread, log)
    both = set(threads)
    await until(lambda: any(set(line._missed) == both for line in workers.keeper._lines))
    two._line._transport.resume_reading()
    await until(lambda: (threads[1], logs[1]) in [(t, list(e)) for t, e in heard[-2:]])
    assert (threads[0], logs[0]) in [(t, list(e)) for t, e in heard[-2:]]
    assert len(heard) < 2_000
    for worker in (one, two):
        await worker.close()
