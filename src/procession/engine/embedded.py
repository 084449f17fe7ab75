"""The embedded engine: one operating-system process, one SQLite file, nothing to install."""

import asyncio
import logging
import random
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from procession.engine import asyncio_names, fences, interrupts, never_awaited
from procession.engine.advance import EVENTS_LIMIT, Advance
from procession.engine.clock import Clock, IntakeClock, SystemClock
from procession.engine.contract import Accepted, Decision, Request
from procession.engine.crash_points import Reached, nothing_happens
from procession.engine.deciding import Decider
from procession.engine.dispatcher import MOST_ATTEMPTS, AttemptOptions, Dispatcher
from procession.engine.due_work import ENGINE_ACTOR, DueWork
from procession.engine.identifier_patrol import IdentifierPatrol
from procession.engine.limits import Limits
from procession.engine.live import MOST_LIVE, LiveInstances
from procession.engine.message_patrol import MessagePatrol
from procession.engine.recovery import recover
from procession.engine.releases import Release
from procession.engine.turn import Effects, Notice
from procession.engine.wait_patrol import WaitPatrol
from procession.engine.wake_records import WakeRecords
from procession.engine.wake_ups import WakeUps
from procession.engine.watchdog import LIMIT_SECONDS, WORKER_LIMIT_SECONDS, Watchdog, find_culprit, remove_marker
from procession.engine.writer import Writer
from procession.errors import OperatorError, ProcessionError, StoreError
from procession.language.provided import Provisions
from procession.language.registry import Registry
from procession.store.opening import OpenOptions, Store, open_store

log = logging.getLogger("procession.engine")
R = TypeVar("R")

CLOCK_ACCEPTED = "clock-accepted-behind-us"
"""Where the store keeps by how much a person accepted the wall clock to be behind its last request."""

SET_ASIDE_PAUSE_US = 1_000_000

AlsoDue = Callable[[], Awaitable[int | None]]


