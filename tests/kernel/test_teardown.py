"""Leaving memory: explicit, newest branch first, without effects, and never by the collector."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from procession import kernel
from procession.kernel import Instance, Teardown
from procession.kernel.closing import SET_ASIDE
from tests.kernel.drive import Driven, ask, op, program

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _collecting_all_the_time() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*before)


def started(main: Callable[[], Coroutine[Any, Any, Any]]) -> Instance:
    instance = Instance(program(main), seed=b"")
    instance.advance(kernel.InstanceStarted(1, b"[]"))
    return instance


def test_branches_are_closed_newest_first() -> None:
    said: list[str] = []

    async def child(name: str) -> None:
        try:
            await op(name)
        finally:
            said.append(name)

    async def main() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for name in "abc":
                    group.create_task(child(name))
        finally:
            said.append("main")

    instance = started(main)
    assert instance.close() == Teardown(closed=4, swallowed=0)
    assert said == ["c", "b", "a", "main"]


@pytest.mark.filterwarnings("error")
def test_what_a_clean_up_would_run_side_by_side_never_begins_and_nobody_is_told_of_it() -> None:
    async def helper(inner: Coroutine[Any, Any, Any]) -> None:
        await inner

    async def main() -> None:
        try:
            await op("a")
        finally:
            await asyncio.gather(helper(helper(op("b"))), helper(op("c")))

    told: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, told.append
    try:
        started(main).close()
        gc.collect()
    finally:
        sys.unraisablehook = before
    assert told == []


def test_what_a_clean_up_asks_for_in_a_teardown_is_silenced() -> None:
    said: list[str] = []

    async def main() -> None:
        try:
            await op("a")
        finally:
            call = ask("b")
            said.append(f"call {call.number}")
            kernel.set_attributes(b"{}")
            task = asyncio.create_task(op("c"))
            said.append(f"done {task.done()}")
            asyncio.get_running_loop().call_later(5, said.append, "timer")
            asyncio.get_running_loop().call_soon(said.append, "turn")
            call.withdraw()
            kernel.random().random()
            kernel.uuid4()
            said.append(str(kernel.now_us()))

    instance = started(main)
    next_call = instance.next_call
    assert instance.close() == Teardown(closed=1, swallowed=0)
    assert said == ["call 0", "done False", "1"]
    assert instance.next_call == next_call
    assert dict(instance.open_calls) == {}


def test_a_clean_up_that_waits_is_closed_all_the_same() -> None:
    said: list[str] = []

    async def main() -> None:
        try:
            await op("a")
        finally:
            said.append("before")
            try:
                await op("undo")
                said.append("never")
            finally:
                await asyncio.sleep(5)
                said.append("never")

    assert started(main).close() == Teardown(closed=1, swallowed=0)
    assert said == ["before"]


def test_a_clean_up_that_raises_is_closed() -> None:
    async def main() -> None:
        try:
            await op("a")
        finally:
            raise LookupError("in the clean-up")

    assert started(main).close() == Teardown(closed=1, swallowed=0)


def set_aside_a_stubborn_one() -> Teardown:
    async def stubborn() -> None:
        while True:
            try:
                await op("a")
            except BaseException:
                pass

    async def main() -> None:
        await asyncio.gather(stubborn(), op("b"))

    return started(main).close()


def test_a_coroutine_that_swallows_everything_is_set_aside_and_counted() -> None:
    before = len(SET_ASIDE)
    assert set_aside_a_stubborn_one() == Teardown(closed=2, swallowed=1)
    assert len(SET_ASIDE) == before + 1


ENDS = """
from tests.kernel.test_teardown import set_aside_a_stubborn_one
set_aside_a_stubborn_one()
"""


def test_what_is_set_aside_does_not_keep_the_interpreter_from_ending() -> None:
    subprocess.run([sys.executable, "-c", ENDS], cwd=ROOT, check=True, timeout=60)


def test_scopes_of_asyncio_close_without_effects() -> None:
    async def main() -> None:
        lock = asyncio.Lock()
        async with lock, asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(asyncio.wait_for(op("a"), 60))
            group.create_task(asyncio.sleep(60))
            group.create_task(asyncio.Event().wait())
            await asyncio.wait([asyncio.create_task(op("b"))], timeout=60)

    teardown = started(main).close()
    assert teardown == Teardown(closed=5, swallowed=0)


def test_a_teardown_runs_on_a_loop_that_is_running_and_closed() -> None:
    seen: list[bool] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        try:
            await op("a")
        finally:
            seen.extend([loop.is_running(), loop.is_closed(), kernel.current() is not None])

    started(main).close()
    assert seen == [True, True, True]


def test_after_a_teardown_nothing_of_the_instance_is_left() -> None:
    class Held:
        pass

    async def child() -> None:
        held = Held()
        alive.append(weakref.ref(held))
        handle = ask("h")
        try:
            await asyncio.gather(op("a"), asyncio.shield(handle), asyncio.sleep(9))
        finally:
            del held

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            held = Held()
            alive.append(weakref.ref(held))
            await op("b")

    alive: list[weakref.ref[Held]] = []
    instance = started(main)
    assert [each() is not None for each in alive] == [True, True]
    instance.close()
    assert [each() for each in alive] == [None, None]


def test_a_waiting_instance_survives_the_collector() -> None:
    async def forgotten() -> None:
        await op("a")
        said.append("ran")

    async def main() -> None:
        asyncio.create_task(forgotten())  # nobody holds it but the instance
        await op("b")

    said: list[str] = []
    case = Driven(main)
    gc.collect()
    case.complete("a")
    assert "ran" in said


def test_an_abandoned_asynchronous_generator_is_dropped_and_not_run() -> None:
    said: list[str] = []

    async def numbers() -> Any:
        try:
            yield 1
            yield 2
        finally:
            said.append("finally")

    async def main() -> None:
        async for _ in numbers():
            break
        gc.collect()
        await op("a")

    case = Driven(main, replays=False)
    case.complete("a")
    gc.collect()
    assert said == []


def test_the_hooks_and_the_loop_outside_are_put_back_after_advance_replay_and_close() -> None:
    def hook(generator: object) -> None: ...

    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(hook, hook)
    try:
        case = Driven(lambda: op("a"))
        case.replayed().close()
        case.instance.close()
        assert tuple(sys.get_asyncgen_hooks()) == (hook, hook)
        assert asyncio._get_running_loop() is None
    finally:
        sys.set_asyncgen_hooks(*before)


def test_closing_twice_is_closing_once_and_an_ended_instance_has_nothing_to_close() -> None:
    case = Driven(lambda: op("a"))
    assert case.instance.close().closed == 1
    assert case.instance.close() == Teardown(0, 0)
    ended = Driven(lambda: op("a"))
    ended.complete("a")
    assert ended.instance.close() == Teardown(0, 0)


def test_a_fence_that_bites_in_a_teardown_does_not_stop_it() -> None:
    async def child() -> None:
        try:
            await op("a")
        finally:
            raise kernel.HaltInstance("fence", "no files")

    async def main() -> None:
        await asyncio.gather(child(), child())

    assert started(main).close() == Teardown(closed=3, swallowed=0)


def test_a_thousand_instances_leave_no_garbage_and_no_memory() -> None:
    async def main() -> None:
        async with asyncio.timeout(60):
            await asyncio.gather(op("a"), op("b"))

    gc.set_threshold(700, 10, 10)
    gc.collect()
    for _ in range(200):
        started(main).close()
    found = gc.collect()
    assert found < 200 * 60  # cycles of asyncio's own are a few objects an instance
    before = len(gc.get_objects())
    for _ in range(200):
        started(main).close()
    gc.collect()
    assert len(gc.get_objects()) - before < 50


def test_frames_are_closed_innermost_first_so_that_no_clean_up_runs_when_memory_is_freed() -> None:
    """A clean-up that waits, under another and in an asynchronous generator: nothing may be left for the collector."""
    said: list[str] = []
    unraisable: list[object] = []

    async def inner(name: str) -> None:
        try:
            await op(name)
        finally:
            said.append(name)
            await op("undo " + name)

    async def middle(name: str) -> None:
        try:
            await inner(name)
        finally:
            said.append("middle " + name)
            await inner(name + "'")

    async def numbers() -> Any:
        await inner("in a generator")
        yield 1

    async def consumes() -> None:
        async for _ in numbers():
            pass

    async def main() -> None:
        await asyncio.gather(middle("a"), consumes())

    instance = started(main)
    sys.unraisablehook, before = unraisable.append, sys.unraisablehook
    try:
        assert instance.close() == Teardown(closed=3, swallowed=0)
        gc.collect()
    finally:
        sys.unraisablehook = before
    assert unraisable == []
    assert said == ["in a generator", "a", "middle a", "a'"] or said == ["in a generator", "a", "middle a"]
