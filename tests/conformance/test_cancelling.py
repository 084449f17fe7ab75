"""An instance that a person cancels: its clean-up is real work, whoever does it, and through every restart (law 9)."""

from __future__ import annotations

import asyncio

import pytest

from procession import Function, process
from procession.engine.contract import InstanceHasEnded, InstanceIsHalted
from procession.kernel import CancellationRequested, InstanceCancelled
from procession.services.commands import CancelInstance, CompleteItem, ResumeInstance, StartInstance, SuspendInstance
from procession.work.item import ItemEnded
from tests.conformance.test_halts import halted
from tests.conformance.world import Host, Settings, World

team = Function("Team", owner="ann@acme.example")
told: list[str] = []


@team.task()
async def prepare(order: str) -> str: ...


@team.task()
async def tidy_up(order: str) -> None: ...


@team.service()
async def tell(order: str) -> None:
    told.append(order)


@process(owner=team, key="{order}")
async def deliver(order: str) -> str:
    try:
        async with asyncio.timeout(3_600):
            return await prepare(order)
    finally:
        await tidy_up(order)
        await tell(order)


async def cancelled(host: Host) -> tuple[World, str]:
    """An instance whose clean-up waits for a person."""
    told.clear()
    world = await host.open(team, deliver)
    name = await world.start(deliver, order="pens")
    answer = await world.give(CancelInstance(name), "rita", reason="twice")
    assert answer == {"instance": name, "state": "cancelling", "halted": None}
    return world, name


async def test_the_process_is_told_and_its_clean_up_is_work_for_people_and_programs(host: Host) -> None:
    world, name = await cancelled(host)
    assert [item.operation for item in world.waits(name).items] == ["Team.tidy_up"]
    assert world.waits(name).timers == ()
    await world.complete(name, None)
    await world.until_ended(name)
    assert world.state(name) == "cancelled"
    assert told == ["pens"]
    last = world.history(name)[-1]
    assert isinstance(last, InstanceCancelled) and last.by_program and last.reason == "twice"


async def test_a_clean_up_goes_on_after_a_restart_and_out_of_memory(host: Host) -> None:
    world, name = await cancelled(host)
    await world.restart(team, deliver, most_live=1)
    await world.complete(name, None)
    await world.until_ended(name)
    assert world.state(name) == "cancelled"


async def test_cancelling_twice_is_cancelling_once(host: Host) -> None:
    world, name = await cancelled(host)
    again = await world.give(CancelInstance(name), "bob", reason="me too")
    assert again["state"] == "cancelling"
    assert [type(event) for event in world.history(name)].count(CancellationRequested) == 1
    await world.complete(name, None)
    await world.until_ended(name)
    with pytest.raises(InstanceHasEnded):
        await world.give(CancelInstance(name))


async def test_by_force_what_is_still_to_be_cleaned_up_is_left(host: Host) -> None:
    world, name = await cancelled(host)
    answer = await world.give(CancelInstance(name, force=True), reason="now")
    assert answer["state"] == "cancelled"
    assert world.waits(name).items == () and told == []


async def test_the_business_key_is_free_when_the_clean_up_has_ended_and_not_before(host: Host) -> None:
    world, name = await cancelled(host)
    same = await world.give(StartInstance("deliver", '{"order": "pens"}'))
    assert same["instance"] == name
    await world.complete(name, None)
    await world.until_ended(name)
    assert await world.start(deliver, order="pens") != name


async def test_a_halted_instance_is_cancelled_by_force_only(host: Host) -> None:
    world, name, _ = await halted(host)
    with pytest.raises(InstanceIsHalted, match="cannot clean up"):
        await world.give(CancelInstance(name))
    await world.give(CancelInstance(name, force=True))
    assert world.state(name) == "cancelled"


async def test_a_bug_in_the_clean_up_halts_and_is_mended_and_the_cancellation_goes_on(host: Host) -> None:
    @process(owner=team, was=("deliver",))
    async def mended(order: str) -> str:
        try:
            return await prepare(order)
        finally:
            await tidy_up(order)

    @process(owner=team)
    async def deliver(order: str) -> str:
        try:
            return await prepare(order)
        finally:
            await tidy_up(order)
            raise KeyError("typo")

    world = await host.open(team, deliver)
    name = await world.start(deliver, order="pens")
    await world.give(CancelInstance(name))
    await world.complete(name, None)
    assert world.state(name) == "halted"
    await world.restart(team, mended)
    await world.retry(name)
    assert world.state(name) == "cancelled"


async def test_one_that_is_retried_while_it_is_cancelled_is_cancelling_in_every_way(host: Host) -> None:
    mended: list[bool] = []

    @process(owner=team)
    async def careless() -> None:
        try:
            await prepare("room")
        finally:
            assert mended
            await prepare("chairs")

    world = await host.open(team, careless)
    name = await world.start(careless)
    await world.give(CancelInstance(name))
    assert world.state(name) == "halted"
    mended.append(True)
    await world.retry(name)
    assert (world.state(name), world.row(name).cancelling_us) == ("cancelling", world.row(name).now_us)
    await world.give(SuspendInstance(name))
    await world.give(ResumeInstance(name))
    assert world.state(name) == "cancelling"
    await world.give(CancelInstance(name))  # it is once only
    await world.complete(name, "so")
    assert world.state(name) == "cancelled"


async def test_a_history_at_its_limit_can_still_be_cancelled(host: Host) -> None:
    world = await host.open(team, deliver, settings=Settings(events_limit=2))
    name = await world.start(deliver, order="pens")
    await world.give(CancelInstance(name))
    await world.complete(name, None)
    await world.until_ended(name)
    assert world.state(name) == "cancelled"


async def test_an_answer_that_crosses_the_cancellation_is_refused(host: Host) -> None:
    world = await host.open(team, deliver)
    name = await world.start(deliver, order="pens")
    item = world.item(name).id
    await world.give(CancelInstance(name))
    with pytest.raises(ItemEnded):
        await world.give(CompleteItem(item, '"packed"'), "bob")
    assert world.find_item(item).state == "withdrawn"
    await world.complete(name, None)
    await world.until_ended(name)
    assert world.state(name) == "cancelled"
