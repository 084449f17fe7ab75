"""Races, choices and groups through the store: what people see when something else was quicker. Laws 10 to 12."""

from __future__ import annotations

import pytest

from procession import Function, after, each, first, pick
from procession.control import n_of
from procession.services.commands import ClaimItem, CompleteItem, FailCall, PutBackItem, StartItem
from procession.work.item import ItemEnded
from tests.conformance.rebuilt import idle, opened
from tests.conformance.world import Host

team = Function("Team", owner="ann@acme.example")


@team.task()
async def sign(copies: int) -> int: ...


@team.task()
async def refuse(why: str) -> str: ...


async def a_choice() -> object:
    return await pick(sign.request(2), refuse.request("too dear"), after("5 days"))


async def test_to_claim_is_not_to_choose_and_to_start_is(host: Host) -> None:
    world, name = await opened(host, team, a_choice)
    signing, refusing = world.item(name, "sign").id, world.item(name, "refuse").id
    await world.give(ClaimItem(signing))
    await world.give(ClaimItem(refusing), "bob")
    assert len(world.waits(name).items) == 2
    await world.give(StartItem(refusing), "bob")
    assert [(row.id, row.holder) for row in world.waits(name).items] == [(refusing, "bob")]
    assert world.waits(name).timers == ()
    assert world.find_item(signing).state == "withdrawn"
    with pytest.raises(ItemEnded):
        await world.give(CompleteItem(signing, "2"))
    await world.start(idle)
    await world.give(CompleteItem(refusing, '"no"'), "bob")
    assert world.result(name) == "no"


async def test_what_was_chosen_and_put_back_is_offered_alone(host: Host) -> None:
    world, name = await opened(host, team, a_choice)
    signing = world.item(name, "sign").id
    await world.give(StartItem(signing))
    await world.give(PutBackItem(signing))
    await world.start(idle)
    assert [(row.id, row.state) for row in world.waits(name).items] == [(signing, "offered")]
    await world.pass_time("10 days")
    await world.give(CompleteItem(signing, "2"), "bob")
    assert world.result(name) == "2"


async def test_who_answers_without_having_started_has_chosen(host: Host) -> None:
    world, name = await opened(host, team, a_choice)
    await world.complete(name, 2, of="sign")
    assert world.result(name) == "2"
    assert world.find_item(2).state == "withdrawn"


async def test_a_moment_that_comes_is_chosen_and_what_was_only_claimed_is_withdrawn(host: Host) -> None:
    world, name = await opened(host, team, a_choice)
    await world.give(ClaimItem(world.item(name, "sign").id))
    await world.pass_time("5 days")
    assert world.waits(name).items == ()
    assert str(world.result(name)).startswith("Elapsed(due=datetime.datetime(2026, 3, 6, 9, 0")


async def test_an_alternative_that_an_operator_fails_is_out_and_the_others_stay(host: Host) -> None:
    async def main() -> object:
        try:
            return await pick(sign.request(2), refuse.request("too dear"))
        except* Exception as group:
            return_value = [str(error) for error in group.exceptions]
        return return_value

    world, name = await opened(host, team, main)
    await world.give(FailCall(name, world.call_of(name, "sign"), "nobody can sign"))
    await world.start(idle)
    assert [row.operation for row in world.waits(name).items] == ["Team.refuse"]
    await world.give(FailCall(name, world.call_of(name, "refuse"), "nobody dares"))
    assert world.result(name) == str(["Team.sign failed: nobody can sign", "Team.refuse failed: nobody dares"])


async def test_the_first_answer_takes_the_work_from_the_others(host: Host) -> None:
    async def main() -> object:
        return await first(sign(1), sign(2), after("5 days"))

    world, name = await opened(host, team, main)
    assert world.row(name).halt is None, world.halt(name)
    items = [row.id for row in world.waits(name).items]
    await world.give(StartItem(items[0]))
    await world.give(CompleteItem(items[1], "22"), "bob")
    assert world.result(name) == "22"
    assert [world.find_item(item).state for item in items] == ["withdrawn", "completed"]


async def test_so_many_of_several_are_given_in_the_order_of_their_answers_and_the_rest_goes_on(host: Host) -> None:
    async def main() -> object:
        return await n_of(2, [sign(1), sign(2), sign(3)], rest="continue")

    world, name = await opened(host, team, main)
    items = [row.id for row in world.waits(name).items]
    for item in (items[2], items[0]):
        await world.give(CompleteItem(item, str(item)))
        await world.start(idle)
    assert (world.state(name), world.kinds(name)[-1]) == ("running", "ResultRecorded")
    await world.give(FailCall(name, 2, "of no use"))
    assert world.result(name) == str([(2, items[2]), (0, items[0])])


async def test_a_group_grows_while_it_is_done_and_ends_when_it_is_enough(host: Host) -> None:
    async def main() -> object:
        async def sign_on(copies: int) -> int:
            given = await sign(copies)
            if given > copies:
                group.add(given)
            return given

        async with each(sign_on, growing=True, until=lambda given: sum(given) >= 10) as group:
            group.add(1)
            group.add(2)
        return group.results

    world, name = await opened(host, team, main)
    one, two = (row.id for row in world.waits(name).items)
    await world.give(CompleteItem(two, "3"), "bob")
    await world.restart()
    (three,) = (row.id for row in world.waits(name).items if row.id not in (one, two))
    await world.give(CompleteItem(three, "7"), "bob")
    assert world.result(name) == "[3, 7]"
    assert world.find_item(one).state == "withdrawn"


async def test_a_group_that_collects_errors_goes_on_after_an_operator_gave_one_up(host: Host) -> None:
    async def main() -> object:
        return [str(given) for given in await each(sign, [1, 2, 3], errors="collect")]

    world, name = await opened(host, team, main)
    await world.give(FailCall(name, 2, "nobody can"))
    await world.start(idle)
    items = [row.id for row in world.waits(name).items]
    for item in reversed(items):
        await world.give(CompleteItem(item, "5"))
        await world.start(idle)
    assert world.result(name) == str(["5", "Team.sign failed: nobody can", "5"])
