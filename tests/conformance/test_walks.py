"""Random walks: people, programs, time, faults and restarts in any order, and every law of the store holds at the end.

Where a walk fails, its seed repeats it: `pytest tests/conformance/test_walks.py -k "embedded-17]"`.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from procession import Call, Function, attribute, deadline, process, together
from procession.control import attempt
from procession.engine.advance import DoesNotReplay
from procession.engine.contract import InstanceHasEnded, InstanceIsHalted
from procession.errors import OperationFailed, ProcessionError, Withdrawn
from procession.services.commands import (
    CancelInstance,
    ClaimItem,
    Command,
    CompleteCall,
    CompleteItem,
    FailCall,
    PutBackItem,
    RetryCall,
    RetryInstance,
    SaveDraft,
    StartInstance,
    StartItem,
    WithdrawItem,
)
from procession.services.repairs import NoOpenCall
from procession.store.invariants import Evidence, check_invariants
from procession.work.item import ItemEnded
from tests.conformance.subject import Settings
from tests.conformance.world import ENDED, Host, World

team = Function("Team", owner="ann@acme.example")
shop = Function("Shop", owner="sue@acme.example")
faults = 0
"""Seeds the failures of the service: whether an attempt fails depends on this, on its input, and on its number."""
WORKS, IS_BROKEN, ASKS_MORE = range(3)
source = WORKS


class Refused(Exception):
    """Declared by the service."""


@team.task(due="2 days")
async def ask(number: int) -> int: ...


@shop.task()
async def also(number: int) -> int: ...


@team.service(attempts=2, backoff=timedelta(milliseconds=1), raises=[Refused])
async def work(number: int) -> int:
    drawn = random.Random(f"{faults} {number} {attempt().number}").random()
    if drawn < 0.3:
        raise ConnectionError("down")
    if drawn < 0.4:
        raise Refused("no")
    return number * 2


async def changing() -> None:
    """What the source does here changes: it raises for a while, or asks for more than it did."""
    if source == IS_BROKEN:
        raise ZeroDivisionError("a typo")
    if source == ASKS_MORE:
        await also(100)


async def careful(number: int) -> str:
    try:
        return f"{await work(number)}"
    except (Refused, OperationFailed) as error:
        return type(error).__name__


@process(owner=team, key="{key}")
async def grouped(key: str) -> list[str]:
    """A person, a program and a deadline at once; a handle that is watched beside them."""
    seen: list[str] = []
    call: Call[int] = also.request(1)

    async def watch() -> None:
        await call.started()
        attribute(started_by=call.performer)
        seen.append(f"started by {call.performer}")

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        try:
            async with deadline("1 day"):
                first, second = await together(ask(2), careful(ord(key)))
                seen.append(f"{first} {second}")
        except (TimeoutError, Withdrawn) as error:
            seen.append(type(error).__name__)
        await changing()
        if key == "a":
            watching.cancel()
            call.withdraw("enough")
        else:
            try:
                seen.append(f"{await call}")
            except OperationFailed as error:
                seen.append(error.message)
            watching.cancel()
    return seen


@process(owner=shop)
async def racing(width: int) -> int:
    """Whoever is first wins; the rest is cancelled, and cleans up after itself."""
    cleaned = 0

    async def lane(number: int) -> int:
        nonlocal cleaned
        try:
            await asyncio.sleep(3600 * number)
            return await (ask(number) if number % 2 else also(number))
        finally:
            await changing()
            cleaned += 1

    lanes = {asyncio.create_task(lane(number)) for number in range(width)}
    done, late = await asyncio.wait(lanes, return_when=asyncio.FIRST_COMPLETED)
    for each in late:
        each.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return sum(1 for each in done if each.exception() is None) + cleaned


@process(owner=team)
async def looping(times: int) -> int:
    """One step after the other, with a branch that outlives root."""
    total = 0
    left = asyncio.create_task(careful(times))
    for number in range(times):
        await changing()
        total += await asyncio.shield(ask(number))
        try:
            async with asyncio.timeout(7200):
                total += await also(number)
        except (TimeoutError, Withdrawn):
            total += 1
    attribute(total=total)
    return total if left.done() else -total


class Walk:
    """One walk through a world, by chance."""

    def __init__(self, world: World, seed: int, *, may_diverge: bool) -> None:
        self.world = world
        self.may_diverge = may_diverge
        self.chance = random.Random(seed)
        self.names: list[str] = []
        self.refused: Counter[str] = Counter()
        self.orders = 0
        self.given: list[tuple[str, Command, str, dict[str, object]]] = []

    def open_items(self) -> list[int]:
        with self.world.view() as view:
            return [row.id for row in view.worklist.open(limit=50)]

    def item(self) -> int:
        return self.chance.choice([*self.open_items() * 10, 1, 2, 3])

    def instance(self) -> str:
        return self.chance.choice([*self.names * 10, "grouped-99"])

    def call(self) -> int:
        return self.chance.randrange(1, 8)

    def actor(self, item: int | None) -> str:
        """Mostly somebody who may."""
        with self.world.view() as view:
            row = view.worklist.find(item) if item is not None else None
        if row is None or self.chance.random() < 0.2:
            return self.chance.choice(["ann", "bob", "sue"])
        return row.holder or ("sue" if row.role == "Shop" else self.chance.choice(["ann", "bob"]))

    def command(self) -> Command:
        number = str(self.chance.randrange(5))
        makers: list[tuple[int, Callable[[], Command]]] = [
            (3, self.start),
            (3, lambda: ClaimItem(self.item())),
            (3, lambda: StartItem(self.item())),
            (2, lambda: SaveDraft(self.item(), "{")),
            (2, lambda: PutBackItem(self.item())),
            (10, lambda: CompleteItem(self.item(), self.chance.choice([number] * 5 + ['"many"']))),
            (2, lambda: WithdrawItem(self.item())),
            (2, lambda: RetryInstance(self.instance())),
            (1, lambda: RetryCall(self.instance(), self.call())),
            (1, lambda: CompleteCall(self.instance(), self.call(), number)),
            (1, lambda: FailCall(self.instance(), self.call(), "no")),
            (1, lambda: CancelInstance(self.instance(), force=True)),
        ]
        return self.chance.choices([make for _, make in makers], [weight for weight, _ in makers])[0]()

    def start(self) -> Command:
        which = self.chance.randrange(3)
        if which == 0:
            return StartInstance("grouped", json.dumps({"key": self.chance.choice("abc")}))
        if which == 1:
            return StartInstance("racing", json.dumps({"width": self.chance.randrange(1, 4)}))
        return StartInstance("looping", json.dumps({"times": self.chance.randrange(3)}))

    async def order(self) -> None:
        """Give an order, sometimes one that was given before."""
        if self.given and self.chance.random() < 0.05:
            client, command, actor, answer = self.chance.choice(self.given)
            again = await self.world.give(command, actor, client_id=client)
            same = ("instance", "item")
            assert [again.get(name) for name in same] == [answer.get(name) for name in same]
            return
        command = self.command()
        actor = self.actor(getattr(command, "item", None))
        client = f"c-{len(self.given)}-{self.chance.random()}"
        try:
            answer = await self.world.give(command, actor, client_id=client)
        except ProcessionError as refusal:
            self.refused[refusal.code] += 1
            return
        self.orders += 1
        self.given.append((client, command, actor, answer))
        if isinstance(command, StartInstance) and answer["instance"] not in self.names:
            self.names.append(str(answer["instance"]))

    async def several(self) -> None:
        """Several at once, in one batch."""
        await asyncio.gather(*(self.order() for _ in range(self.chance.randrange(2, 6))))

    async def restart(self) -> None:
        await self.world.close(at_once=self.chance.random() < 0.5)
        await self.world.restart(most_live=self.chance.choice([1, 2, 10_000]))

    async def change_source(self) -> None:
        """The source changes, as it does at a restart."""
        global source
        others = [each for each in range(3) if each != source and (each != ASKS_MORE or self.may_diverge)]
        source = self.chance.choice(others)
        await self.restart()

    async def pass_time(self) -> None:
        await self.world.pass_time(self.chance.choice(["1 second", "1 hour", "1 day"]))

    async def skip(self) -> None:
        self.world.skip(self.chance.choice(["1 minute", "1 hour", "1 day"]))

    async def settle(self) -> None:
        """Let programs come to an end."""
        for _ in range(self.chance.randrange(5)):
            await asyncio.sleep(0)

    async def step(self) -> None:
        kinds: list[Callable[[], Awaitable[None]]] = [
            self.order, self.several, self.restart, self.change_source, self.pass_time, self.skip, self.settle,
        ]  # fmt: skip
        await self.chance.choices(kinds, [20, 4, 1, 1, 2, 2, 3])[0]()

    def check(self) -> None:
        """The laws of the store, in the middle of the walk. On another source than it was lived on nothing need replay."""
        replay = None if self.may_diverge or source != WORKS else self.world._differs_from_replay
        report = check_invariants(self.world.store, Evidence(acknowledged=self.world.acknowledged, replay=replay))
        assert report.problems == ()

    async def unless_ended(self, command: Command, actor: str) -> None:
        """Give an order; what it is about may have ended, or halted, meanwhile."""
        with suppress(InstanceHasEnded, InstanceIsHalted, ItemEnded, NoOpenCall):
            await self.world.give(command, actor)

    async def retry_or_cancel(self, name: str) -> None:
        """Go on with a halted instance; one that was lived on another source may not fit this one, and is ended."""
        try:
            await self.world.retry(name)
        except DoesNotReplay:
            assert self.may_diverge
            self.refused["does-not-replay"] += 1
            await self.world.give(CancelInstance(name, force=True))

    async def to_the_end(self) -> None:
        """With the fault mended, everything that is open can be brought to its end."""
        global source
        source = WORKS
        await self.world.restart()
        for name in self.names:
            if self.world.state(name) == "halted":
                await self.retry_or_cancel(name)
        for _ in range(200):
            for name in self.names:
                if self.may_diverge and self.world.state(name) == "halted":
                    await self.retry_or_cancel(name)
            if all(self.world.state(name) in ENDED for name in self.names):
                return
            for name in self.names:
                for call in self.world.waits(name).service_calls:
                    if call.state == "attention":
                        await self.unless_ended(RetryCall(name, call.call), "ann")
            for item in self.open_items():
                row = self.world.find_item(item)
                if row.ended_us is None:
                    actor = row.holder or ("ann" if row.role == "Team" else "sue")
                    await self.unless_ended(CompleteItem(item, "1"), actor)
            await self.world.pass_time("1 hour")
            await asyncio.sleep(0.001)
        stuck = {name: (self.world.state(name), self.world.kinds(name)[-5:]) for name in self.names}
        raise AssertionError(f"not everything ended: {stuck}")


async def walked(host: Host, seed: int, steps: int, *, may_diverge: bool = False) -> Walk:
    global source, faults
    source, faults = WORKS, seed
    world = await host.open(grouped, racing, looping, settings=Settings(most_live=random.Random(seed).choice([1, 100])))
    walk = Walk(world, seed, may_diverge=may_diverge)
    for _ in range(steps):
        await walk.step()
        if walk.chance.random() < 0.03:
            walk.check()
    await walk.to_the_end()
    walk.check()
    return walk


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_people_programs_time_and_faults_do_every_law_holds_and_all_can_be_ended(
    host: Host, seed: int
) -> None:
    walk = await walked(host, seed, 120)

    assert walk.orders > 10
    assert walk.refused.total() > 5


@pytest.mark.parametrize("seed", [0, 5, 7])  # in each of them a source is refused that a history does not fit
async def test_instances_that_lived_on_different_sources_lose_nothing_and_can_be_ended(host: Host, seed: int) -> None:
    walk = await walked(host, seed, 120, may_diverge=True)
    host.forget(walk.world)  # not each of its histories replays on one and the same source
    assert walk.orders > 10
    assert walk.refused["does-not-replay"]
