"""Parents and children as people see them: whose child, whom one waits for, what stands still below."""

from pathlib import Path

import pytest

from procession.services.commands import CancelInstance, Command, CompleteCall, CompleteItem, FailCall, StartInstance
from procession.services.desk import NoSuchInstance
from procession.services.health import examine
from procession.services.reading import Reading, Wanted
from procession.services.repairs import NoOpenCall
from tests.services.applications import Made, make_office

SOURCE = """\
import asyncio

from procession import Function, deadline, process

desk = Function("Desk", owner="ann@acme.example")


@desk.task()
async def pack(order: str) -> bool: ...


@process(owner=desk, title="Packing {order}")
async def packing(order: str) -> bool:
    packed = await pack(order)
    return packed["well"]


@process(owner=desk, title="Sending {order}")
async def sending(order: str) -> bool:
    return await packing(order)


@process(owner=desk)
async def orders(numbers: list[str]) -> str:
    calls = [sending.request(number) for number in numbers]
    calls[-1].withdraw("sold out")
    for call in calls[:-1]:
        await call
    return "sent"
"""


@pytest.fixture
def made(tmp_path: Path) -> Made:
    office = make_office(tmp_path)
    office.source.write_text(SOURCE, encoding="utf-8")
    office.perform(StartInstance("orders", '{"numbers": ["A", "B"]}'))
    return office


def test_an_instance_waits_for_its_child_by_name_and_shows_the_whole_tree(made: Made) -> None:
    with Reading(made.application) as reading:
        detail = reading.instance("orders-1")
        child = reading.instance("sending-1")
    (wait,) = detail.waits
    assert (wait.kind, wait.operation, wait.instance, wait.title, wait.state, wait.halt) == (
        "child",
        "sending",
        "sending-1",
        "Sending A",
        "running",
        None,
    )
    assert [(each.depth, each.instance, each.parent, each.state) for each in detail.children] == [
        (1, "sending-1", "orders-1", "running"),
        (2, "packing-1", "sending-1", "running"),
        (1, "sending-2", "orders-1", "cancelled"),
        (2, "packing-2", "sending-2", "cancelled"),
    ]
    assert child.instance.parent == "orders-1"
    assert detail.branches[0].frames[-1].source.strip() == "await call"


def test_lists_tell_whose_child_each_is_and_can_be_of_one_parent_only(made: Made) -> None:
    with Reading(made.application) as reading:
        parents = {each.instance: each.parent for each in reading.instances(Wanted()).instances}
        children = [each.instance for each in reading.instances(Wanted(children_of="orders-1")).instances]
        with pytest.raises(NoSuchInstance):
            reading.instances(Wanted(children_of="orders-9"))
    assert parents["packing-1"] == "sending-1"
    assert parents["orders-1"] is None
    assert children == ["sending-2", "sending-1"]


def test_a_child_that_stands_still_is_named_with_its_reason_by_the_parent_and_by_the_doctor(made: Made) -> None:
    with Reading(made.application) as reading:
        item = next(each.item for each in reading.worklist("ann").items)
    made.perform(CompleteItem(item, "true"))
    with Reading(made.application) as reading:
        assert reading.instance("packing-1").halt is not None
        (wait,) = reading.instance("sending-1").waits
        tree = {each.instance: each.halt for each in reading.instance("orders-1").children}
    assert (wait.instance, wait.state) == ("packing-1", "halted")
    assert "subscriptable" in (wait.halt or "")
    assert tree["packing-1"] == wait.halt
    (halted,) = [each for each in examine(made.application).concerns if each.kind == "halted"]
    assert "subscriptable. What waits for it: sending-1, orders-1." in halted.message


def test_a_parent_without_an_engine_that_is_forced_takes_its_whole_tree_with_it(made: Made) -> None:
    made.perform(CancelInstance("orders-1", force=True))
    with Reading(made.application) as reading:
        states = {each.state for each in reading.instances(Wanted()).instances}
    assert states == {"cancelled"}


@pytest.mark.parametrize("order", [CompleteCall("orders-1", 1, "true"), FailCall("orders-1", 1, "no")])
def test_the_call_of_a_child_ends_by_nobodys_hand(made: Made, order: Command) -> None:
    with pytest.raises(NoOpenCall, match="is its child sending-1, and ends with it"):
        made.perform(order)
