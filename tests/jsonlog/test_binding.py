"""Bound fields follow the task, and end with the block."""

import asyncio
import contextvars
import re
import sys
import threading
from collections.abc import AsyncIterator

import pytest

from netra_backend.jsonlog import bind, correlation, new_correlation
from netra_backend.jsonlog.binding import bound


def test_ids_are_fresh_and_shaped() -> None:
    ids = {new_correlation() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in ids)


def test_inner_bindings_add_to_outer_ones_and_end() -> None:
    with bind(run="r", user="a"):
        with bind(user="b", correlation="c"):
            assert dict(bound()) == {"run": "r", "user": "b", "correlation": "c"}
            assert correlation() == "c"
        assert dict(bound()) == {"run": "r", "user": "a"}
    assert dict(bound()) == {}


def test_they_end_when_the_block_raises() -> None:
    with pytest.raises(ValueError, match="x"), bind(run="r"):
        raise ValueError("x")
    assert dict(bound()) == {}


def test_one_binding_may_nest_and_be_shared() -> None:
    shared = bind(service="s")
    with shared:
        with shared:
            pass
        assert dict(bound()) == {"service": "s"}
    assert not bound()

    async def serve(entered: asyncio.Event, leave: asyncio.Event) -> dict[str, object]:
        with shared:
            entered.set()
            await leave.wait()
        return dict(bound())

    async def main() -> list[dict[str, object]]:
        events = [(asyncio.Event(), asyncio.Event()) for _ in range(3)]
        tasks = [asyncio.create_task(serve(*pair)) for pair in events]
        for entered, _ in events:
            await entered.wait()
        for (_, leave), task in zip(events, tasks, strict=True):  # who came first leaves first
            leave.set()
            await asyncio.wait([task])
        return [task.result() for task in tasks]

    assert asyncio.run(main()) == [{}, {}, {}]
    with shared:
        assert dict(bound()) == {"service": "s"}
    assert not bound()


def test_threads_that_share_a_binding_leave_nothing_bound() -> None:
    shared, left = bind(service="s"), list[object]()

    def work() -> None:
        for _ in range(10_000):
            with shared:
                pass
        left.append(dict(bound()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    finally:
        sys.setswitchinterval(before)
    assert left == [{}] * 4


def test_outside_of_bindings_the_process_has_one_id() -> None:
    assert correlation() == correlation() == contextvars.Context().run(correlation)
    with bind(correlation=new_correlation()):
        inside = correlation()
    assert inside != correlation()


def test_tasks_inherit_and_do_not_mix() -> None:
    async def child(name: str, barrier: asyncio.Barrier) -> object:
        with bind(child=name):
            await barrier.wait()
            return dict(bound())

    async def parent() -> list[object]:
        with bind(run="r"):
            barrier = asyncio.Barrier(2)
            return list(await asyncio.gather(child("a", barrier), child("b", barrier)))

    assert asyncio.run(parent()) == [{"run": "r", "child": "a"}, {"run": "r", "child": "b"}]


def test_threads_of_asyncio_inherit() -> None:
    async def main() -> object:
        with bind(run="r"):
            return await asyncio.to_thread(lambda: dict(bound()))

    assert asyncio.run(main()) == {"run": "r"}


def test_a_generator_may_be_closed_by_another_task() -> None:
    async def numbers() -> AsyncIterator[int]:
        with bind(run="r"):
            yield 1

    async def main() -> object:
        one = numbers()
        assert await asyncio.create_task(anext(one)) == 1  # type: ignore[arg-type]
        await asyncio.create_task(one.aclose())  # type: ignore[attr-defined]
        return dict(bound())

    assert asyncio.run(main()) == {}
