"""The writer: law 19. A request that fails is refused alone, a disk that fails acknowledges nothing, and it goes on."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from procession import Function, process
from procession.engine.clock import SystemClock
from procession.engine.contract import Decision, EngineStopped, Request, View
from procession.errors import ConstraintBroken, InternalError, PerformerError, ProcessionError, StoreDamaged, StoreError
from procession.services.commands import ClaimItem, CompleteItem, StartInstance
from procession.store.connections import Connection, Cursor, Mode, SqliteConnections
from procession.store.invariants import fingerprint
from procession.work.worklist import Held
from tests.conformance.world import Host, Settings, World

team = Function("Team", owner="ann@acme.example")


@team.task()
async def ask(number: int) -> int: ...


@team.service()
async def double(number: int) -> int:
    return 2 * number


@process(owner=team)
async def asking(number: int) -> int:
    return await double(await ask(number))


@process(owner=team)
async def sleeping() -> str:
    await asyncio.sleep(3600)
    return "woken"


class Poison(RuntimeError):
    """What a request raises that the engine knows nothing of."""


def poisoned(view: View) -> Decision:
    raise Poison("?")


def contradictory(view: View) -> Decision:
    """As the store refuses rows: that would be a mistake of ours."""
    raise ConstraintBroken("rows that contradict each other")


class FaultyConnection:
    """A connection whose statements fail while the disk is said to."""

    def __init__(self, connection: Connection, disk: Disk) -> None:
        self._connection = connection
        self._disk = disk

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor:
        self._disk.use(sql)
        try:
            return self._connection.execute(sql, parameters)
        finally:
            self._disk.used(sql)

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Cursor:
        self._disk.use(sql)
        return self._connection.executemany(sql, parameters)

    def close(self) -> None:
        self._connection.close()


class Disk:
    """Fails at statements that begin so, as often as told; before they are run, or after."""

    def __init__(self) -> None:
        self.fails_at = "nothing"
        self.times = 0
        self.after = False
        self.code = sqlite3.SQLITE_IOERR

    def connect(self, path: Path, mode: Mode) -> Connection:
        connection = SqliteConnections().connect(path, mode)
        return connection if mode == "ro" else FaultyConnection(connection, self)

    def fail(self, statement: str, *, times: int = 1, after: bool = False, code: int = sqlite3.SQLITE_IOERR) -> None:
        self.fails_at, self.times, self.after, self.code = statement, times, after, code

    def use(self, sql: str) -> None:
        if not self.after:
            self._fail_at(sql)

    def used(self, sql: str) -> None:
        if self.after:
            self._fail_at(sql)

    def _fail_at(self, sql: str) -> None:
        if self.times and sql.startswith(self.fails_at):
            self.times -= 1
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self.code
            raise error


async def on_disk(host: Host, *declared: object, **settings: Any) -> tuple[World, Disk]:
    disk = Disk()
    world = await host.open(*declared, settings=Settings(connections=disk, **settings))
    return world, disk


def starts(number: int) -> StartInstance:
    return StartInstance("asking", f'{{"number": {number}}}')


# One bad request


@pytest.mark.parametrize("decide", [poisoned, contradictory])
async def test_a_poisoned_request_is_refused_alone_and_the_others_of_its_batch_succeed(
    host: Host, decide: Any, caplog: pytest.LogCaptureFixture
) -> None:
    world = await host.open(asking)
    first = await world.start(asking, number=0)
    item = world.item(first).id

    outcomes = await asyncio.gather(
        world.give(starts(1)),
        world.running.submit(Request("bad", "ann", decide)),
        world.give(ClaimItem(item), "bob"),
        world.running.submit(Request("bad too", "ann", decide)),
        world.give(starts(2)),
        return_exceptions=True,
    )

    assert [type(each) for each in outcomes] == [dict, type(outcomes[1]), dict, type(outcomes[1]), dict]
    assert isinstance(outcomes[1], InternalError)
    with world.view() as view:
        counts = view.counts()
    assert (counts.instances, counts.requests) == ({"running": 3}, 4)
    assert "failed inside the engine" in caplog.text


async def test_a_refused_request_changes_nothing_in_the_store(host: Host) -> None:
    world = await host.open(asking)
    name = await world.start(asking, number=0)
    item = world.item(name).id
    await world.give(ClaimItem(item), "ann")
    before = fingerprint(world.store)

    for command in (ClaimItem(item), CompleteItem(item, "1"), CompleteItem(item, "x")):
        with pytest.raises((Held, PerformerError)):
            await world.give(command, "bob")
    with pytest.raises(InternalError):
        await world.running.submit(Request("bad", "ann", poisoned))

    assert fingerprint(world.store) == before


async def test_requests_are_decided_in_the_order_of_their_intake(host: Host) -> None:
    world = await host.open(asking)
    order: list[int] = []

    def noting(number: int) -> Request:
        def decide(view: View) -> Decision:
            order.append(number)
            return Decision()

        return Request("note", "ann", decide, recorded=False)

    await asyncio.gather(*(world.running.submit(noting(number)) for number in range(200)))
    assert order == list(range(200))


async def test_whoever_watches_cannot_make_a_batch_run_twice(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    world = await host.open(asking)

    def fail(notice: object) -> None:
        raise RuntimeError("the terminal is gone")

    world._tell = fail  # type: ignore[method-assign, assignment]
    await world.restart()
    await asyncio.gather(*(world.give(starts(number)) for number in range(5)))

    with world.view() as view:
        assert view.counts().instances == {"running": 5}
    assert "Whoever watches the engine failed" in caplog.text


# A disk that fails


@pytest.mark.parametrize("statement", ["COMMIT", "BEGIN", "INSERT", "UPDATE", "SELECT"])
@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL])
async def test_an_error_of_the_disk_acknowledges_none_of_the_batch_and_the_engine_goes_on(
    host: Host, statement: str, code: int
) -> None:
    world, disk = await on_disk(host, asking, runs_services=False, runs_timers=False)
    first = await world.start(asking, number=0)
    before = fingerprint(world.store)
    disk.fail(statement, code=code)

    outcomes = await asyncio.gather(
        world.complete(first, 5), world.give(starts(1)), world.give(starts(2)), return_exceptions=True
    )

    assert [each for each in outcomes if not isinstance(each, StoreError)] == []
    assert disk.times == 0
    assert fingerprint(world.store) == before
    await world.restart(runs_services=True)
    await world.complete(first, 5)
    assert (await world.give(starts(1)))["instance"] == "asking-2"
    await world.until_ended(first)
    assert world.result(first) == 10


async def test_an_error_in_the_middle_of_a_completion_leaves_no_half_of_it(host: Host) -> None:
    """The history is read while the item has already been decided: the one is not kept without the other."""
    world, disk = await on_disk(host, asking, runs_services=False, runs_timers=False)
    name = await world.start(asking, number=0)
    await world.restart()
    disk.fail("SELECT event")

    with pytest.raises(StoreError):
        await world.complete(name, 5)

    assert (world.item(name).state, world.kinds(name)) == ("offered", ["InstanceStarted", "CallRequested"])
    assert disk.times == 0
    await world.complete(name, 5)
    assert world.kinds(name)[-1] == "CallRequested"


async def test_a_commit_that_is_said_to_have_failed_and_happened_is_answered_as_done(host: Host) -> None:
    world, disk = await on_disk(host, asking)
    disk.fail("COMMIT", after=True)

    first = await world.give(starts(1), client_id="s-1")
    again = await world.give(starts(1), client_id="s-1")

    assert (first["repeated"], again["repeated"], again["instance"]) == (False, True, first["instance"])
    with world.view() as view:
        assert view.counts().instances == {"running": 1}


async def test_a_disk_that_fails_for_a_while_refuses_meanwhile_and_everything_goes_on_after_it(host: Host) -> None:
    world, disk = await on_disk(host, asking, sleeping)
    waiting = await world.start(sleeping)
    name = await world.start(asking, number=1)
    disk.fail("COMMIT", times=1_000)
    for _ in range(3):
        with pytest.raises(StoreError):
            await world.complete(name, 5)
    world.skip("2 hours")
    with pytest.raises(StoreError):
        await world.running.apply_due()

    disk.fail("nothing", times=0)
    await world.running.apply_due()
    await world.complete(name, 5)
    await world.until_ended(name)
    await world.until_ended(waiting)
    assert (world.result(name), world.result(waiting)) == (10, "woken")


async def test_a_timer_that_meets_a_failing_disk_fires_by_itself_once_it_works(host: Host) -> None:
    @process(owner=team)
    async def short() -> str:
        await asyncio.sleep(0.05)
        return "woken"

    disk = Disk()
    world = await host.open(short, clock=SystemClock(), settings=Settings(connections=disk))
    name = await world.start(short)
    disk.fail("COMMIT", times=1)
    await world.until(lambda: disk.times == 0)
    await world.until_ended(name)


async def test_the_result_of_a_service_that_meets_a_failing_disk_is_recorded_once_it_works(host: Host) -> None:
    gate = asyncio.Event()
    clerks = Function("Clerks", owner="ann@acme.example")
    calls: list[int] = []

    @clerks.service()
    async def fetch() -> str:
        calls.append(1)
        await gate.wait()
        return "fetched"

    @process(owner=clerks)
    async def fetching() -> str:
        return await fetch()

    world, disk = await on_disk(host, fetching)
    name = await world.start(fetching)
    await world.until(lambda: calls)
    disk.fail("COMMIT", times=1)
    gate.set()
    await world.until(lambda: disk.times == 0)
    await world.until_ended(name)

    assert world.result(name) == "fetched"
    assert calls == [1]


# A history that cannot be read


async def damage(world: World, name: str) -> None:
    number = world.row(name).id
    await world.close()
    stranger = sqlite3.connect(world.store)
    stranger.execute("UPDATE event SET kind = 'Unheard' WHERE instance = ? AND seq = 2", (number,))
    stranger.commit()
    stranger.close()
    await world.restart()


async def test_an_instance_whose_history_cannot_be_read_is_refused_alone(host: Host) -> None:
    world = await host.open(asking, settings=Settings(runs_services=False))
    bad, good = await world.start(asking, number=1), await world.start(asking, number=2)
    await damage(world, bad)

    outcomes = await asyncio.gather(
        world.complete(good, 3), world.complete(bad, 3), world.give(starts(3)), return_exceptions=True
    )

    assert isinstance(outcomes[1], StoreDamaged)
    assert isinstance(outcomes[0], dict) and isinstance(outcomes[2], dict)
    assert world.kinds(good)[-1] == "CallRequested"
    assert world.item(bad).state == "offered"
    host.forget(world)
    await world.close()


async def test_a_timer_of_an_instance_that_cannot_be_read_does_not_stop_the_timers_of_others(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "procession.engine")
    world = await host.open(sleeping)
    names = [await world.start(sleeping) for _ in range(4)]
    await damage(world, names[1])
    await world.pass_time("2 hours")

    assert [world.state(name) for name in names] == ["completed", "running", "completed", "completed"]
    assert any("cannot be applied" in notice.text for notice in world.notices)
    await world.start(sleeping)
    await world.pass_time("2 hours")
    assert world.state("sleeping-5") == "completed"
    host.forget(world)
    await world.close()


# The end


async def test_an_engine_that_ends_answers_what_it_took_and_refuses_the_rest(host: Host) -> None:
    world = await host.open(asking)
    running = world.running
    taken = [asyncio.ensure_future(world.give(starts(number))) for number in range(100)]
    await asyncio.sleep(0)
    await world.close()

    outcomes = await asyncio.gather(*taken, return_exceptions=True)
    answered = [each for each in outcomes if isinstance(each, dict)]
    assert all(isinstance(each, dict | EngineStopped) for each in outcomes)
    with pytest.raises(ProcessionError):
        await running.submit(Request("late", "ann", lambda view: Decision()))
    await world.restart()
    with world.view() as view:
        assert view.counts().instances == {"running": len(answered)}
