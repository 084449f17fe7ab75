"""An instance that ends by itself: `finish` from any branch, `renew` with a short history (laws 7 and 35)."""

from __future__ import annotations

import asyncio

from procession import Function, attribute, process
from procession.kernel import CallRequested, Renewed
from procession.services.commands import CancelInstance, RetryInstance
from tests.conformance.world import Host, Settings

team = Function("Team", owner="ann@acme.example")


@team.task()
async def look(month: int) -> bool: ...


@team.task()
async def warn() -> str: ...


@process(owner=team)
async def search(places: int) -> str:
    async def at(place: int) -> None:
        try:
            if await look(place):
                await search.finish(f"found at {place}")
        finally:
            await warn()

    async with asyncio.TaskGroup() as group:
        for place in range(places):
            group.create_task(at(place))
    return "nowhere"


@process(owner=team, title="month {month}")
async def subscription(month: int = 1) -> str:
    attribute(month=month)
    if await look(month):
        return f"ended in month {month}"
    await subscription.renew(month + 1)


async def test_the_first_that_finds_something_ends_the_instance_and_the_rest_is_withdrawn(host: Host) -> None:
    world = await host.open(team, search)
    name = await world.start(search, places=3)
    second = world.waits(name).items[1].id
    from procession.services.commands import CompleteItem

    await world.give(CompleteItem(second, "true"))
    assert world.result(name) == "found at 1"
    assert world.waits(name).items == ()


async def test_a_subscription_goes_on_for_years_as_one_instance_with_a_short_history(host: Host) -> None:
    world = await host.open(team, subscription, settings=Settings(events_limit=12))
    name = await world.start(subscription, month=1)
    for month in range(2, 14):
        await world.complete(name, False)
        assert world.attributes(name) == {"month": month}
        assert world.row(name).title == f"month {month}"
        if month == 7:
            await world.restart(team, subscription)
    row = world.row(name)
    assert row.generation == 13
    assert row.seq - row.renewed_seq < 5
    renewals = [event for event in world.history(name) if isinstance(event, Renewed)]
    assert len(renewals) == 12
    await world.complete(name, True)
    assert world.result(name) == "ended in month 13"
    calls = [event.call for event in world.history(name) if isinstance(event, CallRequested)]
    assert calls == list(range(1, 14))


async def test_a_renewed_instance_halts_is_mended_and_is_cancelled_like_any_other(host: Host) -> None:
    world = await host.open(team, subscription, settings=Settings(most_live=1))
    name = await world.start(subscription, month=1)
    await world.complete(name, False)

    @process(owner=team, was=("subscription",))
    async def other(month: int = 1) -> str:
        await warn()
        return "another"

    await world.restart(team, other)
    item = world.item(name).id
    from procession.services.commands import CompleteItem

    await world.give(CompleteItem(item, "false"))
    assert world.state(name) == "halted"
    await world.restart(team, subscription)
    await world.give(RetryInstance(name))
    assert world.state(name) == "running"
    assert world.attributes(name) == {"month": 3}
    await world.give(CancelInstance(name))
    assert world.state(name) == "cancelled"


async def test_renew_with_something_else_open_halts_and_says_what_to_do(host: Host) -> None:
    @process(owner=team)
    async def hasty() -> str:
        asyncio.create_task(warn())
        await hasty.renew()

    world = await host.open(team, hasty)
    name = await world.start(hasty)
    assert world.state(name) == "halted"
    assert "other branches" in world.halt(name)["message"]


async def test_finish_belongs_to_the_process_that_runs(host: Host) -> None:
    @process(owner=team)
    async def mistaken() -> str:
        await search.finish("no")

    world = await host.open(team, search, mistaken)
    name = await world.start(mistaken)
    assert world.state(name) == "halted"
    assert "where no instance of search runs" in world.halt(name)["message"]
