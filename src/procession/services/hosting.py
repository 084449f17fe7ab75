"""An application at work in this program: its store opened to write, its engine running, its office taking orders."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from procession.engine.clock import Clock, SystemClock
from procession.engine.embedded import EmbeddedEngine, EngineOptions, open_engine
from procession.engine.releases import release_of
from procession.engine.turn import Notice
from procession.services.application import Application
from procession.services.office import Office
from procession.store import OpenOptions


@dataclass(frozen=True, slots=True)
class Hosting:
    """How an application is put to work: with services and timers or for one command, and how long it waits for the lock."""

    runs_services: bool = True
    runs_timers: bool = True
    wait_seconds: float = 0.0
    watch: Callable[[Notice], None] | None = None
    clock: Clock = field(default_factory=SystemClock)


@dataclass(frozen=True, slots=True)
class Host:
    """An engine with its office."""

    engine: EmbeddedEngine
    office: Office


@asynccontextmanager
async def open_host(application: Application, hosting: Hosting) -> AsyncIterator[Host]:
    """Put the application to work until the end of the block.

    Raises what the organisation file or the packages get wrong before the store is touched, and a `StoreError` where
    the store cannot be used; `StoreLocked` where another engine has it.
    """
    organisation = application.load_organisation()
    modules = application.load_modules()
    registry = application.load_registry()
    options = EngineOptions(
        clock=hosting.clock,
        runs_services=hosting.runs_services,
        runs_timers=hosting.runs_timers,
        store=OpenOptions(wait_seconds=hosting.wait_seconds),
        watch=hosting.watch,
    )
    engine = await open_engine(application.store, registry, release_of(modules), options)
    office = Office(registry, organisation, engine, engine.store.readers, engine.accept_clock)
    try:
        yield Host(engine, office)
    finally:
        await engine.close()
