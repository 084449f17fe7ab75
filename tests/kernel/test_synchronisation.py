"""Events, locks, semaphores, conditions, queues and barriers: waking goes in the order of waiting, in every replay."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from procession.kernel import InstanceState
from tests.kernel.drive import Driven, op


def test_event_wakes_all_in_the_order_of_waiting() -> None:
    async def main() -> list[int]:
        event, said = asyncio.Event(), []

        async def waits(n: int) -> None:
            await event.wait()
            said.append(n)

        async with asyncio.TaskGroup() as group:
            for n in range(5):
                group.create_task(waits(n))
            await op("a")
            event.set()
        return said

    case = Driven(main)
    case.complete("a")
    assert case.result == [0, 1, 2, 3, 4]


def test_lock_gives_turns_in_the_order_of_asking() -> None:
    async def main() -> list[int]:
        lock, said = asyncio.Lock(), []

        async def work(n: int) -> None:
            async with lock:
                await op(f"a{n}")
                said.append(n)

        await asyncio.gather(*map(work, range(3)))
        return said

    case = Driven(main)
    for n in range(3):
        assert case.open == [f"a{n}"]
        case.complete(f"a{n}")
    assert case.result == [0, 1, 2]


def test_semaphore_limits_the_work_in_progress() -> None:
    async def main() -> None:
        semaphore = asyncio.Semaphore(2)

        async def work(n: int) -> None:
            async with semaphore:
                await op(f"a{n}")

        async with asyncio.TaskGroup() as group:
            for n in range(5):
                group.create_task(work(n))

    case = Driven(main)
    seen = []
    while case.open:
        seen.append(len(case.open))
        case.complete(case.open[-1])
    assert max(seen) == 2
    assert case.instance.state is InstanceState.COMPLETED


def test_condition_notifies_who_waits() -> None:
    async def main() -> list[str]:
        condition, said = asyncio.Condition(), []

        async def waits(name: str) -> None:
            async with condition:
                await condition.wait()
                said.append(name)

        tasks = [asyncio.create_task(waits(name)) for name in "xyz"]
        await op("a")
        async with condition:
            condition.notify(2)
        await op("b")
        async with condition:
            condition.notify_all()
        await asyncio.gather(*tasks)
        return said

    case = Driven(main)
    case.complete("a")
    case.complete("b")
    assert case.result == ["x", "y", "z"]


@pytest.mark.parametrize("kind", [asyncio.Queue, asyncio.LifoQueue, asyncio.PriorityQueue])
def test_a_queue_feeds_its_workers(kind: Any) -> None:
    async def main() -> list[int]:
        queue: asyncio.Queue[int] = kind()
        said: list[int] = []

        async def worker() -> None:
            while True:
                n = await queue.get()
                await op(f"a{n}")
                said.append(n)
                queue.task_done()

        workers = [asyncio.create_task(worker()) for _ in range(2)]
        for n in (3, 1, 2):
            queue.put_nowait(n)
        await queue.join()
        for each in workers:
            each.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        return said

    case = Driven(main)
    while case.open:
        case.complete(case.open[0])
    assert sorted(case.result) == [1, 2, 3]


def test_barrier_lets_all_go_together() -> None:
    async def main() -> list[str]:
        barrier, said = asyncio.Barrier(2), []

        async def party(name: str) -> None:
            await op(name)
            await barrier.wait()
            said.append(name)

        await asyncio.gather(party("a"), party("b"))
        return sorted(said)

    case = Driven(main)
    case.complete("b")
    case.complete("a")
    assert case.result == ["a", "b"]
