"""An application at work in this program: its store opened to write, its engine running, its office taking orders."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from procession.engine.clock import Clock, SystemClock
from procession.engine.debugging import let_debuggers_in
from procession.engine.dispatcher import NotProvided
from procession.engine.embedded import EmbeddedEngine, EngineOptions, open_engine
from procession.engine.suspending import PAUSES
from procession.engine.turn import Notice
from procession.errors import AuthorError, ProcessionError
from procession.kernel import InstanceState
from procession.language.provided import Provisions
from procession.services.application import Application
from procession.services.commands import Order, Pause, ResumeSchedule, RetryInstance, SetLimit, Unpause
from procession.services.desk import Answer
from procession.services.limiting import KEPT, in_force, limits_of
from procession.services.naming import find_instance
from procession.services.office import Office
from procession.services.reloading import Loaded, SourceNotTaken, is_newer_on_disk, load, load_anew, restore_modules
from procession.services.resources import opened
from procession.services.schedules import ScheduledStarts
from procession.services.scopes import paused_in
from procession.services.stored_source import load_stored
from procession.services.telling import AttentionTeller
from procession.store import OpenOptions

commands = logging.getLogger("procession.commands")


@dataclass(frozen=True, slots=True)
class Hosting:
    """How an application is put to work: with services and timers or for one command, and how long it waits for the lock.

    For debugging, process code is neither fenced nor watched: a debugger may stop in it.
    """

    runs_services: bool = True
    runs_timers: bool = True
    wait_seconds: float = 0.0
    watch: Callable[[Notice], None] | None = None
    tells: bool = False
    """Whether somebody is told of what newly waits for a person."""
    clock: Clock = field(default_factory=SystemClock)
    is_for_debugging: bool = False
    runs_no_code: bool = False
    """Nothing that is wanted runs code of the instance it is about, so where the source on disk does not load, the last one
    that ran will do."""


class Host:
    """An engine with its office, on the source that was loaded last."""

    def __init__(
        self,
        application: Application,
        engine: EmbeddedEngine,
        loaded: Loaded,
        clock: Clock,
        provisions: Provisions | None = None,
    ) -> None:
        self._provisions = provisions
        self.engine = engine
        self._application = application
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._settle(loaded, clock.wall_us())
        self.teller = AttentionTeller(
            application, engine, engine.store.readers, clock=clock, registry=lambda: self._loaded.registry
        )

    @property
    def loaded(self) -> Loaded:
        """The source that the engine runs."""
        return self._loaded

    async def perform(self, order: Order) -> Answer:
        """Do what is ordered; to retry a halted instance, on the source as it is now. Raises the refusal."""
        if isinstance(order.command, RetryInstance) and self._stands_still(order.command.instance):
            await self.take_present_source()
        answer = await self._logged(order)
        if isinstance(order.command, SetLimit | Pause | Unpause):
            self._take_limits()
        if isinstance(order.command, ResumeSchedule | SetLimit | Pause | Unpause):
            self.engine.look_again()
        return answer

    def _take_limits(self) -> None:
        """The limits that hold from now on: those of the settings, and over them what was changed since."""
        with self.engine.store.readers.snapshot() as view:
            registry = self._loaded.registry
            self.engine.limits.in_force = in_force(self.office.limits, view.metas(KEPT), registry)
            self.engine.limits.paused = paused_in(view.metas(PAUSES), registry)

    async def _logged(self, order: Order) -> Answer:
        """Do what is ordered; who ordered what, and what came of it, goes to the log."""
        command = order.command
        kind = type(command).__name__
        about: dict[str, object] = {
            name: value for name in ("call", "item") if isinstance(value := getattr(command, name, None), int)
        }
        about |= {"actor": order.actor, "kind": kind}
        try:
            answer = await self.office.perform(order)
        except ProcessionError as refusal:
            commands.info(
                "%s by %s was refused: %s", kind, order.actor, refusal.code, extra=about | {"error": refusal.code}
            )
            raise
        commands.info("%s by %s was done.", kind, order.actor, extra=about | {"instance": answer.get("instance")})
        return answer

    async def take_present_source(self) -> bool:
        """Go on with the source and the people that are on disk, as after a restart; gives whether they are others.

        Raises `SourceNotTaken` where they do not load, or a `StoreError`; then all goes on as before.
        """
        async with self._one_at_a_time:
            if not is_newer_on_disk(self._application, self._loaded):
                return False
            at_us = self._clock.wall_us()
            loaded, before = load_anew(self._application, self._loaded)
            try:
                self._check_provided(loaded)
                await self.engine.take_source(loaded.registry, loaded.release)
            except BaseException:
                restore_modules(self._application, before)
                raise
            self._settle(loaded, at_us)
            return True

    def _check_provided(self, loaded: Loaded) -> None:
        """Refuse a source whose services need what was not opened with the engine."""
        for operation in loaded.registry.services if self._provisions is not None else ():
            assert self._provisions is not None
            for need in operation.lacks(self._provisions):
                raise SourceNotTaken(
                    f"The present source cannot be taken: {NotProvided(operation.id, need).message}",
                    subject=operation.id,
                    remedy="Resources and secrets are opened with the engine: start it again.",
                )

    def _settle(self, loaded: Loaded, loaded_us: int) -> None:
        engine = self.engine
        self._loaded = loaded
        readers = engine.store.readers
        declared = limits_of(self._application.settings, loaded.registry)
        self.office = Office(
            loaded.registry, loaded.organisation, engine, readers, engine.accept_clock, loaded.schedules, declared
        )
        self._take_limits()
        engine.also_apply(ScheduledStarts(loaded.schedules, engine, readers, self._clock).apply)
        engine.store.lock.announce_source(engine.release, loaded_us)

    def _stands_still(self, reference: str) -> bool:
        with self.engine.store.readers.snapshot() as view:
            row = find_instance(view, reference, lambda: self._loaded.registry)
        return row is not None and row.state == InstanceState.HALTED


@asynccontextmanager
async def open_host(application: Application, hosting: Hosting) -> AsyncIterator[Host]:
    """Put the application to work until the end of the block.

    Raises what the organisation file, the packages, secrets or resources get wrong before the store is touched, and a
    `StoreError` where the store cannot be used; `StoreLocked` where another engine has it.
    """
    if hosting.is_for_debugging:
        let_debuggers_in()
    loaded = _loaded(application, hosting)
    hosts: list[Host] = []

    def watch(notice: Notice) -> None:
        if notice.alarms and hosts:
            hosts[0].teller.look_soon()
        if hosting.watch is not None:
            hosting.watch(notice)

    async with _provisions(application, loaded, hosting) as provisions:
        options = EngineOptions(
            clock=hosting.clock,
            runs_services=hosting.runs_services,
            runs_timers=hosting.runs_timers,
            store=OpenOptions(wait_seconds=hosting.wait_seconds),
            watch=watch,
            provisions=provisions or Provisions(),
            watchdog=not hosting.is_for_debugging,
        )
        engine = await open_engine(application.store, loaded.registry, loaded.release, options)
        try:
            hosts.append(Host(application, engine, loaded, hosting.clock, provisions))
            async with _telling(hosts[0].teller) if hosting.tells else contextlib.nullcontext():
                yield hosts[0]
        finally:
            await engine.close()


def _loaded(application: Application, hosting: Hosting) -> Loaded:
    try:
        return load(application)
    except AuthorError:
        stored = load_stored(application) if hosting.runs_no_code else None
        if stored is None:
            raise
        return stored


@asynccontextmanager
async def _telling(teller: AttentionTeller) -> AsyncIterator[None]:
    """Somebody is told until the end of the block; what is being told then is told again after the next start."""
    task = asyncio.create_task(teller.run(), name="attention")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def _provisions(application: Application, loaded: Loaded, hosting: Hosting) -> AsyncIterator[Provisions | None]:
    """What services are given, where any are run; open until the engine has ended."""
    if not hosting.runs_services:
        yield None
        return
    within = application.resources_within.length_us / 1_000_000
    resources, sources = application.load_resources(), application.secret_sources
    async with opened(loaded.registry, resources, sources, within_seconds=within) as provisions:
        yield provisions
