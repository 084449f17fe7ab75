"""Law 33: process code that does not come back halts its instance, and at worst ends its worker, never more."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from procession import Function, process
from procession.engine import fences, guard
from procession.engine.embedded import marker_path
from procession.engine.live import LiveInstances
from procession.engine.watchdog import Watchdog, WatchdogExpired, dump_path
from procession.language.registry import Registry
from tests.conformance.world import Host, World
from tests.engine import hanging
from tests.engine.subject import engine_of, opened

ROOT = Path(__file__).resolve().parents[2]
LIMIT = {"watchdog": True, "limit_seconds": 0.1}
BURNT_SECONDS = 0.04
CLINGS: list[bool] = []

team = Function("Team", owner="ann@acme.example")


@team.task()
async def wait() -> bool: ...


def loop() -> None:
    while True:
        pass


def burn(seconds: float) -> None:
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        pass


@process(owner=team)
async def looping() -> str:
    await wait()
    loop()
    return "came back"


@process(owner=team)
async def patient() -> str:
    await wait()
    return "done"


@process(owner=team)
async def swallowing(times: int) -> str:
    await wait()
    for _ in range(times):
        try:
            loop()
        except BaseException:
            pass
    await wait()
    return "came back"


@process(owner=team)
async def busy(times: int) -> str:
    for _ in range(times):
        burn(BURNT_SECONDS)
        await wait()
    return "done"


@process(owner=team)
async def clinging() -> str:
    try:
        await wait()
    finally:
        while CLINGS:
            pass
    return "never"


async def test_an_endless_loop_halts_its_instance_and_no_other(host: Host) -> None:
    world = await opened(host, looping, patient, **LIMIT)
    bad, good = await world.start(looping), await world.start(patient)

    answer = await world.complete(bad, True)
    await world.complete(good, True)

    assert answer["halted"] and "0.1 seconds of processor time without an await" in answer["halted"]
    halt = world.halt(bad)
    assert halt["code"] == "watchdog" and "move the computation into a service" in halt["message"]
    assert [frame[1] for frame in halt["stack"][0]["frames"]] == ["looping", "loop"]
    assert world.result(good) == "done"


@pytest.mark.parametrize("times", [1, 3])
async def test_code_that_swallows_the_expiry_halts_all_the_same(host: Host, times: int) -> None:
    world = await opened(host, swallowing, patient, **LIMIT)
    bad, good = await world.start(swallowing, times=times), await world.start(patient)

    await world.complete(bad, True)
    await world.complete(good, True)

    assert world.halt(bad)["code"] == "watchdog"
    assert (world.waits(bad).items, world.result(good)) == ((), "done")


async def test_a_long_replay_does_not_count_as_one_event(host: Host) -> None:
    world = await opened(host, busy, **LIMIT)
    instance = await world.start(busy, times=6)
    for _ in range(5):
        await world.complete(instance, True)
    await world.restart()

    await world.complete(instance, True)

    assert world.result(instance) == "done"


async def test_an_endless_loop_in_replay_halts_when_the_instance_is_needed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await opened(host, busy, patient, **LIMIT)
    instance, good = await world.start(busy, times=3), await world.start(patient)
    await world.complete(instance, True)
    await world.restart()
    monkeypatch.setattr(sys.modules[__name__], "burn", lambda seconds: loop())

    await world.complete(instance, True)
    await world.complete(good, True)

    assert "0.1 seconds of processor time" in world.halt(instance)["message"]
    assert world.result(good) == "done"
    monkeypatch.undo()


async def test_a_clean_up_that_does_not_end_holds_nobody_up_when_its_instance_is_dropped(host: Host) -> None:
    world = await opened(host, clinging, patient, most_live=1, **LIMIT)
    clings = await world.start(clinging)
    CLINGS.append(True)

    good = await world.start(patient)
    await world.complete(good, True)
    CLINGS.clear()

    assert (world.state(clings), world.result(good)) == ("running", "done")
    assert len(world.waits(clings).items) == 1


def test_an_expiry_that_comes_as_the_code_returns_leaves_no_fence_up_and_hits_nothing_else() -> None:
    """The code runs about as long as the limit, so the exception comes before, during and after the return."""
    watchdog = Watchdog(None, limit_seconds=0.001, worker_limit_seconds=60)
    live = LiveInstances(Registry.of([]), watchdog)
    watchdog.start()
    expired = 0
    try:
        for number in range(1, 400):
            try:
                live.at_work(number, 1, lambda: burn(0.0011))
            except WatchdogExpired:
                expired += 1
            assert not fences._running.active and watchdog._running_serial == 0
    finally:
        watchdog.stop()
    assert expired > 0


@pytest.mark.parametrize("where", ["fence_down", "leave"])
def test_an_expiry_in_the_middle_of_the_way_back_is_made_good(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    watchdog = Watchdog(None)
    live = LiveInstances(Registry.of([]), watchdog)
    owner: object = guard if where == "fence_down" else watchdog
    original: Callable[[], None] = getattr(owner, where)
    calls: list[int] = []

    def cut_short_once() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise WatchdogExpired
        original()

    monkeypatch.setattr(owner, where, cut_short_once)
    with pytest.raises(WatchdogExpired):
        live.at_work(1, 1, lambda: None)
    assert not fences._running.active and watchdog._running_serial == 0


# A worker of its own, which may end.


@pytest.fixture
def at_work(tmp_path: Path) -> Callable[[str, str], subprocess.Popen[str]]:
    def start(store: str, instance: str) -> subprocess.Popen[str]:
        arguments = [sys.executable, "-m", "tests.engine.hanging", store, instance]
        return subprocess.Popen(
            arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return start


async def hangs(host: Host, *ways: str) -> tuple[World, list[str]]:
    """Instances that will hang in these ways, and one that will not, in a store that nobody has open."""
    world = await opened(host, hanging.hanging)
    names = [await world.start(hanging.hanging, way=way) for way in (*ways, "not at all")]
    await world.close()
    return world, names


@pytest.mark.parametrize(
    ("way", "stands"),
    [
        ("in a regular expression", "search_for_ever"),
        ("swallowing everything", "swallow_for_ever"),
        ("blocked outside", "block_for_ever"),
        ("holding the lock without working", "hold_the_lock_for_ever"),
    ],
)
async def test_code_that_cannot_be_interrupted_ends_the_worker_and_is_halted_at_the_restart_without_being_run(
    host: Host, at_work: Callable[[str, str], subprocess.Popen[str]], way: str, stands: str
) -> None:
    world, [bad, good] = await hangs(host, way)

    worker = at_work(str(world.store), bad)
    await asyncio.to_thread(worker.communicate)
    before = dump_path(marker_path(world.store)).read_text()
    await world.restart(hanging.hanging)

    assert worker.returncode == 1
    assert stands in before
    halt = world.halt(bad)
    assert halt["code"] == "watchdog" and "move it into a service" in halt["message"]
    assert stands in halt["traceback"]
    assert len(engine_of(world)._live) == 0
    assert world.kinds(bad)[-1] == "InstanceHalted"
    assert len(world.waits(bad).items) == 1, "the completion was never acknowledged"
    await world.complete(good, True)
    assert world.result(good) == "came back"
    await world.retry(bad)
    assert world.state(bad) == "running"
    await world.restart()
    assert world.state(bad) == "running", "a culprit that was retried is not to blame once more"


async def test_a_worker_that_is_killed_in_the_middle_of_process_code_does_not_halt_its_instance(
    host: Host, at_work: Callable[[str, str], subprocess.Popen[str]]
) -> None:
    world, [killed, _] = await hangs(host, "until it is killed")
    worker = at_work(str(world.store), killed)
    assert worker.stdout is not None
    assert await asyncio.to_thread(worker.stdout.readline) == "hangs\n"

    worker.kill()
    await asyncio.to_thread(worker.communicate)
    assert marker_path(world.store).read_bytes() != bytes(16), "the marker says whose code ran"
    await world.restart(hanging.hanging)

    assert worker.returncode == -signal.SIGKILL
    assert world.state(killed) == "running"
    assert len(world.waits(killed).items) == 1


async def test_a_worker_that_is_stopped_while_nothing_runs_goes_on_afterwards(
    host: Host, at_work: Callable[[str, str], subprocess.Popen[str]]
) -> None:
    """As with Ctrl-Z in a terminal, or a machine that is frozen for a while."""
    world, _ = await hangs(host)
    worker = at_work(str(world.store), "idle")
    assert worker.stdout is not None
    assert await asyncio.to_thread(worker.stdout.readline) == "idle\n"

    os.kill(worker.pid, signal.SIGSTOP)
    await asyncio.sleep(1.5 * hanging.WORKER_LIMIT_SECONDS)  # it must be stopped for longer than the limit
    os.kill(worker.pid, signal.SIGCONT)
    printed, complaint = await asyncio.to_thread(worker.communicate, "\n")

    assert (worker.returncode, printed) == (0, "alive\n"), complaint


async def test_an_engine_that_is_closed_leaves_no_files_of_the_watchdog(host: Host) -> None:
    world = await opened(host, patient, **LIMIT)
    marker = marker_path(world.store)
    assert marker.exists() and dump_path(marker).exists()

    await world.close()

    assert not marker.exists() and not dump_path(marker).exists()


async def test_what_an_ended_worker_left_is_read_once_also_by_an_engine_without_a_watchdog(host: Host) -> None:
    world = await opened(host, patient)
    instance = await world.start(patient)
    await world.close()
    marker = marker_path(world.store)
    marker.write_bytes((1).to_bytes(8, "little") + (5).to_bytes(8, "little"))
    dump_path(marker).write_text("Timeout (0:00:10)!\n")
    await world.restart(patient)
    assert world.halt(instance)["traceback"] == "Timeout (0:00:10)!\n"

    await world.retry(instance)
    await world.restart()

    assert world.state(instance) == "running"


@pytest.mark.parametrize(
    ("marker_bytes", "dump"), [(b"", "Timeout!\n"), (bytes(16), "Timeout!\n"), (b"\x63" * 16, "T!")]
)
async def test_a_marker_that_names_nobody_halts_nobody(host: Host, marker_bytes: bytes, dump: str) -> None:
    world = await opened(host, patient)
    instance = await world.start(patient)
    await world.close()
    marker = marker_path(world.store)
    marker.write_bytes(marker_bytes)
    dump_path(marker).write_text(dump)

    await world.restart(patient)

    assert world.state(instance) == "running"
