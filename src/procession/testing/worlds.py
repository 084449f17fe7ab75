"""The world of a test: people, services that can be made to fail, and time that passes when it is told to."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

from procession.calendars.durations import Duration
from procession.engine.clock import VirtualClock
from procession.errors import AuthorError
from procession.kernel import InstanceState
from procession.language.binding import Binding
from procession.language.externals import External
from procession.language.messages import codec_of
from procession.language.names import normal_name
from procession.language.operations import BusinessFunction, Operation, P, R, Service
from procession.language.process import Process
from procession.language.selection import Role
from procession.services.commands import Order, SendMessage
from procession.services.histories import read_history, replay_history
from procession.store import InstanceFilter, WorkItemRow
from procession.testing.expectations import BadMoment, Expectation
from procession.testing.machine import Machine
from procession.testing.outside import OutsidePrograms
from procession.testing.performers import MOST_SEEN, Actor, ByPeople, Performing
from procession.testing.running import Running
from procession.testing.stubs import Stub, check_is_service, check_may_be_stubbed
from procession.testing.telling import Telling
from procession.work.performers import Performer

MONDAY = "2026-03-02 09:00"
OUTSIDE = "outside"
"""Who sends what comes from outside."""


class ProcessHalted(AuthorError):
    """In a test the code of a process failed, so its instance was halted; the text has the business call stack."""

    code = "process-halted"


class KnownAlready(AuthorError):
    """In a test a person was introduced twice."""

    code = "known-already"


class BadSetting(AuthorError):
    """In a test the world was to begin at a moment, or in a time zone, that there is not."""

    code = "bad-setting"


@dataclass(frozen=True, slots=True)
class Setting:
    """How a world begins: when, in which time zone, and whether its services may go to the network and other programs."""

    start: str = MONDAY
    zone: str = "UTC"
    real_time: bool = False

    def __post_init__(self) -> None:
        try:
            is_possible = self.start_us >= 0
        except (ValueError, TypeError, OSError, LookupError):
            is_possible = False
        if not is_possible:
            raise BadSetting(
                f"No world begins at {self.start!r} in the zone {self.zone!r}.",
                subject=str(self.start),
                remedy='Write a moment since 1970 and a name of the time-zone database: start="2026-06-01 08:00", '
                'zone="Europe/Amsterdam".',
            )

    @property
    def start_us(self) -> int:
        """When it begins; a moment without a zone is in that of the world."""
        moment = datetime.fromisoformat(self.start)
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=ZoneInfo(self.zone))
        return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


class World:
    """People and processes on an engine of their own, with a clock that stands still between commands."""

    def __init__(self, folder: Path, setting: Setting | None = None) -> None:
        setting = setting or Setting()
        self._zone = ZoneInfo(setting.zone)
        self._performers: dict[str, Performer] = {}
        self._performing: dict[str, Performing] = {}
        self._actors: dict[str, Actor] = {}
        self._managers: dict[str, str] = {}
        self._notices_read = 0
        self._machine = Machine(folder, VirtualClock(setting.start_us), self._performers, real_time=setting.real_time)
        self._telling = Telling(self._machine, self._zone)
        self._outside = OutsidePrograms(self._machine.fail)
        self._machine.when_idle = self._answer_one
        self._machine.who_waits = self._telling.open_instances

    @property
    def now(self) -> datetime:
        """What the time is."""
        return self._telling.now()

    def person(
        self, name: str, *, roles: Iterable[str | Role | BusinessFunction] = (), manager: Actor | None = None
    ) -> Actor:
        """Somebody with these roles (a function stands for the role of its name), and whom they report to."""
        name = normal_name(name, what="name of a person")
        if name in self._actors:
            raise KnownAlready(f"{name} was introduced before.", subject=name, remedy="Keep what world.person gave.")
        held = frozenset(each if isinstance(each, str) else each.name for each in roles)
        self._performers[name] = Performer(name, held)
        if manager is not None:
            self._managers[name] = manager.person
        performing = self._performing[name] = Performing(self._machine, self._telling, name, self._check_halts)
        actor = self._actors[name] = Actor(performing)
        return actor

    def manager_of(self, person: Actor) -> Actor | None:
        """Whom a person reports to, as they were introduced."""
        name = self._managers.get(person.person)
        return None if name is None else self._actors[name]

    def stub(self, operation: Service[P, R] | External[P, R]) -> Stub[P, R]:
        """Put a stub in the place of a service, or of an outside program.

        It says what comes of it: `.fails(error, times=2).returns(result)`, or `.does(function)`.
        """
        check_may_be_stubbed(operation)
        self._machine.learn(operation)
        performer = self._machine.registry.performer_of(operation)
        programs = self._outside if isinstance(performer, External) else self._machine.services
        return programs.stub(operation)

    def bind(self, *bindings: Binding) -> None:
        """Have operations performed as in a deployment: `bind(bind(judge, small_ones))`, or `bind(*claims.bindings.bindings)`.

        Without it each is performed as it says, whatever the settings of the application name.
        """
        self._machine.bind(bindings)
        self._check_halts()

    def send(self, message: object, *, key: str) -> None:
        """Send a message from outside: whoever waits for its class and key gets it, else the first that asks."""
        self._machine.learn(type(message))
        text = codec_of(type(message)).encode(message).decode()
        command = SendMessage(type(message).__name__, key, text)
        self._machine.run(self._machine.office.perform(Order(command, OUTSIDE)))
        self._check_halts()

    def provide(self, *resources: object, **secrets: str) -> None:
        """Give services these resources, each by its class, and these secrets: `provide(FakeDatabase(), MAIL_PASSWORD="…")`."""
        self._machine.provide(resources, secrets)

    def advance(self, written: str | timedelta | None = None) -> None:
        """Let so much time pass ("5 days"), or, without an argument, as much as it takes until something happens.

        Everything that falls due on the way happens at its moment. Raises `DurationUnclear` for working time, which
        needs a calendar, and `NothingIsDue`, which lists who waits for what.
        """
        if written is None:
            self._machine.pass_to_next()
        else:
            length = Duration.parse(written).require_calendar_time()
            self._machine.pass_time(length.after(self._machine.clock.wall_us()))
        self._check_halts()

    def advance_to(self, moment: datetime | str) -> None:
        """Let time pass until then; a moment without a zone is in that of the world."""
        try:
            wanted = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        except ValueError:
            raise BadMoment(
                f"There is no moment {moment!r}.", subject=str(moment), remedy='Write it as "2026-03-06 14:00".'
            ) from None
        aware = wanted if wanted.tzinfo is not None else wanted.replace(tzinfo=self._zone)
        if aware < self.now:
            raise BadMoment(
                f"{moment} is past: it is {self.now:%A %Y-%m-%d %H:%M}.",
                subject=str(moment),
                remedy="Time does not go back.",
            )
        self.advance(aware - self.now)

    def crash(self, *, during: Service[..., Any] | None = None) -> None:
        """Lose the machine and start another on what was durable.

        With `during`, that happens in the next attempt at that service: its work is done, and nobody knows.
        """
        if during is None:
            self._machine.crash()
        else:
            check_is_service(during)
            self._machine.learn(during)
            self._machine.services.die_in(during)
        self._check_halts()

    def instances_of(self, process: Process[..., R]) -> list[Running[R]]:
        """The instances of a process, the oldest first: also those that other instances have started."""
        self._machine.learn(process)
        with self._machine.view() as view:
            rows = view.instances.list(InstanceFilter(processes=(process.name, *process.was)), limit=MOST_SEEN)
        return [Running(self._machine, self._telling, process, row.name) for row in reversed(rows)]

    def expect(self, of: BusinessFunction | ByPeople[Any] | Actor | Running[Any]) -> Expectation:
        """What the test expects of the open items of a function, a task, a person or an instance: `.has(1, due="Friday")`."""
        name, belongs = _choice_of(of)

        def rows() -> list[tuple[WorkItemRow, str]]:
            if isinstance(of, Actor):
                return [(row, self._name_of(row)) for row in self._performing[of.person].rows()]
            with self._machine.view() as view:
                found = view.worklist.open(limit=MOST_SEEN)
            named = [(row, self._name_of(row)) for row in found]
            return [(row, instance) for row, instance in named if belongs(row, instance)]

        return Expectation(name, rows, self._telling)

    def replay(self, path: Path | str, *processes: Process[..., Any]) -> None:
        """Replay a history that `procession export history` wrote on the present source.

        Raises `HistoryDiffers` with the first difference. Without `processes` it is of the application that the file
        lies in, or else of the one in the working directory.
        """
        history = read_history(Path(path))
        for process in processes:
            self._machine.learn(process)
        registry = self._machine.registry if processes else None
        replay_history(history, registry, near=Path(path))

    def report(self) -> str:
        """How everything stands, for people: the time, what happened last, and where each open instance is."""
        happened = self._telling.what_happened()
        parts = [f"It is {self.now:%A %Y-%m-%d %H:%M}.", self._telling.open_instances()]
        return "\n\n".join([*parts, f"What happened last:\n{happened}"] if happened else parts)

    def close(self) -> None:
        """End the world; what it kept is gone with its folder."""
        self._machine.close()

    async def _answer_one(self) -> bool:
        for performing in self._performing.values():
            if await performing.answer_one():
                return True
        return await self._outside.work_once(self._machine.office)

    def _name_of(self, row: WorkItemRow) -> str:
        with self._machine.view() as view:
            instance = view.instances.find(row.instance)
        return "" if instance is None else instance.name

    def _check_halts(self) -> None:
        """A process whose code fails is the test's business, whatever command made it run."""
        news = self._machine.notices[self._notices_read :]
        self._notices_read += len(news)
        with self._machine.view() as view:
            rows = [view.instances.find_named(name) for name in dict.fromkeys(each.instance for each in news)]
        for row in rows:
            if row is not None and row.state == InstanceState.HALTED:
                raise ProcessHalted(self._telling.instance(row.name), subject=row.name, remedy="Correct the process.")


@contextmanager
def world(*, start: str = MONDAY, zone: str = "UTC", real_time: bool = False) -> Iterator[World]:
    """A world outside of pytest: `with world() as w:`. It begins at `start`, a Monday morning unless said otherwise."""
    with TemporaryDirectory() as folder:
        made = World(Path(folder), Setting(start, zone, real_time))
        try:
            yield made
        finally:
            made.close()


def _choice_of(
    of: BusinessFunction | ByPeople[Any] | Actor | Running[Any],
) -> tuple[str, Callable[[WorkItemRow, str], bool]]:
    match of:
        case BusinessFunction():
            return of.name, lambda row, _: row.function in (of.name, *of.was)
        case Operation():
            return of.id, lambda row, _: row.operation == of.id
        case Actor():
            return of.person, lambda *_: True
        case _:
            return of.name, lambda _, instance: instance == of.name
