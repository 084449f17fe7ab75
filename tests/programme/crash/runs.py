"""One run of a scenario in this process: an engine and an office on the case's store, and the script from its beginning.

Every statement that changes the store's file is a point where the run may end, beside the engine's own crash points.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from procession.engine import delivering
from procession.engine.crash_points import CrashPoint
from procession.engine.embedded import EmbeddedEngine, EngineOptions, open_engine
from procession.engine.releases import Release
from procession.language.registry import Registry
from procession.services.office import Office
from procession.store import opening
from procession.store.connections import Connection, Cursor, Mode, SqliteConnections
from procession.store.opening import OpenOptions
from procession.work.performers import Organisation, Performer
from tests.programme.crash.client import Client
from tests.programme.crash.live import compare_live
from tests.programme.crash.scripts import Scenario
from tests.programme.crash.world import World, enter

PEOPLE = Organisation(
    {
        "ann": Performer("ann", frozenset({"Buying"})),
        "bob": Performer("bob", frozenset({"Buying"})),
        "will": Performer("will", frozenset({"Warehouse"})),
        "rita": Performer("rita", frozenset({"Registry"})),
        "abe": Performer("abe", frozenset({"Accounts"})),
        "tess": Performer("tess", frozenset({"Travel"})),
    }
)
PAGES_BETWEEN_CHECKPOINTS = 60  # so few that checkpoints fall into every run
CHANGES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "COMMIT", "PRAGMA wal_checkpoint", "PRAGMA journal_mode")


class WatchedConnection:
    """A connection whose changes are points of the run: before each, and after those that are durable at once."""

    def __init__(self, connection: Connection, world: World) -> None:
        self._connection = connection
        self._world = world

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor:
        if not sql.lstrip().startswith(CHANGES):
            return self._connection.execute(sql, parameters)
        what = " ".join(sql.split()[:3])
        self._world.reached(f"before {what}")
        cursor = self._connection.execute(sql, parameters)
        if sql.startswith(("COMMIT", "PRAGMA")):
            self._world.reached(f"after {what}")
        return cursor

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Cursor:
        self._world.reached(f"before {' '.join(sql.split()[:3])}")
        return self._connection.executemany(sql, parameters)

    def close(self) -> None:
        self._world.reached("before a connection closes")
        self._connection.close()


class WatchedConnections:
    """Opens watched connections for the writer; readers change nothing."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._plain = SqliteConnections()

    def connect(self, path: Path, mode: Mode) -> Connection:
        connection = self._plain.connect(path, mode)
        return connection if mode == "ro" else WatchedConnection(connection, self._world)


class ErrorLog(logging.Handler):
    """What the engine reports as an error is a finding: nothing in these runs is one."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        self._world.errors.add(said=record.getMessage(), error=str(record.exc_info and record.exc_info[1]))


@cache
def source_of(module: ModuleType, mended: tuple[str, str]) -> tuple[str, ModuleType]:
    """The text of a process and the module it makes, corrected where `mended` says what is put for what."""
    assert module.__file__ is not None
    text = Path(module.__file__).read_text(encoding="utf-8")
    if mended == ("", ""):
        return text, module
    changed = text.replace(*mended)
    assert changed != text
    other = ModuleType(module.__name__)  # a corrected module keeps its name, and the errors in it theirs
    other.__file__ = module.__file__
    exec(compile(changed, module.__file__, "exec"), vars(other))
    return changed, other


@cache
def registry_of(module: ModuleType) -> Registry:
    return Registry.of([module])


def deployed(world: World, scenario: Scenario) -> tuple[str, Registry]:
    """The source in service in this world, and what it declares."""
    text, module = source_of(scenario.module, scenario.mended if world.deployments.entries() else ("", ""))
    return text, registry_of(module)


def engine_reached(world: World, engines: list[EmbeddedEngine], point: CrashPoint, registry: Registry) -> None:
    """The engine stands at one of its crash points; after a commit its live instances must be what the store says."""
    if point is CrashPoint.AFTER_COMMIT and engines:
        with world.looking():
            for difference in compare_live(engines[-1], registry):
                world.errors.add(said=f"after a commit: {difference}", error="")
    world.reached(str(point))


async def play(world: World, scenario: Scenario, *, compares: bool) -> Client:
    """Run the script to its end, unless the world ends the process before. `compares` looks at live instances too."""
    enter(world)
    delivering.MOST_AT_ONCE = scenario.most_delivered
    engines: list[EmbeddedEngine] = []

    async def open_office() -> tuple[EmbeddedEngine, Office]:
        text, registry = deployed(world, scenario)
        options = EngineOptions(
            clock=world.clock,
            most_live=scenario.most_live,
            store=OpenOptions(connections=WatchedConnections(world)),
            patrols=False,  # it reads in a thread, and a process with threads must not fork
            reached=lambda point: engine_reached(world, engines if compares else [], point, registry),
        )
        engine = await open_engine(world.store, registry, Release({scenario.module.__name__: text}), options)
        engines.append(engine)
        return engine, Office(registry, PEOPLE, engine, engine.store.readers, engine.accept_clock)

    client = Client(world, open_office)
    await client.open()
    await scenario.play(client)
    await client.close()
    return client


def run(world: World, scenario: Scenario, *, compares: bool = False) -> Client:
    """`play` in a loop of its own, with the engine's error log watched."""
    opening.CHECKPOINT_PAGES = PAGES_BETWEEN_CHECKPOINTS
    log = logging.getLogger("procession")
    log.addHandler(ErrorLog(world))
    log.propagate = False
    return asyncio.run(play(world, scenario, compares=compares))
