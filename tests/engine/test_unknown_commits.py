"""Law 19: a commit that failed in a way that does not tell whether it happened. Whoever asked is told what is so."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from procession import Function, process
from procession.engine import writer as writer_module
from procession.engine.contract import Accepted
from procession.errors import PerformerError, StoreError, StoreFailed
from procession.store import OpenOptions, open_store
from procession.store.connections import Connection, Mode
from tests.conformance.test_writer import Disk
from tests.conformance.world import Host, World
from tests.engine.subject import engine_of, opened
from tests.engine.test_writer import asking, keeps, told

team = Function("Team", owner="ann@acme.example")
ATTEMPTED: list[int] = []


@team.service(attempts=1)
async def note(number: int) -> int:
    ATTEMPTED.append(number)
    return number


@process(owner=team)
async def noting(number: int) -> int:
    return await note(number)


@process(owner=team)
async def resting(minutes: int) -> str:
    await asyncio.sleep(60 * minutes)
    return "rested"


@pytest.fixture(autouse=True)
def nothing_attempted() -> None:
    ATTEMPTED.clear()


class LostDisk(Disk):
    """A disk that also cannot be opened to write for so many times."""

    cannot_open = 0

    def connect(self, path: Path, mode: Mode) -> Connection:
        if mode != "ro" and self.cannot_open:
            self.cannot_open -= 1
            error = sqlite3.OperationalError("unable to open database file")
            error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
            raise error
        return super().connect(path, mode)


async def on_disk(host: Host, *declared: object, **options: Any) -> tuple[World, LostDisk]:
    disk = LostDisk()
    store = OpenOptions(synchronous="OFF", connections=disk)
    return await opened(host, *declared, store=store, **options), disk


async def test_an_attempt_whose_commit_failed_and_happened_after_all_is_made_once(host: Host) -> None:
    """Its row says that it runs: nobody else would ever make it."""
    world, disk = await on_disk(host, noting)
    disk.fail("COMMIT", after=True)

    await world.start(noting, number=5)
    await world.until_ended("noting-1")

    assert (world.result("noting-1"), ATTEMPTED) == (5, [5])


async def test_whoever_asked_in_a_batch_that_happened_after_all_has_the_answer_and_a_refusal_stays_one(
    host: Host,
) -> None:
    world, disk = await on_disk(host, asking, runs_timers=False, runs_services=False)
    name = await world.start(asking, number=1)
    item = world.item(name).id
    disk.fail("COMMIT", after=True)

    given, kept, refused = await asyncio.gather(
        world.complete(name, 5), engine_of(world).submit(keeps(1)), world.complete(name, 6), return_exceptions=True
    )

    assert isinstance(given, dict) and (given["state"], given["instance_state"]) == ("completed", "completed")
    assert isinstance(kept, Accepted) and kept.number is not None
    assert isinstance(refused, PerformerError)
    assert (world.result(name), world.find_item(item).performer, told(world)) == (5, "ann", [1])
    assert [notice.text for notice in world.notices][-1] == "completed"


async def test_whoever_asked_in_a_batch_that_did_not_happen_is_told_so(host: Host) -> None:
    world, disk = await on_disk(host, asking, runs_timers=False, runs_services=False)
    disk.fail("COMMIT")

    outcomes = await asyncio.gather(*(engine_of(world).submit(keeps(n)) for n in range(3)), return_exceptions=True)

    for outcome in outcomes:
        assert isinstance(outcome, StoreError)
        assert outcome.remedy.startswith("Nothing of the request was done.")
    assert told(world) == []
    again = await engine_of(world).submit(keeps(0))
    assert (again.repeated, told(world)) == (False, [0])


async def test_while_nobody_can_look_whoever_asked_is_told_that_it_is_not_known(host: Host) -> None:
    world, disk = await on_disk(host, asking, runs_timers=False, runs_services=False)
    disk.fail("COMMIT", after=True)
    disk.cannot_open = 1

    with pytest.raises(StoreError) as told_so:
        await engine_of(world).submit(keeps(0))
    assert "not known" in told_so.value.remedy

    with pytest.raises(StoreError):  # the store opens again with this one
        await engine_of(world).submit(keeps(1))
    assert (await engine_of(world).submit(keeps(0))).repeated


async def test_what_a_failed_flush_left_is_acknowledged_only_once_it_could_be_moved_into_the_database(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flush that failed once may be reported as done the next time, though the pages never reached the disk."""
    world, disk = await on_disk(host, asking, runs_timers=False, runs_services=False)
    disk.fail("COMMIT", after=True)

    def not_moved(*, truncate: bool = False) -> None:
        raise StoreFailed("the disk is gone", subject="", remedy="")

    with monkeypatch.context() as patched:
        patched.setattr(engine_of(world).store, "checkpoint", not_moved)
        with pytest.raises(StoreError) as told_so:
            await engine_of(world).submit(keeps(0))
    assert "not known" in told_so.value.remedy
    assert (await engine_of(world).submit(keeps(0))).repeated


