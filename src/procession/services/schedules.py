"""Recurring starts: each when it is time, and what people do with a schedule.

A start is keyed by its scheduled time, and fires once for any number of times that were missed. What became of a
schedule is kept in the store in the very transaction that starts the instance, so no crash starts it twice or not at all.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from procession.engine.clock import Clock, ClockNotTrusted
from procession.engine.contract import Decision, Engine, EngineStopped, NewInstance, Request, View
from procession.errors import PerformerError, ProcessionError, StoreError
from procession.services.application import Application
from procession.services.commands import Order, PauseSchedule, ResumeSchedule
from procession.services.desk import Answer, Desk
from procession.services.instances import starting
from procession.services.records import maybe_moment, moment
from procession.services.scheduling import Schedule, ScheduleState, schedules_of
from procession.services.scopes import IsPaused
from procession.store import View as StoreView
from procession.store import open_readers
from procession.store.readers import Readers

log = logging.getLogger("procession.engine")

SCHEDULER = "schedule"
ON_TIME_US = 60_000_000
"""What would start later than this after its time was missed: no engine ran, or it could not."""


class NoSuchSchedule(PerformerError):
    """`procession.toml` has no schedule of that name."""

    code = "no-such-schedule"


class ScheduledStarts:
    """Starts what is scheduled, when it is time."""

    def __init__(self, schedules: tuple[Schedule, ...], engine: Engine, readers: Readers, clock: Clock) -> None:
        self.schedules = schedules
        self._engine = engine
        self._readers = readers
        self._clock = clock

    async def apply(self) -> int | None:
        """Start what is due; gives when the next start is, in microseconds."""
        due = []
        for schedule in self.schedules:
            state = await self._state(schedule)
            if state.is_paused(schedule):
                continue
            now_us = self._clock.wall_us()
            at_us = schedule.when.last_between(state.settled_us, now_us)
            if at_us is not None:
                await self._settle(schedule, at_us, starts=schedule.catches_up or now_us - at_us <= ON_TIME_US)
            due.append(schedule.when.next_after(max(now_us, state.settled_us)))
        return min((each for each in due if each is not None), default=None)

    async def _state(self, schedule: Schedule) -> ScheduleState:
        with self._readers.snapshot() as view:
            kept = view.find_meta(schedule.key)
        state = ScheduleState.of(schedule, kept, self._clock.wall_us())
        if not ScheduleState.is_known(schedule, kept):
            await self._keep(schedule, lambda view: ScheduleState.of(schedule, view.kept(schedule.key), view.now_us))
        return state

    async def _settle(self, schedule: Schedule, at_us: int, *, starts: bool) -> None:
        """Be done with all times up to this one, by one start or, where they are let go, by none."""

        def settled(view: View, refusal: ProcessionError | None = None) -> ScheduleState:
            state = ScheduleState.of(schedule, view.kept(schedule.key), view.now_us)
            return replace(
                state,
                settled_us=max(state.settled_us, at_us),
                last_us=at_us if starts else state.last_us,
                refused="" if refusal is None else refusal.message,
                is_held=isinstance(refusal, IsPaused),
            )

        if not starts:
            log.info("%s: the start of %s was missed and is let go.", schedule.key, moment(at_us))
            await self._keep(schedule, settled)
            return
        try:
            accepted = await self._engine.submit(_start(schedule, at_us, settled))
        except (EngineStopped, ClockNotTrusted, StoreError):
            raise  # tried again
        except ProcessionError as error:
            refusal = error
            level = (
                logging.INFO if isinstance(error, IsPaused) else logging.ERROR
            )  # somebody wants that it starts nothing
            log.log(level, "%s: nothing was started at %s: %s", schedule.key, moment(at_us), error)
            await self._keep(schedule, lambda view: settled(view, refusal))
            return
        if accepted.repeated:  # the store has forgotten that it is settled, and not that it was started
            await self._keep(schedule, settled)

    async def _keep(self, schedule: Schedule, state: Callable[[View], ScheduleState]) -> None:
        def decide(view: View) -> Decision:
            return Decision(keeps=state(view).kept(schedule))

        await self._engine.submit(Request("schedule", SCHEDULER, decide, recorded=False))


def _start(schedule: Schedule, at_us: int, settled: Callable[[View], ScheduleState]) -> Request:
    process = schedule.process
    initiator = f"{SCHEDULER} {schedule.name}"
    new = NewInstance(process, schedule.input, schedule.title, initiator, schedule.business_key)
    start = starting(new)

    def decide(view: View) -> Decision:
        state = ScheduleState.of(schedule, view.kept(schedule.key), view.now_us)
        if state.settled_us >= at_us or state.is_paused(schedule):
            return Decision()
        return replace(start(view), keeps=settled(view).kept(schedule))

    return Request(
        kind="ScheduledStart", actor=initiator, decide=decide, client_id=identifier_of_start(schedule.name, at_us)
    )


def identifier_of_start(schedule: str, at_us: int) -> str:
    """The identifier of the request that starts what is scheduled then."""
    return f"schedule:{schedule}:{moment(at_us).isoformat().replace('+00:00', 'Z')}"


async def change(desk: Desk, order: Order, command: PauseSchedule | ResumeSchedule) -> Answer:
    """Pause a schedule, or let it go on; the times that pass meanwhile are let go. Raises `NoSuchSchedule`."""
    schedule = get_schedule(desk.schedules, command.schedule)
    pauses = isinstance(command, PauseSchedule)

    def decide(view: View) -> Decision:
        state = ScheduleState.of(schedule, view.kept(schedule.key), view.now_us)
        settled_us = state.settled_us if state.is_paused(schedule) == pauses else view.now_us
        changed = replace(state, paused=pauses, paused_by=order.actor if pauses else "", settled_us=settled_us)
        next_us = None if pauses else schedule.when.next_after(view.now_us)
        at = None if next_us is None else moment(next_us).isoformat().replace("+00:00", "Z")
        return Decision(outcome={"schedule": schedule.name, "paused": pauses, "next": at}, keeps=changed.kept(schedule))

    return dict((await desk.submit(order, decide)).outcome)


def get_schedule(schedules: tuple[Schedule, ...], name: str) -> Schedule:
    """The schedule of that name. Raises `NoSuchSchedule` with the names there are."""
    for schedule in schedules:
        if schedule.name == name:
            return schedule
    known = ", ".join(each.name for each in schedules) or "none"
    raise NoSuchSchedule(f"There is no schedule {name!r}.", subject=name, remedy=f"The application has: {known}.")


@dataclass(frozen=True, slots=True)
class ScheduleShown:
    """One schedule: when it starts what, and what became of its last time."""

    schedule: str
    process: str
    when: str
    time_zone: str
    missed: str
    paused: bool
    paused_by: str
    next: tuple[datetime, ...]
    last: datetime | None
    last_instance: str | None
    last_refused: str


@dataclass(frozen=True, slots=True)
class ScheduleList:
    """The recurring starts of an application."""

    schedules: tuple[ScheduleShown, ...]


def list_schedules(application: Application, clock: Clock, *, times: int = 3) -> ScheduleList:
    """Every schedule with its next times. Raises `BadSettings` for one that could never start."""
    if not application.settings.tables.schedule:
        return ScheduleList(())
    schedules = schedules_of(application, application.load_registry())
    now_us = clock.wall_us()
    if not application.store.exists():
        return ScheduleList(tuple(_shown(each, None, now_us, times) for each in schedules))
    readers = open_readers(application.store)
    try:
        with readers.snapshot() as view:
            return ScheduleList(tuple(_shown(each, view, now_us, times) for each in schedules))
    finally:
        readers.close()


def _shown(schedule: Schedule, view: StoreView | None, now_us: int, times: int) -> ScheduleShown:
    kept = None if view is None else view.find_meta(schedule.key)
    state = ScheduleState.of(schedule, kept, now_us)
    is_paused = state.is_paused(schedule)
    by = state.paused_by or "procession.toml"
    return ScheduleShown(
        schedule=schedule.name,
        process=schedule.process.name,
        when=schedule.when.text,
        time_zone=schedule.when.zone.key,
        missed="once" if schedule.catches_up else "skip",
        paused=is_paused,
        paused_by=by if is_paused else "",
        next=() if is_paused else tuple(_next_times(schedule, now_us, times)),
        last=maybe_moment(state.last_us),
        last_instance=_instance_of(schedule, state, view),
        last_refused=state.refused,
    )


def _next_times(schedule: Schedule, now_us: int, times: int) -> Iterator[datetime]:
    for _ in range(times):
        following_us = schedule.when.next_after(now_us)
        if following_us is None:
            return
        now_us = following_us
        yield moment(now_us)


def _instance_of(schedule: Schedule, state: ScheduleState, view: StoreView | None) -> str | None:
    """What its last time started."""
    if view is None or state.last_us is None:
        return None
    request = view.request_of_client(identifier_of_start(schedule.name, state.last_us))
    row = view.instances.find(request.instance) if request is not None and request.instance is not None else None
    return None if row is None else row.name
