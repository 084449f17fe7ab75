"""Where an engine cannot run it says why in a sentence and touches nothing; where the disk is full it waits for space."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from procession import Function, process
from procession.engine.embedded import AssertionsAreOff, EngineOptions, open_engine
from procession.engine.releases import Release
from procession.errors import NewerStore, NotAStore, StoreError, StoreLocked, StoreNotUsable
from procession.language.registry import Registry
from procession.store import OpenOptions
from procession.store.invariants import Evidence, check_invariants
from tests.conformance.world import Host
from tests.engine.subject import engine_of, opened
from tests.engine.test_unknown_commits import on_disk

ROOT = Path(__file__).resolve().parents[2]

team = Function("Team", owner="ann@acme.example")


@process(owner=team)
async def short() -> str:
    return "done"


async def refusal(path: Path, options: OpenOptions | None = None) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await open_engine(path, Registry.of([]), Release({}), EngineOptions(store=options or OpenOptions()))
    assert caught.value.remedy and str(path.name) in str(caught.value)
    return caught.value


def litter(folder: Path) -> set[str]:
    """What was left in a folder, but for the lock, which stays on purpose."""
    return {each.name for each in folder.iterdir() if not each.name.endswith(".lock")}


async def test_a_second_engine_is_refused_with_who_has_the_store_and_the_first_goes_on(host: Host) -> None:
    world = await opened(host, short, watchdog=True)
    marker = world.store.with_name(world.store.name + ".running")
    held = marker.read_bytes()

    error = await refusal(world.store)

    assert isinstance(error, StoreLocked) and f"process {os.getpid()}" in str(error)
    assert marker.read_bytes() == held
    assert await world.start(short) == "short-1"


async def test_a_store_on_a_network_file_system_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    mounts = f"server:/share {tmp_path} nfs4 rw 0 0\n"
    error = await refusal(tmp_path / "store.db", OpenOptions(mounts=lambda: mounts))
    assert isinstance(error, StoreNotUsable) and "nfs4" in str(error) and "local disk" in error.remedy
    assert list(tmp_path.iterdir()) == []


async def test_a_store_of_a_newer_schema_is_refused_and_can_be_opened_again_by_its_own(host: Host) -> None:
    world = await opened(host, short)
    await world.close()
    stamp(world.store, 99)

    assert isinstance(await refusal(world.store), NewerStore)

    stamp(world.store, 1)
    await world.restart(short)
    assert await world.start(short) == "short-1"


async def test_a_file_that_is_not_ours_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear customer\n" * 500)
    assert isinstance(await refusal(letter), NotAStore)
    assert litter(tmp_path) == {"letter.txt"} and letter.read_text().startswith("Dear customer")


async def test_a_folder_that_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StoreNotUsable, match="nowhere"):
        await open_engine(tmp_path / "nowhere" / "store.db", Registry.of([]), Release({}))


def stamp(store: Path, version: int) -> None:
    connection = sqlite3.connect(store)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


async def test_an_engine_that_cannot_begin_lets_the_lock_go(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    world = await opened(host, short)
    await world.close()

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("while it takes over")

    with monkeypatch.context() as broken:
        broken.setattr("procession.engine.embedded.recover", fails)
        with pytest.raises(RuntimeError):
            await world.restart(short)
    await world.restart(short)
    assert await world.start(short) == "short-1"


def test_python_without_assertions_is_refused_before_the_store_is_touched(tmp_path: Path) -> None:
    code = (
        "import asyncio, pathlib\n"
        "from procession.engine.embedded import AssertionsAreOff, open_engine\n"
        "from procession.engine.releases import Release\n"
        "from procession.language.registry import Registry\n"
        "try:\n"
        f"    asyncio.run(open_engine(pathlib.Path({str(tmp_path / 'store.db')!r}), Registry.of([]), Release({{}})))\n"
        "except AssertionsAreOff as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-O", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "runs with -O" in run.stdout and "PYTHONOPTIMIZE" in run.stdout, run.stderr
    assert AssertionsAreOff.code == "assertions-off"
    assert list(tmp_path.iterdir()) == []


async def test_closing_twice_is_closing_once(host: Host) -> None:
    world = await opened(host, short, watchdog=True)
    engine = engine_of(world)
    await engine.close()
    await engine.close()
    await world.restart(short)
    assert await world.start(short) == "short-1"


# A disk that is really full


@pytest.mark.parametrize("room", [400_000, 700_000])
def test_on_a_full_disk_nothing_is_acknowledged_that_is_not_stored_and_it_goes_on_by_itself(
    tmp_path: Path, room: int
) -> None:
    store = tmp_path / "store.db"
    command = [sys.executable, "-m", "tests.engine.filling", str(store), str(room)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)

    assert told["before"] >= 5 and told["readable"] == told["before"]
    assert all("full" in each or "cannot be read or written" in each for each in told["refused"][:3])
    report = check_invariants(store, Evidence(acknowledged=told["acknowledged"]))
    assert report.problems == ()
    connection = sqlite3.connect(store)
    [(instances,)] = connection.execute("SELECT count(*) FROM instance").fetchall()
    connection.close()
    assert instances == len(told["acknowledged"])
    assert litter(tmp_path) == {"store.db"}


async def test_a_disk_that_is_full_at_the_end_loses_nothing_and_lets_the_lock_go(host: Host) -> None:
    world, disk = await on_disk(host, short)
    await world.start(short)
    disk.fail("PRAGMA wal_checkpoint", code=sqlite3.SQLITE_FULL)
    await world.close()
    await world.restart(short)
    assert world.state("short-1") == "completed"
