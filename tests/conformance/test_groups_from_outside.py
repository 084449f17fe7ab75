"""Groups that grow from outside: an item is checked before the instance sees it, and nothing from outside raises in it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from procession import Function, deadline, each, process
from procession.engine.contract import InstanceHasEnded, InstanceIsHalted
from procession.errors import InvalidValue
from procession.services.commands import AddToGroup, CancelInstance, CloseGroup, CompleteItem
from procession.services.groups import NoSuchGroup
from tests.conformance.world import Host, World


@dataclass(frozen=True)
class Document:
    name: str
    pages: int = 1


team = Function("Team", owner="ann@acme.example")


@team.task()
async def review(document: Document) -> int: ...


@team.task()
async def confirm(what: str) -> bool: ...


@process(owner=team)
async def review_all(first: str) -> list[int]:
    group = each(review, [Document(first)], name="documents", growing=True)
    return await group


async def look_at(number: int) -> int:
    return number * 2


@process(owner=team)
async def double() -> list[int]:
    return await each(look_at, name="numbers", growing=True, until=lambda found: len(found) == 3)


@process(owner=team)
async def hurried() -> str:
    try:
        async with deadline("1 day"):
            await each(review, name="documents", growing=True)
    except TimeoutError:
        await confirm("late")
    return "done"


@process(owner=team)
async def nameless() -> list[int]:
    return await each(lambda number: look_at(number), [1], name="numbers", growing=True)


@process(owner=team)
async def two() -> list[int]:
    one, other = (each(look_at, name="numbers", growing=True) for _ in range(2))
    return [*await one, *await other]


async def divide(number: int) -> int:
    return 12 // number


@process(owner=team)
async def fragile() -> list[int]:
    return await each(divide, name="numbers", growing=True)


@process(owner=team)
async def block() -> list[int]:
    async with each(look_at, name="numbers", growing=True) as group:
        pass
    return group.results


@process(owner=team)
async def patient_block() -> list[int]:
    async with each(look_at, name="numbers", growing=True) as group:
        await group
    return group.results


ALL = (team, Document, review_all, double, hurried, nameless, two, fragile, block, patient_block)


async def add(world: World, instance: str, item: str, group: str = "documents") -> dict[str, object]:
    return await world.give(AddToGroup(instance, group, item))


async def test_an_item_from_outside_begins_work_and_close_ends_the_group(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(review_all, first="a")
    await add(world, mine, '{"name": "b", "pages": 2}')
    await world.restart()
    await add(world, mine, '{"name": "c"}')
    items = world.waits(mine).items
    assert len(items) == 3
    await world.give(CloseGroup(mine, "documents"))
    with pytest.raises(NoSuchGroup, match="no open group 'documents'"):
        await add(world, mine, '{"name": "d"}')
    for number, item in enumerate(items):
        await world.give(CompleteItem(item.id, str(number)))
    assert world.result(mine) == [0, 1, 2]


async def test_a_group_that_has_enough_listens_no_more(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(double)
    for number in (1, 2, 3):
        assert world.state(mine) == "running"
        await add(world, mine, str(number), "numbers")
    assert world.result(mine) == [2, 4, 6]


@pytest.mark.parametrize("item", ['{"name": 1}', "{}", '{"name": "b", "size": 3}', '"b"', "{"])
async def test_an_item_that_does_not_fit_is_refused_and_the_instance_sees_nothing_of_it(host: Host, item: str) -> None:
    world = await host.open(*ALL)
    mine = await world.start(review_all, first="a")
    before = world.history(mine)
    with pytest.raises(InvalidValue):
        await add(world, mine, item)
    assert world.history(mine) == before


async def test_an_unknown_group_is_refused_with_those_that_listen(host: Host) -> None:
    world = await host.open(*ALL)
    mine, deaf = await world.start(review_all, first="a"), await world.start(nameless)
    for command in (AddToGroup(mine, "papers", "1"), CloseGroup(mine, "papers")):
        with pytest.raises(NoSuchGroup) as refused:
            await world.give(command)
        assert "It has: documents" in refused.value.remedy
    with pytest.raises(NoSuchGroup, match="no open group"):
        await add(world, deaf, "1", "numbers")


async def test_a_group_that_is_withdrawn_listens_no_more(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(hurried)
    await add(world, mine, '{"name": "a"}')
    await world.pass_time("2 days")
    assert [item.operation for item in world.waits(mine).items] == ["Team.confirm"]
    with pytest.raises(NoSuchGroup):
        await add(world, mine, '{"name": "b"}')
    await world.complete(mine, True)
    assert world.result(mine) == "done"


async def test_two_open_groups_of_one_name_halt_with_the_remedy(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(two)
    assert "Two open groups are named 'numbers'" in str(world.halt(mine)["message"])
    with pytest.raises((InstanceIsHalted, NoSuchGroup)):
        await add(world, mine, "1", "numbers")


async def test_whoever_adds_what_halts_the_instance_is_told_so(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(fragile)
    assert (await add(world, mine, "3", "numbers"))["halted"] is None
    told = await add(world, mine, "0", "numbers")
    assert "ZeroDivisionError" in str(told["halted"])


async def test_a_block_is_closed_when_nothing_is_at_work_and_one_that_awaits_its_group_when_somebody_says_so(
    host: Host,
) -> None:
    world = await host.open(*ALL)
    assert world.result(await world.start(block)) == []
    patient = await world.start(patient_block)
    await add(world, patient, "4", "numbers")
    assert world.state(patient) == "running"
    await world.give(CloseGroup(patient, "numbers"))
    assert world.result(patient) == [8]


async def test_to_add_to_a_group_of_an_instance_that_has_ended_is_refused_as_to_close_it_is(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(block)
    for command in (AddToGroup(mine, "numbers", "1"), CloseGroup(mine, "numbers")):
        with pytest.raises(InstanceHasEnded, match="is already completed"):
            await world.give(command)


async def test_an_instance_with_a_group_can_be_cancelled(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(review_all, first="a")
    await world.give(CancelInstance(mine))
    assert world.state(mine) == "cancelled"
