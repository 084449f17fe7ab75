"""Instances that keep each other going without an end, and without time in between: they halt, and everything else goes on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from procession import Function, after, process, publish, receive
from procession.kernel import MessagePublished
from procession.services.commands import CancelInstance, SendMessage
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


@dataclass(frozen=True)
class Note:
    number: int


@process(owner=team)
async def echo(own: str, other: str) -> None:
    """Answers every note with one."""
    while True:
        note = await receive(Note, key=own)
        publish(Note(note.number + 1), key=other)


@process(owner=team)
async def echo_anew(own: str) -> None:
    for _ in range(7):
        note = await receive(Note, key=own)
        publish(Note(note.number + 1), key=own)
    await echo_anew.renew(own)


@process(owner=team)
async def parent_for_ever(number: int) -> None:
    while True:
        number = await count(number + 1)


@process(owner=team)
async def collect(of: int) -> int:
    """Takes so many notes, one after the other, and begins anew after each."""
    if not of:
        return 0
    await receive(Note, key="collected")
    await collect.renew(of - 1)
    return of


@process(owner=team)
async def spread(number: int) -> None:
    for each in range(number):
        publish(Note(each), key="collected")


@process(owner=team)
async def sleeper(days: int) -> str:
    await after("1 day")
    return "slept"


@process(owner=team)
async def served(number: int) -> int:
    await after("1 day")
    return await double(number)


@team.service()
async def double(number: int) -> int:
    return 2 * number


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain is too long with twenty that began each other, or a hundred messages."""
    monkeypatch.setattr("procession.engine.advance.MOST_IN_CHAIN", 100)


async def opened(host: Host) -> World:
    declared = (again, count, anew, daily, broadly, echo, echo_anew, parent_for_ever, collect, spread, sleeper, served)
    return await host.open(team, Note, *declared)


async def talk(world: World, how: str) -> list[str]:
    """Have instances keep each other going; gives their names."""
    match how:
        case "two":
            names = [await world.start(echo, own="a", other="b"), await world.start(echo, own="b", other="a")]
        case "one":
            names = [await world.start(echo, own="a", other="a")]
        case "one that begins anew":
            names = [await world.start(echo_anew, own="a")]
        case _:
            return [await world.start(parent_for_ever, number=0)]
    await world.give(SendMessage("Note", "a", '{"number": 1}'))
    return names


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
    assert world.state("count-17") == "completed"


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


TALKS = ["two", "one", "one that begins anew", "a parent and its children"]


@pytest.mark.usefixtures("in_step", "short")
@pytest.mark.parametrize("how", TALKS)
async def test_those_that_keep_each_other_going_without_an_end_halt(host: Host, how: str) -> None:
    world = await opened(host)
    names = await talk(world, how)
    await world.running.apply_due()
    halted = [name for name in names if world.state(name) == "halted"]
    assert [world.halt(name)["code"] for name in halted] == ["no-progress"]
    assert "without waiting for anything else" in world.halt(halted[0])["message"]


@pytest.mark.parametrize("how", TALKS)
async def test_while_instances_keep_each_other_going_the_timers_and_attempts_of_others_have_their_turn(
    host: Host, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr("procession.engine.advance.MOST_IN_CHAIN", 1_000_000_000)
    world = await opened(host)
    host.forget(world)  # they never end
    sleeps, serves = await world.start(sleeper, days=1), await world.start(served, number=3)
    world.skip("2 days")
    await talk(world, how)
    due = asyncio.create_task(world.running.apply_due())
    await world.until(lambda: (world.state(sleeps), world.state(serves)) == ("completed", "completed"), seconds=40)
    assert not due.done()
    due.cancel()
    await world.close(at_once=True)


@pytest.mark.usefixtures("in_step", "short")
async def test_notes_that_came_from_outside_or_all_at_once_are_no_chain_however_many(host: Host) -> None:
    world = await opened(host)
    for number in range(60):
        await world.give(SendMessage("Note", "collected", f'{{"number": {number}}}'))
    await world.start(spread, number=60)
    name = await world.start(collect, of=120)
    await world.running.apply_due()
    assert (world.state(name), world.result(name)) == ("completed", 0)


@pytest.mark.usefixtures("short")
async def test_a_chain_of_messages_is_as_long_after_a_crash_as_before_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("procession.engine.delivering.MOST_AT_ONCE", 7)
    world = await opened(host)
    await talk(world, "two")
    for _ in range(3):
        await world.close(at_once=True)
        await world.restart()
    await world.running.apply_due()
    notes = [e.value for name in ("echo-1", "echo-2") for e in world.history(name) if isinstance(e, MessagePublished)]
    assert len(notes) == 100
