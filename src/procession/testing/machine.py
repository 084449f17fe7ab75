"""The engine of a test: opened when it is first needed, run until it rests, dropped and opened again."""

import asyncio
import random
import shutil
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from procession.engine.clock import VirtualClock
from procession.engine.debugging import StopsProcesses
from procession.engine.embedded import EmbeddedEngine, EngineOptions, open_engine
from procession.engine.turn import Notice
from procession.errors import AuthorError, InternalError
from procession.language.binding import Binding
from procession.language.registry import Registry
from procession.services.office import Office
from procession.store import OpenOptions, View
from procession.store.opening import open_store
from procession.testing.reach import Declared, Reach
from procession.testing.stubs import ServicesAtWork
from procession.testing.virtual_loop import VirtualLoop
from procession.work.performers import Organisation, Performer

T = TypeVar("T")

MOST_JUMPS = 100_000
WORKER_LIMIT_SECONDS = 3_600.0
_DATABASE_PARTS = ("", "-wal")


class NothingIsDue(AuthorError):
    """In a test time was to go on to what is due next, and nothing is: everybody waits for a person, or for nobody."""

    code = "nothing-is-due"


class ComesToNoRest(AuthorError):
    """In a test the engine went on for ever: services called each other's process again and again."""

    code = "comes-to-no-rest"


class WorldIsAtWork(AuthorError):
    """In a test the world was given a command from inside an event loop, or while it carried out another."""

    code = "world-is-at-work"


class WorldHasEnded(AuthorError):
    """In a test a command was given to a world that has ended."""

    code = "world-has-ended"


