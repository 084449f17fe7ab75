"""The embedded engine: one operating-system process, one SQLite file, nothing to install."""

import asyncio
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from procession.engine import asyncio_names, fences
from procession.engine.advance import EVENTS_LIMIT, Advance
from procession.engine.attempts import begin
from procession.engine.clock import Clock, IntakeClock, SystemClock
from procession.engine.contract import Accepted, Decision, Request, ServiceChange, View
from procession.engine.crash_points import Reached, nothing_happens
from procession.engine.deciding import ENGINE_ACTOR, Decider
from procession.engine.dispatcher import Dispatcher
from procession.engine.live import MOST_LIVE, LiveInstances
from procession.engine.recovery import recover
from procession.engine.releases import Release
from procession.engine.turn import Effects, Notice
from procession.engine.wait_patrol import WaitPatrol
from procession.engine.wake_records import WakeRecords
from procession.engine.wake_ups import WakeUps
from procession.engine.watchdog import Watchdog, read_marker
from procession.engine.writer import Writer
from procession.errors import OperatorError
from procession.language.operations import Service
from procession.language.registry import Registry
from procession.store.opening import OpenOptions, Store, open_store

log = logging.getLogger("procession.engine")

MOST_DUE_AT_ONCE = 64


class AssertionsAreOff(OperatorError):
    """Python runs with -O, which removes assertions and so changes what process code does."""

    code = "assertions-off"


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine runs. The defaults are those of an engine in service.

    `runs_services` and `runs_timers` are off where a command opens the store for a moment. `most_live` bounds the live
    instances in memory, `grace_seconds` how long a shutdown waits for attempts under way. `watchdog` and `patrols` watch
    over process code that does not come back and over waits that nothing will end.
    """

    clock: Clock = field(default_factory=SystemClock)
    runs_services: bool = True
    runs_timers: bool = True
    most_live: int = MOST_LIVE
    events_limit: int = EVENTS_LIMIT
    grace_seconds: float = 5.0
    store: OpenOptions = field(default_factory=OpenOptions)
    reached: Reached = nothing_happens
    watch: Callable[[Notice], None] | None = None
    watchdog: bool = True
    patrols: bool = True


class EmbeddedEngine:
    """An engine on one store. Make it with `open_engine`; all its methods belong to the event loop that opened it."""

    def __init__(self, store: Store, registry: Registry, release: int, options: EngineOptions) -> None:
        self.store = store
        self._registry = registry
        self._options = options
        self._watchdog = Watchdog(marker_path(store.path) if options.watchdog else None)
        self._live = LiveInstances(registry, self._watchdog, most=options.most_live)
        self._intake = IntakeClock(options.clock, last_intake_us=store.last_recorded_us())
        wake_records = WakeRecords(registry)
        advance = Advance(registry, self._live, wake_records, self._watchdog, release, options.events_limit)
        self._dispatcher = Dispatcher(registry, self.submit, reached=options.reached)
        self._writer = Writer(
            store, Decider(advance), self._intake, room=self._room, carry_out=self._carry_out, reached=options.reached
        )
        self._wake_ups = WakeUps(options.clock.wall_us, self.apply_due)
        self._wait_patrol = WaitPatrol(store.readers, self._tell_of_problem)
        self._running: list[asyncio.Task[None]] = []

    async def submit(self, request: Request) -> Accepted:
        """Have a request decided and made durable. Raises the decision's refusal, `EngineStopped`, `ClockNotTrusted`, or a `StoreError`."""
        return await self._writer.submit(request)

    async def apply_due(self) -> int | None:
        """Fire what timers are due and begin what attempts are due; gives when the next of them is, in microseconds."""
        while True:
            accepted = await self.submit(Request("due", ENGINE_ACTOR, self._decide_due, recorded=False))
            if not accepted.outcome["more"]:
                break
        with self.store.readers.snapshot() as view:
            due = [view.next_timer_due_us() if self._options.runs_timers else None]
            if self._options.runs_services and self._dispatcher.room:
                due.append(view.next_service_due_us())
        return min((each for each in due if each is not None), default=None)

    @property
    def clock_distrust(self) -> str | None:
        """Why the wall clock is not trusted; None while it is."""
        return self._intake.distrust

    def accept_clock(self) -> None:
        """Trust the wall clock as it is now."""
        self._intake.accept()

    async def close(self, *, at_once: bool = False) -> None:
        """Take nothing more, wait for what is under way, and close the store."""
        for task in self._running[1:]:
            task.cancel()
        await self._dispatcher.close(grace_seconds=0 if at_once else self._options.grace_seconds)
        self._writer.stop("The engine is shutting down.")
        await asyncio.gather(*self._running, return_exceptions=True)
        self._live.close()
        self._watchdog.stop()
        self.store.close()

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
        for task in self._running:
            task.add_done_callback(self._report)

    def _report(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("The engine's %s ended: %s", task.get_name(), error, exc_info=error)
            self._writer.stop(f"The engine's {task.get_name()} ended with an error: {error}.")

    def _tell_of_problem(self, problem: str) -> None:
        if self._options.watch is not None:
            self._options.watch(Notice(self._options.clock.wall_us(), "", f"nothing will wake it: {problem}"))

    def _room(self) -> int:
        return self._dispatcher.room if self._options.runs_services else 0

    def _carry_out(self, effects: Effects) -> None:
        stopped = set(effects.stopped)
        for instance, call in stopped:
            self._dispatcher.stop(instance, call)
        for attempt in effects.attempts:
            if (attempt.row.instance, attempt.row.call) not in stopped:
                self._dispatcher.start(attempt)
        if effects.due_us is not None:
            self._wake_ups.expect(effects.due_us)
        if self._options.watch is not None:
            for notice in effects.notices:
                self._options.watch(notice)

    def _service(self, operation: str) -> Service[..., object] | None:
        found = self._registry.find_operation(operation)
        return found if isinstance(found, Service) else None

    def _decide_due(self, view: View) -> Decision:
        instances = view.instances_with_due_timers(limit=MOST_DUE_AT_ONCE) if self._options.runs_timers else []
        room = min(self._room(), MOST_DUE_AT_ONCE)
        calls = view.due_service_calls(limit=room) if room else []
        return Decision(
            outcome={"more": len(instances) == MOST_DUE_AT_ONCE or (bool(calls) and len(calls) == room)},
            fires=tuple(instances),
            services=tuple(ServiceChange(begin(row, self._service(row.operation), view.now_us)) for row in calls),
        )


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
    asyncio_names.install()
    store = open_store(path, options.store)
    try:
        now_us = options.clock.wall_us()
        with store.begin() as batch:
            number = release.keep(batch, now_us)
            recover(batch, registry, culprit=read_marker(marker_path(store.path)), now_us=now_us)
            batch.commit()
        engine = EmbeddedEngine(store, registry, number, options)
        engine.start()
    except BaseException:
        store.close()
        raise
    return engine


def marker_path(store: Path) -> Path:
    """The small file that says which instance's code runs at this moment."""
    return store.with_name(store.name + ".running")
