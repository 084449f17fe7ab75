"""What asyncio does in a process: law 32, on an engine and through its store, in replay too."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from procession import Function, process, together
from procession.errors import Withdrawn
from procession.services.commands import CompleteItem, WithdrawItem
from tests.conformance.world import Host, Settings, World

team = Function("Team", owner="ann@acme.example")


@team.task()
async def ask(number: int) -> int: ...


@process(owner=team)
async def by_completion() -> list[int]:
    return [await each for each in asyncio.as_completed([ask(number) for number in range(4)])]


@process(owner=team)
async def in_time() -> list[str]:
    told: list[str] = []
    for hours in (1, 3):
        try:
            told.append(f"answered {await asyncio.wait_for(ask(hours), timeout=hours * 3600)}")
        except TimeoutError:
            told.append("too late")
    return told


@process(owner=team)
async def whichever_is_first() -> int:
    branches = [asyncio.create_task(ask(number)) for number in range(3)]
    done, pending = await asyncio.wait(branches, return_when=asyncio.FIRST_COMPLETED)
    for branch in pending:
        branch.cancel()
    return done.pop().result()


@process(owner=team)
async def passed_on() -> int:
    queue: asyncio.Queue[int] = asyncio.Queue()
    lock, event = asyncio.Lock(), asyncio.Event()

    async def fill(number: int) -> None:
        async with lock:
            await queue.put(await ask(number))
        event.set()

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(fill(number))
        await event.wait()
        return await queue.get() * 100 + await queue.get() * 10 + await queue.get()


@process(owner=team)
async def all_or_none() -> str:
    try:
        first, second = await together(ask(1), ask(2))
    except Withdrawn:
        return "withdrawn"
    return f"{first} {second}"


async def answered(world: World, name: str, *answers: int) -> None:
    """Answers the items that have these numbers as their call, in this order, with a restart before each."""
    for call in answers:
        await world.restart()
        items = {item.call: item.id for item in world.waits(name).items}
        await world.give(CompleteItem(items[call], str(call)))


async def test_as_completed_gives_what_is_done_in_the_order_in_which_it_was_done(host: Host) -> None:
    world = await host.open(by_completion, settings=Settings(most_live=1))
    name = await world.start(by_completion)
    await answered(world, name, 3, 1, 4, 2)

    assert world.result(name) == [3, 1, 4, 2]


async def test_wait_for_gives_up_at_its_time_and_withdraws_what_it_waited_for(host: Host) -> None:
    world = await host.open(in_time)
    name = await world.start(in_time)
    first = world.item(name).id
    await world.restart()
    await world.pass_time("2 hours")
    assert world.find_item(first).state == "withdrawn"
    await world.restart()
    await world.complete(name, 7)

    assert world.result(name) == ["too late", "answered 7"]
    assert world.waits(name).timers == ()


async def test_whoever_is_first_wins_and_the_others_are_withdrawn(host: Host) -> None:
    world = await host.open(whichever_is_first)
    name = await world.start(whichever_is_first)
    items = [item.id for item in world.waits(name).items]
    await answered(world, name, 2)

    assert world.result(name) == 2
    assert [world.find_item(item).state for item in items] == ["withdrawn", "completed", "withdrawn"]


async def test_queues_locks_and_events_go_on_after_a_restart(host: Host) -> None:
    world = await host.open(passed_on)
    name = await world.start(passed_on)
    await answered(world, name, 1, 2, 3)

    assert world.result(name) == 123


async def test_of_several_at_once_the_first_error_is_raised_and_the_others_are_withdrawn(host: Host) -> None:
    world = await host.open(all_or_none)
    name = await world.start(all_or_none)
    first, second = [item.id for item in world.waits(name).items]
    await world.give(WithdrawItem(second))

    assert world.result(name) == "withdrawn"
    assert world.find_item(first).state == "withdrawn"


# What was imported before the engine was there

ORIGINALS = '''
from asyncio import as_completed, wait_for   # as sorted imports do, before there is an engine

import asyncio
import sys
from pathlib import Path

from procession import Function, process
from tests.conformance.subject import SUBJECTS
from tests.conformance.world import Host

team = Function("Team", owner="ann@acme.example")

@team.task()
async def ask(number: int) -> int: ...

@process(owner=team)
async def completing() -> list[int]:
    return [await each for each in as_completed([ask(1), ask(2)])]

@process(owner=team)
async def waiting() -> int:
    return await wait_for(ask(1), 5)

async def elsewhere() -> list[int]:
    """Outside of instances both are what they always were."""
    async def number(n: int) -> int:
        return n
    first = [await each for each in as_completed([number(1), number(2)])]
    again = [await each for each in asyncio.as_completed([number(1), number(2)])]
    return sorted(first) + sorted(again) + [await wait_for(number(3), 1), await asyncio.wait_for(number(3), 1)]

async def main() -> None:
    host = Host(SUBJECTS["embedded"], Path(sys.argv[1]))
    world = await host.open(completing, waiting)
    for started in (completing, waiting):
        name = await world.start(started)
        row = world.row(name)
        print(name, row.state, world.halt(name)["message"] if row.halt else "")
    print(await elsewhere())
    await host.close()

asyncio.run(main())
'''


def test_what_was_imported_from_asyncio_before_the_engine_is_refused_by_name(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run(
        [sys.executable, "-c", ORIGINALS, str(tmp_path)], cwd=root, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    completing, waiting, elsewhere = run.stdout.splitlines()

    assert completing.startswith("completing-1 halted")
    assert "asyncio.as_completed" in completing and "from asyncio import as_completed" in completing
    if sys.version_info < (3, 12):
        assert waiting.startswith("waiting-1 halted") and "asyncio.wait_for" in waiting
    else:
        assert waiting.strip() == "waiting-1 running"
    assert elsewhere == "[1, 2, 1, 2, 3, 3]"


@pytest.mark.parametrize("name", ["run_in_executor", "create_connection", "add_signal_handler"])
async def test_what_reaches_outside_through_the_loop_is_refused_by_name(host: Host, name: str) -> None:
    @process(owner=team)
    async def reaching() -> None:
        loop = asyncio.get_running_loop()
        outcome = getattr(loop, name)(None, print)
        if asyncio.iscoroutine(outcome):
            await outcome

    world = await host.open(reaching)
    started = await world.start(reaching)

    assert world.halt(started)["code"] == "fence"
    assert name in world.halt(started)["message"]
