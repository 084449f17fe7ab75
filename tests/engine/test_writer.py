"""Law 19: what the writer does with requests when it is loaded, interrupted, or does not know what was committed."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from procession import Function, process
from procession.engine import writer as writer_module
from procession.engine.contract import Accepted, Decision, EngineStopped, Request, View
from procession.engine.crash_points import CrashPoint
from procession.errors import InternalError
from procession.services.commands import StartInstance
from procession.store import OpenOptions
from procession.store.connections import Connection, Mode, SqliteConnections
from tests.conformance.test_writer import FaultyConnection
from tests.conformance.world import Host, World
from tests.engine.subject import engine_of, opened

ROOT = Path(__file__).resolve().parents[2]

team = Function("Team", owner="ann@acme.example")


@team.task()
async def ask(number: int) -> int: ...


@process(owner=team)
async def asking(number: int) -> int:
    return await ask(number)


def keeps(number: int) -> Request:
    """A request that is recorded, and changes nothing else."""
    return Request("note", "ann", lambda view: Decision(outcome={"number": number}), client_id=f"k-{number}")


def told(world: World) -> list[int]:
    """What was recorded, in the order in which it was decided."""
    connection = sqlite3.connect(world.store)
    rows = connection.execute("SELECT client_id FROM request WHERE client_id LIKE 'k-%' ORDER BY number").fetchall()
    connection.close()
    return [int(row[0].removeprefix("k-")) for row in rows]


# Batches


async def test_what_waits_together_is_committed_together_at_most_sixty_four_at_once(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await opened(host, asking, runs_services=False, runs_timers=False)
    engine = engine_of(world)
    monkeypatch.setattr(writer_module, "MOST_BATCH_SECONDS", 1_000.0)
    before = engine._writer.commits

    answers = await asyncio.gather(*(engine.submit(keeps(number)) for number in range(129)))

    assert engine._writer.commits - before == 3
    assert [answer.outcome["number"] for answer in answers] == list(range(129)) == told(world)


async def test_a_batch_ends_when_it_has_taken_its_time_and_nothing_of_it_is_lost_or_out_of_order(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await opened(host, asking, runs_services=False, runs_timers=False)
    engine = engine_of(world)
    monkeypatch.setattr(writer_module, "MOST_BATCH_SECONDS", -1.0)
    await engine._apply_left_over()  # else the first request brings a commit of its own with it
    before = engine._writer.commits

    await asyncio.gather(*(engine.submit(keeps(number)) for number in range(10)))

    assert engine._writer.commits - before == 10
    assert told(world) == list(range(10))


async def test_between_batches_others_have_their_turn(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats and timeouts must not wait until everything that was asked for is done."""
    world = await opened(host, asking, runs_services=False, runs_timers=False)
    engine = engine_of(world)
    monkeypatch.setattr(writer_module, "MOST_BATCH_SECONDS", -1.0)
    seen: list[int] = []

    async def heartbeat() -> None:
        while True:
            seen.append(engine._writer.commits)
            await asyncio.sleep(0)

    beats = asyncio.ensure_future(heartbeat())
    await asyncio.gather(*(engine.submit(keeps(number)) for number in range(10)))
    beats.cancel()

    assert len(set(seen)) >= 10


async def test_of_a_full_batch_only_the_poisoned_request_is_refused_and_the_others_count_once(host: Host) -> None:
    world = await opened(host, asking, runs_services=False, runs_timers=False)

    def poisoned(view: View) -> Decision:
        raise ZeroDivisionError("a mistake of ours")

    requests = [keeps(number) for number in range(64)]
    requests[40] = Request("poison", "ann", poisoned)

    outcomes = await asyncio.gather(*(engine_of(world).submit(each) for each in requests), return_exceptions=True)

    [refusal] = [each for each in outcomes if not isinstance(each, Accepted)]
    assert isinstance(refusal, InternalError) and outcomes.index(refusal) == 40
    assert "'poison' failed inside the engine: ZeroDivisionError" in str(refusal) and "report" in refusal.remedy
    assert told(world) == [number for number in range(64) if number != 40]


