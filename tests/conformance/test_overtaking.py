"""What is on its way to an instance comes before what somebody asks of it later: no request overtakes it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from procession import Function, pick, process, receive
from procession.engine.contract import InstanceHasEnded
from procession.services.commands import CompleteItem, SendMessage
from tests.conformance.world import Host, World

team = Function("Team", owner="ann@acme.example")
MANY = 100  # more than are applied in the transaction that causes them


@dataclass(frozen=True)
class Note:
    text: str


@team.task()
async def work(what: str) -> str: ...


@process(owner=team)
async def choose(number: int) -> str:
    chosen = await pick(receive(Note, key="k"), work.request("by hand"))
    return chosen.text if isinstance(chosen, Note) else chosen


@process(owner=team)
async def part(number: int) -> str:
    return await work("part")


@process(owner=team)
async def told(number: int) -> str:
    """Its part is no longer wanted once a note is there."""
    call = part.request(number)
    note = await receive(Note, key="k")
    call.withdraw("a note came")
    return note.text


async def complete_all(world: World, names: list[str]) -> list[object]:
    items = {name: world.item(name).id for name in names}
    given = (world.give(CompleteItem(items[name], '"by hand"')) for name in names)
    return list(await asyncio.gather(*given, return_exceptions=True))


@pytest.mark.usefixtures("in_step")
async def test_a_message_for_many_that_wait_is_not_overtaken_by_a_later_completion(host: Host) -> None:
    world = await host.open(team, choose, Note)
    names = [await world.start(choose, number=number) for number in range(MANY)]
    sent = asyncio.create_task(world.give(SendMessage("Note", "k", '{"text": "in time"}')))
    await asyncio.sleep(0)  # it is taken in first
    answers = await complete_all(world, names)
    await sent
    await world.running.apply_due()
    assert {type(answer) for answer in answers} == {InstanceHasEnded}
    assert {world.result(name) for name in names} == {"in time"}


@pytest.mark.usefixtures("in_step")
async def test_what_is_on_its_way_to_a_parent_comes_before_a_request_of_its_child(host: Host) -> None:
    world = await host.open(team, told, part, Note)
    names = [await world.start(told, number=number) for number in range(MANY)]
    await world.running.apply_due()
    sent = asyncio.create_task(world.give(SendMessage("Note", "k", '{"text": "in time"}')))
    await asyncio.sleep(0)
    answers = await complete_all(world, [f"part-{number}" for number in range(1, MANY + 1)])
    await sent
    await world.running.apply_due()
    assert {type(answer) for answer in answers} == {InstanceHasEnded}
    assert {world.result(name) for name in names} == {"in time"}
