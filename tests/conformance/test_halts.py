"""Instances that cannot go on: what halts, what is kept meanwhile, and how they go on. Laws 4, 39 and 44."""

from __future__ import annotations

import asyncio

import pytest

from procession import Function, process
from procession.engine.advance import DoesNotReplay
from procession.engine.contract import InstanceHasEnded, InstanceIsHalted
from procession.kernel import CallCompleted, Retried
from procession.services.commands import (
    CancelInstance,
    ClaimItem,
    CompleteItem,
    FailCall,
    PutBackItem,
    SaveDraft,
    StartItem,
    WithdrawItem,
)
from tests.conformance.world import Host, World, halts, module_from

APPLICATION = """
import asyncio
from procession import Function, after, process

team = Function("Team", owner="ann@acme.example")

@team.task()
async def ask(question: str) -> int: ...

@team.task()
async def also(question: str) -> str: ...

@team.service()
async def look_up(number: int) -> str:
    await GATE.wait()
    return f"number {number}"

async def slow() -> str:
    return await also("and you?")

async def timed() -> str:
    await after("2 days")
    return "elapsed"

@process(owner=team)
async def asking() -> list[str]:
    branches = [asyncio.create_task(each) for each in (slow(), timed(), look_up(7))]
    number = await ask("how many?")
    %s
    return [await each for each in branches] + [str(number)]
"""
BROKEN = APPLICATION % "number = number / 0"
MENDED = APPLICATION % "number = number + 1"


async def halted(host: Host, source: str = BROKEN) -> tuple[World, str, asyncio.Event]:
    """An instance that halts on the answer, with a person, a timer and a service still to come."""
    gate = asyncio.Event()
    module = module_from(host.folder / "conformance_app.py", source)
    module.__dict__["GATE"] = gate
    world = await host.open(source=module)
    name = await world.start("asking")
    answer = await world.complete(name, 3, of="ask")
    assert answer["instance_state"] == "halted"
    return world, name, gate


async def mend(world: World, host: Host, gate: asyncio.Event, source: str = MENDED) -> None:
    module = module_from(host.folder / "conformance_app.py", source)
    module.__dict__["GATE"] = gate
    await world.restart(source=module)


async def test_a_halting_advance_keeps_and_acknowledges_its_events_and_discards_its_commands(host: Host) -> None:
    world, name, gate = await halted(host)

    assert world.kinds(name)[-3:] == ["CallStarted", "CallCompleted", "InstanceHalted"]
    [halt] = halts(world.history(name))
    assert (halt.code, halt.kept) == ("bug", 1)
    assert "ZeroDivisionError" in halt.message
    record = world.halt(name)
    assert "number = number / 0" in record["traceback"]
    assert record["stack"][0]["frames"][-1][1] == "asking"
    assert sorted(item.operation for item in world.waits(name).items) == ["Team.also"]  # no sibling is withdrawn
    gate.set()


async def test_the_order_that_halts_an_instance_is_accepted_and_says_so(host: Host) -> None:
    module = module_from(host.folder / "conformance_app.py", BROKEN)
    module.__dict__["GATE"] = asyncio.Event()
    world = await host.open(source=module)
    name = await world.start("asking")

    answer = await world.complete(name, 3, of="ask")

    assert answer["state"] == "completed"
    assert "ZeroDivisionError" in answer["halted"]


async def test_while_halted_people_are_refused_and_their_answer_is_kept_as_a_draft(host: Host) -> None:
    world, name, _ = await halted(host)
    item = world.item(name).id
    before = world.kinds(name)

    with pytest.raises(InstanceIsHalted, match="procession retry"):
        await world.give(CompleteItem(item, '"me too"'), "bob")
    with pytest.raises(InstanceIsHalted):
        await world.give(StartItem(item), "bob")
    with pytest.raises(InstanceIsHalted):
        await world.give(WithdrawItem(item))
    with pytest.raises(InstanceIsHalted):
        await world.give(FailCall(name, world.find_item(item).call, "no"))

    row = world.find_item(item)
    assert (row.draft, row.holder, row.state) == (b'"me too"', "bob", "allocated")
    assert world.kinds(name) == before


async def test_while_halted_items_are_claimed_drafted_and_put_back_without_an_event(host: Host) -> None:
    world, name, _ = await halted(host)
    item = world.item(name).id
    before = world.kinds(name)

    await world.give(ClaimItem(item), "bob")
    await world.give(SaveDraft(item, '"perha'), "bob")
    await world.give(PutBackItem(item), "bob")

    assert world.kinds(name) == before
    assert world.find_item(item).draft == b'"perha'


async def test_while_halted_results_and_timers_wait_as_rows_and_retry_applies_them_in_order(host: Host) -> None:
    world, name, gate = await halted(host)
    gate.set()
    await world.until(lambda: len(world.waits(name).waiting_events) == 1)
    await world.pass_time("3 days")
    waiting = world.waits(name)
    assert [event.kind for event in waiting.waiting_events] == ["CallCompleted", "TimerFired"]
    assert (waiting.service_calls, waiting.timers) == ((), ())
    assert world.kinds(name)[-1] == "InstanceHalted"

    await mend(world, host, gate)
    answer = await world.retry(name)

    assert answer == {"instance": name, "state": "running", "halted": None}
    assert world.kinds(name)[-3:] == ["Retried", "CallCompleted", "TimerFired"]
    assert world.waits(name).waiting_events == ()
    await world.complete(name, "me too")
    assert world.result(name) == ["me too", "elapsed", "number 7", "4"]


