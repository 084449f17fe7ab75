"""Operations that are called and not awaited: they would not be done, so the instance stands still and says where. Law 4."""

from __future__ import annotations

import warnings

import pytest

from procession.services.commands import CancelInstance
from tests.conformance.world import Host, halts, module_from

HEAD = """
from procession import Function, ProcessFailed, after, process, together

team = Function("Team", owner="ann@acme.example")

@team.task()
async def approve(number: int) -> int: ...

@team.task()
async def look(number: int) -> int: ...

kept = []

@process(owner=team)
async def deciding() -> int:
"""

DROPPED = [
    ("approve(3)", "approve"),
    ("first = approve(3); first = 5", "approve"),
    ("after('1 day')", "after"),
    ("together(look(2), look(3))", "together"),
    ("deciding()", "deciding"),
]


@pytest.mark.parametrize(("line", "name"), DROPPED)
async def test_what_is_called_and_dropped_halts_at_once_and_goes_on_when_it_is_corrected(
    host: Host, line: str, name: str
) -> None:
    source = f"{HEAD}    {line}\n    return await look(1)\n"
    corrected = f"{HEAD}    return await look(1)\n"
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        world = await host.open(source=module_from(host.folder / "app.py", source))
        instance = await world.start("deciding")

        place = f"app.py:{source[: source.rindex(line)].count(chr(10)) + 1}"
        assert (
            world.halt(instance)["message"] == f"{name} was called and not awaited, {place}; write `await {name}(...)`."
        )
        assert world.kinds(instance) == ["InstanceStarted", "InstanceHalted"]

        await world.restart(source=module_from(host.folder / "app.py", corrected))
        await world.retry(instance)
        await world.complete(instance, 7)
    assert warned == []
    assert world.result(instance) == 7


async def test_what_is_held_and_awaited_later_is_no_fault(host: Host) -> None:
    body = """
    later = [approve(number) for number in range(3)]
    first = await look(1)
    unwanted = approve(9)
    unwanted.close()
    return first + sum([await each for each in later])
"""
    world = await host.open(source=module_from(host.folder / "app.py", HEAD + body))
    instance = await world.start("deciding")
    for answer in (1, 2, 3, 4):
        await world.complete(instance, answer)
        await world.restart(source=module_from(host.folder / "app.py", HEAD + body))
    assert world.result(instance) == 10


async def test_what_is_held_beyond_the_end_halts_before_a_result_is_recorded(host: Host) -> None:
    body = "    kept.append(approve(3))\n    return await look(1)\n"
    world = await host.open(source=module_from(host.folder / "app.py", HEAD + body))
    instance = await world.start("deciding")
    await world.complete(instance, 1)

    [halted] = halts(world.history(instance))
    assert halted.message.startswith("approve was called and not awaited, app.py:")
    assert world.kinds(instance)[-2:] == ["CallCompleted", "InstanceHalted"]


async def test_an_instance_that_fails_or_leaves_memory_on_the_way_warns_of_nothing(host: Host) -> None:
    body = """
    later = [approve(number) for number in range(3)]
    await look(1)
    raise ProcessFailed("not wanted")
"""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        world = await host.open(source=module_from(host.folder / "app.py", HEAD + body))
        instance = await world.start("deciding")
        await world.restart(source=module_from(host.folder / "app.py", HEAD + body))
        await world.complete(instance, 1)
    assert warned == []
    assert world.state(instance) == "failed"


async def test_what_a_cancellation_leaves_unbegun_is_no_fault(host: Host) -> None:
    body = """
    later = [approve(number) for number in range(3)]
    return await look(1) + sum([await each for each in later])
"""
    world = await host.open(source=module_from(host.folder / "app.py", HEAD + body))
    instance = await world.start("deciding")
    await world.give(CancelInstance(instance), reason="not wanted")
    assert world.state(instance) == "cancelled"
