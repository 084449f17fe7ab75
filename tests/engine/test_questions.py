"""What a hand-off asks the store: no more than it needs, since it is the hot path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from procession import Function, process
from tests.conformance.families import ALL, buy
from tests.conformance.world import Host, World
from tests.engine.subject import engine_of, opened

team = Function("Team", owner="ann@acme.example")


@team.task()
async def ask() -> int: ...


@process(owner=team)
async def asking() -> int:
    return await ask()


@contextmanager
def asked(world: World) -> Iterator[list[str]]:
    """What the writer asks the store meanwhile."""
    connection = engine_of(world).store._writer.connection
    told: list[str] = []
    connection.set_trace_callback(lambda text: told.append(text) if text.startswith("SELECT") else None)
    try:
        yield told
    finally:
        connection.set_trace_callback(None)


def of_table(told: list[str], table: str) -> list[str]:
    return [each for each in told if f"FROM {table} " in " ".join(each.split()) + " "]


async def test_the_end_of_an_instance_that_calls_no_other_asks_for_no_children(host: Host) -> None:
    world = await opened(host, team, asking)
    name = await world.start(asking)
    item = await world.claim(name)
    with asked(world) as told:
        await world.complete(name, 7)
    assert (world.result(name), world.find_item(item).state) == (7, "completed")
    assert [each for each in told if "parent" in each.partition("WHERE")[2]] == []
    assert of_table(told, "service_call") == of_table(told, "external_call") == []


async def test_what_an_instance_does_to_another_is_not_looked_for_in_the_store_again(host: Host) -> None:
    world = await opened(host, *ALL)
    with asked(world) as told:
        name = await world.start(buy, order="A-1")
    assert world.state("deliver-1") == "running"
    assert len(of_table(told, "delivery")) <= 2  # whether there are older ones; and the due work that looks afterwards
    with asked(world) as told:
        await world.complete("deliver-1", True)
    assert world.result(name) == "A-1 delivered"
    assert len(of_table(told, "delivery")) <= 2
    assert of_table(told, "external_call") == []
