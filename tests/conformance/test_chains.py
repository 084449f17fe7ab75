"""Instances that begin each other without an end, and without time in between: they halt, and everything else goes on."""

from __future__ import annotations

import pytest

from procession import Function, after, process
from procession.services.commands import CancelInstance
from tests.conformance.world import Host, World

team = Function("Team", owner="ann@acme.example")


@process(owner=team)
async def again(number: int) -> None:
    await again.start(number + 1)


@process(owner=team)
async def count(number: int) -> int:
    return number


@process(owner=team)
async def anew(number: int) -> None:
    await count(number)
    await anew.renew(number + 1)


@process(owner=team)
async def daily(number: int) -> None:
    await after("1 day")
    if number:
        await daily.start(number - 1)


@process(owner=team)
async def broadly(number: int) -> int:
    for each in range(number):
        await count.start(each)
    return number


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain is too long at twenty."""
    monkeypatch.setattr("procession.engine.advance.MOST_IN_CHAIN", 20)


async def opened(host: Host) -> World:
    return await host.open(team, again, count, anew, daily, broadly)


@pytest.mark.usefixtures("in_step", "short")
async def test_one_that_starts_itself_without_an_end_halts_and_those_before_it_have_ended(host: Host) -> None:
    world = await opened(host)
    await world.start(again, number=0)
    await world.running.apply_due()
    assert world.halt("again-21")["code"] == "no-progress"
    assert {world.state(f"again-{number}") for number in range(1, 21)} == {"completed"}
    await world.give(CancelInstance("again-21", force=True))
    await world.running.apply_due()
    assert world.state("again-21") == "cancelled"


@pytest.mark.usefixtures("in_step", "short")
async def test_one_that_goes_round_and_renews_itself_without_an_end_halts(host: Host) -> None:
    world = await opened(host)
    name = await world.start(anew, number=0)
    await world.running.apply_due()
    assert world.halt(name)["code"] == "no-progress"
    assert world.state("count-21") == "completed"


@pytest.mark.usefixtures("short")
async def test_a_chain_is_as_long_after_a_crash_as_before_it(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("procession.engine.delivering.MOST_AT_ONCE", 7)
    world = await opened(host)
    await world.start(again, number=0)
    await world.restart()
    await world.running.apply_due()
    assert world.halt("again-21")["code"] == "no-progress"


@pytest.mark.usefixtures("in_step", "short")
async def test_one_that_starts_many_or_lets_time_pass_in_between_is_no_chain(host: Host) -> None:
    world = await opened(host)
    wide, first = await world.start(broadly, number=30), await world.start(daily, number=30)
    await world.running.apply_due()
    assert world.result(wide) == 30
    for _ in range(31):
        await world.pass_time("1 day")
    assert (world.state(first), world.state("daily-31")) == ("completed", "completed")
