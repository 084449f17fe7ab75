"""A worker for one step of a scenario: `python -m tests.engine.seeds STORE`, under the hash seed of its environment.

It starts the instance, or completes the open item that was asked for last; the collector runs at every chance. What the
history then is goes to the standard output.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path

from procession import Function, process
from procession.engine.embedded import EngineOptions, open_engine
from procession.engine.releases import Release
from procession.language.registry import Registry
from procession.services.commands import CompleteItem, Order, StartInstance
from procession.services.office import Office
from procession.store.event_rows import decode_event
from tests.conformance.world import PEOPLE

team = Function("Team", owner="ann@acme.example")


@team.task()
async def ask(what: str) -> str: ...


async def first_of(what: str) -> str:
    """The first answer of five; the others are taken back in the order of a set."""
    asked = {asyncio.create_task(ask(f"{what} {number}")) for number in range(5)}
    done, pending = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    for each in pending:
        each.cancel()
    return " ".join([each.result() for each in done])


async def until_enough() -> str:
    """One member fails on purpose, inside; the group cancels the others, which ask something more as they go."""

    async def member(number: int) -> None:
        try:
            await ask(f"member {number}")
        except asyncio.CancelledError:
            farewells.append(number)
            raise

    async def stop() -> None:
        await ask("stop")
        async with asyncio.timeout(0):
            await asyncio.sleep(1)

    farewells: list[int] = []
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(member(number))
            group.create_task(stop())
    except* TimeoutError:
        pass
    return str(farewells)


@process(owner=team)
async def scenario() -> str:
    one, two = await asyncio.gather(first_of("first"), first_of("second"))
    said = [one, two, await until_enough()]
    for each in asyncio.as_completed([ask(f"last {number}") for number in range(3)]):
        said.append(await each)
    return ", ".join(said)


async def step(store: Path) -> None:
    registry = Registry.of([sys.modules[__name__]])
    options = EngineOptions(patrols=False, watchdog=False)
    engine = await open_engine(store, registry, Release({"seeds": ""}), options)
    office = Office(registry, PEOPLE, engine, engine.store.readers, engine.accept_clock)
    with engine.store.readers.snapshot() as view:
        row = view.instances.find_named("scenario-1")
        items = view.waits(row.id).items if row is not None else ()
    if items:
        last = max(items, key=lambda item: item.call)
        await office.perform(Order(CompleteItem(last.id, '"yes"'), "ann"))
    else:
        await office.perform(Order(StartInstance("scenario", "{}"), "ann"))
    with engine.store.readers.snapshot() as view:
        row = view.instances.find_named("scenario-1")
        assert row is not None
        print(row.state)
        for event in (decode_event(each) for each in view.history(row.id)):
            print(
                type(event).__name__, getattr(event, "call", ""), getattr(event, "input", getattr(event, "value", ""))
            )
    await engine.close()


if __name__ == "__main__":
    gc.set_threshold(1)
    asyncio.run(step(Path(sys.argv[1])))