async def test_a_caller_who_gave_up_does_not_disturb_the_others_of_the_batch(host: Host) -> None:
    world = await opened(host, asking, runs_services=False, runs_timers=False)
    calls = [asyncio.ensure_future(engine_of(world).submit(keeps(number))) for number in range(3)]
    await asyncio.sleep(0)
    calls[1].cancel()

    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(outcomes[1], asyncio.CancelledError)
    assert [type(outcomes[0]), type(outcomes[2])] == [Accepted, Accepted]


async def test_nobody_has_an_answer_before_the_commit_and_everybody_has_one_after_it(host: Host) -> None:
    points: list[tuple[CrashPoint, int]] = []
    calls: list[asyncio.Future[Accepted]] = []

    def reached(point: CrashPoint) -> None:
        points.append((point, sum(call.done() for call in calls)))

    world = await opened(host, asking, runs_services=False, runs_timers=False, reached=reached)
    calls += [engine_of(world)._writer.submit(keeps(number)) for number in range(5)]
    await asyncio.gather(*calls)

    assert points == [(CrashPoint.BEFORE_COMMIT, 0), (CrashPoint.AFTER_COMMIT, 0), (CrashPoint.AFTER_REPLY, 5)]


# Interrupts


async def test_an_interrupt_refuses_what_waits_and_says_that_nothing_was_kept(host: Host) -> None:
    world = await opened(host, asking, runs_services=False, runs_timers=False)
    engine = engine_of(world)

    def interrupted(view: View) -> Decision:
        raise asyncio.CancelledError

    requests = [keeps(0), Request("interrupt", "ann", interrupted), keeps(2)]
    outcomes = await asyncio.gather(*(engine.submit(each) for each in requests), return_exceptions=True)

    assert [type(each) for each in outcomes] == [EngineStopped] * 3
    assert {each.remedy for each in outcomes if isinstance(each, EngineStopped)} == {"Nothing of the request was kept."}
    assert told(world) == []


async def test_an_interrupt_among_requests_that_are_repeated_one_by_one_leaves_nobody_waiting(host: Host) -> None:
    world = await opened(host, asking, runs_services=False, runs_timers=False)
    decided: list[str] = []

    def poisoned(view: View) -> Decision:
        raise ZeroDivisionError

    def interrupts_the_second_time(view: View) -> Decision:
        decided.append("once")
        if len(decided) > 1:
            raise asyncio.CancelledError
        return Decision()

    requests = [
        keeps(0),
        Request("interrupt", "ann", interrupts_the_second_time),
        Request("poison", "ann", poisoned),
        keeps(3),
    ]
    outcomes = await asyncio.gather(*(engine_of(world).submit(each) for each in requests), return_exceptions=True)

    assert [type(each) for each in outcomes] == [Accepted, EngineStopped, EngineStopped, EngineStopped]
    assert told(world) == [0]


