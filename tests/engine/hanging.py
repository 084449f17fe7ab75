"""A worker of its own for process code that does not come back: `python -m tests.engine.hanging STORE INSTANCE`.

It completes the open item of the instance, whose code then hangs in the way that was asked for at its start. With
`idle` for the instance it does nothing until a line comes, and then starts an instance.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from procession import Function, process
from procession.engine.embedded import EmbeddedEngine, EngineOptions, open_engine
from procession.engine.releases import Release
from procession.language.registry import Registry
from procession.services.commands import CompleteItem, Order, StartInstance
from procession.services.office import Office
from tests.conformance.world import PEOPLE

LIMIT_SECONDS = 0.1
WORKER_LIMIT_SECONDS = 0.4

team = Function("Team", owner="ann@acme.example")


@team.task()
async def wait() -> bool: ...


def search_for_ever() -> None:
    re.match(r"(a+)+$", "a" * 64 + "b")


def compute_for_ever() -> None:
    pow(3, 10**9)


def swallow_for_ever() -> None:
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass


def block_for_ever() -> None:
    threading.Event().wait()


def hold_the_lock_for_ever() -> None:
    ctypes.PyDLL(None).pause()


def say_so_and_compute() -> None:
    print("hangs", flush=True)
    compute_for_ever()


WAYS: dict[str, Callable[[], None]] = {
    "in a regular expression": search_for_ever,
    "in a huge power": compute_for_ever,
    "swallowing everything": swallow_for_ever,
    "holding the lock without working": hold_the_lock_for_ever,
    "blocked outside": block_for_ever,
    "until it is killed": say_so_and_compute,
    "not at all": lambda: None,
}


@process(owner=team)
async def hanging(way: str) -> str:
    await wait()
    WAYS[way]()
    return "came back"


async def work(store: Path, instance: str) -> None:
    registry = Registry.of([sys.modules[__name__]])
    options = EngineOptions(limit_seconds=LIMIT_SECONDS, worker_limit_seconds=WORKER_LIMIT_SECONDS, patrols=False)
    engine = await open_engine(store, registry, Release({"hanging": ""}), options)
    office = Office(registry, PEOPLE, engine, engine.store.readers, engine.accept_clock)
    if instance == "idle":
        await be_idle(engine, office)
    else:
        with engine.store.readers.snapshot() as view:
            row = view.instances.find_named(instance)
            assert row is not None
            [item] = view.waits(row.id).items
        await office.perform(Order(CompleteItem(item.id, "true"), "ann"))
    await engine.close()


async def be_idle(engine: EmbeddedEngine, office: Office) -> None:
    await office.perform(Order(StartInstance("hanging", json.dumps({"way": "not at all"})), "ann"))
    async with asyncio.timeout(20):
        while engine._watchdog._is_armed:
            await asyncio.sleep(LIMIT_SECONDS / 8)
    print("idle", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await office.perform(Order(StartInstance("hanging", json.dumps({"way": "not at all"})), "ann"))
    print("alive", flush=True)


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2]))
