"""Process code at its worst: it halts alone, the others go on, and it can always be cancelled."""

from __future__ import annotations

import asyncio
import concurrent.futures
import decimal
import gc
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from procession import Function, process
from procession.services.commands import CancelInstance
from tests.conformance.world import Host

team = Function("Team", owner="ann@acme.example")


@dataclass
class Node:
    children: list[Node] = field(default_factory=list)


@team.task()
async def ask(number: int) -> int: ...


@team.task()
async def show(node: Node) -> int: ...


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Unhashable(Exception):
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")


class Sticky:
    """Does something when it is collected."""

    def __init__(self, seen: list[str]) -> None:
        self.me = self
        self.seen = seen

    def __del__(self) -> None:
        self.seen.append("collected")


def cyclic() -> Node:
    node = Node()
    node.children.append(node)
    return node


def deep() -> Node:
    node = Node()
    for _ in range(50_000):
        node = Node([node])
    return node


def recursive() -> int:
    return recursive() + 1


async def raises(error: BaseException) -> int:
    raise error


async def forgets() -> int:
    asyncio.get_running_loop().create_future()
    await asyncio.get_running_loop().create_future()
    return 1


async def awaits_nonsense() -> int:
    await 5  # type: ignore[misc]
    return 1


async def breaks_off() -> int:
    async def endless() -> Any:
        try:
            while True:
                yield 1
                await ask(1)
        finally:
            await ask(2)

    async for _ in endless():
        raise ValueError("in the middle")
    return 1


async def calls_back() -> int:
    asyncio.get_running_loop().call_soon(lambda: 1 // 0)
    return await ask(1)


async def waits_for_a_thread() -> int:
    future: concurrent.futures.Future[int] = concurrent.futures.Future()
    return await asyncio.wrap_future(future)


POISON: dict[str, Callable[[], Any]] = {
    "an error that cannot say what it is": lambda: raises(Unspeakable()),
    "an error that cannot be compared": lambda: raises(Unhashable("x")),
    "an error with half a surrogate pair": lambda: raises(ValueError("\ud800\0")),
    "an error of ten megabytes": lambda: raises(ValueError("x" * 10_000_000)),
    "a group of errors in groups": lambda: raises(
        ExceptionGroup("a", [ExceptionGroup("b", [ValueError("c")]), TypeError()])
    ),
    "an error on purpose in a group with one that is not": lambda: raises(
        BaseExceptionGroup("a", [ValueError(), GeneratorExit()])
    ),
    "a generator's exit": lambda: raises(GeneratorExit()),
    "an end of iteration": lambda: raises(StopAsyncIteration()),
    "a memory error": lambda: raises(MemoryError()),
    "a recursion without end": lambda: asyncio.sleep(recursive()),
    "an argument that contains itself": lambda: show(cyclic()),
    "an argument of fifty thousand levels": lambda: show(deep()),
    "an argument of the wrong type": lambda: ask("x"),  # type: ignore[arg-type]
    "a wait that nothing ends": forgets,
    "an await of a number": awaits_nonsense,
    "a generator broken off": breaks_off,
    "a callback that fails": calls_back,
    "a future that only a thread can end": waits_for_a_thread,
    "a thread": lambda: asyncio.to_thread(print),
    "a result of the wrong type": lambda: raises(TypeError()),
}


@process(owner=team)
async def poisoned(kind: str) -> int:
    await ask(0)
    value: int = await POISON[kind]()
    return value


@process(owner=team)
async def healthy(number: int) -> int:
    return await ask(number)


@pytest.mark.parametrize("kind", sorted(POISON))
async def test_bad_code_halts_alone_and_can_be_cancelled(host: Host, kind: str) -> None:
    world = await host.open(poisoned, healthy)
    bad, good = await world.start(poisoned, kind=kind), await world.start(healthy, number=1)
    answers = await asyncio.gather(world.complete(bad, 1), world.complete(good, 2))

    assert answers[0]["halted"], f"{kind}: {world.state(bad)}"
    assert (world.state(bad), world.result(good)) == ("halted", 2)
    again = await world.retry(bad)
    assert again["state"] == "halted"
    await world.restart()
    assert (await world.retry(bad))["state"] == "halted"
    await world.give(CancelInstance(bad, force=True))
    assert world.state(bad) == "cancelled"


async def test_the_results_that_a_process_cannot_return_halt_it(host: Host) -> None:
    @process(owner=team)
    async def wrong() -> int:
        return "x"  # type: ignore[return-value]

    @process(owner=team)
    async def endless() -> Node:
        return cyclic()

    world = await host.open(wrong, endless)
    for started in (wrong, endless):
        assert world.state(await world.start(started)) == "halted"


async def test_what_the_code_of_a_dropped_instance_does_in_its_clean_up_changes_nothing(host: Host) -> None:
    """Clean-up that asks, waits, raises, or resists; under a collector that runs at every step."""
    seen: list[str] = []

    @process(owner=team)
    async def resisting() -> int:
        sticky = Sticky(seen)
        try:
            return await ask(1)
        except BaseException:
            seen.append("swallowed")
        finally:
            seen.append(type(sticky).__name__)
            await ask(2)
        while True:
            try:
                await ask(3)
            except BaseException:
                seen.append("swallowed again")

    world = await host.open(resisting, healthy)
    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        names = [await world.start(resisting) for _ in range(3)]
        before = [world.history(name) for name in names]
        await world.restart(most_live=1)
        for _ in range(2):
            for name in names:
                await world.complete(await world.start(healthy, number=1), 1)
                assert world.kinds(name) == ["InstanceStarted", "CallRequested"]
    finally:
        gc.set_threshold(*thresholds)
    assert [world.history(name) for name in names] == before


async def test_process_code_leaves_nothing_of_itself_to_the_next_instance(host: Host) -> None:
    """Decimal contexts, context variables, names of tasks: each instance has its own, and the engine keeps its own."""

    @process(owner=team)
    async def meddling() -> str:
        decimal.getcontext().prec = 3
        await ask(1)
        return str(decimal.Decimal(1) / 3)

    world = await host.open(meddling)
    first, second = await world.start(meddling), await world.start(meddling)
    assert decimal.getcontext().prec == 28
    await world.restart()
    await world.complete(first, 1)
    await world.complete(second, 1)
    assert (world.result(first), world.result(second)) == ("0.333", "0.333")
    assert threading.current_thread() is threading.main_thread()
