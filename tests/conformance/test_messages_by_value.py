"""A receive that says what is in the message it waits for: those with other values are left to others (laws 13 and 57)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import BaseModel

from procession import Elapsed, Function, after, pick, process, publish, receive, together
from procession.services.commands import CancelInstance, SendMessage
from tests.conformance.world import Host, World, module_from


@dataclass(frozen=True)
class Transfer:
    order: str
    amount: Decimal
    urgent: bool = False


class Notice(BaseModel):
    about: str
    number: int | None = None


team = Function("Team", owner="ann@acme.example")


@process(owner=team)
async def expect(order: str) -> str:
    return str((await receive(Transfer, key="bank", where={"order": order})).amount)


@process(owner=team)
async def expect_amount(order: str, amount: Decimal) -> str:
    return (await receive(Transfer, key="bank", where={"order": order, "amount": amount})).order


@process(owner=team)
async def expect_any() -> str:
    return (await receive(Transfer, key="bank")).order


@process(owner=team)
async def expect_both(first: str, second: str) -> list[str]:
    wishes = [receive(Transfer, key="bank", where={"order": each}) for each in (first, second)]
    return [str(each.amount) for each in await together(*wishes)]


@process(owner=team)
async def hurried(order: str) -> str:
    match await pick(receive(Transfer, key="bank", where={"order": order}), after("2 days")):
        case Elapsed():
            return "not paid"
        case Transfer(amount=amount):
            return str(amount)


@process(owner=team)
async def notified(number: int | None) -> str:
    return (await receive(Notice, key="desk", where={"number": number})).about


@process(owner=team)
async def wishing(name: str, value: str) -> str:
    return (await receive(Transfer, key="bank", where={name: value})).order


@process(owner=team)
async def pay(order: str, amount: Decimal) -> None:
    publish(Transfer(order, amount), key="bank")


ALL = (team, Transfer, Notice, expect, expect_amount, expect_any, expect_both, hurried, notified, wishing, pay)


async def send(world: World, order: str, amount: str, key: str = "bank") -> object:
    """The bank tells of a transfer; gives how many instances waited for it."""
    text = json.dumps({"order": order, "amount": amount})
    return (await world.give(SendMessage("Transfer", key, text)))["awaited"]


def kept(world: World) -> list[str]:
    with world.view() as view:
        return [json.loads(row.payload)["order"] for row in view.kept_messages(world.clock.wall_us())]


@pytest.mark.usefixtures("in_step")
async def test_it_takes_the_message_with_that_value_and_leaves_the_others(host: Host) -> None:
    world = await host.open(*ALL)
    name = await world.start(expect, order="1")
    assert await send(world, "2", "20") == 0
    assert await send(world, "1", "10", key="post") == 0
    assert world.state(name) == "running"
    assert await send(world, "1", "10") == 1
    await world.running.apply_due()
    assert world.result(name) == "10"
    assert kept(world) == ["2", "1"]


@pytest.mark.usefixtures("in_step")
async def test_of_what_is_kept_it_takes_the_oldest_that_fits_however_many_there_are(host: Host) -> None:
    world = await host.open(*ALL)
    for number in range(20):
        await send(world, f"other {number}", "1")
    for amount in ("10", "11"):
        await send(world, "1", amount)
    name = await world.start(expect, order="1")
    await world.running.apply_due()
    assert world.result(name) == "10"
    assert kept(world) == [*(f"other {number}" for number in range(20)), "1"]


async def test_each_instance_for_which_it_fits_gets_one_and_one_without_a_wish_gets_any(host: Host) -> None:
    world = await host.open(*ALL)
    one, other, wide = await world.start(expect, order="1"), await world.start(expect, order="2"), ""
    wide = await world.start(expect_any)
    assert await send(world, "1", "10") == 2
    assert (world.result(one), world.result(wide), world.state(other)) == ("10", "1", "running")
    assert kept(world) == []


async def test_values_are_compared_as_what_they_are_and_not_as_they_are_written(host: Host) -> None:
    world = await host.open(*ALL)
    name = await world.start(expect_amount, order="1", amount="10.50")
    await send(world, "1", "10.51")
    assert world.state(name) == "running"
    await send(world, "1", "10.5")
    assert world.result(name) == "1"


async def test_a_field_that_was_left_out_has_its_default_and_nothing_is_a_value(host: Host) -> None:
    world = await host.open(*ALL)
    none, seven = await world.start(notified, number=None), await world.start(notified, number=7)
    await world.give(SendMessage("Notice", "desk", '{"about": "a leak"}'))
    await world.give(SendMessage("Notice", "desk", '{"about": "a fire", "number": 7}'))
    assert (world.result(none), world.result(seven)) == ("a leak", "a fire")


@pytest.mark.usefixtures("in_step")
async def test_two_receives_of_one_instance_have_each_their_own(host: Host) -> None:
    world = await host.open(*ALL)
    name = await world.start(expect_both, first="1", second="2")
    await world.start(pay, order="2", amount="20")
    await world.start(pay, order="2", amount="21")
    await world.start(pay, order="1", amount="10")
    await world.running.apply_due()
    assert world.result(name) == ["10", "20"]
    assert kept(world) == ["2"]


@pytest.mark.usefixtures("in_step")
async def test_one_that_waits_no_longer_leaves_it_to_the_next_also_after_a_restart(host: Host) -> None:
    world = await host.open(*ALL)
    late, gone = await world.start(hurried, order="1"), await world.start(hurried, order="1")
    await world.give(CancelInstance(gone, force=True))
    await world.pass_time("3 days")
    assert world.result(late) == "not paid"
    assert await send(world, "1", "10") == 0
    await world.restart()
    name = await world.start(hurried, order="1")
    await world.running.apply_due()
    assert world.result(name) == "10"


@pytest.mark.parametrize(
    ("name", "value", "says"), [("ordr", "1", "order, amount, urgent"), ("urgent", "perhaps", "urgent")]
)
async def test_a_wish_that_no_message_can_have_halts_with_what_is_possible(
    host: Host, name: str, value: str, says: str
) -> None:
    world = await host.open(*ALL)
    instance = await world.start(wishing, name=name, value=value)
    assert world.halt(instance)["code"] == "bug"
    assert says in world.halt(instance)["message"]


SOURCE = """
from dataclasses import dataclass
from decimal import Decimal
from procession import Function, process, receive

team = Function("Team", owner="ann@acme.example")

@dataclass(frozen=True)
class Transfer:
    order: str
    amount: Decimal{field}

@process(owner=team)
async def expect(order: str) -> str:
    return str((await receive(Transfer, key="bank", where={wish})).amount)
"""


async def test_another_wish_is_another_request_and_a_new_field_with_a_default_is_none(
    host: Host, tmp_path: Path
) -> None:
    def source(field: str, wish: str) -> str:
        return SOURCE.format(field=field, wish=wish)

    world = await host.open(source=module_from(tmp_path / "app.py", source("", '{"order": order}')))
    name = await world.start("expect", order="1")
    await send(world, "2", "5")
    wider = module_from(tmp_path / "app.py", source("\n    currency: str = 'EUR'", '{"order": order}'))
    await world.restart(source=wider)
    other = await world.start("expect", order="2")
    assert world.result(other) == "5"
    await world.restart(source=module_from(tmp_path / "app.py", source("", '{"order": order, "amount": Decimal(3)}')))
    await send(world, "1", "3")
    assert world.halt(name)["code"] == "divergence"
    host.forget(world)
