"""Timeouts, sleeping, `call_later`: durable timers, asked for and withdrawn like any call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.kernel.drive import Driven, op


def test_timeout_cancels_and_its_timer_is_withdrawn_when_it_was_not_needed() -> None:
    async def main() -> str:
        async with asyncio.timeout(10):
            got = await op("a")
        return str(got)

    case = Driven(main)
    assert [(each.operation, each.due_us) for each in case.instance.open_calls.values()] == [
        ("timer", 11_000_000),
        ("a", None),
    ]
    case.complete("a", "in time")
    assert case.asked == ["-timer"]
    assert case.result == "in time"


def test_nested_timeouts_end_the_right_scope() -> None:
    async def main() -> str:
        try:
            async with asyncio.timeout(10):
                try:
                    async with asyncio.timeout(20):
                        await op("a")
                except TimeoutError:
                    return "inner"
        except TimeoutError:
            return "outer"
        return "?"

    case = Driven(main)
    case.fire()
    assert case.asked == ["-a", "-timer"]
    assert case.result == "outer"


def test_a_timeout_can_be_rescheduled() -> None:
    async def main() -> str:
        try:
            async with asyncio.timeout(10) as scope:
                await op("a")
                scope.reschedule(asyncio.get_running_loop().time() + 100)
                await op("b")
        except TimeoutError:
            return "late"
        return "?"

    case = Driven(main)
    case.complete("a")
    assert case.asked == ["-timer", "+timer", "+b"]
    case.fire()
    assert case.result == "late"


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_timeout_of_nothing_is_over_at_once(seconds: float) -> None:
    async def main() -> str:
        try:
            async with asyncio.timeout(seconds):
                await op("a")
        except TimeoutError:
            return "late"
        return "?"

    assert Driven(main).result == "late"


def test_wait_for_gives_the_result_or_a_timeout() -> None:
    async def main() -> list[Any]:
        first = await asyncio.wait_for(op("a"), 10)
        try:
            await asyncio.wait_for(op("b"), 10)
        except TimeoutError:
            return [first, "late"]
        return []

    case = Driven(main)
    case.complete("a", 1)
    case.fire()
    assert case.asked == ["-b"]
    assert case.result == [1, "late"]


def test_wait_for_nothing_starts_and_withdraws() -> None:
    async def main() -> str:
        try:
            await asyncio.wait_for(op("a"), 0)
        except TimeoutError:
            return "late"
        return "?"

    case = Driven(main)
    assert case.asked == ["+a", "-a"]
    assert case.result == "late"


def test_wait_for_without_a_limit_waits() -> None:
    case = Driven(lambda: asyncio.wait_for(op("a"), None))
    case.complete("a", 3)
    assert case.result == 3


def test_sleep_is_a_durable_timer_and_gives_its_result() -> None:
    async def main() -> str:
        return str(await asyncio.sleep(3, "rested"))

    case = Driven(main)
    assert case.instance.open_calls[1].due_us == 4_000_000
    case.fire()
    assert case.result == "rested"


def test_sleep_of_nothing_lets_the_others_go_first() -> None:
    async def main() -> list[str]:
        said: list[str] = []

        async def other() -> None:
            said.append("started")
            await asyncio.sleep(0)
            said.append("other")

        task = asyncio.create_task(other())
        said.append("main")
        await asyncio.sleep(0)
        said.append("main again")
        await task
        return said

    assert Driven(main).result == ["started", "main", "other", "main again"]


def test_a_cancelled_sleep_withdraws_its_timer() -> None:
    async def main() -> str:
        sleeper = asyncio.create_task(asyncio.sleep(100))
        await op("a")
        sleeper.cancel()
        return "over"

    case = Driven(main)
    case.complete("a")
    assert case.asked == ["-timer"]
    assert case.result == "over"


def test_call_later_and_call_at_are_durable_and_their_handles_cancel() -> None:
    async def main() -> list[str]:
        loop, said = asyncio.get_running_loop(), []
        over = loop.create_future()
        loop.call_later(5, said.append, "later")
        gone = loop.call_later(6, said.append, "never")
        loop.call_at(loop.time() + 7, over.set_result, None)
        loop.call_soon(said.append, "soon")
        loop.call_later(0, said.append, "at once")
        gone.cancel()
        assert gone.cancelled() and gone.when() > loop.time()
        await over
        return said

    case = Driven(main)
    case.fire()
    case.fire()
    assert case.result == ["soon", "at once", "later"]


def test_a_deadline_in_a_generator_that_was_left_cancels_nobody_later() -> None:
    async def numbers() -> AsyncIterator[int]:
        async with asyncio.timeout(60):
            for number in range(3):
                yield number

    async def main() -> Any:
        async for _ in numbers():
            break
        return await op("a")

    case = Driven(main)
    case.fire()
    assert case.halt is None
    case.complete("a", 1)
    assert case.result == 1
