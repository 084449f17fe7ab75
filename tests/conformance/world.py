"""An application at work on an engine under test: what tests give to it, and what they see of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from procession.calendars.durations import Duration
from procession.engine.clock import Clock, VirtualClock
from procession.engine.present_names import in_present_names
from procession.engine.releases import Release
from procession.engine.turn import Notice
from procession.kernel import CallRequested, Event, Instance, InstanceCompleted, InstanceHalted
from procession.language.registry import Registry
from procession.services.commands import ClaimItem, Command, CompleteItem, Order, RetryInstance, StartInstance
from procession.services.office import Office
from procession.store import InstanceRow, View
from procession.store.event_rows import decode_event
from procession.store.invariants import Evidence, check_invariants
from procession.store.view import Waits
from procession.store.worklist import WorkItemRow
from procession.work.performers import Organisation, Performer
from tests.conformance.subject import Running, Settings, Subject

MARCH_2026_US = 1_772_355_600_000_000  # 2026-03-01 09:00 UTC
ENDED = ("completed", "failed", "cancelled")
PEOPLE = Organisation(
    {
        "ann": Performer("ann", frozenset({"Team"})),
        "bob": Performer("bob", frozenset({"Team"})),
        "sue": Performer("sue", frozenset({"Shop"})),
        "eve": Performer("eve", frozenset()),
    }
)


def module_of(declared: Iterable[object]) -> ModuleType:
    """A module that declares these functions and processes."""
    module = ModuleType("app")
    for number, thing in enumerate(declared):
        setattr(module, f"thing_{number}", thing)
    return module


def module_from(path: Path, text: str) -> ModuleType:
    """The module that this source makes; written to its file, so that its lines can be shown."""
    path.write_text(text, encoding="utf-8")
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    sys.modules[path.stem] = module
    exec(compile(text, str(path), "exec"), vars(module))
    return module


class World:
    """One application and its store. `restart` puts another engine, and perhaps another source, on the same store."""

    def __init__(self, subject: Subject, store: Path, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.notices: list[Notice] = []
        self.acknowledged: list[int | str] = []
        self._subject = subject
        self._told = asyncio.Event()
        self._settings = Settings()
        self._running: Running | None = None
        self.registry = Registry.of([])

    @property
    def running(self) -> Running:
        assert self._running is not None, "no engine is open"
        return self._running

    @property
    def office(self) -> Office:
        return Office(self.registry, PEOPLE, self.running, self.running.readers, self.running.accept_clock)

    async def open(self, module: ModuleType, settings: Settings | None = None) -> None:
        """Put an engine on the store."""
        self._settings = settings or self._settings
        self.registry = Registry.of([module])
        file = getattr(module, "__file__", None)
        text = Path(file).read_text(encoding="utf-8") if file else module.__name__
        release = Release({module.__name__: text})
        self._running = await self._subject.open(
            self.store, self.registry, release, self.clock, settings=self._settings, told=self._tell
        )

    async def close(self, *, at_once: bool = False) -> None:
        """End the engine; the store stays."""
        if self._running is not None:
            running, self._running = self._running, None
            await running.close(at_once=at_once)

    async def restart(self, *declared: object, source: ModuleType | None = None, **settings: Any) -> None:
        """End the engine and put another on the store, with the source given, or the same."""
        await self.close()
        module = source or (module_of(declared) if declared else module_of(self._declared()))
        await self.open(module, replace(self._settings, **settings))

    def _declared(self) -> list[object]:
        messages = [cls for classes in self.registry.messages.values() for cls in classes]
        return [*self.registry.functions.values(), *self.registry.processes.values(), *messages]

    def _tell(self, notice: Notice) -> None:
        self.notices.append(notice)
        self._told.set()

    # What people and programs do.

    async def give(
        self, command: Command, actor: str = "ann", *, reason: str | None = None, client_id: str | None = None
    ) -> dict[str, Any]:
        """Give an order, and have its answer."""
        answer = await self.office.perform(Order(command, actor, reason, client_id))
        if client_id is not None:
            self.acknowledged.append(client_id)
        return answer

    async def start(self, process: object, actor: str = "ann", **inputs: object) -> str:
        """Start a process with these inputs as JSON; gives the name of the instance."""
        name = getattr(process, "name", process)
        answer = await self.give(StartInstance(str(name), json.dumps(inputs)), actor)
        return str(answer["instance"])

    async def claim(self, instance: str, actor: str = "ann") -> int:
        """Claim the one open item of an instance."""
        item = self.item(instance).id
        await self.give(ClaimItem(item), actor)
        return item

    async def complete(
        self, instance: str, answer: object, actor: str = "ann", *, of: str | None = None
    ) -> dict[str, Any]:
        """Complete the open item of an instance (`of` an operation, where there are more)."""
        return await self.give(CompleteItem(self.item(instance, of).id, json.dumps(answer)), actor)

    async def retry(self, instance: str) -> dict[str, Any]:
        return await self.give(RetryInstance(instance))

    async def pass_time(self, written: str) -> None:
        """Let this much time pass, and have what is then due applied."""
        self.skip(written)
        await self.running.apply_due()

    def skip(self, written: str) -> None:
        """Let this much time pass while nobody looks at what is due."""
        assert isinstance(self.clock, VirtualClock)
        self.clock.advance_to(self.clock.wall_us() + Duration.parse(written).length_us)

    # What can be seen.

    @contextmanager
    def view(self) -> Iterator[View]:
        with self.running.readers.snapshot() as view:
            yield view

    def row(self, instance: str) -> InstanceRow:
        with self.view() as view:
            row = view.instances.find_named(instance)
        assert row is not None, f"there is no {instance}"
        return row

    def state(self, instance: str) -> str:
        return self.row(instance).state

    def history(self, instance: str) -> list[Event]:
        """The events of an instance."""
        with self.view() as view:
            row = view.instances.find_named(instance)
            assert row is not None
            return [decode_event(event) for event in view.history(row.id)]

    def kinds(self, instance: str) -> list[str]:
        """The kinds of its events, in order."""
        return [type(event).__name__ for event in self.history(instance)]

    def call_of(self, instance: str, operation: str) -> int:
        """The number of the first call of an operation."""
        found = [e for e in self.history(instance) if isinstance(e, CallRequested) and e.operation.endswith(operation)]
        return found[0].call

    def waits(self, instance: str) -> Waits:
        """What will wake it."""
        with self.view() as view:
            row = view.instances.find_named(instance)
            assert row is not None
            return view.waits(row.id)

    def item(self, instance: str, of: str | None = None) -> WorkItemRow:
        """The one open item of an instance, or the one of an operation."""
        items = [item for item in self.waits(instance).items if of is None or item.operation.endswith(of)]
        assert len(items) == 1, f"{instance} has {len(items)} such items"
        return items[0]

    def find_item(self, item: int) -> WorkItemRow:
        with self.view() as view:
            row = view.worklist.find(item)
        assert row is not None
        return row

    def result(self, instance: str) -> object:
        """What a completed instance returned, as JSON."""
        last = self.history(instance)[-1]
        assert isinstance(last, InstanceCompleted), f"{instance} is {self.state(instance)}: {last}"
        return json.loads(last.value)

    def halt(self, instance: str) -> dict[str, Any]:
        """Why an instance stands still."""
        row = self.row(instance)
        assert row.halt is not None, f"{instance} is {row.state}"
        return dict(json.loads(row.halt))

    def attributes(self, instance: str) -> dict[str, object]:
        """Its attributes; one that was set to None is none."""
        with self.view() as view:
            texts = view.instances.attributes(self.row(instance).id)
        return {name: json.loads(text) for name, text in texts.items() if text != "null"}

    def attention(self, instance: str) -> list[str]:
        """The operations of its calls that need attention."""
        return [call.operation for call in self.waits(instance).service_calls if call.state == "attention"]

    async def until(self, condition: Callable[[], object], *, seconds: float = 15.0) -> None:
        """Wait until something is so; looked at whenever the engine tells of something, and now and then."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._told.clear()
                try:
                    async with asyncio.timeout(0.02):
                        await self._told.wait()
                except TimeoutError:
                    pass

    async def until_attention(self, instance: str) -> None:
        """Let all attempts fail, with the waits between them."""
        while not self.attention(instance):
            await self.until(lambda: all(call.state != "running" for call in self.waits(instance).service_calls))
            await self.pass_time("1 second")

    async def until_settled(self, *instances: str) -> None:
        """Let attempts end, until none runs and none is due."""
        now_us = self.clock.wall_us()

        def nothing_runs() -> bool:
            calls = [call for instance in instances for call in self.waits(instance).service_calls]
            return all(call.state == "attention" or (call.state == "due" and call.due_us > now_us) for call in calls)

        await self.until(nothing_runs)

    async def until_ended(self, instance: str) -> None:
        await self.until(lambda: self.state(instance) in ENDED)

    # What must hold of every store in the end.

    def check(self) -> None:
        """The invariants, with replay of every history on the source that was there last."""
        evidence = Evidence(
            acknowledged=tuple(self.acknowledged), replay=self._differs_from_replay, now_us=self.clock.wall_us()
        )
        assert check_invariants(self.store, evidence).problems == ()

    def _differs_from_replay(self, row: InstanceRow, events: Sequence[Event]) -> str | None:
        process = self.registry.find_process(row.process)
        if process is None or row.secret is None or row.state == "halted":
            return None  # a halted one need not replay on this source
        instance = Instance(process.program(row.secret), seed=row.secret)
        try:
            instance.replay([in_present_names(event, self.registry) for event in events])
            if (instance.state, instance.now_us) != (row.state, row.now_us):
                return f"replay ends {instance.state} at {instance.now_us}, the row is {row.state} at {row.now_us}"
            return None
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        finally:
            instance.close()