async def test_a_timer_due_while_halted_comes_before_a_result_that_arrived_later(host: Host) -> None:
    """The order is that of the due time, even where the timer was looked at after the result had come."""
    world, name, gate = await halted(host)
    world.skip("3 days")
    gate.set()
    await world.until(lambda: len(world.waits(name).waiting_events) == 2)

    assert [event.kind for event in world.waits(name).waiting_events] == ["TimerFired", "CallCompleted"]


async def test_retry_applies_what_is_due_but_was_not_looked_at_yet(host: Host) -> None:
    world, name, gate = await halted(host)
    await mend(world, host, gate)
    world.skip("3 days")

    await world.retry(name)

    assert world.kinds(name)[-2:] == ["Retried", "TimerFired"]


async def test_what_was_kept_is_applied_at_the_place_and_with_the_time_of_the_retry(host: Host) -> None:
    world, name, gate = await halted(host)
    await mend(world, host, gate)
    world.skip("1 day")
    await world.retry(name)

    [retried] = [event for event in world.history(name) if isinstance(event, Retried)]
    [kept] = [event for event in world.history(name) if isinstance(event, CallCompleted)]
    assert retried.at_us - kept.at_us == 24 * 3600 * 1_000_000
    assert world.row(name).now_us == retried.at_us
    gate.set()
    await world.complete(name, "x")
    await world.pass_time("2 days")
    await world.until_ended(name)


async def test_an_instance_halts_again_where_the_fault_is_still_there_and_loses_nothing(host: Host) -> None:
    world, name, gate = await halted(host)
    again = await world.retry(name)
    assert again["state"] == "halted" and "ZeroDivisionError" in again["halted"]

    await mend(world, host, gate)
    assert (await world.retry(name))["state"] == "running"
    gate.set()
    await world.complete(name, "x")
    await world.pass_time("2 days")
    await world.until_ended(name)
    assert world.result(name) == ["x", "elapsed", "number 7", "4"]


async def test_what_waits_stays_where_the_retry_halts_again(host: Host) -> None:
    world, name, gate = await halted(host)
    gate.set()
    await world.until(lambda: len(world.waits(name).waiting_events) == 1)

    await world.retry(name)

    assert [event.kind for event in world.waits(name).waiting_events] == ["CallCompleted"]


async def test_a_source_that_does_not_replay_is_refused_with_the_first_difference(host: Host) -> None:
    world, name, gate = await halted(host)
    await mend(world, host, gate, MENDED.replace('await ask("how many?")', 'await ask("how much?")'))
    before = world.kinds(name)

    with pytest.raises(DoesNotReplay, match=r"now has another input .*line \d+"):
        await world.retry(name)
    assert world.kinds(name) == before

    await mend(world, host, gate)
    await world.retry(name)
    assert world.state(name) == "running"


async def test_a_divergence_found_at_the_next_event_halts_and_keeps_that_event(host: Host) -> None:
    gate = asyncio.Event()
    world = await host.open(source=module_from(host.folder / "conformance_app.py", MENDED))
    world.registry.operations["Team.look_up"].body.__globals__["GATE"] = gate  # type: ignore[attr-defined]
    name = await world.start("asking")
    await mend(world, host, gate, MENDED.replace('ask("how many?")', 'also("how many?")').replace("number + 1", "1"))

    answer = await world.complete(name, 3, of="ask")

    assert answer["halted"] is not None
    [halt] = halts(world.history(name))
    assert (halt.code, halt.kept) == ("divergence", 2)
    assert "'Team.ask'" in halt.message and "'Team.also'" in halt.message
    await mend(world, host, gate)
    await world.retry(name)
    assert world.kinds(name)[-1] == "Retried"


async def test_a_halted_instance_can_be_cancelled_by_force_without_running_its_code(host: Host) -> None:
    world, name, gate = await halted(host)
    gate.set()
    await world.until(lambda: world.waits(name).waiting_events)
    item = world.item(name).id

    await world.give(CancelInstance(name, force=True), reason="not needed")

    assert world.state(name) == "cancelled"
    assert world.kinds(name)[-1] == "InstanceCancelled"
    waits = world.waits(name)
    assert (waits.items, waits.service_calls, waits.timers, waits.waiting_events) == ((), (), (), ())
    assert world.find_item(item).state == "withdrawn"
    with pytest.raises(InstanceHasEnded):
        await world.retry(name)


async def test_a_start_that_halts_is_accepted_and_goes_on_after_a_retry(host: Host) -> None:
    faults = [ValueError("typo")]
    team = Function("Team", owner="ann@acme.example")

    @team.task()
    async def ask() -> int: ...

    @process(owner=team)
    async def starting() -> int:
        if faults:
            raise faults[0]
        return await ask()

    world = await host.open(starting)
    name = await world.start(starting)
    assert world.kinds(name) == ["InstanceStarted", "InstanceHalted"]

    faults.clear()
    await world.retry(name)
    await world.complete(name, 5)
    assert world.result(name) == 5
