"""What instances do to each other has its order: after overdue deadlines, and not before who stands still goes on (laws 23, 43, 45)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from procession import deadline, process
from procession.engine import delivering
from procession.engine.contract import Request
from procession.engine.turn import Turn
from procession.services.commands import ResumeInstance, SuspendInstance
from procession.services.pausing import suspension
from procession.work.item import ItemEnded
from tests.conformance.families import (
    buy,
    check,
    complete,
    confirm,
    countdown,
    hurried,
    opened,
    sleepy,
    start,
    team,
    tidy,
    watching,
)
from tests.conformance.world import Host


async def test_a_child_that_begins_while_its_parent_is_suspended_stands_still_with_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("procession.engine.delivering.MOST_AT_ONCE", 0)
    world = await opened(host)

    name = await world.start(buy, order="before")
    await world.running.apply_due()
    third = Request("suspend", "ann", lambda view: suspension(view, 3, "", stops_timers=False), instance=3)
    await asyncio.gather(world.start(buy, order="A-1"), world.running.submit(third))
    await world.running.apply_due()
    assert (world.state("buy-2"), world.state("deliver-2")) == ("suspended", "suspended")
    assert world.state(name) == world.state("deliver-1") == "running"
    await world.give(ResumeInstance("buy-2"))
    await complete(world, "deliver-2", True)

    assert world.result("buy-2") == "A-1 delivered"


async def test_a_parent_that_stands_still_is_told_afterwards_that_its_child_has_begun(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("procession.engine.delivering.MOST_AT_ONCE", 0)
    world = await opened(host)

    second = Request("suspend", "ann", lambda view: suspension(view, 1, "", stops_timers=False), instance=1)
    name, _ = await asyncio.gather(world.start(watching, order="A-1"), world.running.submit(second))
    await world.running.apply_due()
    assert (world.state("tidy-1"), world.waits(name).items) == ("suspended", ())
    await world.give(ResumeInstance(name))

    assert world.item(name).title == "Confirm"


@pytest.mark.usefixtures("in_step")
async def test_what_a_child_has_come_to_waits_for_a_parent_that_is_suspended_alone(host: Host) -> None:
    world = await opened(host)

    name = await start(world, buy, order="A-1")
    await world.give(SuspendInstance(name))
    await world.give(ResumeInstance("deliver-1"))
    await complete(world, "deliver-1", True)
    assert (world.state(name), world.state("deliver-1")) == ("suspended", "completed")
    await world.give(ResumeInstance(name))

    assert world.result(name) == "A-1 delivered"


# Order and time


async def test_overdue_timers_of_a_parent_come_before_a_late_answer_to_the_child(host: Host) -> None:
    world = await opened(host)

    name = await start(world, hurried, order="A-1")
    world.skip("3 days")  # nobody looks at what is due
    with pytest.raises(ItemEnded):
        await world.complete("tidy-1", True)

    assert world.kinds(name)[-2:] == ["CallWithdrawn", "ResultRecorded"]
    assert world.state("tidy-1") == "cancelling"


async def test_overdue_timers_of_parent_and_child_fire_in_the_order_in_which_they_were_due(host: Host) -> None:
    """The child would be done after a day, its parent waits for two, and the clean-up of the child takes three."""
    for days, told in (("1 day", "rested"), ("2 days", "too late"), ("3 days", "too late")):
        world = await opened(host)

        name = await world.start(sleepy, days=days)
        world.skip("10 days")
        await world.running.apply_due()

        assert world.result(name) == told, days


@pytest.mark.usefixtures("in_step")
async def test_a_halted_parent_takes_the_end_of_its_child_once_it_is_mended(host: Host) -> None:
    broken = [True]

    @process(owner=team)
    async def checked(order: str) -> str:
        call = tidy.request(order)
        await confirm(order)
        if broken[0]:
            raise KeyError("typo")
        return await call

    world = await host.open(team, tidy, checked)
    name = await start(world, checked, order="A-1")
    await complete(world, name, "yes")
    assert world.state(name) == "halted"
    await complete(world, "tidy-1", True, of="check")
    await complete(world, "tidy-1", True, of="clean_up")
    assert world.state("tidy-1") == "completed"
    broken[0] = False
    await world.retry(name)

    assert world.result(name) == "checked"


@pytest.mark.usefixtures("in_step")
async def test_the_end_of_a_child_is_only_that_where_the_mended_parent_no_longer_wants_it(host: Host) -> None:
    broken = [True]

    @process(owner=team)
    async def checked(order: str) -> str:
        call = tidy.request(order)
        await confirm(order)
        if broken[0]:
            raise KeyError("typo")
        call.withdraw("changed our mind")
        return await confirm("again")

    world = await host.open(team, tidy, checked)
    name = await start(world, checked, order="A-1")
    await complete(world, name, "yes")
    await complete(world, "tidy-1", True, of="check")
    await complete(world, "tidy-1", True, of="clean_up")
    broken[0] = False
    await world.retry(name)
    await complete(world, name, "done")

    assert "ChildEnded" in world.kinds(name)
    assert world.result(name) == "done"


@pytest.mark.usefixtures("in_step")
async def test_a_halted_child_is_cancelled_once_it_is_mended_and_holds_its_parent_until_then(host: Host) -> None:
    broken = [True]

    @process(owner=team)
    async def fragile(order: str) -> str:
        said = await confirm(order)
        if broken[0]:
            raise KeyError("typo")
        return said + await confirm("again")

    @process(owner=team)
    async def impatient(order: str) -> str:
        try:
            async with deadline("2 days"):
                return await fragile(order)
        except TimeoutError:
            return "too late"

    world = await host.open(team, fragile, impatient)
    name = await start(world, impatient, order="A-1")
    await complete(world, "fragile-1", "yes")
    await world.pass_time("3 days")
    await world.running.apply_due()
    assert (world.state(name), world.state("fragile-1")) == ("running", "halted")
    broken[0] = False
    await world.retry("fragile-1")
    await world.running.apply_due()

    assert (world.result(name), world.state("fragile-1")) == ("too late", "cancelled")


async def test_a_child_that_the_engine_cannot_begin_is_set_aside_and_its_parent_is_answered_all_the_same(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await opened(host)
    begin = delivering.begin_instance

    def fails(turn: Turn, *given: Any) -> Any:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(delivering, "begin_instance", fails)
    name = await start(world, buy, order="A-1")
    other = await world.start(countdown, number=0)

    assert (world.state(name), world.result(other)) == ("running", 0)
    assert any("cannot be applied" in notice.text for notice in world.notices)
    monkeypatch.setattr(delivering, "begin_instance", begin)
    await world.restart()
    await world.running.apply_due()
    assert world.state("deliver-1") == "running"


async def test_a_new_default_and_a_former_name_move_no_parent(host: Host) -> None:
    world = await opened(host)
    name = await start(world, buy, order="A-1")

    @process(owner=team, key="{order}", was=("deliver",))
    async def bring(order: str, by: str = "van") -> str:
        return f"{order} by {by}" if await check(order) else ""

    @process(owner=team, was=("buy",))
    async def shop(order: str) -> str:
        return await bring(order)

    await world.restart(team, bring, shop)
    await complete(world, "deliver-1", True)

    assert world.result(name) == "A-1 by van"


async def test_a_command_without_an_engine_takes_a_tree_to_where_it_waits_however_large_it_is(host: Host) -> None:
    world = await opened(host, runs_services=False, runs_timers=False)

    name = await world.start(countdown, number=90)

    assert world.result(name) == 90
