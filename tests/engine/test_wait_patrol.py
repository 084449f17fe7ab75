"""Nothing is silently stuck: the engine looks for open calls that nothing will ever end."""

import asyncio
import sqlite3
from pathlib import Path

from procession.engine.embedded import EngineOptions, open_engine
from procession.engine.releases import Release
from procession.engine.wait_patrol import WaitPatrol
from procession.language.functions import Function
from procession.language.process import process
from procession.language.registry import Registry
from procession.services.commands import Order, StartInstance
from procession.services.office import Office
from procession.store import open_readers
from procession.work.performers import Organisation

team = Function("Team", owner="ann@acme.example")


@team.task(due="2 days")
async def approve(days: int) -> bool:
    """May they?"""
    ...


@process(owner=team)
async def leave(days: int) -> bool:
    return await approve(days)


def registry() -> Registry:
    module = type(asyncio)("leave_module")
    module.leave = leave  # type: ignore[attr-defined]
    module.team = team  # type: ignore[attr-defined]
    return Registry.of([module])


async def start_one(store: Path) -> None:
    declared = registry()
    engine = await open_engine(store, declared, Release({}), EngineOptions(watchdog=False))
    try:
        office = Office(declared, Organisation({}), engine, engine.store.readers, engine.accept_clock)
        await office.perform(Order(StartInstance("leave", '{"days": 3}'), "ann"))
    finally:
        await engine.close()


async def walks(store: Path, count: int) -> tuple[list[frozenset[str]], list[str]]:
    told: list[str] = []
    readers = open_readers(store)
    try:
        patrol = WaitPatrol(readers, told.append)
        return [await patrol.walk() for _ in range(count)], told
    finally:
        readers.close()


def test_a_call_whose_wake_record_is_lost_is_told_once_and_found_each_time(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    asyncio.run(start_one(store))
    damage = sqlite3.connect(store)
    damage.execute("UPDATE work_item SET state = 'withdrawn', ended_us = 1")
    damage.commit()
    damage.close()

    found, told = asyncio.run(walks(store, 2))

    assert found[0] == found[1]
    assert told == ["leave-1 waits for call 1 (task), and nothing will ever end it"]


def test_nothing_is_told_of_a_store_that_is_sound(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    asyncio.run(start_one(store))

    assert asyncio.run(walks(store, 1)) == ([frozenset()], [])
