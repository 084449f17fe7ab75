"""Random programs over everything a process may use of asyncio, and a host that ends their calls in random order.

A program is a tree, drawn from a seed; `Run` executes it and keeps a log. `explore` feeds events to a live instance; after each one
it replays the history from nothing and compares commands, log, open calls, branches and time.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from procession import after, each, kernel, pick
from procession.control import n_of
from procession.errors import OperationFailed, ProcessFailed
from procession.kernel import Event, Instance, InstanceState
from procession.language.combinators import Rest
from tests.kernel.drive import Declined, ask, op, program, standing

EVENTS_AT_MOST = 40
CATCHABLE = (Declined, OperationFailed, TimeoutError, ExceptionGroup)

LEAVES = ["call", "call", "call", "sleep", "pause", "handle", "started", "attribute", "chance", "decline", "withdraw"]
INNER = [
    "sequence", "gather", "collect", "group", "timeout", "wait_for", "first", "first_error", "all", "completed", "shielded",
    "cancelled", "cleanup", "undo", "caught", "event", "locked", "limited", "queue", "condition", "background", "gathers",
    "generator", "twice", "rescheduled", "remind", "raced", "chosen", "grouped", "scoped",
]  # fmt: skip


@dataclass(frozen=True)
class Node:
    """One construct, its parts, and the numbers it needs."""

    kind: str
    name: str
    parts: tuple[Node, ...] = ()
    number: int = 0


def draw(seed: int) -> Node:
    """The program of this seed."""
    chance = random.Random(seed)
    names = iter(range(10_000))

    def node(depth: int) -> Node:
        name, number = f"n{next(names)}", chance.randrange(1, 100)
        if depth == 0 or chance.random() < 0.2:
            return Node(chance.choice(LEAVES), name, (), number)
        count = chance.choice([1, 2, 2, 3, 3, 5])
        return Node(chance.choice(INNER), name, tuple(node(depth - 1) for _ in range(count)), number)

    return Node(
        "sequence", "root", tuple(node(chance.choice([2, 2, 3, 3, 4])) for _ in range(chance.choice([2, 3, 4])))
    )


class Run:
    """One execution of a program."""

    def __init__(self, tree: Node) -> None:
        self.tree = tree
        self.log: list[str] = []

    async def main(self) -> list[str]:
        for part in self.tree.parts:
            try:
                await self.do(part)
            except (*CATCHABLE, asyncio.CancelledError) as error:
                self.log.append(f"root: {type(error).__name__}")
                if part.number % 7 == 0:
                    raise ProcessFailed("on purpose") from error
        return list(self.log)

    async def do(self, node: Node) -> Any:
        self.log.append(f"{node.name} {node.kind}")
        construct: Callable[[Node], Coroutine[Any, Any, Any]] = getattr(self, node.kind)
        try:
            result = await construct(node)
        except BaseException as error:
            self.log.append(f"{node.name} raised {type(error).__name__}")
            raise
        self.log.append(f"{node.name} ended")
        return result

    def tasks(self, node: Node) -> list[asyncio.Task[Any]]:
        return [asyncio.create_task(self.do(part)) for part in node.parts]

    # leaves

    async def call(self, node: Node) -> Any:
        return await op(node.name, node.number)

    async def sleep(self, node: Node) -> None:
        await asyncio.sleep(node.number)

    async def pause(self, node: Node) -> None:
        for _ in range(node.number % 4):
            await asyncio.sleep(0)

    async def handle(self, node: Node) -> Any:
        handle = ask(node.name)
        await op(node.name + "x")
        return await handle

    async def started(self, node: Node) -> Any:
        handle = ask(node.name)
        await handle.started()
        self.log.append(f"{node.name} by {handle.performer}")
        return await asyncio.gather(handle, handle)

    async def attribute(self, node: Node) -> None:
        kernel.set_attributes(b'{"%d":1}' % node.number)

    async def chance(self, node: Node) -> None:
        for n in range(kernel.random().randrange(3)):
            await op(f"{node.name}.{n}", str(kernel.uuid4()))

    async def decline(self, node: Node) -> None:
        if node.number % 2:
            await op(node.name)
        raise Declined(node.name)

    async def withdraw(self, node: Node) -> None:
        handle = ask(node.name)
        waiter = asyncio.create_task(self._await(handle))
        await op(node.name + "x")
        handle.withdraw("enough")
        await waiter

    async def _await(self, handle: kernel.Call[Any]) -> Any:
        return await handle

    # constructs

    async def sequence(self, node: Node) -> None:
        for part in node.parts:
            await self.do(part)

    async def gather(self, node: Node) -> Any:
        return await asyncio.gather(*map(self.do, node.parts))

    async def collect(self, node: Node) -> Any:
        return await asyncio.gather(*map(self.do, node.parts), return_exceptions=True)

    async def group(self, node: Node) -> None:
        async with asyncio.TaskGroup() as group:
            for part in node.parts[1:]:
                group.create_task(self.do(part))
            await self.do(node.parts[0])

    async def timeout(self, node: Node) -> None:
        async with asyncio.timeout(node.number):
            await self.sequence(node)

    async def rescheduled(self, node: Node) -> None:
        async with asyncio.timeout(node.number) as scope:
            for part in node.parts:
                await self.do(part)
                scope.reschedule(asyncio.get_running_loop().time() + node.number)

    async def wait_for(self, node: Node) -> Any:
        limit = None if node.number % 5 == 0 else 0 if node.number % 7 == 0 else node.number
        return await asyncio.wait_for(self.sequence(node), limit)

    async def _wait(self, node: Node, when: str, limit: float | None = None) -> None:
        done, pending = await asyncio.wait(set(self.tasks(node)), return_when=when, timeout=limit)
        for task in pending:
            task.cancel()
        for task in done:
            self.log.append(
                f"{node.name} done {task!r} {type(None if task.cancelled() else task.exception()).__name__}"
            )
        if pending:
            await asyncio.wait(pending)

    async def first(self, node: Node) -> None:
        await self._wait(node, asyncio.FIRST_COMPLETED)

    async def first_error(self, node: Node) -> None:
        await self._wait(node, asyncio.FIRST_EXCEPTION, node.number)

    async def all(self, node: Node) -> None:
        await self._wait(node, asyncio.ALL_COMPLETED)

    async def completed(self, node: Node) -> None:
        limit = node.number if node.number % 3 == 0 else None
        for ended in asyncio.as_completed([self.do(part) for part in node.parts], timeout=limit):
            try:
                await ended
            except CATCHABLE as error:
                self.log.append(f"{node.name} got {type(error).__name__}")

    async def shielded(self, node: Node) -> Any:
        inner = asyncio.create_task(self.sequence(node))
        try:
            return await asyncio.wait_for(asyncio.shield(inner), node.number)
        except TimeoutError:
            return await inner

    async def cancelled(self, node: Node) -> None:
        tasks = self.tasks(node)
        await op(node.name)
        for task in reversed(tasks):
            task.cancel(node.name)
        await asyncio.wait(tasks)

    async def cleanup(self, node: Node) -> None:
        try:
            await self.do(node.parts[0])
        finally:
            await op(node.name)

    async def undo(self, node: Node) -> None:
        try:
            await self.sequence(node)
        except asyncio.CancelledError:
            await asyncio.gather(op(node.name + "x"), op(node.name + "y"))
            raise

    async def caught(self, node: Node) -> None:
        for part in node.parts:
            try:
                await self.do(part)
            except CATCHABLE as error:
                self.log.append(f"{node.name} caught {type(error).__name__}")

    async def event(self, node: Node) -> None:
        event = asyncio.Event()

        async def sets() -> None:
            try:
                await self.do(node.parts[0])
            finally:
                event.set()

        async def waits(part: Node) -> None:
            await event.wait()
            await self.do(part)

        await asyncio.gather(sets(), *map(waits, node.parts[1:]))

    async def locked(self, node: Node) -> None:
        lock = asyncio.Lock()

        async def work(part: Node) -> None:
            async with lock:
                await self.do(part)

        await asyncio.gather(*map(work, node.parts), return_exceptions=True)

    async def limited(self, node: Node) -> None:
        semaphore = asyncio.Semaphore(2)

        async def work(part: Node) -> None:
            async with semaphore:
                await self.do(part)

        async with asyncio.TaskGroup() as group:
            for part in node.parts:
                group.create_task(work(part))

    async def queue(self, node: Node) -> None:
        queue: asyncio.Queue[Node] = asyncio.Queue()

        async def worker() -> None:
            while True:
                part = await queue.get()
                try:
                    await self.do(part)
                except CATCHABLE as error:
                    self.log.append(f"{node.name} worker: {type(error).__name__}")
                finally:
                    queue.task_done()

        workers = [asyncio.create_task(worker()) for _ in range(2)]
        try:
            for part in node.parts:
                await queue.put(part)
            await queue.join()
        finally:
            for each in workers:
                each.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def condition(self, node: Node) -> None:
        condition, ready = asyncio.Condition(), 0

        async def waits(n: int) -> None:
            async with condition:
                await condition.wait_for(lambda: ready > n)
            await self.do(node.parts[n])

        async def notifies() -> None:
            nonlocal ready
            for _ in node.parts:
                await op(node.name)
                async with condition:
                    ready += 1
                    condition.notify_all()

        async with asyncio.TaskGroup() as group:
            for n in range(len(node.parts)):
                group.create_task(waits(n))
            group.create_task(notifies())

    async def background(self, node: Node) -> None:
        self.tasks(node)  # they outlive the scope, and keep the instance open
        await asyncio.sleep(0)

    async def gathers(self, node: Node) -> None:
        gathers = {asyncio.gather(self.do(part), op(f"{node.name}.{n}")) for n, part in enumerate(node.parts)}
        done, pending = await asyncio.wait(gathers, return_when=asyncio.FIRST_COMPLETED)
        for gathered in (*pending, *done):
            gathered.cancel()
        await asyncio.gather(*pending, *done, return_exceptions=True)

    async def generator(self, node: Node) -> None:
        async def steps() -> Any:
            for part in node.parts:
                yield await self.do(part)

        async for _ in steps():
            if node.number % 2:
                break  # left suspended: dropped, not run

    async def twice(self, node: Node) -> Any:
        task = asyncio.create_task(self.do(node.parts[0]))
        return await asyncio.gather(task, asyncio.shield(task), task)

    async def remind(self, node: Node) -> Any:
        handle = ask(node.name)
        for part in node.parts:
            try:
                async with asyncio.timeout(node.number):
                    return await handle
            except TimeoutError:
                await self.do(part)
        handle.withdraw()
        return None

    # of the language

    async def raced(self, node: Node) -> Any:
        k = 1 + node.number % len(node.parts)
        rest: Rest = "continue" if node.number % 3 == 0 else "withdraw"
        return await n_of(k, [self.do(part) for part in node.parts], rest=rest)

    async def chosen(self, node: Node) -> Any:
        offered = [ask(f"{node.name}{place}") for place in "xy"]
        value = await pick([*offered, after(f"{node.number} seconds")])  # type: ignore[list-item]
        await self.sequence(node)
        return str(value)

    async def grouped(self, node: Node) -> Any:
        return await each(self.do, node.parts, errors="collect" if node.number % 2 else "raise")  # type: ignore[call-overload]

    async def scoped(self, node: Node) -> Any:
        enough = 1 + node.number % 5

        async def work(part: Node) -> Any:
            await self.do(part)
            if group.is_open and len(group.results) < 2:
                group.add(node.parts[0])

        async with each(work, growing=True, until=lambda results: len(results) >= enough) as group:
            for part in node.parts:
                if group.is_open:
                    group.add(part)
            await op(node.name)
        return len(group.results)


@dataclass
class Explored:
    """What came of one program: the digest of its history, and where it differed."""

    seed: int
    events: int = 0
    replays: int = 0
    digest: str = ""
    state: str = ""
    differences: list[str] = field(default_factory=list)


class Explorer:
    """Feeds one program random events."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed * 7919 + 1)
        self.tree = draw(seed)
        self.history: list[Event] = []
        self.now_us = 1_000_000
        self.runs: list[Run] = []
        self.found = Explored(seed)
        self.instance = self.fresh()

    def fresh(self) -> Instance:
        def main() -> Coroutine[Any, Any, Any]:
            self.runs.append(Run(self.tree))
            return self.runs[-1].main()

        return Instance(program(main), seed=b"seed")

    def next_event(self) -> Event:
        calls = list(self.instance.open_calls.values())
        timers = sorted((each.due_us or 0, each.number) for each in calls if each.kind == "timer")
        others = [each for each in calls if each.kind != "timer"]
        if timers and (not others or self.chance.random() < 0.25):
            due_us, number = timers[0]
            self.now_us = max(self.now_us, due_us)
            return kernel.TimerFired(self.now_us, number, due_us)
        self.now_us += self.chance.randrange(3_000_000)
        if timers:
            self.now_us = min(self.now_us, timers[0][0])
        number, luck = self.chance.choice(others).number, self.chance.random()
        if luck < 0.10:
            return kernel.CallStarted(self.now_us, number, self.chance.choice(["ann", "bob"]))
        if luck < 0.14:
            return kernel.CallWithdrawn(self.now_us, number, "by hand", by_program=False)
        if luck < 0.22:
            return kernel.CallFailed(self.now_us, number, kernel.Failure("Declined", "no", declared=luck < 0.2), None)
        return kernel.CallCompleted(self.now_us, number, b"%d" % number, "ann")

    def explore(self) -> Explored:
        event: Event = kernel.InstanceStarted(self.now_us, b"[]")
        while self.found.events < EVENTS_AT_MOST:
            outcome = self.instance.advance(event)
            self.found.events += 1
            self.history.append(event)
            self.history.extend(kernel.event_of(command, event.at_us) for command in outcome.commands)
            if outcome.halt is not None:
                self.history.append(kernel.InstanceHalted(event.at_us, outcome.halt.code, "", b"", kept=1))
                break
            self.compare()
            if self.found.differences or self.instance.state is not InstanceState.RUNNING:
                break
            event = self.next_event()
        self.found.state = self.instance.state.value
        self.instance.close()
        self.found.digest = hashlib.sha256(repr([self.history, self.runs[0].log]).encode()).hexdigest()
        return self.found

    def compare(self) -> None:
        """Replays from nothing, with rubbish in memory so that addresses differ, and lays it beside the live instance."""
        rubbish = [bytearray(self.chance.randrange(1, 2_000)) for _ in range(5)]
        again = self.fresh()
        del rubbish[::2]
        try:
            again.replay(self.history)
        except kernel.Divergence as divergence:
            self.found.differences.append(divergence.message)
        else:
            self.found.replays += 1
            if standing(again) != standing(self.instance):
                self.found.differences.append(
                    f"after event {self.found.events}: {standing(again)} {standing(self.instance)}"
                )
            if self.runs[-1].log != self.runs[0].log:
                self.found.differences.append(f"after event {self.found.events}: the log differs")
        again.close()


def explore(first: int, count: int) -> list[Explored]:
    """Programs `first` to `first + count - 1`."""
    return [Explorer(seed).explore() for seed in range(first, first + count)]


def digest_of(explored: list[Explored]) -> str:
    """One digest for all their histories and logs."""
    return hashlib.sha256("".join(each.digest for each in explored).encode()).hexdigest()
