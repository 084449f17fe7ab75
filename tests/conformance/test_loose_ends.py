"""Calls that nobody waits for any more: what the program lets go of when it reacts, halts, or ends. Laws 4, 11, 14 and I12."""

from __future__ import annotations

import asyncio

from tests.conformance.world import Host, halts, module_from

HEAD = """
import asyncio
from procession import Function, after, process

team = Function("Team", owner="ann@acme.example")

@team.task()
async def ask(question: str) -> int: ...

@team.task()
async def also(question: str) -> int: ...

"""


async def test_an_answer_to_what_the_program_takes_back_at_the_start_is_not_taken(host: Host) -> None:
    source = (
        HEAD
        + """
@process(owner=team)
async def fickle() -> int:
    call = ask.request("how many?")
    await call.started()
    call.withdraw("no longer wanted")
    return await also("and you?")
"""
    )
    world = await host.open(source=module_from(host.folder / "app.py", source))
    name = await world.start("fickle")

    answer = await world.complete(name, 3, of="ask")

    assert (answer["state"], answer["instance_state"]) == ("withdrawn", "running")
    assert world.kinds(name)[-3:] == ["CallStarted", "CallWithdrawn", "CallRequested"]
    await world.complete(name, 4, of="also")
    assert world.result(name) == 4


async def test_an_instance_that_ends_leaves_no_timer_of_an_abandoned_generator(host: Host) -> None:
    source = (
        HEAD
        + """
async def numbers():
    async with asyncio.timeout(3600):
        for number in range(3):
            yield number

@process(owner=team)
async def first_number() -> int:
    async for number in numbers():
        break
    return number
"""
    )
    world = await host.open(source=module_from(host.folder / "app.py", source))
    name = await world.start("first_number")

    assert world.state(name) == "completed"
    assert world.kinds(name)[-2:] == ["CallWithdrawn", "InstanceCompleted"]
    assert world.waits(name).timers == ()


async def test_a_retry_that_ends_the_instance_leaves_nothing_waiting(host: Host) -> None:
    source = (
        HEAD
        + """
async def timed() -> str:
    await after("2 days")
    return "elapsed"

@process(owner=team)
async def waiting() -> int:
    branch = asyncio.create_task(timed())
    number = await ask("how many?")
    %s
"""
    )
    world = await host.open(source=module_from(host.folder / "app.py", source % "return number / 0"))
    name = await world.start("waiting")
    await world.complete(name, 3)
    await world.pass_time("3 days")
    assert [each.kind for each in world.waits(name).waiting_events] == ["TimerFired"]

    mended = source % "branch.cancel()\n    return number"
    await world.restart(source=module_from(host.folder / "app.py", mended))
    await world.retry(name)

    assert world.result(name) == 3
    assert world.waits(name).waiting_events == ()


async def test_a_retry_leaves_out_what_was_kept_for_a_call_that_the_mended_source_takes_back(host: Host) -> None:
    source = (
        HEAD
        + """
@process(owner=team)
async def reacting() -> int:
    call = ask.request("how many?")
    await call.started()
    %s
    return await also("and you?")
"""
    )
    world = await host.open(source=module_from(host.folder / "app.py", source % "1 / 0"))
    name = await world.start("reacting")
    await world.complete(name, 3, of="ask")
    assert [halt.kept for halt in halts(world.history(name))] == [2]

    await world.restart(source=module_from(host.folder / "app.py", source % "call.withdraw('mended')"))
    await world.retry(name)
    await world.restart()
    await world.complete(name, 4, of="also")

    assert world.result(name) == 4


async def test_a_timer_after_the_last_date_there_is_halts_only_who_asked_for_it(host: Host) -> None:
    source = (
        HEAD
        + """
@process(owner=team)
async def patient(seconds: float) -> None:
    await asyncio.sleep(seconds)
"""
    )
    world = await host.open(source=module_from(host.folder / "app.py", source))

    names = await asyncio.gather(*(world.start("patient", seconds=seconds) for seconds in (1e13, 60.0, 1e300)))

    assert [world.state(name) for name in names] == ["halted", "running", "halted"]
    assert "year 9999" in world.halt(names[0])["message"]
