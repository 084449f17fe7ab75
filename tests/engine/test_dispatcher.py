"""Attempts at services: how long between them, what a shutdown does to them, and the threads they run in."""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession import Function, process
from procession.calendars.durations import Duration
from procession.control import attempt
from procession.engine import dispatcher as dispatcher_module
from procession.engine.attempts import backoff_us
from procession.engine.service_threads import ServiceThreads
from procession.errors import OutsideProcess
from procession.language.operations import Backoff
from tests.conformance.world import Host
from tests.engine.subject import engine_of, opened

ROOT = Path(__file__).resolve().parents[2]


class Work:
    """Two services one after the other; the first waits for its gate."""

    def __init__(self, *, attempts: int = 3) -> None:
        team = Function("Team", owner="ann@acme.example")
        self.gate = asyncio.Event()
        self.seen: list[tuple[str, int, str]] = []
        self.is_deaf = False

        @team.service(attempts=attempts, backoff=timedelta(milliseconds=1))
        async def first() -> str:
            self.note("first")
            while not self.gate.is_set():
                try:
                    await self.gate.wait()
                except asyncio.CancelledError:
                    if not self.is_deaf:
                        raise
            return "first"

        @team.service(attempts=attempts)
        def second(word: str) -> str:
            self.note("second")
            return f"{word}, second"

        @process(owner=team)
        async def working() -> str:
            return await second(await first())

        self.working = working

    def note(self, name: str) -> None:
        self.seen.append((name, attempt().number, attempt().idempotency_key))

    @property
    def made(self) -> list[tuple[str, int]]:
        return [(name, number) for name, number, _ in self.seen]


# Between attempts


@given(st.integers(1, 200), st.floats(1, 10), st.integers(1, 10_000), st.integers(0, 2**32))
@settings(max_examples=200)
def test_a_wait_between_attempts_is_half_the_delay_at_least_and_all_of_it_at_most(
    failed: int, factor: float, first_ms: int, seed: int
) -> None:
    team = Function("Team", owner="ann@acme.example")
    backoff = Backoff(Duration.parse(timedelta(milliseconds=first_ms)), factor)

    @team.service(backoff=backoff)
    async def send() -> None: ...

    whole_us = min(first_ms * 1000 * factor ** min(failed - 1, 64), 3_600_000_000)
    waited_us = backoff_us(send, failed, random.Random(seed))
    assert int(whole_us) // 2 - 1 <= waited_us <= whole_us


async def test_a_service_knows_its_attempt_in_the_loop_and_in_a_thread_and_keeps_its_key(host: Host) -> None:
    work = Work()
    world = await opened(host, work.working)
    name = await world.start(work.working)
    await world.until(lambda: work.seen)
    await world.close(at_once=True)
    work.gate.set()
    await world.restart()
    await world.until_ended(name)

    assert work.made == [("first", 1), ("first", 2), ("second", 1)]
    keys = [key for _, _, key in work.seen]
    assert keys[0] == keys[1] != keys[2]
    with pytest.raises(OutsideProcess):
        attempt()


async def test_attempts_that_the_end_of_a_worker_interrupts_are_counted_and_the_last_needs_attention(
    host: Host,
) -> None:
    work = Work(attempts=2)
    world = await opened(host, work.working)
    name = await world.start(work.working)
    for number in (1, 2):
        await world.until(lambda number=number: len(work.seen) == number)  # type: ignore[misc]
        await world.close(at_once=True)
        await world.restart()

    [call] = world.waits(name).service_calls
    assert (call.state, call.attempts) == ("attention", 2)
    assert "the worker ended during the attempt" in str(call.last_error)
    assert work.made == [("first", 1), ("first", 2)]


# Shutdown


async def test_a_shutdown_waits_for_what_is_under_way_records_it_and_begins_nothing_more(host: Host) -> None:
    work = Work()
    world = await opened(host, work.working, grace_seconds=10.0)
    name = await world.start(work.working)
    await world.until(lambda: work.seen)
    closing = asyncio.ensure_future(world.close())
    await asyncio.sleep(0)
    assert not closing.done()

    work.gate.set()
    await closing
    assert work.made == [("first", 1)]
    await world.restart()
    await world.until_ended(name)

    assert world.result(name) == "first, second"
    assert work.made == [("first", 1), ("second", 1)]


async def test_after_the_grace_period_what_is_under_way_is_cancelled_and_attempted_again(host: Host) -> None:
    work = Work()
    world = await opened(host, work.working, grace_seconds=0.02)
    name = await world.start(work.working)
    await world.until(lambda: work.seen)
    await world.close()
    work.gate.set()
    await world.restart()
    await world.until_ended(name)

    assert work.made == [("first", 1), ("first", 2), ("second", 1)]


