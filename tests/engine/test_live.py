"""Live instances: a bounded cache, whose loss costs nothing and runs no code of an author's."""

from __future__ import annotations

import asyncio
import gc
import inspect
from types import CoroutineType

import pytest

from procession import Function, process
from procession.engine.contract import Decision, Request, View
from procession.errors import InternalError
from procession.kernel.closing import SET_ASIDE
from procession.services.commands import ClaimItem, CompleteItem
from tests.conformance.world import Host, World
from tests.engine.subject import engine_of, opened

team = Function("Team", owner="ann@acme.example")
CLEANED: list[str] = []
TOLD: list[str] = []
STUBBORN: list[bool] = []


@team.task()
async def wait() -> str: ...


@team.service()
async def tell(word: str) -> None:
    TOLD.append(word)


@process(owner=team)
async def tidy(word: str) -> str:
    try:
        return await wait()
    finally:
        CLEANED.append(word)
        await tell(word)
        CLEANED.append(f"{word} again")


@process(owner=team)
async def plain(rounds: int) -> str:
    said = [await wait() for _ in range(rounds)]
    return " ".join(said)


@process(owner=team)
async def stubborn() -> str:
    while True:
        try:
            return await wait()
        except GeneratorExit:
            if not STUBBORN:
                raise


@pytest.fixture(autouse=True)
def nothing_told() -> None:
    CLEANED.clear()
    TOLD.clear()


def live(world: World) -> list[str]:
    """The instances in memory, the least recently used first."""
    return [f"{world_name(world, number)}" for number in engine_of(world)._live._instances]


def world_name(world: World, number: int) -> str:
    with world.view() as view:
        row = view.instances.find(number)
    assert row is not None
    return row.name


async def test_at_most_so_many_are_in_memory_and_those_used_last_stay(host: Host) -> None:
    world = await opened(host, plain, most_live=2)
    one, two = [await world.start(plain, rounds=3) for _ in range(2)]
    await world.complete(one, "a")
    three = await world.start(plain, rounds=3)

    assert live(world) == [one, three]
    await world.complete(two, "a")
    assert live(world) == [three, two]


async def test_an_instance_that_was_dropped_goes_on_as_if_it_had_stayed(host: Host) -> None:
    world = await opened(host, plain, most_live=1)
    names = [await world.start(plain, rounds=3) for _ in range(3)]
    for word in "abc":
        for name in names:
            await world.complete(name, f"{word}{name[-1]}")

    assert [world.result(name) for name in names] == ["a1 b1 c1", "a2 b2 c2", "a3 b3 c3"]


async def test_instances_of_one_batch_may_drop_each_other_in_it(host: Host) -> None:
    """What the one has just lived through is in the batch only, and the replay of it reads it there."""
    world = await opened(host, plain, most_live=1)
    names = [await world.start(plain, rounds=2) for _ in range(4)]
    for word in "ab":
        items = [world.item(name).id for name in names]
        orders = [CompleteItem(item, f'"{word}"') for item in items]
        await asyncio.gather(*(world.give(ClaimItem(item)) for item in items))
        await asyncio.gather(*(world.give(order) for order in orders))

    assert [world.result(name) for name in names] == ["a b"] * 4


async def test_when_an_instance_is_dropped_its_clean_up_does_nothing_to_the_world(host: Host) -> None:
    world = await opened(host, tidy, most_live=1)
    dropped = await world.start(tidy, word="one")
    before = world.history(dropped)
    CLEANED.clear()

    await world.start(tidy, word="two")
    gc.collect()

    assert (world.history(dropped), TOLD) == (before, [])
    assert CLEANED == ["one"], "the clean-up ran once, up to its first call"
    await world.complete(dropped, "done")
    await world.until_ended(dropped)
    assert (world.result(dropped), TOLD) == ("done", ["one"])


async def test_no_coroutine_of_a_dropped_instance_is_left_to_the_collector(host: Host) -> None:
    world = await opened(host, plain, most_live=1)
    for _ in range(5):
        await world.start(plain, rounds=1)
    body = plain.declared.body.__code__  # type: ignore[attr-defined]
    open_ones = [
        each
        for each in gc.get_objects()
        if type(each) is CoroutineType
        and each.cr_code is body
        and inspect.getcoroutinestate(each) != inspect.CORO_CLOSED
    ]
    assert len(open_ones) == 1


async def test_a_coroutine_that_does_not_let_itself_be_closed_is_set_aside_and_counted(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    world = await opened(host, stubborn, plain, most_live=1)
    held = len(SET_ASIDE)
    STUBBORN.append(True)
    name = await world.start(stubborn)

    other = await world.start(plain, rounds=1)

    STUBBORN.clear()
    assert (engine_of(world)._live.set_aside, len(SET_ASIDE) - held) == (1, 1)
    assert "would not end when their instance was dropped" in caplog.text
    await world.complete(name, "done")
    await world.complete(other, "done")
    assert (world.result(name), world.result(other)) == ("done", "done")


async def test_instances_that_ended_or_halted_leave_memory(host: Host) -> None:
    world = await opened(host, plain)
    ended, waiting = await world.start(plain, rounds=1), await world.start(plain, rounds=1)
    await world.complete(ended, "a")
    assert live(world) == [waiting]
    engine = engine_of(world)
    await world.close()
    assert len(engine._live) == 0


async def test_what_lived_through_a_batch_that_was_dropped_is_rebuilt_from_the_store(host: Host) -> None:
    world = await opened(host, plain)
    name = await world.start(plain, rounds=2)
    item = world.item(name).id

    def poisoned(view: View) -> Decision:
        raise ZeroDivisionError

    outcomes = await asyncio.gather(
        world.give(CompleteItem(item, '"a"')),
        engine_of(world).submit(Request("poison", "ann", poisoned)),
        return_exceptions=True,
    )

    assert isinstance(outcomes[0], dict) and isinstance(outcomes[1], InternalError)
    assert world.kinds(name) == ["InstanceStarted", "CallRequested", "CallStarted", "CallCompleted", "CallRequested"]
    await world.complete(name, "b")
    assert world.result(name) == "a b"
