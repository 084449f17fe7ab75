"""Who may do a call and when it should be done, where a process says otherwise than its operation declares."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from procession import Function, after, each, pick
from procession.errors import PerformerError
from procession.kernel import CallRequested
from procession.people import Selection, role
from procession.services.commands import ClaimItem, CompleteItem, RetryInstance, StartItem
from procession.work.worklist import NotOffered
from tests.conformance.rebuilt import opened
from tests.conformance.world import MARCH_2026_US, Host, World

team = Function("Team", owner="ann@acme.example")
DAY_US = 86_400_000_000


@team.task(due="3 days")
async def sign(copies: int) -> int: ...


@team.task(form=int)
async def check(answer: int, copies: int, *, strict: bool = False) -> int:
    return answer


@check.performers
def who_checks(copies: int, strict: bool) -> Selection:
    return role("Shop") if strict else role("Team")


CHOSEN: list[Any] = []


@team.task()
async def ask(number: int) -> int: ...


@ask.performers
def who_is_asked(number: int) -> Selection:
    chosen: Selection = CHOSEN[0]
    return chosen


def offers(world: World, name: str) -> list[tuple[str, int | None]]:
    """To whom each open item is offered, and in how many days it is due."""
    items = world.waits(name).items
    return [(row.role, None if row.due_us is None else (row.due_us - MARCH_2026_US) // DAY_US) for row in items]


async def test_what_one_call_asks_for_reaches_its_work_item_and_no_other(host: Host) -> None:
    async def main() -> object:
        moment = datetime(2026, 3, 8, 11, tzinfo=timezone(timedelta(hours=2)))
        asked = [
            sign.request(1),
            sign.options(by=role("Shop")).request(2),
            sign.options(due="5 days").request(3),
            sign.options(due=moment).options(by=role("Shop")).request(4),
            sign.options().request(5),
        ]
        return [await call for call in asked]

    world, name = await opened(host, team, main)
    assert offers(world, name) == [("Team", 3), ("Shop", 3), ("Team", 5), ("Shop", 7), ("Team", 3)]
    item = world.waits(name).items[1].id
    with pytest.raises(NotOffered):
        await world.give(ClaimItem(item), "ann")
    await world.give(ClaimItem(item), "sue")


async def test_due_counts_from_the_request_and_a_restart_asks_for_the_same(host: Host) -> None:
    async def main() -> object:
        await after("2 days")
        return await sign.options(by=role("Shop"), due="1 day")(7)

    world, name = await opened(host, team, main)
    await world.pass_time("2 days")
    await world.restart()
    assert offers(world, name) == [("Shop", 3)]
    asked = [event for event in world.history(name) if isinstance(event, CallRequested)]
    assert [(event.offered_to, event.operation) for event in asked] == [(None, "timer"), ("Shop", "Team.sign")]
    await world.complete(name, 7, "sue")
    assert world.result(name) == "7"


async def test_the_rule_of_an_operation_looks_at_the_inputs_and_options_count_more(host: Host) -> None:
    async def main() -> object:
        asked = [
            check.request(1),
            check.request(2, strict=True),
            check.options(by=role("Team")).request(3, strict=True),
            check.options(due="1 day").request(4, strict=True),
        ]
        return [await call for call in asked]

    world, name = await opened(host, team, main)
    assert offers(world, name) == [("Team", None), ("Shop", None), ("Team", None), ("Shop", 1)]


async def test_groups_and_choices_take_what_options_gives(host: Host) -> None:
    async def main() -> object:
        urgent = sign.options(due="1 day")
        group = each(urgent, [1, 2])
        chosen = await pick(urgent.options(by=role("Shop")).request(3), check.request(4))
        return [chosen, *await group]

    world, name = await opened(host, team, main)
    assert offers(world, name) == [("Team", 1), ("Team", 1), ("Shop", 1), ("Team", None)]
    for item, actor in ((3, "sue"), (1, "ann"), (2, "ann")):
        await world.give(StartItem(item), actor)
        await world.give(CompleteItem(item, str(item)), actor)
    assert world.result(name) == "[3, 1, 2]"


async def test_a_rule_that_gives_no_selection_halts_with_what_to_return_and_can_be_corrected(host: Host) -> None:
    CHOSEN[:] = ["Shop"]

    async def main() -> object:
        return await ask(1)

    world, name = await opened(host, team, main)
    assert world.state(name) == "halted"
    assert "may do Team.ask gives 'Shop'. Return a selection, such as role('Shop')" in world.halt(name)["message"]
    CHOSEN[:] = [role("Shop")]
    await world.give(RetryInstance(name))
    assert offers(world, name) == [("Shop", None)]
    await world.complete(name, 1, "sue")
    assert world.result(name) == "1"


async def a_moment_long_past() -> object:
    return await sign.options(due=datetime(2020, 1, 1, tzinfo=UTC))(1)


async def test_a_moment_that_has_passed_is_overdue_and_nothing_else(host: Host) -> None:
    world, name = await opened(host, team, a_moment_long_past)
    row = world.item(name)
    assert row.due_us is not None and row.due_us < MARCH_2026_US
    with pytest.raises(PerformerError):
        await world.complete(name, 1, "sue")
    await world.complete(name, 1)
    assert world.result(name) == "1"