async def test_on_a_disk_that_is_really_full_what_is_answered_is_what_is_in_the_store(host: Host) -> None:
    """The limit of the process on the size of a file stands in for the disk: the log cannot grow, in the middle of a write."""
    world = await opened(host, asking, runs_timers=False, runs_services=False)
    engine = engine_of(world)
    await engine.submit(keeps(0))
    log = world.store.with_name(world.store.name + "-wal")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    outcomes: list[object] = []
    try:
        for number in range(1, 12):
            resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 500 * number, hard))
            outcomes += await asyncio.gather(engine.submit(keeps(number)), return_exceptions=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    done = [number for number, outcome in enumerate(outcomes, 1) if isinstance(outcome, Accepted)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, StoreError)]
    assert refused and len(done) + len(refused) == len(outcomes)
    assert all(each.remedy.startswith("Nothing of the request was done.") for each in refused)
    assert told(world) == [0, *done]
    await engine.submit(keeps(99))
    assert told(world)[-1] == 99


async def test_an_attempt_whose_commit_failed_and_did_not_happen_is_not_made(host: Host) -> None:
    world, disk = await on_disk(host, noting)
    disk.fail("COMMIT")

    with pytest.raises(StoreError):
        await world.start(noting, number=5)
    name = await world.start(noting, number=6)
    await world.until_ended(name)

    assert (name, ATTEMPTED) == ("noting-1", [6])


async def test_an_attempt_of_an_unknown_commit_is_made_when_the_store_opens_again_later(host: Host) -> None:
    world, disk = await on_disk(host, noting)
    disk.fail("COMMIT", after=True)
    disk.cannot_open = 2

    with pytest.raises(StoreError):
        await world.start(noting, number=5)
    while disk.cannot_open:
        with pytest.raises(StoreError):
            await world.running.submit(keeps(1))
    with pytest.raises(StoreError):  # the failure is told once more, and then the store opens
        await world.running.submit(keeps(2))
    await world.running.submit(keeps(3))
    await world.until_ended("noting-1")

    assert (ATTEMPTED, told(world)) == ([5], [3])


async def test_a_store_that_cannot_be_opened_again_is_opened_once_it_can(host: Host) -> None:
    """No commit failed, so nothing but the closed connection says that the store is out of use."""
    world, disk = await on_disk(host, asking, runs_timers=False, runs_services=False)
    disk.fail("BEGIN")
    disk.cannot_open = 1
    for number in range(2):
        with pytest.raises(StoreError):
            await world.running.submit(keeps(number))
    await world.running.submit(keeps(2))

    assert told(world) == [2]


async def test_a_timer_of_an_unknown_commit_fires_by_itself(host: Host) -> None:
    world, disk = await on_disk(host, resting)
    disk.fail("COMMIT", after=True)
    await world.start(resting, minutes=1)

    await world.pass_time("2 minutes")

    assert world.result("resting-1") == "rested"


async def test_while_the_store_cannot_be_opened_everything_committed_can_be_read(host: Host) -> None:
    world, disk = await on_disk(host, asking)
    name = await world.start(asking, number=1)
    disk.fail("COMMIT", times=1_000)
    disk.cannot_open = 1_000
    for _ in range(3):
        with pytest.raises(StoreFailed, match="cannot be read or written"):
            await world.complete(name, 5)

    assert (world.state(name), len(world.waits(name).items)) == ("running", 1)
    disk.fail("nothing", times=0)
    disk.cannot_open = 0
    with pytest.raises(StoreError):
        await world.complete(name, 5)
    await world.complete(name, 5)
    assert world.result(name) == 5


async def test_a_commit_in_a_thread_that_fails_acknowledges_nobody(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "SLOW_COMMIT_SECONDS", -1.0)
    world, disk = await on_disk(host, asking, runs_timers=False)
    disk.fail("COMMIT")

    outcomes = await asyncio.gather(
        *(engine_of(world).submit(keeps(number)) for number in range(3)), return_exceptions=True
    )
    assert [type(each) for each in outcomes] == [StoreFailed] * 3
    await engine_of(world).submit(keeps(4))
    assert told(world) == [4]


async def test_nothing_is_acknowledged_where_the_file_of_the_store_is_gone(host: Host) -> None:
    """What is committed to a file without a name ends with its connection."""
    world = await opened(host, noting)
    path = engine_of(world).store.path
    kept = path.with_name("kept.db")
    path.rename(kept)
    with pytest.raises(StoreError, match="was removed, or replaced"):
        await engine_of(world).submit(keeps(1))
    with pytest.raises(StoreError):
        await engine_of(world).submit(keeps(2))
    kept.rename(path)
    await when_it_is_back(world, 3)
    assert told(world) == [3]


async def when_it_is_back(world: World, number: int) -> None:
    with contextlib.suppress(StoreError):  # whoever comes first has it opened again, and hears that it was not
        await engine_of(world).submit(keeps(number))
    await engine_of(world).submit(keeps(number))


async def test_another_store_in_its_place_is_not_taken_for_it(host: Host, tmp_path: Path) -> None:
    world = await opened(host, noting)
    path = engine_of(world).store.path
    other = tmp_path / "other.db"
    open_store(other).close()
    path.rename(path.with_name("kept.db"))
    other.rename(path)
    for number in range(2):
        with pytest.raises(StoreError):
            await engine_of(world).submit(keeps(number))
    path.unlink()
    path.with_name("kept.db").rename(path)
    await when_it_is_back(world, 3)
    assert told(world) == [3]
