"""What the suite asks of an engine, and the engines it is run on.

Everything the suite does goes through `services.Office` and the engine's contract; what it looks at is read from the
store. Another engine joins by another `Subject`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from procession.engine.clock import Clock
from procession.engine.contract import Accepted, Request
from procession.engine.embedded import EmbeddedEngine, EngineOptions, open_engine
from procession.engine.releases import Release
from procession.engine.turn import Notice
from procession.language.registry import Registry
from procession.store import OpenOptions, Readers
from procession.store.connections import Connections, SqliteConnections


@dataclass(frozen=True, slots=True)
class Settings:
    """How an engine under test is run; the defaults leave out what costs time and is not looked at."""

    runs_services: bool = True
    runs_timers: bool = True
    most_live: int = 10_000
    most_attempts: int = 256
    events_limit: int = 100_000
    grace_seconds: float = 0.1
    watchdog: bool = False
    connections: Connections | None = None


class Running(Protocol):
    """An engine at work."""

    @property
    def readers(self) -> Readers: ...
    async def submit(self, request: Request) -> Accepted: ...
    async def apply_due(self) -> None: ...
    def accept_clock(self) -> int: ...
    async def close(self, *, at_once: bool = False) -> None: ...


class Told(Protocol):
    """Is told what happens."""

    def __call__(self, notice: Notice) -> None: ...


class Subject(Protocol):
    """A kind of engine."""

    async def open(
        self, store: Path, registry: Registry, release: Release, clock: Clock, *, settings: Settings, told: Told
    ) -> Running: ...


class EmbeddedRunning:
    """The embedded engine at work."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self.engine = engine

    @property
    def readers(self) -> Readers:
        return self.engine.store.readers

    async def submit(self, request: Request) -> Accepted:
        return await self.engine.submit(request)

    async def apply_due(self) -> None:
        await self.engine.apply_due()

    def accept_clock(self) -> int:
        return self.engine.accept_clock()

    async def close(self, *, at_once: bool = False) -> None:
        await self.engine.close(at_once=at_once)


class Embedded:
    """The engine in this process, on a SQLite file that need not survive a loss of power."""

    async def open(
        self, store: Path, registry: Registry, release: Release, clock: Clock, *, settings: Settings, told: Told
    ) -> EmbeddedRunning:
        options = EngineOptions(
            clock=clock,
            runs_services=settings.runs_services,
            runs_timers=settings.runs_timers,
            most_live=settings.most_live,
            most_attempts=settings.most_attempts,
            events_limit=settings.events_limit,
            grace_seconds=settings.grace_seconds,
            store=OpenOptions(synchronous="OFF", connections=settings.connections or SqliteConnections()),
            watch=told,
            watchdog=settings.watchdog,
        )
        return EmbeddedRunning(await open_engine(store, registry, release, options))


SUBJECTS: dict[str, Subject] = {"embedded": Embedded()}