INTERRUPTED = """
import asyncio, os, signal, sys
from pathlib import Path
from procession import Function, process
from procession.engine.embedded import EngineOptions, open_engine
from procession.engine.releases import Release
from procession.language.registry import Registry
from procession.services.commands import Order, StartInstance
from procession.services.office import Office
from procession.work.performers import Organisation

team = Function("Team", owner="ann@acme.example")

@process(owner=team)
async def good() -> str:
    return "done"

@process(owner=team)
async def interrupted() -> str:
    os.kill(os.getpid(), signal.SIGINT)
    return "never"

async def main():
    registry = Registry.of([sys.modules["__main__"]])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    engine = await open_engine(Path(sys.argv[1]), registry, Release({}), EngineOptions(patrols=False))
    office = Office(registry, Organisation({}), engine, engine.store.readers, engine.accept_clock)
    give = lambda name: office.perform(Order(StartInstance(name, "{}"), "ann"))
    await give("good")
    print(await asyncio.gather(*map(give, ("good", "interrupted", "good"))))

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


async def test_an_interrupt_inside_process_code_leaves_nothing_half_done(host: Host) -> None:
    """The fence lets no signal be sent: it comes from outside, at a line of the process."""
    code = INTERRUPTED.replace("os.kill(os.getpid(), signal.SIGINT)", KILLS)
    store = host.folder / "interrupted.db"
    run = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code, str(store)], cwd=ROOT, capture_output=True, text=True
    )

    assert run.returncode == 0, run.stderr
    assert run.stdout == "interrupted\n"
    connection = sqlite3.connect(store)
    assert connection.execute("SELECT name, state FROM instance").fetchall() == [("good-1", "completed")]
    assert connection.execute("SELECT count(*) FROM request").fetchone() == (1,)
    connection.close()


async def test_a_signal_to_end_inside_process_code_ends_the_program_and_halts_nothing(host: Host) -> None:
    ends = "signal.signal(signal.SIGTERM, lambda *_: sys.exit('ended'))"
    code = INTERRUPTED.replace("signal.signal(signal.SIGINT, signal.default_int_handler)", ends)
    code = code.replace("os.kill(os.getpid(), signal.SIGINT)", "signal.raise_signal(signal.SIGTERM)")
    store = host.folder / "ended.db"
    run = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code, str(store)], cwd=ROOT, capture_output=True, text=True
    )

    assert run.returncode == 1
    assert run.stderr.endswith("\nended\n")
    connection = sqlite3.connect(store)
    assert connection.execute("SELECT name, state FROM instance").fetchall() == [("good-1", "completed")]
    connection.close()


KILLS = "signal.raise_signal(signal.SIGINT)"


# Commits that run in a thread


class Gate:
    """Connections whose commits, once told so, wait to be let through, in whatever thread they run."""

    def __init__(self) -> None:
        self.holds = False
        self.arrived, self.open = threading.Event(), threading.Event()

    def connect(self, path: Path, mode: Mode) -> Connection:
        made = SqliteConnections().connect(path, mode)
        return made if mode == "ro" else GatedConnection(made, self)  # type: ignore[arg-type]


class GatedConnection(FaultyConnection):
    def executemany(self, sql: str, parameters: Any, /) -> Any:
        return self._connection.executemany(sql, parameters)

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        gate: Any = self._disk
        if sql == "COMMIT" and gate.holds:
            gate.arrived.set()
            assert gate.open.wait(10)
        return self._connection.execute(sql, parameters)


@pytest.fixture
def slow_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "SLOW_COMMIT_SECONDS", -1.0)


@pytest.mark.usefixtures("slow_commits")
async def test_while_a_commit_runs_requests_are_taken_in_and_what_is_committed_can_be_read(host: Host) -> None:
    gate = Gate()
    world = await opened(host, asking, store=OpenOptions(synchronous="OFF", connections=gate), runs_timers=False)
    name = await world.start(asking, number=1)
    gate.holds = True
    first = asyncio.ensure_future(world.give(StartInstance("asking", '{"number": 2}')))
    assert await asyncio.to_thread(gate.arrived.wait, 10)

    second = asyncio.ensure_future(world.give(StartInstance("asking", '{"number": 3}')))
    await asyncio.sleep(0)
    assert world.state(name) == "running"
    with world.view() as view:
        assert view.counts().instances == {"running": 1}
    assert not first.done() and not second.done()
    gate.holds = False
    gate.open.set()

    assert [(await each)["instance"] for each in (first, second)] == ["asking-2", "asking-3"]


@pytest.mark.usefixtures("slow_commits")
async def test_a_writer_that_is_cancelled_while_a_commit_runs_still_acknowledges_it(host: Host) -> None:
    """It cannot be taken back, so whoever asked must not hear that nothing was kept."""
    gate = Gate()
    world = await opened(host, asking, store=OpenOptions(synchronous="OFF", connections=gate), runs_timers=False)
    engine = engine_of(world)
    gate.holds = True
    committing = asyncio.ensure_future(engine.submit(keeps(1)))
    assert await asyncio.to_thread(gate.arrived.wait, 10)
    waiting = asyncio.ensure_future(engine.submit(keeps(2)))
    await asyncio.sleep(0)

    engine._running[0].cancel()
    await asyncio.sleep(0)
    gate.open.set()
    outcomes = await asyncio.gather(committing, waiting, return_exceptions=True)

    assert [type(each) for each in outcomes] == [Accepted, EngineStopped]
    assert told(world) == [1]
