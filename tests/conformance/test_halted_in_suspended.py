"""An instance that had halted before those above it were suspended: it is part of the tree, and its timers stop with theirs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from procession import Function, deadline, process
from procession.services.commands import CancelInstance, CompleteItem, Order, ResumeInstance, SuspendInstance
from tests.conformance.world import Host, World

team = Function("Team", owner="ann@acme.example")
FAULTS: list[str] = []


@pytest.fixture(autouse=True)
def mended() -> None:
    FAULTS.clear()


@team.task(due="3 days")
async def work(what: str) -> str: ...


@process(owner=team)
async def part(number: int) -> str:
    try:
        async with deadline("4 days"):
            beside = work.request("beside")
            await work("first")
            if FAULTS:
                raise ZeroDivisionError(FAULTS[0])
            await work("second")
            return await beside
    except TimeoutError:
        return "the part is late"


@process(owner=team)
async def whole(number: int) -> str:
    try:
        async with deadline("6 days"):
            return await part(number)
    except TimeoutError:
        return "late"


async def halted_and_suspended(host: Host, timers: str) -> World:
    """A part that halted after a day, and the whole suspended then for ten days."""
    world = await host.open(team, whole, part)
    await world.start(whole, number=1)
    await world.pass_time("1 day")
    FAULTS.append("a typo")
    first = next(item for item in world.waits("part-1").items if item.call == 3)
    await world.office.perform(complete(first.id))
    assert world.state("part-1") == "halted"
    await world.give(SuspendInstance("whole-1", timers))
    await world.pass_time("10 days")
    return world


def complete(item: int) -> Order:
    return Order(CompleteItem(item, '"done"'), "ann")


def due(world: World, call: int) -> str:
    (item,) = (item for item in world.waits("part-1").items if item.call == call)
    assert item.due_us is not None
    return f"{datetime.fromtimestamp(item.due_us / 1_000_000, UTC):%d}"


async def goes_on_for_three_days(world: World) -> None:
    await world.pass_time("2 days")
    assert (world.state("part-1"), world.state("whole-1")) == ("running", "running")
    await world.pass_time("1 day")
    assert (world.result("part-1"), world.result("whole-1")) == ("the part is late", "the part is late")


@pytest.mark.parametrize("restarted", [False, True])
async def test_one_that_is_mended_in_the_pause_has_as_much_time_left_as_before(host: Host, restarted: bool) -> None:
    world = await halted_and_suspended(host, "stop")
    FAULTS.clear()
    await world.retry("part-1")
    assert world.state("part-1") == "suspended"
    await world.pass_time("10 days")
    if restarted:
        await world.restart()
    await world.give(ResumeInstance("whole-1"))
    assert (due(world, 2), due(world, 4)) == ("24", "25")
    await goes_on_for_three_days(world)


@pytest.mark.parametrize("restarted", [False, True])
async def test_one_that_is_mended_after_the_pause_has_as_much_time_left_as_before(host: Host, restarted: bool) -> None:
    world = await halted_and_suspended(host, "stop")
    await world.retry("part-1")  # it halts again
    assert world.state("part-1") == "halted"
    await world.pass_time("10 days")
    if restarted:
        await world.restart()
    await world.give(ResumeInstance("whole-1"))
    FAULTS.clear()
    await world.retry("part-1")
    assert due(world, 2) == "24"
    await goes_on_for_three_days(world)


async def test_where_timers_run_on_the_deadline_of_one_that_stands_still_has_passed(host: Host) -> None:
    world = await halted_and_suspended(host, "run")
    FAULTS.clear()
    await world.retry("part-1")
    await world.give(ResumeInstance("whole-1"))
    assert world.result("part-1") == "the part is late"


async def test_one_that_is_cancelled_by_force_in_the_pause_is_no_hindrance(host: Host) -> None:
    world = await halted_and_suspended(host, "stop")
    await world.give(CancelInstance("part-1", force=True))
    await world.give(ResumeInstance("whole-1"))
    assert world.state("whole-1") == "failed"
