"""Law 32: two of asyncio's helpers are deterministic in a process, and everywhere else what they always were."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from procession import Function, process
from procession.engine import asyncio_names
from procession.services.commands import CompleteItem
from tests.conformance.world import Host
from tests.engine.subject import opened

ROOT = Path(__file__).resolve().parents[2]

asyncio_names.install()
ORIGINAL_AS_COMPLETED = asyncio.as_completed.__wrapped__  # type: ignore[attr-defined]
ORIGINAL_WAIT_FOR = asyncio.wait_for.__wrapped__  # type: ignore[attr-defined]

team = Function("Team", owner="ann@acme.example")


@team.task()
async def ask(number: int) -> int: ...


@process(owner=team)
async def as_they_come() -> list[int]:
    return [await each for each in asyncio.as_completed([ask(number) for number in range(8)])]


@process(owner=team)
async def in_time() -> int:
    try:
        return await asyncio.wait_for(ask(0), 60)
    except TimeoutError:
        return -1


@process(owner=team)
async def old_as_completed() -> list[int]:
    return [await each for each in ORIGINAL_AS_COMPLETED([ask(number) for number in range(8)])]


@process(owner=team)
async def old_wait_for() -> int:
    return int(await ORIGINAL_WAIT_FOR(ask(0), 60))


def test_nothing_of_asyncio_is_changed_before_the_first_engine() -> None:
    code = (
        "import asyncio\n"
        "before = (asyncio.wait_for, asyncio.as_completed, asyncio.tasks._GatheringFuture.__hash__)\n"
        "import procession, procession.control\n"
        "from procession import Function, process\n"
        "import procession.engine.embedded\n"
        "print(before == (asyncio.wait_for, asyncio.as_completed, asyncio.tasks._GatheringFuture.__hash__))\n"
        "from procession.engine import asyncio_names\n"
        "asyncio_names.install(); asyncio_names.install()\n"
        "print(asyncio.wait_for.__wrapped__ is before[0], asyncio.as_completed.__wrapped__ is before[1])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "True", "True"]


async def test_outside_of_instances_the_helpers_are_asyncios_own() -> None:
    async def give(number: int) -> int:
        await asyncio.sleep(0)
        return number

    assert sorted([await each for each in asyncio.as_completed([give(1), give(2)])]) == [1, 2]
    assert await asyncio.wait_for(give(3), 10) == 3
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 0.001)
    assert sorted(await asyncio.gather(give(1), give(2))) == [1, 2]


async def test_as_completed_asks_in_the_order_of_its_arguments_and_gives_in_the_order_of_the_answers(
    host: Host,
) -> None:
    world = await opened(host, as_they_come)
    name = await world.start(as_they_come)
    items = sorted(world.waits(name).items, key=lambda item: item.call)
    assert [item.call for item in items] == list(range(items[0].call, items[0].call + 8))
    for item in reversed(items):
        await world.restart()
        answer = item.call - items[0].call
        await world.give(CompleteItem(item.id, str(answer)))
    assert world.result(name) == [7, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(("answers", "result"), [(True, 5), (False, -1)])
async def test_wait_for_is_a_timer_of_the_history(host: Host, answers: bool, result: int) -> None:
    world = await opened(host, in_time)
    name = await world.start(in_time)
    await world.restart()
    await (world.complete(name, 5) if answers else world.pass_time("2 minutes"))
    assert world.result(name) == result


# What the refused code leaves behind was made by asyncio, and is nobody's to await.
@pytest.mark.filterwarnings("ignore:coroutine", "ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_as_completed_imported_before_the_engine_is_refused_by_name(host: Host) -> None:
    world = await opened(host, old_as_completed)
    name = await world.start(old_as_completed)
    halt = world.halt(name)
    assert halt["code"] == "fence"
    assert "original asyncio.as_completed" in halt["message"] and "from asyncio import as_completed" in halt["message"]
    assert world.waits(name).items == ()


@pytest.mark.filterwarnings("ignore:coroutine", "ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_wait_for_imported_before_the_engine_is_refused_by_name_where_it_is_not_deterministic(
    host: Host,
) -> None:
    world = await opened(host, old_wait_for)
    name = await world.start(old_wait_for)
    if sys.version_info < (3, 12):
        assert "original asyncio.wait_for" in world.halt(name)["message"]
    else:
        await world.complete(name, 5)
        assert world.result(name) == 5
