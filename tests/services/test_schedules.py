"""Recurring starts: once for each time, once for any number of missed ones, never twice, refused where they cannot be."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from procession.engine.clock import VirtualClock
from procession.engine.crash_points import CrashPoint
from procession.engine.embedded import EngineOptions, open_engine
from procession.services.application import open_application
from procession.services.attention import CasesWanted, list_cases
from procession.services.commands import CancelInstance, Pause, PauseSchedule, ResumeSchedule, Unpause
from procession.services.hosting import Host
from procession.services.reloading import load
from procession.services.schedules import NoSuchSchedule, ScheduledStarts, ScheduleShown, list_schedules
from procession.services.settings import BadSettings
from procession.store import InstanceFilter, InstanceRow, OpenOptions
from tests.services.applications import give, make_office

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SUNDAY = datetime(2026, 3, 1, 9, tzinfo=UTC)
WEEKLY = """
[[schedule]]
name = "weekly"
process = "receive"
when = "every Monday at 8:00"
time_zone = "Europe/Amsterdam"
input = { letter = "dear" }
"""


def us(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


class Office:
    """An application with a schedule, on a clock of its own."""

    def __init__(self, folder: Path, schedule: str = WEEKLY) -> None:
        self._made = make_office(folder)
        self.folder = self._made.application.folder
        self.settings = self.folder / "procession.toml"
        self._bare = self.settings.read_text()
        self.clock = VirtualClock(us(SUNDAY))
        self.schedule(schedule)

    def schedule(self, text: str) -> None:
        self.settings.write_text(self._bare + text)
        self.application = open_application(self.folder)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Host]:
        made = replace(self._made, application=self.application)
        async with made.at_work(clock=self.clock, runs_timers=True) as host:
            await host.engine.apply_due()
            yield host

    async def until(self, host: Host, moment: datetime) -> None:
        self.clock.advance_to(us(moment))
        await host.engine.apply_due()

    def listed(self) -> ScheduleShown:
        (shown,) = list_schedules(self.application, self.clock).schedules
        return shown


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def started(host: Host) -> list[InstanceRow]:
    with host.engine.store.readers.snapshot() as view:
        return list(reversed(view.instances.list(InstanceFilter(), limit=100)))


def times(host: Host) -> list[str]:
    """The scheduled times at which something was started, as the requests have them."""
    with host.engine.store.readers.snapshot() as view:
        requests = [view.request(number) for number in range(1, 50)]
    return [each.client_id.removeprefix("schedule:weekly:") for each in requests if each and each.client_id]


def test_a_schedule_starts_an_instance_at_each_of_its_times(tmp_path: Path) -> None:
    office = Office(tmp_path)

    async def work() -> None:
        async with office.at_work() as host:
            await office.until(host, SUNDAY + timedelta(hours=21))  # Monday, 6:00 UTC: an hour too early
            assert started(host) == []
            for day in (2, 9, 16, 23, 30):
                await office.until(host, datetime(2026, 3, day, 7, 0, 30, tzinfo=UTC))
            assert [row.initiator for row in started(host)] == ["schedule weekly"] * 5
            assert times(host)[:1] == ["2026-03-02T07:00:00Z"]
            assert times(host)[-1:] == ["2026-03-30T06:00:00Z"], "eight o'clock in summer is an hour earlier in UTC"

    run(work())
    shown = office.listed()
    assert (shown.last, shown.last_instance) == (datetime(2026, 3, 30, 6, tzinfo=UTC), "receive-5")
    assert shown.next[0] == datetime(2026, 4, 6, 6, tzinfo=UTC)


def test_any_number_of_missed_times_is_made_up_for_by_one_start(tmp_path: Path) -> None:
    office = Office(tmp_path)

    async def work() -> None:
        async with office.at_work():
            pass
        office.clock.advance_to(us(datetime(2026, 5, 20, 12, tzinfo=UTC)))  # eleven Mondays
        async with office.at_work() as host:
            assert times(host) == ["2026-05-18T06:00:00Z"]
            await host.engine.apply_due()
            assert len(started(host)) == 1
            await office.until(host, datetime(2026, 5, 25, 6, tzinfo=UTC))
            assert len(started(host)) == 2

    run(work())


def test_missed_times_are_let_go_where_the_schedule_says_so(tmp_path: Path) -> None:
    office = Office(tmp_path, WEEKLY + 'missed = "skip"\n')

    async def work() -> None:
        async with office.at_work():
            pass
        office.clock.advance_to(us(datetime(2026, 5, 20, 12, tzinfo=UTC)))
        async with office.at_work() as host:
            assert started(host) == []
            await office.until(host, datetime(2026, 5, 25, 6, 0, 20, tzinfo=UTC))
            assert times(host) == ["2026-05-25T06:00:00Z"], "a moment too late is in time"

    run(work())


def test_a_schedule_has_no_times_before_it_was_first_seen_nor_before_it_was_changed(tmp_path: Path) -> None:
    office = Office(tmp_path)
    monday = datetime(2026, 3, 2, 12, tzinfo=UTC)

    async def work() -> None:
        office.clock.advance_to(us(monday))
        async with office.at_work() as host:
            assert started(host) == []
        office.clock.advance_to(us(monday + timedelta(days=1)))
        office.schedule(WEEKLY.replace("every Monday at 8:00", "daily at 8:00"))
        async with office.at_work() as host:
            assert started(host) == []
            await office.until(host, monday + timedelta(days=2))
            assert len(started(host)) == 1

    run(work())


def test_a_paused_schedule_starts_nothing_and_lets_go_what_passes_meanwhile(tmp_path: Path) -> None:
    office = Office(tmp_path)

    async def work() -> None:
        async with office.at_work() as host:
            assert await give(host, PauseSchedule("weekly")) == {"schedule": "weekly", "paused": True, "next": None}
            assert (office.listed().paused_by, office.listed().next) == ("ann", ())
            await office.until(host, datetime(2026, 3, 10, tzinfo=UTC))
            assert started(host) == []
        async with office.at_work() as host:
            resumed = await give(host, ResumeSchedule("weekly"))
            assert resumed["next"] == "2026-03-16T07:00:00Z"
            await host.engine.apply_due()
            assert started(host) == []
            await office.until(host, datetime(2026, 3, 16, 7, tzinfo=UTC))
            assert len(started(host)) == 1
            with pytest.raises(NoSuchSchedule, match="The application has: weekly"):
                await give(host, PauseSchedule("weakly"))

    run(work())


def test_a_schedule_that_the_file_pauses_begins_when_the_file_or_somebody_says_so(tmp_path: Path) -> None:
    office = Office(tmp_path, WEEKLY + "paused = true\n")

    async def work() -> None:
        async with office.at_work() as host:
            await office.until(host, datetime(2026, 3, 3, tzinfo=UTC))
            assert (started(host), office.listed().paused_by) == ([], "procession.toml")
        office.schedule(WEEKLY)
        async with office.at_work() as host:
            assert started(host) == []
            await office.until(host, datetime(2026, 3, 9, 7, tzinfo=UTC))
            assert len(started(host)) == 1

    run(work())


def test_an_instance_that_has_the_business_key_already_is_what_the_time_started(tmp_path: Path) -> None:
    office = Office(tmp_path)
    source = next(office.folder.glob("office_*")) / "process.py"
    keyed = source.read_text().replace('title="{letter}"', 'title="{letter}", key="{letter}"')
    source.write_text(keyed.replace("receive(letter: str)", "receive(letter: str, copies: int = 1)"))

    async def work() -> None:
        async with office.at_work() as host:
            await office.until(host, datetime(2026, 3, 2, 7, tzinfo=UTC))
            await office.until(host, datetime(2026, 3, 9, 7, tzinfo=UTC))
            assert len(started(host)) == 1
            assert office.listed().last_instance == "receive-1"
            await give(host, CancelInstance("receive-1", force=True))
            await office.until(host, datetime(2026, 3, 16, 7, tzinfo=UTC))
            assert len(started(host)) == 2
        office.schedule(WEEKLY.replace('"dear"', '"dear", copies = 2'))
        async with office.at_work() as host:
            await office.until(host, datetime(2026, 3, 23, 7, tzinfo=UTC))
            await host.engine.apply_due()
            assert len(started(host)) == 2
            assert "already, with another input" in office.listed().last_refused

    run(work())
    (case,) = [case for case in list_cases(office.application, CasesWanted()).cases if case.kind == "schedule"]
    assert case.headline == "The schedule weekly could not start receive"
    assert "started nothing at 2026-03-23 07:00 UTC: receive-2 has the business key" in case.message


def test_while_its_process_is_paused_nothing_is_started_and_somebody_is_told(tmp_path: Path) -> None:
    office = Office(tmp_path)

    async def work() -> None:
        async with office.at_work() as host:
            await give(host, Pause("process", "receive", "run"))
            await office.until(host, datetime(2026, 3, 2, 7, tzinfo=UTC))
            assert started(host) == []
            assert "The process receive is paused by ann" in office.listed().last_refused
            (case,) = list_cases(office.application, CasesWanted()).cases
            assert (case.kind, case.command) == ("schedule", 'procession unpause process "receive"')
            await office.until(host, datetime(2026, 3, 9, 7, tzinfo=UTC))
            (again,) = list_cases(office.application, CasesWanted()).cases
            assert again.occurrence == case.occurrence, "it is the same pause, so nobody is told anew"
            await give(host, Unpause("process", "receive"))
            assert list_cases(office.application, CasesWanted()).cases == ()
            await host.engine.apply_due()
            assert started(host) == [], "what was refused is not made up for"
            await office.until(host, datetime(2026, 3, 16, 7, tzinfo=UTC))
            assert len(started(host)) == 1

    run(work())
    assert office.listed().last_refused == ""


@pytest.mark.parametrize("point", [CrashPoint.BEFORE_COMMIT, CrashPoint.AFTER_COMMIT, CrashPoint.AFTER_REPLY])
def test_a_crash_starts_nothing_twice_and_loses_no_time(tmp_path: Path, point: CrashPoint) -> None:
    """What is on disk at each such point is what a crash there leaves: an engine is put on each."""
    office = Office(tmp_path)
    loaded = load(office.application)
    left: list[Path] = []

    async def apply(store: Path, *, keeps: bool) -> list[InstanceRow]:
        def reached(here: CrashPoint) -> None:
            if here is point and keeps:
                copy = tmp_path / f"crash{len(left)}.db"
                for end in ("", "-wal"):
                    if Path(f"{store}{end}").exists():
                        shutil.copy(f"{store}{end}", f"{copy}{end}")
                left.append(copy)

        options = EngineOptions(clock=office.clock, reached=reached, store=OpenOptions(synchronous="OFF"))
        engine = await open_engine(store, loaded.registry, loaded.release, options)
        try:
            starts = ScheduledStarts(loaded.schedules, engine, engine.store.readers, office.clock)
            await starts.apply()
            office.clock.advance_to(us(datetime(2026, 3, 2, 7, tzinfo=UTC)))
            await starts.apply()
            with engine.store.readers.snapshot() as view:
                return view.instances.list(InstanceFilter(), limit=10)
        finally:
            await engine.close(at_once=True)

    assert len(asyncio.run(apply(office.application.store, keeps=True))) == 1
    assert len(left) >= 2
    office.clock.advance_to(us(datetime(2026, 3, 2, 8, tzinfo=UTC)))
    seen = [len(asyncio.run(apply(copy, keeps=False))) for copy in left]
    knew_nothing = 1 if point is CrashPoint.BEFORE_COMMIT else 0  # the schedule itself was not seen before that time
    assert seen == [0] * knew_nothing + [1] * (len(left) - knew_nothing)


@pytest.mark.parametrize(
    ("change", "line", "told"),
    [
        (('"receive"', '"recieve"'), "process", "there is no process 'recieve'. The application has: receive, wait."),
        (("every Monday at 8:00", "every Munday at 8:00"), "when", '"munday" is no day of the week'),
        (("every Monday at 8:00", "0 0 30 2 *"), "when", "cannot be read as fields of cron"),
        (
            ('letter = "dear"', "letter = 3"),
            "input",
            "receive cannot be started with it: The input does not fit: letter",
        ),
        (('letter = "dear"', ""), "input", "letter"),
        (("Europe/Amsterdam", "Europe/Amsterdm"), "time_zone", "there is no time zone 'Europe/Amsterdm'"),
        (('name = "weekly"', 'name = " weekly"'), "name", "Give it another."),
        (('name = "weekly"', 'nam = "weekly"'), "nam", "Did you mean `name`?"),
        (('time_zone = "Europe/Amsterdam"', 'calendar = "office"'), "calendar", "there are no working calendars yet"),
        (('time_zone = "Europe/Amsterdam"', 'missed = "twice"'), "missed", "'once' or 'skip'"),
    ],
)
def test_what_could_never_start_is_refused_with_its_line(
    tmp_path: Path, change: tuple[str, str], line: str, told: str
) -> None:
    with pytest.raises(BadSettings) as refused:
        load(Office(tmp_path, WEEKLY.replace(*change)).application)
    place, _, sentence = str(refused.value).partition(": ")
    file, _, number = place.rpartition(":")
    assert Path(file).read_text().splitlines()[int(number) - 1].startswith(line)
    assert told in sentence


def test_two_schedules_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="the name 'weekly' is the name of an earlier one too"):
        load(Office(tmp_path, WEEKLY + WEEKLY).application)
