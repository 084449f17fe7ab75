"""What `[[schedule]]` in `procession.toml` names, checked when it is loaded; and what the store keeps of it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from procession.calendars.recurrence import Recurrence, RecurrenceUnclear
from procession.errors import AuthorError, InvalidValue, ProcessionError
from procession.language.filling_in import parsed
from procession.language.names import name_fault
from procession.language.process import Process
from procession.language.registry import Registry
from procession.services.application import Application
from procession.services.settings import ScheduleTable, Settings

LONGEST_NAME = 100
SCHEDULE_KEPT = "schedule:"
"""Under which the store keeps what became of each schedule."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A recurring start: which process, with what, when. `catches_up`: a missed time is made up for, once."""

    name: str
    process: Process[..., object]
    input: bytes
    title: str
    business_key: str | None
    when: Recurrence
    catches_up: bool
    paused: bool

    @property
    def key(self) -> str:
        """Under which the store keeps what became of it."""
        return SCHEDULE_KEPT + self.name

    @property
    def definition(self) -> str:
        """What it is about its times: a schedule that is changed in this begins anew."""
        return json.dumps([self.when.text, self.when.zone.key, self.paused])


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """What became of a schedule: up to when its times are settled, and whether somebody has paused or resumed it.

    `refused` is why its last time started nothing; `is_held` says that this was a pause of its process.
    """

    definition: str
    settled_us: int
    paused: bool | None = None
    paused_by: str = ""
    last_us: int | None = None
    refused: str = ""
    is_held: bool = False

    @classmethod
    def of(cls, schedule: Schedule, kept: str | None, now_us: int) -> "ScheduleState":
        """What the store keeps of it; a schedule that is new or changed has no time before now."""
        state = cls(**json.loads(kept)) if kept is not None else cls(schedule.definition, now_us)
        if state.definition == schedule.definition:
            return state
        return replace(state, definition=schedule.definition, settled_us=now_us, paused=None, paused_by="")

    @staticmethod
    def is_known(schedule: Schedule, kept: str | None) -> bool:
        """Whether what the store keeps is of the schedule as it is now."""
        return kept is not None and json.loads(kept)["definition"] == schedule.definition

    def is_paused(self, schedule: Schedule) -> bool:
        """By a command, or else by the file."""
        return schedule.paused if self.paused is None else self.paused

    def kept(self, schedule: Schedule) -> Mapping[str, str]:
        """As the store keeps it."""
        return {schedule.key: json.dumps(asdict(self))}


def kept_state(kept: str | None) -> ScheduleState | None:
    """What the store keeps of a schedule, whatever it is now; None of one that no engine has seen."""
    return None if kept is None else ScheduleState(**json.loads(kept))


def schedules_of(application: Application, registry: Registry) -> tuple[Schedule, ...]:
    """What the settings name. Raises `BadSettings`, with file and line, for what could never start."""
    settings = application.settings
    names = [table.name for table in settings.tables.schedule]
    for number, name in enumerate(names):
        fault = name_fault(name) or (f"has more than {LONGEST_NAME} characters" if len(name) > LONGEST_NAME else None)
        if name in names[:number]:
            fault = "is the name of an earlier one too"
        if fault:
            raise settings.fault(("schedule", number, "name"), f"the name {name!r} {fault}.", "Give it another.")
    return tuple(
        _schedule(_Reader(settings, number, table), application, registry)
        for number, table in enumerate(settings.tables.schedule)
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    settings: Settings
    number: int
    table: ScheduleTable

    def fault(self, key: str, sentence: str, remedy: str) -> ProcessionError:
        return self.settings.fault(("schedule", self.number, key), sentence, remedy)


def _schedule(reader: _Reader, application: Application, registry: Registry) -> Schedule:
    table = reader.table
    if table.calendar is not None:
        raise reader.fault(
            "calendar",
            f"there are no working calendars yet, so {table.calendar!r} cannot say which days count.",
            'Leave it out, and write the days: "every weekday at 8:00".',
        )
    process = registry.find_process(table.process)
    if process is None:
        known = ", ".join(sorted(registry.processes)) or "none"
        raise reader.fault("process", f"there is no process {table.process!r}.", f"The application has: {known}.")
    zone = _zone(reader, application)
    try:
        when = Recurrence.parse(table.when, zone)
    except RecurrenceUnclear as error:
        raise reader.fault("when", f"{error}.", "Correct it.") from error
    try:
        values = parsed(process.inputs, _as_json(table.input), whole="input", subject=process.name)
        encoded = process.inputs.encode_values(values)
        key = process.key_for(values)
    except (InvalidValue, AuthorError) as error:
        raise reader.fault(
            "input", f"{process.name} cannot be started with it: {error.message}", error.remedy
        ) from error
    catches_up = table.missed == "once"
    return Schedule(table.name, process, encoded, process.title_for(values), key, when, catches_up, table.paused)


def _zone(reader: _Reader, application: Application) -> ZoneInfo:
    if reader.table.time_zone is None:
        return application.zone
    try:
        return ZoneInfo(reader.table.time_zone)
    except (KeyError, ValueError, OSError) as error:
        raise reader.fault(
            "time_zone", f"there is no time zone {reader.table.time_zone!r}.", 'Write one such as "Europe/Amsterdam".'
        ) from error


def _as_json(values: Mapping[str, Any]) -> str:
    def as_text(value: object) -> str:
        assert isinstance(value, date | datetime | time), "TOML has no other value that JSON has not"
        return value.isoformat()

    return json.dumps(values, default=as_text)