class Machine:
    """An engine on a store in `folder`, on a loop of its own. `people` may grow while it runs."""

    def __init__(self, folder: Path, clock: VirtualClock, people: dict[str, Performer], *, real_time: bool) -> None:
        self.clock = clock
        self.services = ServicesAtWork(self.fail, may_go_outside=real_time)
        self.notices: list[Notice] = []
        self.when_idle: Callable[[], Awaitable[bool]] = _nothing_more
        """Asked whenever the engine rests: whether somebody has done something more."""
        self.who_waits: Callable[[], str] = str
        """Says who waits for what, for errors."""
        self._folder = folder
        self._people = Organisation(people)
        self._real_time = real_time
        self._loop = VirtualLoop(clock, threads=self.services.in_threads, is_real=self._passes_by_itself)
        self._loop.set_exception_handler(self._fail_in_loop)
        self._breakpoints = StopsProcesses(self._let_debugger_in)
        self._breakpoints.install()
        self._reach = Reach()
        self._registry = Registry.of([])
        self._bindings: list[Binding] = []
        self._engine: EmbeddedEngine | None = None
        self._number = 0
        self._faults: list[Exception] = []

    @property
    def registry(self) -> Registry:
        """What the processes of the test declare and reach."""
        return self._registry

    @property
    def office(self) -> Office:
        """Where orders are given."""
        engine = self._engine or self._open()
        return Office(self._registry, self._people, engine, engine.store.readers, engine.accept_clock)

    @contextmanager
    def view(self) -> Iterator[View]:
        """The store as it is now."""
        with self.office.readers.snapshot() as view:
            yield view

    def learn(self, thing: Declared) -> None:
        """Have a process, an operation or a class of messages in the application, with all that it reaches."""
        if self._reach.add(thing):
            self._load()

    def bind(self, bindings: Iterable[Binding]) -> None:
        """Have operations performed as these say, from here on. Raises `NotDeclarable`; then they are as they were."""
        before = self._bindings
        for each in bindings:
            for reached in (each.operation, each.performer):
                self._reach.add(reached)
            self._bindings = [*(other for other in self._bindings if other.operation is not each.operation), each]
        try:
            self._load()
        except BaseException:
            self._bindings = before
            raise

    def provide(self, resources: Iterable[object], secrets: Mapping[str, str]) -> None:
        """Give services these resources and secrets."""
        self.services.provide(resources, secrets)
        self._load()

    def _load(self) -> None:
        self._registry = self._reach.registry(self.services, self._bindings)
        if self._engine is not None:
            self._complete(self._engine.take_source(self._registry, self._reach.release()))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, when the engine has come to rest after it. Raises what fails the test."""
        _ = self._engine or self._open()
        outcome = self._complete(self._until_rest(work))
        if self.services.has_died:
            self.crash()
        return outcome

    def pass_time(self, until_us: int) -> None:
        """Let time pass until then, with everything that falls due on the way."""
        _ = self._engine or self._open()
        self._complete(self._pass(until_us))
        if self.services.has_died:
            self.crash()
            self.pass_time(until_us)

    def pass_to_next(self) -> None:
        """Let time pass until whatever is due next. Raises `NothingIsDue`."""
        _ = self._engine or self._open()
        self._complete(self._pass_to_next())
        if self.services.has_died:
            self.crash()

    def crash(self) -> None:
        """Drop the engine as a loss of power would, and open another on what was durable."""
        if self._engine is None:
            return
        left, self._engine = self._engine, None
        self._number += 1
        for part in _DATABASE_PARTS:
            source = left.store.path.with_name(left.store.path.name + part)
            if source.exists():
                shutil.copyfile(source, self._path.with_name(self._path.name + part))
        self._complete(left.close(at_once=True))  # it goes on on its own copy, of which nobody sees anything
        self.services.has_died = False
        self._open()
        self.run(_rest())

    def close(self) -> None:
        """End it all. A second time does nothing."""
        if self._loop.is_closed():
            return
        self._breakpoints.remove()
        try:
            if self._engine is not None:
                self.services.let_go()
                engine, self._engine = self._engine, None
                self._loop.run_until_complete(engine.close(at_once=True))
            self._loop.run_until_complete(self._cancel_the_rest())
        finally:
            self._loop.close()

    async def _cancel_the_rest(self) -> None:
        """What a fault of the test has left in the middle."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=1)

    @property
    def _path(self) -> Path:
        return self._folder / f"world-{self._number}.db"

    def _open(self) -> EmbeddedEngine:
        if self._loop.is_closed():
            raise _world_has_ended()
        if self._number == 0:
            self._path.write_bytes(_empty_store())
        options = EngineOptions(
            clock=self.clock,
            grace_seconds=0,
            store=OpenOptions(synchronous="OFF"),
            watch=self.notices.append,
            # Code that never comes back is halted; the test itself is not ended for it.
            worker_limit_seconds=WORKER_LIMIT_SECONDS,
            patrols=False,
            looks_again=False,
            chance=random.Random(0),  # a test takes the same time whenever it is run
        )
        release = self._reach.release()
        self._engine = self._complete(open_engine(self._path, self._registry, release, options))
        return self._engine

    def _let_debugger_in(self) -> None:
        if self._engine is not None:
            self._engine.let_debugger_in()

    def _passes_by_itself(self) -> bool:
        return self._real_time and self.services.running > 0

    def _complete(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_closed():
            work.close()
            raise _world_has_ended()
        if self._loop.is_running() or _a_loop_runs():
            work.close()
            raise WorldIsAtWork(
                "The world is given a command while an event loop runs.",
                remedy="Write the test as `def`, not `async def`; and give commands from the test, not from a stub.",
            )
        try:
            outcome = self._loop.run_until_complete(work)
        except AuthorError:
            self.services.let_go()
            raise
        if self._faults:
            faults, self._faults = self._faults, []
            raise faults[0]
        return outcome

    async def _until_rest(self, work: Coroutine[Any, Any, T]) -> T:
        task = self._loop.create_task(work)
        try:
            for _ in range(MOST_JUMPS):
                seconds = await self._loop.until_idle()
                if self._faults or self.services.has_died:
                    break
                if task.done():
                    task.result()  # a refusal is told before anybody does anything more
                    if await self.when_idle():
                        continue
                    if not self._services_are_due():
                        break
                if seconds is None:
                    if task.done():
                        break
                    raise self._nothing_is_due("The command waits for something that never comes")
                self._loop.move(seconds)
            else:
                raise self._no_rest()
            return await task
        finally:
            if not task.done():
                task.cancel()

    async def _pass(self, until_us: int) -> None:
        while True:
            seconds = await self._loop.until_idle()
            if self._faults or self.services.has_died:
                return
            if await self.when_idle():
                continue
            if seconds is None or self.clock.wall_us() + seconds * 1_000_000 > until_us:
                break
            self._loop.move(seconds)
        self.clock.advance_to(until_us)
        await self._until_rest(_rest())

    async def _pass_to_next(self) -> None:
        assert self._engine is not None
        due_us = await self._engine.apply_due()
        if due_us is None:
            raise self._nothing_is_due("Nothing is due")
        await self._pass(due_us)

    def _services_are_due(self) -> bool:
        if self.services.running:
            return True
        if self._engine is None:
            return False
        with self._engine.store.readers.snapshot() as view:
            return view.next_service_due_us() is not None

    def _nothing_is_due(self, what: str) -> NothingIsDue:
        return NothingIsDue(
            f"{what}, and no time that passes will change that.\n{self.who_waits()}",
            remedy="Have somebody do it, in the test.",
        )

    def _no_rest(self) -> ComesToNoRest:
        return ComesToNoRest(
            f"After {MOST_JUMPS:,} steps the engine has not come to rest.\n{self.who_waits()}",
            remedy="Look for services that are called again and again, and let a stub end that.",
        )

    def fail(self, fault: Exception) -> None:
        """Have the present command fail the test with this."""
        self._faults.append(fault)

    def _fail_in_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        told = InternalError(f"The engine of the test failed: {context.get('message')}: {error!r}.")
        told.__cause__ = error
        self.fail(told)


async def _rest() -> None:
    """Nothing; what follows it is rest."""


async def _nothing_more() -> bool:
    return False


def _world_has_ended() -> WorldHasEnded:
    return WorldHasEnded("The world has ended.", remedy="Give commands within the test, or the `with` block.")


def _a_loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@cache
def _empty_store() -> bytes:
    """A store without anything in it: made once, since that takes longer than most tests."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        open_store(path, OpenOptions(synchronous="OFF")).close()
        return path.read_bytes()
