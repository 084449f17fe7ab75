"""Very many calls of one instance at once: each is answered, and none is looked at again for every other."""

from __future__ import annotations

import asyncio

import pytest

from procession import Function, after, process, together
from procession.engine import advance
from procession.services.commands import CompleteItem
from procession.store.timers import TimerRow, Timers
from tests.conformance.world import Host

MANY = 300
team = Function("Team", owner="ann@acme.example")


@team.task()
async def ask(number: int) -> int: ...


@team.service()
async def double(number: int) -> int:
    return 2 * number


@process(owner=team)
async def asking() -> int:
    return sum(await together([ask(number) for number in range(MANY)]))


@process(owner=team)
async def doubling() -> int:
    return sum(await together([double(number) for number in range(MANY)]))


@process(owner=team)
async def waiting() -> int:
    return len(await together([after(f"{number + 1} minutes") for number in range(MANY)]))


async def test_many_answers_at_once_are_each_applied_in_the_order_given(host: Host) -> None:
    world = await host.open(asking)
    name = await world.start(asking)
    items = [item.id for item in world.waits(name).items]
    await asyncio.gather(*(world.give(CompleteItem(item, "1")) for item in reversed(items)))

    assert world.result(name) == MANY
    completed = [event.call for event in world.history(name) if type(event).__name__ == "CallCompleted"]
    assert completed == sorted(completed, reverse=True)


async def test_many_timers_that_are_due_at_once_are_read_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    read = Timers.of_instance

    def counted(timers: Timers, instance: int) -> list[TimerRow]:
        found = read(timers, instance)
        reads.append(len(found))
        return found

    world = await host.open(waiting)
    name = await world.start(waiting)
    monkeypatch.setattr(Timers, "of_instance", counted)
    await world.pass_time("5 days")

    assert world.result(name) == MANY
    assert sum(reads) < 3 * MANY


async def test_a_long_history_is_warned_of_once_and_goes_on(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(advance, "EVENTS_WARNING", MANY)
    world = await host.open(asking)
    name = await world.start(asking)
    for item in world.waits(name).items[:5]:
        await world.give(CompleteItem(item.id, "1"))

    assert [record.getMessage() for record in caplog.records if name in record.getMessage()] == [
        f"{name} has {MANY} events; at 100000 it halts. Let it end, and start another."
    ]
    assert world.state(name) == "running"


async def test_more_services_than_may_run_at_once_are_all_attempted(host: Host) -> None:
    world = await host.open(doubling)
    name = await world.start(doubling)
    await world.until_ended(name)

    assert world.result(name) == MANY * (MANY - 1)
