"""A worker whose disk fills up: `python -m tests.engine.filling STORE ROOM`.

It starts instances until one is refused because the disk is full, tries again, looks at what can be read, has space made
and goes on. What it was told is printed as JSON.
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
from pathlib import Path

from procession import Function, process
from procession.engine.embedded import EngineOptions, open_engine
from procession.engine.releases import Release
from procession.errors import StoreError
from procession.language.registry import Registry
from procession.services.commands import Order, StartInstance
from procession.services.office import Office
from tests.conformance.world import PEOPLE

team = Function("Team", owner="ann@acme.example")


@team.task()
async def wait(words: str) -> bool: ...


@process(owner=team)
async def filling(words: str) -> bool:
    await asyncio.sleep(0.05)
    return await wait(words)


async def work(store: Path, room: int) -> dict[str, object]:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    registry = Registry.of([sys.modules[__name__]])
    engine = await open_engine(store, registry, Release({"filling": ""}), EngineOptions(patrols=False))
    office = Office(registry, PEOPLE, engine, engine.store.readers, engine.accept_clock)
    acknowledged: list[str] = []
    refused: list[str] = []

    async def start() -> None:
        client_id = f"c-{len(acknowledged) + len(refused)}"
        command = StartInstance("filling", json.dumps({"words": "x" * 2_000}))
        try:
            await office.perform(Order(command, "ann", client_id=client_id))
        except StoreError as error:
            refused.append(str(error))
        else:
            acknowledged.append(client_id)

    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    while len(refused) < 3:
        await start()
    with engine.store.readers.snapshot() as view:
        readable = sum(view.counts().instances.values())
    before = len(acknowledged)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    while len(acknowledged) < before + 3:
        await start()
    while True:  # the timers that were due meanwhile fire by themselves
        with engine.store.readers.snapshot() as view:
            if view.next_timer_due_us() is None:
                break
        await asyncio.sleep(0.01)
    await engine.close()
    return {"acknowledged": acknowledged, "before": before, "readable": readable, "refused": refused}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(work(Path(sys.argv[1]), int(sys.argv[2])))))
