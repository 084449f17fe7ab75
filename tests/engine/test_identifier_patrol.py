"""Law 15: the identifier of a client is kept while the instance is open, and for thirty days."""

from __future__ import annotations

import sqlite3

import pytest

from procession import Function, process
from procession.engine import identifier_patrol
from procession.engine.contract import EngineStopped
from procession.engine.identifier_patrol import IdentifierPatrol
from procession.services.commands import CompleteItem, Order, StartInstance
from tests.conformance.world import Host, World, module_of
from tests.engine.subject import Tuning, opened
from tests.engine.test_writer import keeps

team = Function("Team", owner="ann@acme.example")


@team.task()
async def ask(number: int) -> int: ...


@process(owner=team)
async def asking(number: int) -> int:
    return await ask(number)


def patrol_of(world: World) -> IdentifierPatrol:
    return IdentifierPatrol(world.running.readers, world.running.submit, world.clock.wall_us)


def identifiers(world: World) -> list[str]:
    connection = sqlite3.connect(world.store)
    rows = connection.execute("SELECT client_id FROM request WHERE client_id IS NOT NULL ORDER BY number").fetchall()
    connection.close()
    return [str(row[0]) for row in rows]


async def started(world: World, client_id: str) -> str:
    order = Order(StartInstance("asking", '{"number": 1}'), "ann", None, client_id)
    return str((await world.office.perform(order))["instance"])


async def completed(world: World, instance: str, client_id: str) -> None:
    await world.office.perform(Order(CompleteItem(world.item(instance).id, "5"), "ann", None, client_id))


async def test_identifiers_are_forgotten_thirty_days_after_the_end_and_the_chain_still_holds(host: Host) -> None:
    world = await opened(host, asking)
    ended, open_one = await started(world, "s-1"), await started(world, "s-2")
    await world.running.submit(keeps(1))
    await completed(world, ended, "c-1")
    world.skip("29 days")
    assert await patrol_of(world).walk() == 0
    assert await started(world, "s-1") == ended
    world.skip("2 days")

    assert await patrol_of(world).walk() == 3

    assert identifiers(world) == ["s-2"]
    assert await started(world, "s-2") == open_one
    assert await started(world, "s-1") == "asking-3", "it says nothing about the one of long ago"
    world.check()


async def test_an_identifier_is_kept_for_thirty_days_after_an_end_that_came_late(host: Host) -> None:
    world = await opened(host, asking)
    name = await started(world, "s-1")
    world.skip("60 days")
    await completed(world, name, "c-1")
    world.skip("29 days")
    assert await patrol_of(world).walk() == 0
    world.skip("2 days")
    assert await patrol_of(world).walk() == 2


async def test_every_page_of_many_requests_is_looked_at(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    world = await opened(host, asking)
    for number in range(7):
        await world.running.submit(keeps(number))
    world.skip("31 days")
    monkeypatch.setattr(identifier_patrol, "MOST_AT_ONCE", 2)
    monkeypatch.setattr(identifier_patrol, "MOST_ON_A_PAGE", 3)
    assert await patrol_of(world).walk() == 7
    assert identifiers(world) == []


async def test_an_engine_forgets_by_itself_when_it_starts(host: Host) -> None:
    world = await opened(host, asking)
    await world.running.submit(keeps(1))
    world.skip("31 days")
    await world.close()
    await world.open(module_of([asking]), Tuning(options={"patrols": True}))
    await world.until(lambda: identifiers(world) == [])


async def test_the_patrol_ends_with_its_engine(host: Host) -> None:
    world = await opened(host, asking)
    await world.running.submit(keeps(1))
    world.skip("31 days")

    async def stopped(_: object) -> None:
        raise EngineStopped("it ends", remedy="")

    patrol = IdentifierPatrol(world.running.readers, stopped, world.clock.wall_us)  # type: ignore[arg-type]
    await patrol.run()