class AssertionsAreOff(OperatorError):
    """Python runs with -O, which removes assertions and so changes what process code does."""

    code = "assertions-off"


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine runs. The defaults are those of an engine in service.

    `runs_services` and `runs_timers` are off where a command opens the store for a moment. `most_live` bounds the live
    instances in memory, `most_attempts` the services attempted at once, `grace_seconds` how long a shutdown waits for
    attempts under way. `watchdog` and `patrols` watch over process code that does not come back and over waits that
    nothing will end; `looks_again` has the store looked at now and then though nothing is known to be due.
    `chance` spreads the waits between attempts; `provisions` is what services are given that is no input,
    `limits` how many attempts of which may run at once and begin in a minute.
    """

    clock: Clock = field(default_factory=SystemClock)
    runs_services: bool = True
    runs_timers: bool = True
    most_live: int = MOST_LIVE
    most_attempts: int = MOST_ATTEMPTS
    events_limit: int = EVENTS_LIMIT
    grace_seconds: float = 5.0
    store: OpenOptions = field(default_factory=OpenOptions)
    reached: Reached = nothing_happens
    watch: Callable[[Notice], None] | None = None
    watchdog: bool = True
    limit_seconds: float = LIMIT_SECONDS
    worker_limit_seconds: float = WORKER_LIMIT_SECONDS
    patrols: bool = True
    looks_again: bool = True
    chance: random.Random = field(default_factory=random.Random)
    provisions: Provisions = field(default_factory=Provisions)
    limits: Limits = field(default_factory=Limits)


class EmbeddedEngine:
    """An engine on one store. Make it with `open_engine`; all its methods belong to the event loop that opened it."""

    def __init__(self, store: Store, registry: Registry, release: int, options: EngineOptions) -> None:
        with store.readers.snapshot() as view:
            accepted_behind_us = int(view.find_meta(CLOCK_ACCEPTED) or 0)
        self.store = store
        self.release = release
        self._options = options
        self.limits = options.limits
        self._watchdog = Watchdog(
            marker_path(store.path) if options.watchdog else None,
            limit_seconds=options.limit_seconds,
            worker_limit_seconds=options.worker_limit_seconds,
        )
        self._intake = IntakeClock(
            options.clock, last_intake_us=store.last_recorded_us(), accepted_behind_us=accepted_behind_us
        )
        self._live = LiveInstances(registry, self._watchdog, most=options.most_live)
        self._dispatcher = Dispatcher(
            registry,
            self.submit,
            reached=options.reached,
            freed=self.look_again,
            options=AttemptOptions(options.most_attempts, options.chance, options.provisions, options.limits),
        )
        self._writer = Writer(
            store,
            self._decider_on(registry, release),
            self._intake,
            room=self._room,
            carry_out=self._carry_out,
            reached=options.reached,
        )
        self._due_work = DueWork(
            registry,
            self.submit,
            runs_timers=options.runs_timers,
            room=self._room,
            limits=options.limits,
            tell=self._tell_of_problem,
        )
        options.limits.left_behind = self._dispatcher.left_behind
        self._wake_ups = WakeUps(options.clock.wall_us, self.apply_due, looks_again=options.looks_again)
        self._wait_patrol = WaitPatrol(
            store.readers, lambda problem: self._tell_of_problem(f"nothing will wake it: {problem}")
        )
        self._identifier_patrol = IdentifierPatrol(store.readers, self.submit, options.clock.wall_us)
        self._message_patrol = MessagePatrol(store.readers, self.submit, options.clock.wall_us)
        self._also_due: AlsoDue | None = None
        self._running: list[asyncio.Task[None]] = []
        self._broke_down: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._is_closed = False
        self._may_have_left_over = True
        self._let_interrupts_in = interrupts.keep_out_of_process_code()

    async def submit(self, request: Request) -> Accepted:
        """Have a request decided and made durable. Raises the decision's refusal, `EngineStopped`, `ClockNotTrusted`, or a `StoreError`."""
        accepted = await self._writer.submit(request)
        if (
            self._may_have_left_over
            and request.recorded
            and not (self._options.runs_timers or self._options.runs_services)
        ):
            await self._apply_left_over()
        return accepted

    async def _apply_left_over(self) -> None:
        """Without anybody who looks at what is due, what instances still do to others is applied with the request."""
        self._may_have_left_over = False
        try:
            await self._due_work.apply()
        except ProcessionError as error:  # the request itself is durable
            log.error("What instances do to others waits: %s", error)

    async def apply_due(self) -> int | None:
        """Fire what timers are due and begin what attempts are due; gives when the next of them is, in microseconds."""
        also_us = await self._also_due() if self._also_due is not None and self._options.runs_timers else None
        await self._due_work.apply()
        with self.store.readers.snapshot() as view:
            due = [also_us, view.next_timer_due_us() if self._options.runs_timers else None]
            if self._options.runs_services and self._dispatcher.room:
                held = self._due_work.held
                due += [view.next_service_due_us(without=held), self._due_work.free_us if held else None]
        next_us = min((each for each in due if each is not None), default=None)
        if next_us is not None and self._due_work.set_aside:
            next_us = max(next_us, self._options.clock.wall_us() + SET_ASIDE_PAUSE_US)
        return next_us

    async def take_source(self, registry: Registry, release: Release) -> None:
        """Run everything on this source from here on, as after a restart.

        Live instances are dropped and replay on it when something comes for them; attempts under way end with the body
        that they began with. Raises what `submit` raises where the source cannot be kept in the store: then nothing
        has changed.
        """
        keeps = Request("source", ENGINE_ACTOR, lambda view: Decision(release=release), recorded=False)
        kept = await self.submit(keeps)
        number = kept.outcome["release"]
        assert isinstance(number, int)
        # No wait from here to the end: a request is decided without one too, so none is decided half on this source.
        self._live.close()
        self._live = LiveInstances(registry, self._watchdog, most=self._options.most_live)
        self._writer.decider = self._decider_on(registry, number)
        self._dispatcher.registry = registry
        self._due_work.take(registry)
        self.release = number
        self.look_again()

    def _decider_on(self, registry: Registry, release: int) -> Decider:
        wake_records = WakeRecords(registry, self._options.limits)
        return Decider(Advance(registry, self._live, wake_records, release, self._options.events_limit))

    def at_work(self, number: int, name: str, work: Callable[[], R]) -> R:
        """Run an instance's code apart from the one that is alive: fenced and watched as that is."""
        return self._live.at_work(number, 0, work, name=name)

    async def until_breakdown(self) -> str:
        """Waits for as long as the engine works; gives the reason where it has to give up by itself."""
        return await asyncio.shield(self._broke_down)

    def also_apply(self, due: AlsoDue) -> None:
        """Have this applied too whenever what is due is applied; it gives when it is due next, in microseconds."""
        self._also_due = due
        self.look_again()

    def let_debugger_in(self) -> None:
        """The process code that runs now stops in a debugger: until its next wait it is neither fenced nor watched."""
        self._watchdog.leave()
        fences.fence_down()

    def accept_clock(self) -> int:
        """Trust the wall clock as it is now; gives by how many microseconds it is behind the last request."""
        behind_us = self._intake.accept()
        self.look_again()
        return behind_us

    async def close(self, *, at_once: bool = False) -> None:
        """Take nothing more, wait for what is under way, and close the store. A second time does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        for task in self._running[1:]:
            task.cancel()
        await self._dispatcher.close(grace_seconds=0 if at_once else self._options.grace_seconds)
        self._writer.stop("The engine is shutting down.")
        await asyncio.gather(*self._running, return_exceptions=True)
        self._live.close()
        self._let_interrupts_in()
        self._watchdog.stop()
        try:
            self.store.close()
        except StoreError as error:  # the lock is let go all the same, and the next opening does the rest
            log.error("The store could not be tidied up at the end; nothing of it is lost: %s", error)

    def start(self) -> None:
        """Begin to take requests."""
        if self._options.watchdog:
            self._watchdog.start()
        loop = asyncio.get_running_loop()
        self._running.append(loop.create_task(self._writer.run(), name="writer"))
        if self._options.runs_timers or self._options.runs_services:
            self._running.append(loop.create_task(self._wake_ups.run(), name="wake-ups"))
        if self._options.runs_timers and self._options.patrols:
            self._running.append(loop.create_task(self._wait_patrol.run(), name="wait patrol"))
            self._running.append(loop.create_task(self._identifier_patrol.run(), name="identifier patrol"))
            self._running.append(loop.create_task(self._message_patrol.run(), name="message patrol"))
        for task in self._running:
            task.add_done_callback(self._report)

    def _report(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("The engine's %s ended: %s", task.get_name(), error, exc_info=error)
            reason = f"The engine's {task.get_name()} ended with an error: {error}."
            self._writer.stop(reason)
            if not self._broke_down.done():
                self._broke_down.set_result(reason)

    def _tell_of_problem(self, problem: str) -> None:
        self._tell(Notice(self._options.clock.wall_us(), "", problem))

    def _tell(self, notice: Notice) -> None:
        if self._options.watch is None:
            return
        try:
            self._options.watch(notice)
        except Exception:  # whoever watches must not be able to stop what is watched
            log.exception("Whoever watches the engine failed on: %s", notice.text)

    def _room(self) -> int:
        return self._dispatcher.room if self._options.runs_services else 0

    def _carry_out(self, effects: Effects) -> None:
        stopped = set(effects.stopped)
        for instance, call in stopped:
            self._dispatcher.stop(instance, call)
        for attempt in effects.attempts:
            if (attempt.row.instance, attempt.row.call) not in stopped:
                self._dispatcher.start(attempt)
        self._may_have_left_over |= effects.due_us == 0
        if effects.due_us is not None:
            self._wake_ups.expect(effects.due_us)
        for notice in effects.notices:
            self._tell(notice)

    def look_again(self) -> None:
        """Something may be due earlier than it seemed."""
        self._wake_ups.expect(0)


async def open_engine(
    path: Path, registry: Registry, release: Release, options: EngineOptions | None = None
) -> EmbeddedEngine:
    """Open the store at `path`, made or migrated if need be, and run an engine on it.

    Raises a `StoreError` where the store cannot be used, `AssertionsAreOff` under `python -O`.
    """
    options = options or EngineOptions()
    if sys.flags.optimize:
        raise AssertionsAreOff(
            "Python runs with -O, which removes assertions: process code would not mean what it says.",
            remedy="Start it without -O, and without PYTHONOPTIMIZE.",
        )
    fences.install_fences()
    never_awaited.tell_of_what_is_never_awaited()
    asyncio_names.install()
    store = open_store(path, options.store)
    try:
        now_us = options.clock.wall_us()
        with store.begin() as batch:
            number = release.keep(batch, now_us)
            recover(batch, registry, culprit=find_culprit(marker_path(store.path)), now_us=now_us)
            batch.commit()
        remove_marker(marker_path(store.path))
        engine = EmbeddedEngine(store, registry, number, options)
        engine.start()
    except BaseException:
        store.close()
        raise
    return engine


def marker_path(store: Path) -> Path:
    """The small file that says which instance's code runs at this moment."""
    return store.with_name(store.name + ".running")
