"""A new source that has a bug, and asks for something else on its way up: the bug is told beside the difference."""

from __future__ import annotations

import pytest

from procession.engine.advance import DoesNotReplay
from procession.services.commands import CompleteItem, FailCall
from tests.conformance.world import Host, World, module_from

SOURCE = """
import asyncio
from procession import Function, deadline, process
from procession.errors import OperationFailed

team = Function("Team", owner="ann@acme.example")


@team.task()
async def work(what: str) -> str: ...


@process(owner=team)
async def make(number: int) -> str:
    try:
        await work("first")
        return await work("second")
    finally:
        await work("clean")


@process(owner=team)
async def group(number: int) -> str:
    async with asyncio.TaskGroup() as group:
        group.create_task(work("one"))
        await work("two")
        await work("three")
    return ""


@process(owner=team)
async def careful(number: int) -> str:
    try:
        await work("first")
    except OperationFailed:
        await work("instead")
    return await work("last")
"""


async def with_source(world: World, host: Host, *changes: tuple[str, str]) -> None:
    text = SOURCE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    await world.restart(source=module_from(host.folder / f"bugs_{len(text)}.py", text))


async def begun(host: Host, process: str) -> tuple[World, str]:
    world = await host.open(source=module_from(host.folder / "bugs.py", SOURCE))
    return world, await world.start(process, number=1)


BUG = ('        await work("first")\n        return', "        1 / 0\n        return")


async def test_a_bug_whose_clean_up_asks_for_work_is_told_with_its_line_and_its_traceback(host: Host) -> None:
    world, name = await begun(host, "make")
    await with_source(world, host, BUG)

    await world.complete(name, "done")

    halt = world.halt(name)
    assert halt["code"] == "divergence"
    assert "another input" in halt["message"]
    assert "perhaps all that is wrong: ZeroDivisionError: division by zero. Raised: " in halt["message"]
    assert "`1 / 0`" in halt["message"]
    assert "1 / 0" in halt["traceback"]
    with pytest.raises(DoesNotReplay, match="ZeroDivisionError: division by zero"):
        await world.retry(name)
    await with_source(world, host)
    await world.retry(name)
    assert world.state(name) == "running"


async def test_a_bug_that_takes_back_what_others_do_is_told_too(host: Host) -> None:
    world, name = await begun(host, "group")
    await with_source(world, host, ('        await work("two")\n', "        1 / 0\n"))

    await world.give(CompleteItem(world.waits(name).items[0].id, '"done"'))

    halt = world.halt(name)
    assert "ZeroDivisionError: division by zero" in halt["message"]
    assert "1 / 0" in halt["traceback"]


async def test_an_error_that_processes_live_with_is_not_told_as_a_bug(host: Host) -> None:
    world, name = await begun(host, "careful")
    await world.give(FailCall(name, 1, "nobody can"))
    await with_source(world, host, ('"instead"', '"something else"'))

    await world.complete(name, "done")

    assert "another input" in world.halt(name)["message"]
    assert "on its way up" not in world.halt(name)["message"]
    assert world.halt(name)["traceback"] == ""
