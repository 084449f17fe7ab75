"""Time: law 23, and moments at hand-offs, law 48."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from procession import Elapsed, Function, after, deadline, now, process, until
from procession.engine.clock import HOUR_US, ClockNotTrusted, VirtualClock
from procession.errors import InvalidValue
from procession.kernel import CallCompleted, TimerFired
from procession.services.commands import AcceptClock, CompleteItem, StartInstance
from procession.work.item import ItemEnded
from tests.conformance.world import MARCH_2026_US, Host, Settings

team = Function("Team", owner="ann@acme.example")
DAY_US = 24 * HOUR_US


@team.task()
async def answer() -> str: ...


@team.task()
async def remind() -> str: ...


@process(owner=team)
async def limited() -> str:
    try:
        async with deadline("2 days"):
            return await answer()
    except TimeoutError:
        return "too late: " + await remind()


@process(owner=team)
async def telling() -> list[str]:
    times = [now()]
    elapsed: Elapsed = await after("1 day")
    times += [elapsed.due, now()]
    await answer()
    times.append(now())
    return [moment.isoformat() for moment in times]


@process(owner=team)
async def ordered() -> list[int]:
    seen: list[int] = []

    async def wait(number: int, days: int) -> None:
        await after(timedelta(days=days))
        seen.append(number)

    await asyncio.gather(wait(1, 3), wait(2, 1), wait(3, 2), wait(4, 1))
    return seen


class StubbornClock(VirtualClock):
    """A clock whose wall can be set, as a person or a time server does."""

    def __init__(self, start_us: int) -> None:
        super().__init__(start_us)
        self.set_by_us = 0

    def wall_us(self) -> int:
        return super().wall_us() + self.set_by_us


async def test_an_overdue_timer_comes_before_a_late_completion_though_nobody_looked(host: Host) -> None:
    world = await host.open(limited, settings=Settings(runs_timers=False))
    name = await world.start(limited)
    late = world.item(name).id
    world.skip("3 days")

    with pytest.raises(ItemEnded):
        await world.give(CompleteItem(late, '"here it is"'))

    [fired] = [event for event in world.history(name) if isinstance(event, TimerFired)]
    assert fired.due_us == MARCH_2026_US + 2 * DAY_US
    assert fired.at_us == MARCH_2026_US + 3 * DAY_US
    assert world.item(name).operation == "Team.remind"
    await world.restart(runs_timers=True)
    await world.complete(name, "sorry")
    assert world.result(name) == "too late: sorry"


async def test_an_overdue_timer_comes_before_a_late_service_result(host: Host) -> None:
    gate = asyncio.Event()
    clerks = Function("Clerks", owner="ann@acme.example")

    @clerks.service()
    async def fetch() -> str:
        await gate.wait()
        return "fetched"

    @process(owner=clerks)
    async def racing() -> str:
        try:
            async with deadline("1 hour"):
                return await fetch()
        except TimeoutError:
            return "gone"

    world = await host.open(racing, settings=Settings(runs_timers=False))
    name = await world.start(racing)
    await world.until(lambda: [call.state for call in world.waits(name).service_calls] == ["running"])
    world.skip("2 hours")
    gate.set()
    await world.until_ended(name)

    assert world.result(name) == "gone"
    assert "CallCompleted" not in world.kinds(name)


async def test_a_completion_just_before_the_due_time_counts_and_the_timer_goes(host: Host) -> None:
    world = await host.open(limited)
    name = await world.start(limited)
    world.skip("47 hours 59 minutes")

    await world.complete(name, "in time")

    assert world.result(name) == "in time"
    assert "TimerFired" not in world.kinds(name)


async def test_a_completion_at_the_very_moment_of_the_deadline_is_too_late(host: Host) -> None:
    world = await host.open(limited, settings=Settings(runs_timers=False))
    name = await world.start(limited)
    world.skip("2 days")

    with pytest.raises(ItemEnded):
        await world.complete(name, "now")


async def test_timers_fire_in_order_of_due_time_and_then_of_their_calls_and_so_in_replay(host: Host) -> None:
    world = await host.open(ordered, settings=Settings(most_live=1))
    name = await world.start(ordered)
    await world.start(ordered)
    await world.pass_time("10 days")

    assert world.result(name) == [2, 4, 3, 1]
    fired = [event for event in world.history(name) if isinstance(event, TimerFired)]
    assert [event.due_us for event in fired] == sorted(event.due_us for event in fired)
    assert {event.at_us for event in fired} == {MARCH_2026_US + 10 * DAY_US}


async def test_the_process_sees_the_time_of_the_event_that_is_applied(host: Host) -> None:
    world = await host.open(telling)
    name = await world.start(telling)
    await world.pass_time("3 days")
    world.skip("1 hour")
    await world.restart()
    await world.complete(name, "x")

    assert world.result(name) == [
        "2026-03-01T09:00:00+00:00",
        "2026-03-02T09:00:00+00:00",
        "2026-03-04T09:00:00+00:00",
        "2026-03-04T10:00:00+00:00",
    ]


async def test_a_timer_that_was_due_while_no_engine_ran_fires_at_the_next_start(host: Host) -> None:
    world = await host.open(limited)
    name = await world.start(limited)
    await world.close()
    world.skip("100 days")
    await world.restart()

    await world.until(lambda: "TimerFired" in world.kinds(name))
    assert world.kinds(name).count("TimerFired") == 1


async def test_a_timer_fires_by_itself_when_its_time_has_come(host: Host) -> None:
    """Nothing but the clock of the machine moves it."""
    from procession.engine.clock import SystemClock

    @process(owner=team)
    async def short() -> str:
        await asyncio.sleep(0.05)
        return "woken"

    world = await host.open(short, clock=SystemClock())
    name = await world.start(short)
    await world.until_ended(name)
    assert world.result(name) == "woken"


async def test_the_time_of_requests_never_runs_backwards_though_the_wall_clock_is_set_back(host: Host) -> None:
    clock = StubbornClock(MARCH_2026_US)
    world = await host.open(limited, clock=clock)
    name = await world.start(limited)
    world.skip("10 minutes")
    clock.set_by_us = -HOUR_US // 2
    await world.complete(name, "x")

    times = [event.at_us for event in world.history(name)]
    assert times == sorted(times)
    [done] = [event for event in world.history(name) if isinstance(event, CallCompleted)]
    assert done.at_us == MARCH_2026_US + HOUR_US // 6


@pytest.mark.parametrize("hours", [-2, 2, 24 * 365 * 10])
async def test_a_wall_clock_that_jumps_by_more_than_an_hour_stops_requests_and_timers_until_it_is_accepted(
    host: Host, hours: int
) -> None:
    clock = StubbornClock(MARCH_2026_US)
    world = await host.open(limited, clock=clock)
    name = await world.start(limited)
    clock.set_by_us = hours * HOUR_US

    with pytest.raises(ClockNotTrusted, match="--accept-clock"):
        await world.start(limited)
    with pytest.raises(ClockNotTrusted):
        await world.running.apply_due()
    with pytest.raises(ClockNotTrusted):
        await world.complete(name, "x")
    assert "TimerFired" not in world.kinds(name)

    assert await world.give(AcceptClock(), "ann", reason="it was wrong") == {"accepted": True}
    await world.until(lambda: ("TimerFired" in world.kinds(name)) == (hours > 48))
    assert (await world.give(StartInstance("limited", "{}")))["state"] == "running"


async def test_the_acceptance_of_a_clock_is_recorded_with_who_and_why(host: Host) -> None:
    clock = StubbornClock(MARCH_2026_US)
    world = await host.open(limited, clock=clock)
    clock.set_by_us = 5 * HOUR_US
    await world.give(AcceptClock(), "bob", reason="the battery was empty")

    with world.view() as view:
        request = view.request(1)
    assert request is not None
    assert (request.kind, request.actor, request.reason) == ("AcceptClock", "bob", "the battery was empty")


async def test_a_service_result_that_comes_while_the_clock_is_not_trusted_is_recorded_later(host: Host) -> None:
    gate = asyncio.Event()
    clerks = Function("Clerks", owner="ann@acme.example")

    @clerks.service()
    async def fetch() -> str:
        await gate.wait()
        return "fetched"

    @process(owner=clerks)
    async def fetching() -> str:
        return await fetch()

    clock = StubbornClock(MARCH_2026_US)
    world = await host.open(fetching, clock=clock)
    name = await world.start(fetching)
    clock.set_by_us = 2 * HOUR_US
    gate.set()
    with pytest.raises(ClockNotTrusted):
        await world.start(fetching)
    await world.give(AcceptClock())
    await world.until_ended(name)
    assert world.result(name) == "fetched"


async def test_a_clock_that_is_behind_the_store_at_opening_is_not_trusted_and_accepted_once_for_all(host: Host) -> None:
    world = await host.open(limited)
    name = await world.start(limited)
    await world.close()
    world.clock = VirtualClock(MARCH_2026_US - 5 * HOUR_US)
    await world.restart()
    with pytest.raises(ClockNotTrusted, match=r"5\.0 hours behind"):
        await world.complete(name, "x")

    await world.give(AcceptClock())
    await world.complete(name, "x")
    assert world.history(name)[-1].at_us >= MARCH_2026_US
    await world.restart()
    await world.start(limited)


async def test_a_clock_a_little_behind_the_store_is_no_matter(host: Host) -> None:
    world = await host.open(limited)
    name = await world.start(limited)
    await world.close()
    world.clock = VirtualClock(MARCH_2026_US - HOUR_US // 2)
    await world.restart()
    await world.complete(name, "x")
    assert world.history(name)[-1].at_us >= MARCH_2026_US


# Moments at hand-offs


@dataclass(frozen=True)
class Meeting:
    at: datetime


@team.task()
async def invite(meeting: Meeting) -> datetime: ...


@team.service(attempts=1)
async def suggest() -> datetime:
    return datetime(2026, 3, 1, 9)


@process(owner=team)
async def meeting(first: Meeting) -> datetime:
    return await invite(first)


@process(owner=team)
async def suggesting() -> datetime:
    return await suggest()


@process(owner=team)
async def waiting() -> None:
    await until(datetime(2026, 3, 1, 9))


async def test_a_moment_without_a_time_zone_is_refused_from_people(host: Host) -> None:
    world = await host.open(meeting)
    with pytest.raises(InvalidValue, match=r"first\.at"):
        await world.start(meeting, first={"at": "2026-03-01T09:00:00"})
    name = await world.start(meeting, first={"at": "2026-03-01T09:00:00+01:00"})
    with pytest.raises(InvalidValue):
        await world.complete(name, "2026-03-01T09:00:00")

    await world.complete(name, "2026-03-01T09:00:00Z[Europe/Amsterdam]")
    assert world.result(name) == "2026-03-01T09:00:00Z[Europe/Amsterdam]"


async def test_a_moment_without_a_time_zone_from_a_service_needs_attention(host: Host) -> None:
    world = await host.open(suggesting)
    name = await world.start(suggesting)
    await world.until(lambda: world.attention(name))


async def test_until_a_moment_without_a_time_zone_halts(host: Host) -> None:
    world = await host.open(waiting)
    name = await world.start(waiting)
    assert "without a time zone" in world.halt(name)["message"]


async def test_a_moment_that_has_passed_is_due_at_once(host: Host) -> None:
    @process(owner=team)
    async def past() -> str:
        elapsed = await until(datetime(2020, 1, 1, tzinfo=UTC))
        return elapsed.due.isoformat()

    world = await host.open(past)
    name = await world.start(past)
    await world.running.apply_due()
    assert world.result(name) == "2020-01-01T00:00:00+00:00"
