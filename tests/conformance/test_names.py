"""What people name, and what an order may bring: laws 18, 46 and 47, and numbers that cannot be."""

from __future__ import annotations

from uuid import UUID

import pytest

from procession import Function, process
from procession.errors import InvalidValue
from procession.services.commands import (
    CancelInstance,
    ClaimItem,
    Command,
    CompleteCall,
    CompleteItem,
    FailCall,
    RetryCall,
    WithdrawItem,
)
from procession.services.desk import NoSuchInstance
from procession.services.repairs import NoOpenCall
from procession.services.worklist import BodyFailed, NoSuchItem
from procession.work.worklist import ChangedMeanwhile
from tests.conformance.test_versions import released, sold
from tests.conformance.world import Host, module_from

team = Function("Team", owner="ann@acme.example")


@team.task()
async def ask(number: int) -> int: ...


@process(owner=team, key="{key}")
async def keyed(key: str) -> int:
    return await ask(1)


@pytest.mark.parametrize("key", ["17", "a:b:c", "caf\u00e9", "cafe\u0301", "keyed-1"])
async def test_every_command_takes_the_name_the_uuid_and_the_key_of_an_instance(host: Host, key: str) -> None:
    world = await host.open(keyed)
    name = await world.start(keyed, key=key)
    uuid = str(UUID(bytes=world.row(name).uuid))

    for number, reference in enumerate((name, uuid, uuid.upper(), f"keyed:{key}"), 2):
        with pytest.raises(NoOpenCall, match="keyed-1 has no open"):
            await world.give(RetryCall(reference, number))
    await world.give(CancelInstance(f"keyed:{key}", force=True))
    assert world.state(name) == "cancelled"


async def test_an_instance_is_found_by_its_key_under_the_present_and_the_former_name_of_its_process(
    host: Host,
) -> None:
    world, name = await sold(host)
    old = '@process(owner=team, key="{number}")\nasync def selling'
    new = '@process(owner=team, key="{number}", was=("selling",))\nasync def sales'
    await released(world, host, (old, new))

    for reference in ("sales:7", "selling:7", name):
        with pytest.raises(NoOpenCall, match="selling-1 has no open"):
            await world.give(RetryCall(reference, 9))
    for reference in ("sales:8", "sold:7"):
        with pytest.raises(NoSuchInstance):
            await world.give(RetryCall(reference, 9))


@pytest.mark.parametrize("number", [0, -1, 2**31, 2**63, 2**80])
async def test_numbers_that_nothing_has_are_refused_with_a_sentence(host: Host, number: int) -> None:
    world = await host.open(keyed)
    name = await world.start(keyed, key="k")
    before = world.kinds(name)
    of_items: list[Command] = [ClaimItem(number), CompleteItem(number, "1"), WithdrawItem(number)]
    of_calls: list[Command] = [RetryCall(name, number), CompleteCall(name, number, "1"), FailCall(name, number, "no")]

    for command in of_items:
        with pytest.raises((NoSuchItem, InvalidValue), match="item"):
            await world.give(command)
    for command in of_calls:
        with pytest.raises((NoOpenCall, InvalidValue), match="call"):
            await world.give(command)
    with pytest.raises((ChangedMeanwhile, InvalidValue)):
        await world.give(ClaimItem(1, version=number))
    assert world.kinds(name) == before


async def test_a_body_that_can_no_longer_read_its_inputs_has_failed_and_the_answer_is_kept(host: Host) -> None:
    source = """
from procession import Function, process

team = Function("Team", owner="ann@acme.example")

@team.task(form=int)
async def add(answer: int, number: int) -> int:
    return answer + number

@process(owner=team)
async def adding() -> int:
    return await add(1)
"""
    world = await host.open(source=module_from(host.folder / "adding_app.py", source))
    name = await world.start("adding")
    changed = source.replace(
        "number: int) -> int:\n    return answer + number", "words: list[str]) -> int:\n    return 0"
    )
    await world.restart(source=module_from(host.folder / "adding_app.py", changed.replace("add(1)", 'add(["1"])')))

    with pytest.raises(BodyFailed, match=r"words"):
        await world.complete(name, 2)

    assert world.item(name).draft == b"2"
    await world.restart(source=module_from(host.folder / "adding_app.py", source))
    await world.complete(name, 2)
    assert world.result(name) == 3
