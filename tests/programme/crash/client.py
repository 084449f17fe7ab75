"""A client outside the engine. What it has written down survives a crash; after one it gives all its orders again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from procession.engine.embedded import EmbeddedEngine
from procession.errors import InternalError, ProcessionError
from procession.services.commands import (
    ClaimItem,
    Command,
    CompleteCall,
    CompleteExternal,
    CompleteItem,
    FetchExternal,
    Order,
    SendMessage,
    StartInstance,
)
from procession.services.desk import Answer
from procession.services.office import Office
from procession.store.instances import InstanceRow
from procession.store.invariants import Refusal, fingerprint
from procession.store.worklist import WorkItemRow
from tests.programme.crash.world import START_US, World

MINUTE_US = 60_000_000
MOST_ROUNDS = 20
ENGINES_OWN = {"writer", "wake-ups", "settling"}


class Stuck(AssertionError):
    """What the script waits for will not come: something was lost."""


class Client:
    """Gives orders, each under an identifier of its own, and writes down what it was answered."""

    def __init__(self, world: World, open_office: Callable[[], Awaitable[tuple[EmbeddedEngine, Office]]]) -> None:
        self.world = world
        self.refusals: list[Refusal] = []
        self._open_office = open_office
        self._engine: EmbeddedEngine
        self._office: Office
        self._script: asyncio.Task[Any] | None = None

    async def open(self) -> None:
        self._script = asyncio.current_task()
        self._engine, self._office = await self._open_office()

    async def close(self) -> None:
        await self._engine.close(at_once=True)

    async def deploy(self, source: str) -> None:
        """Take another source of the processes into service, for good: the engine is stopped and opened on it."""
        if not any(entry["source"] == source for entry in self.world.deployments.entries()):
            self.world.deployments.add(source=source)
            self.world.reached("a source was deployed")
            await self.close()
            await self.open()

    async def ask(self, name: str, command: Command, actor: str, reason: str | None = None) -> Answer:
        """Have an order carried out. The same name is the same order, so that giving it again is harmless."""
        name = name.strip()
        answer = await self._office.perform(Order(command, actor, reason, name))
        self.world.reached("an answer came")
        self.world.answers.add(name=name, instance=answer.get("instance"))
        self.world.reached("an answer was written down")
        return answer

    async def start(self, name: str, process: str, **inputs: Any) -> str:
        """Start an instance; gives its name."""
        answer = await self.ask(name, StartInstance(process, json.dumps(inputs)), "ann")
        return str(answer["instance"])

    async def send(self, name: str, order: str, amount: int) -> Answer:
        """The bank tells of a payment."""
        return await self.ask(name, SendMessage("Payment", order, json.dumps({"amount": amount})), "bank")

    async def work_off(self, *instances: str) -> None:
        """An outside program comes by while these wait for it; what it lost by a crash comes again when its lease is over.

        It hands in everything twice, as after a lost answer.
        """
        rounds = iter(range(MOST_ROUNDS))
        while any(self._waits_for_a_program(name) for name in instances):
            if next(rounds, None) is None:
                raise Stuck(f"{instances} wait for a program that is given nothing to do")
            fetched = await self._office.perform(Order(FetchExternal("scan", "robot", 9), "robot"))
            self.world.reached("work was fetched")
            calls: Any = fetched["calls"]
            for call in calls:
                command = CompleteExternal(call["token"], json.dumps(len(call["input"]["document"])))
                for _ in range(2):
                    await self._office.perform(Order(command, "robot"))
                    self.world.reached("work was handed in")
            if not calls:
                self.world.clock.move_to(self.world.clock.wall_us() + 2 * MINUTE_US)
            await self.quiet()

    async def claim(self, instance: str, operation: str, actor: str, *, about: str = "") -> None:
        item = self.item(instance, operation, about=about)
        await self.ask(f"claim {instance} {operation} {about} {actor}", ClaimItem(item.id), actor)

    async def complete(self, instance: str, operation: str, answer: Any, actor: str, *, about: str = "") -> None:
        """Hand in the answer to an item of that operation; where there are several, of the one whose input says `about`."""
        item = self.item(instance, operation, about=about)
        await self.ask(f"complete {instance} {operation} {about}", CompleteItem(item.id, json.dumps(answer)), actor)

    async def complete_call(self, instance: str, operation: str, value: Any, *, about: str = "") -> None:
        call = self.call(instance, operation, about=about)
        await self.ask(f"by hand {instance} {operation}", CompleteCall(instance, call, json.dumps(value)), "otto", "ok")

    async def is_refused(self, command: Command, actor: str) -> None:
        """Give an order that has to be refused, and keep what the store was before and after it."""
        await self.quiet()
        before = self._fingerprint()
        try:
            answer = await self._office.perform(Order(command, actor))
        except InternalError:
            raise  # a fault of ours is no refusal
        except ProcessionError:
            self.refusals.append(Refusal(f"{command} by {actor}", before, self._fingerprint()))
        else:
            raise Stuck(f"{command} by {actor} was to be refused, and was answered {answer}")

    async def quiet(self) -> None:
        """Until nothing is due and nobody works any more, but those who are held up outside."""
        world = self.world
        while True:
            await self._engine.apply_due()
            idle = {self._script, asyncio.current_task(), *world.held}
            # The attempt that waits for a body bears its name.
            waiting = {*ENGINES_OWN, *(task.get_name() for task in world.held)}
            busy = [task for task in asyncio.all_tasks() - idle if task.get_name() not in waiting]
            if not busy:
                return
            world.somebody_is_held.clear()
            held = asyncio.create_task(world.somebody_is_held.wait(), name="settling")
            world.turn_of_threads.set()
            await asyncio.wait({held, *busy}, return_when=asyncio.FIRST_COMPLETED)
            world.turn_of_threads.clear()
            held.cancel()

    async def time_passes(self, until_us: int) -> None:
        """Go on to that time after the beginning, and let happen what is due by then."""
        await self.quiet()
        self.world.reached("before time passes")
        self.world.clock.move_to(START_US + until_us)
        self.world.reached("time has passed")
        await self.quiet()

    async def together(self, *orders: Coroutine[Any, Any, Any]) -> list[Any]:
        """Several people give their orders at the same moment: they may share a commit."""
        return list(await asyncio.gather(*orders))

    def instance(self, name: str) -> InstanceRow:
        return self._office.get_instance(name)

    def child(self, instance: str, process: str) -> str:
        """The name of the first child of that process."""
        with self._office.readers.snapshot() as view:
            rows = view.instances.children(self.instance(instance).id)
        return min((row.id, row.name) for row in rows if row.process == process)[1]

    def item(self, instance: str, operation: str, *, about: str = "") -> WorkItemRow:
        """The item of that operation, open or ended."""
        with self._office.readers.snapshot() as view:
            for item in view.worklist.of_instance(self.instance(instance).id):
                requested = view.event(item.requested_position)
                assert requested is not None
                if item.operation.endswith(f".{operation}") and about.encode() in (requested.payload or b""):
                    return item
        raise Stuck(f"{instance} has no item {operation} {about}")

    def call(self, instance: str, operation: str, *, about: str = "") -> int:
        """The number of the call of that operation, open or ended."""
        with self._office.readers.snapshot() as view:
            for event in view.history(self.instance(instance).id):
                says = json.loads(event.header)
                is_it = event.kind == "CallRequested" and str(says["operation"]).endswith(f".{operation}")
                if is_it and about.encode() in (event.payload or b""):
                    return int(says["call"])
        raise Stuck(f"{instance} never asked for {operation} {about}")

    def _waits_for_a_program(self, instance: str) -> bool:
        with self._office.readers.snapshot() as view:
            return bool(view.waits(self.instance(instance).id).external_calls)

    def _fingerprint(self) -> bytes:
        with self.world.looking():
            return fingerprint(self.world.store)
