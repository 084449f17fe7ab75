"""What is said where the source no longer fits, or no longer works: both lines, and always those of the right source. Law 17."""

from __future__ import annotations

import asyncio

import pytest

from procession.engine.advance import DoesNotReplay
from procession.engine.differences import told_inputs
from procession.kernel import CallKind, CallRequested, Divergence, RequestCall
from procession.services.call_stacks import halt_of
from procession.services.commands import CancelInstance, ClaimItem, CompleteItem
from procession.services.places import Places
from procession.services.records import HaltShown
from tests.conformance.test_versions import SOURCE, released, sold
from tests.conformance.world import Host, World, halts, module_from


def shown(world: World, name: str) -> HaltShown:
    """The halt as `show` has it."""
    with world.view() as view:
        found = halt_of(world.row(name), Places(world.store.parent, view), 0)
    assert found is not None
    return found


async def test_a_divergence_tells_the_line_that_asked_then_and_the_line_that_asks_now(host: Host) -> None:
    world, name = await sold(host)
    await released(world, host, ("    if await check(order):", '    # changed\n    if await pack(order) == "x":'))

    answer = await world.complete(name, True)

    assert "line 22: `if await check(order):`." in answer["halted"]
    assert 'line 23: `if await pack(order) == "x":`.' in answer["halted"]
    [halt] = halts(world.history(name))
    assert halt.message == answer["halted"]
    with pytest.raises(DoesNotReplay, match=r"`if await check\(order\):`.*`if await pack\(order\)"):
        await world.retry(name)


async def test_an_input_that_differs_is_told_with_both_values_and_what_is_to_be_suspected(host: Host) -> None:
    world, name = await sold(host)
    await released(world, host, ("    order = Order(number,", "    order = Order(number + 1,"))

    answer = await world.complete(name, True)

    assert "another input" in answer["halted"]
    assert '"number":' not in answer["halted"], "what many may read has no values"
    halt = shown(world, name)
    assert halt.recorded_input is not None and '"number":7' in halt.recorded_input
    assert halt.made_input is not None and '"number":8' in halt.made_input
    assert "If it did not, the input depends on the clock, chance" in halt.remedy
    with pytest.raises(
        DoesNotReplay, match=r'Recorded input: .*"number":7.*Input now: .*"number":8.*If the source did'
    ):
        await world.retry(name)


def test_long_inputs_are_cut_around_what_differs() -> None:
    long = "x" * 5_000
    recorded = CallRequested(0, 1, CallKind.TASK, "Team.t", f'{{"a":"{long}","n":1}}'.encode(), b"", None, 0)
    made = RequestCall(1, CallKind.TASK, "Team.t", f'{{"a":"{long}","n":2}}'.encode(), None, ())

    told = told_inputs(Divergence("", call=1, recorded=recorded, made=made))

    assert len(told) < 600
    assert '"n":1}. Input now: …' in told and '"n":2}.' in told
    assert told_inputs(Divergence("", call=1, recorded=recorded, made=None)) == ""


async def test_a_recorded_call_that_is_asked_for_no_more_is_told_with_its_line(host: Host) -> None:
    world, name = await sold(host)
    await released(world, host, ("    if await check(order):\n        return await pack(order)\n", ""))

    answer = await world.complete(name, True)

    assert "`if await check(order):`" in answer["halted"]


async def test_a_source_that_raises_in_replay_halts_as_the_bug_that_it_is(host: Host) -> None:
    world, name = await sold(host)
    await released(world, host, ("    order = Order(", "    numbers = [1, 2][7]\n    order = Order("))

    await world.complete(name, True)

    record = world.halt(name)
    assert record["code"] == "bug" and "IndexError" in record["message"]
    assert "numbers = [1, 2][7]" in record["traceback"]
    frames = shown(world, name).branches[0].frames
    assert [(frame.function, frame.source.strip()) for frame in frames] == [("selling", "numbers = [1, 2][7]")]
    await released(world, host)
    await world.retry(name)
    await world.complete(name, "packed")
    assert world.result(name) == "packed"


async def test_the_lines_of_a_halt_are_those_of_the_source_that_halted(host: Host) -> None:
    """The instance began on another one, with other lines at those numbers."""
    world, name = await sold(host)
    await released(world, host, ('    return "no"', '\n\n    return "no" + order'))

    await world.complete(name, False)

    frames = shown(world, name).branches[0].frames
    assert [(frame.line, frame.source.strip()) for frame in frames] == [(26, 'return "no" + order')]
    assert shown(world, name).code == "bug"


async def test_every_order_that_is_accepted_says_whether_the_instance_stands_still_after_it(host: Host) -> None:
    old = "    if await check(order):\n        return await pack(order)\n"
    text = SOURCE.replace(old, "    branch = asyncio.create_task(pack(order))\n    await check(order)\n")
    world = await host.open(source=module_from(host.folder / "conformance_shop.py", text))
    name = await world.start("selling", number=8)
    broken = text.replace("await check(order)\n", "await check(order) / 'two'\n")
    await world.restart(source=module_from(host.folder / "conformance_shop.py", broken))
    check, pack = world.item(name, "check").id, world.item(name, "pack").id

    halting, claim, cancel = await asyncio.gather(
        world.give(CompleteItem(check, "true")),
        world.give(ClaimItem(pack)),
        world.give(CancelInstance(name, force=True)),
    )

    assert "TypeError" in halting["halted"] and halting["halted"] == claim["halted"]
    assert (cancel["state"], cancel["halted"]) == ("cancelled", None)
