"""What is due is applied when its time has come: not late, not twice, and without looking all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from procession import Function, process
from procession.engine import wake_ups as wake_ups_module
from procession.engine.clock import ClockNotTrusted, SystemClock
from procession.engine.contract import EngineStopped
from procession.engine.wake_ups import WakeUps
from procession.errors import StoreFull
from tests.conformance.world import Host
from tests.engine.subject import engine_of, opened

NOW_US = 1_772_355_600_000_000
YEAR_US = 365 * 24 * 3_600_000_000

team = Function("Team", owner="ann@acme.example")


@process(owner=team)
async def resting(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "rested"


class Due:
    """Stands in for the engine: counts how often what is due is applied, and says when the next is."""

    def __init__(self, *answers: int | Exception | None) -> None:
        self.answers = list(answers)
        self.applied = 0
        self.changed = asyncio.Event()

    async def apply(self) -> int | None:
        self.applied += 1
        self.changed.set()
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def until(self, times: int) -> None:
        async with asyncio.timeout(10):
            while self.applied < times:
                self.changed.clear()
                await self.changed.wait()


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


Run = Callable[[Due], Awaitable[WakeUps]]


@pytest.fixture
def tasks() -> list[asyncio.Task[None]]:
    return []


async def started(due: Due) -> tuple[WakeUps, asyncio.Task[None]]:
    wake_ups = WakeUps(lambda: NOW_US, due.apply)
    task = asyncio.ensure_future(wake_ups.run())
    await turns()
    return wake_ups, task


@pytest.mark.parametrize("next_us", [None, NOW_US + 10 * YEAR_US, NOW_US + 60_000_000])
async def test_while_nothing_is_due_nothing_is_looked_at(next_us: int | None) -> None:
    due = Due(next_us)
    _, task = await started(due)
    assert due.applied == 1
    task.cancel()


async def test_something_that_becomes_due_earlier_is_applied_then_and_something_later_disturbs_nobody() -> None:
    due = Due(NOW_US + 60_000_000)
    wake_ups, task = await started(due)
    wake_ups.expect(NOW_US + 90_000_000)
    await turns()
    assert due.applied == 1
    wake_ups.expect(NOW_US)
    await due.until(2)
    await turns()
    assert due.applied == 2
    task.cancel()


async def test_what_becomes_due_while_the_store_is_looked_at_is_not_missed() -> None:
    due = Due()
    wake_ups = WakeUps(lambda: NOW_US, due.apply)

    async def apply_and_expect() -> int | None:
        if due.applied == 0:
            wake_ups.expect(NOW_US)
        return await due.apply()

    wake_ups = WakeUps(lambda: NOW_US, apply_and_expect)
    task = asyncio.ensure_future(wake_ups.run())
    await due.until(2)
    task.cancel()


async def test_the_store_is_looked_at_again_though_nobody_said_that_anything_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wake_ups_module, "MOST_WAIT_US", 1_000)
    due = Due()
    _, task = await started(due)
    await due.until(3)
    task.cancel()


@pytest.mark.parametrize("error", [ClockNotTrusted("The clock jumped."), StoreFull("The disk is full.")])
async def test_what_cannot_be_applied_now_is_tried_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake_ups_module, "PAUSE_SECONDS", 0.001)
    due = Due(error, error, None)
    _, task = await started(due)
    await due.until(3)
    assert not task.done()
    task.cancel()


async def test_when_the_engine_stops_the_wake_ups_end() -> None:
    _, task = await started(Due(EngineStopped("over")))
    assert task.done() and task.exception() is None


async def test_a_mistake_of_ours_is_not_swallowed() -> None:
    _, task = await started(Due(ZeroDivisionError("a mistake")))
    assert isinstance(task.exception(), ZeroDivisionError)


async def test_a_timer_fires_without_another_request_and_no_earlier_than_it_is_due(host: Host) -> None:
    clock = SystemClock()
    world = await opened(host, resting, clock=clock)
    before_us = clock.wall_us()
    name = await world.start(resting, seconds=0.05)

    await world.until_ended(name)

    assert world.result(name) == "rested"
    assert world.row(name).now_us >= before_us + 50_000
    assert world.kinds(name).count("TimerFired") == 1


async def test_a_timer_that_was_overdue_at_the_start_fires_once_and_by_itself(host: Host) -> None:
    clock = SystemClock()
    world = await opened(host, resting, clock=clock, runs_timers=False, runs_services=False)
    name = await world.start(resting, seconds=0.001)
    while clock.wall_us() < world.waits(name).timers[0].due_us:
        await asyncio.sleep(0.001)
    assert world.state(name) == "running"

    await world.restart(options={})
    await world.until_ended(name)
    await world.restart()

    assert world.kinds(name) == ["InstanceStarted", "CallRequested", "TimerFired", "InstanceCompleted"]


async def test_an_engine_with_a_timer_in_ten_years_rests(host: Host) -> None:
    world = await opened(host, resting, clock=SystemClock())
    await world.start(resting, seconds=10 * YEAR_US / 1_000_000)
    await turns()
    before = engine_of(world)._writer.commits
    await turns(200)
    assert engine_of(world)._writer.commits == before


async def test_what_is_due_after_the_clock_was_set_forward_does_not_wait_for_the_sleep_from_before() -> None:
    """The sleeper counts by the clock as it was: a year to go, though the year is over."""
    now_us = NOW_US
    due = Due(NOW_US + YEAR_US)
    wake_ups = WakeUps(lambda: now_us, due.apply)
    task = asyncio.ensure_future(wake_ups.run())
    await due.until(1)
    await turns()

    now_us += 2 * YEAR_US
    wake_ups.expect(now_us)
    await due.until(2)
    task.cancel()