def halts(history: Iterable[Event]) -> list[InstanceHalted]:
    """The halts in a history."""
    return [event for event in history if isinstance(event, InstanceHalted)]


class Host:
    """Makes the worlds of one test, and ends them with it."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        self.folder = folder
        self._subject = subject
        self._worlds: list[World] = []
        self._unchecked: list[World] = []

    async def open(
        self,
        *declared: object,
        source: ModuleType | None = None,
        clock: Clock | None = None,
        settings: Settings | None = None,
    ) -> World:
        """A world with an engine at work."""
        world = World(self._subject, self.folder / f"world{len(self._worlds)}.db", clock or VirtualClock(MARCH_2026_US))
        self._worlds.append(world)
        await world.open(source or module_of(declared), settings)
        return world

    async def open_again(self, world: World) -> None:
        """Try to put a second engine on the store of a world."""
        second = World(self._subject, world.store, world.clock)
        try:
            await second.open(module_of([]))
        finally:
            await second.close()

    def forget(self, world: World) -> None:
        """What this world left, on purpose, is not looked at in the end."""
        self._unchecked.append(world)

    async def close(self) -> None:
        for world in self._worlds:
            await world.close()

    def check(self) -> None:
        for world in self._worlds:
            if world not in self._unchecked:
                world.check()