async def test_an_attempt_that_does_not_let_itself_be_cancelled_does_not_hold_up_the_shutdown(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dispatcher_module, "CANCEL_SECONDS", 0.02)
    work = Work()
    work.is_deaf = True
    world = await opened(host, work.working, grace_seconds=0.0)
    name = await world.start(work.working)
    await world.until(lambda: work.seen)

    await world.close()

    assert "does not let itself be cancelled" in caplog.text
    work.gate.set()
    await world.restart()
    await world.until_ended(name)
    assert world.result(name) == "first, second"


HANGING = """
import asyncio, sys, threading
from pathlib import Path
from procession import Function, process
from procession.engine.embedded import EngineOptions, open_engine
from procession.engine.releases import Release
from procession.language.registry import Registry
from procession.services.commands import Order, StartInstance
from procession.services.office import Office
from procession.work.performers import Organisation

team = Function("Team", owner="ann@acme.example")
begun = threading.Event()

@team.service()
def hang() -> None:
    begun.set()
    threading.Event().wait()

@process(owner=team)
async def hanging() -> None:
    await hang()

async def main():
    registry = Registry.of([sys.modules["__main__"]])
    engine = await open_engine(Path(sys.argv[1]), registry, Release({}), EngineOptions(grace_seconds=0.05))
    office = Office(registry, Organisation({}), engine, engine.store.readers, engine.accept_clock)
    await office.perform(Order(StartInstance("hanging", "{}"), "ann"))
    await asyncio.to_thread(begun.wait)
    await engine.close()
    print("closed", flush=True)

asyncio.run(main())
"""


def test_a_thread_that_never_ends_does_not_keep_the_worker_from_ending(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HANGING, str(tmp_path / "store.db")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert (run.returncode, run.stdout) == (0, "closed\n"), run.stderr


# Room


async def test_what_finds_no_room_is_due_and_its_attempt_is_not_counted_before_it_begins(host: Host) -> None:
    work = Work()
    world = await opened(host, work.working, most_attempts=1)
    one, two = await world.start(work.working), await world.start(work.working)
    await world.until(lambda: work.seen)

    assert [(call.state, call.attempts) for call in world.waits(two).service_calls] == [("due", 0)]
    assert engine_of(world)._dispatcher.room == 0
    work.gate.set()
    await world.until_ended(one)
    await world.until_ended(two)
    assert sorted(work.made) == [("first", 1), ("first", 1), ("second", 1), ("second", 1)]


# Threads


async def test_threads_are_used_again() -> None:
    threads = ServiceThreads(lambda: None)
    for number in range(20):
        assert await threads.run(lambda number=number: number) == number  # type: ignore[misc]
        while not threads._idle:  # it has given its result, and is on its way back
            await asyncio.sleep(0.001)
    assert threads.started == 1


async def test_no_job_waits_behind_another_that_is_running() -> None:
    """All jobs of a round wait for each other: one that stood behind another would let none of them end."""
    threads = ServiceThreads(lambda: None)
    async with asyncio.timeout(30):
        for size in (*range(1, 20), *range(19, 0, -1)):
            meet = threading.Barrier(size, timeout=20)
            await asyncio.gather(*(threads.run(meet.wait) for _ in range(size)))
    assert threads.started < 40


async def test_a_job_that_is_given_up_before_it_began_is_not_run_and_one_that_runs_counts_until_it_ends() -> None:
    freed = asyncio.Event()
    threads = ServiceThreads(freed.set)
    begun, gate = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        gate.wait(10)

    given_up = asyncio.ensure_future(threads.run(hang))
    await asyncio.to_thread(begun.wait, 10)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    assert threads.abandoned == 1

    gate.set()
    await freed.wait()
    assert threads.abandoned == 0


@pytest.mark.parametrize("error", [StopIteration("over"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
async def test_whatever_a_function_raises_reaches_who_waits_and_ends_no_loop(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises((RuntimeError, SystemExit)):
        await ServiceThreads(lambda: None).run(fail)


# Beyond its time


async def test_a_service_that_swallows_its_cancellation_is_left_behind_and_its_late_result_counts_for_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher_module, "CANCEL_SECONDS", 0.02)
    team = Function("Team", owner="ann@acme.example")
    gate, seen = asyncio.Event(), []

    @team.service(timeout=timedelta(milliseconds=20), attempts=2, backoff=timedelta(milliseconds=1))
    async def deaf() -> str:
        seen.append(attempt().number)
        if len(seen) > 1:
            return "second"
        while not gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()
        return "first"

    @process(owner=team)
    async def working() -> str:
        return await deaf()

    world = await opened(host, working)
    name = await world.start(working)
    await world.until(lambda: engine_of(world)._dispatcher._abandoned)
    await world.until(
        lambda: world.waits(name).service_calls and "took longer" in str(world.waits(name).service_calls[0].last_error)
    )
    room = engine_of(world)._dispatcher.room
    await world.pass_time("1 minute")
    await world.until_ended(name)
    assert world.result(name) == "second"

    gate.set()
    await world.until(lambda: not engine_of(world)._dispatcher._abandoned)
    assert engine_of(world)._dispatcher.room == room + 1
    assert seen == [1, 2]
    assert world.kinds(name).count("CallCompleted") == 1
