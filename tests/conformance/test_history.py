"""Histories: chained (law 16), replayed anywhere with the same outcome (hazards), read in commit order (22, 49)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from procession import Function, process
from procession.control import random as chance
from procession.control import uuid4
from procession.engine.embedded import AssertionsAreOff
from procession.errors import StoreLocked
from procession.services.commands import CompleteItem
from procession.store import find_holder, open_readers
from procession.store.chain import genesis
from procession.store.invariants import check_invariants
from tests.conformance.world import Host, Settings, World

team = Function("Team", owner="ann@acme.example")


@team.task()
async def ask(number: int) -> int: ...


@team.service(attempts=1_000)  # a worker that ends costs an attempt, and workers end often here
async def double(number: int) -> int:
    return 2 * number


async def branch(number: int) -> int:
    await asyncio.sleep(number * 3600)
    return await double(await ask(number) + chance.randrange(1000))


@process(owner=team, key="{name}")
async def mixed(name: str) -> str:
    """Sets, groups and chance: everything whose order could differ from run to run."""
    async with asyncio.TaskGroup() as group:
        branches = {group.create_task(branch(number)) for number in range(3)}
    words = sorted(f"{word}" for word in {"sun", "moon", "stars"})
    done, _ = await asyncio.wait(branches)
    return f"{sum(each.result() for each in done)} {words} {uuid4()}"


async def lived(world: World, names: list[str], seed: int) -> None:
    """Everything that is open is done, in an order by chance, until all have ended."""
    order = random.Random(seed)
    while not all(world.state(name) == "completed" for name in names):
        with world.view() as view:
            items = view.worklist.offered(["Team"], limit=100)
        if items:
            item = order.choice(items)
            await world.give(CompleteItem(item.id, str(item.call)))
        else:
            await world.pass_time("1 hour")


# Chain and readers


async def test_the_chain_of_a_history_is_what_the_documentation_says(host: Host) -> None:
    """Calculated here anew, from the rows alone: hash = SHA-256(previous, header, SHA-256(salt, payload))."""
    world = await host.open(mixed)
    name = await world.start(mixed, name="chained")
    await world.complete(name, 1)
    row = world.row(name)
    with world.view() as view:
        events = view.history(row.id)

    head = genesis(b"instance", row.uuid)
    for event in events:
        digest = hashlib.sha256(b"").digest()  # of nothing
        if event.payload is not None:
            assert event.salt is not None and len(event.salt) == 16
            digest = hashlib.sha256(event.salt + event.payload).digest()
            assert event.digest == digest
        head = hashlib.sha256(head + event.header + digest).digest()
        assert event.hash == head
    assert head == row.head
    assert len({event.salt for event in events if event.salt}) == len([event for event in events if event.salt])


@pytest.mark.parametrize(
    "change",
    [
        "payload = x'39'",
        "header = cast(replace(header, 'CallCompleted', 'CallStarted') AS BLOB)",
        "salt = x'00'",
        "hash = zeroblob(32)",
    ],
)
async def test_a_row_that_was_changed_afterwards_is_found(host: Host, change: str) -> None:
    world = await host.open(mixed)
    name = await world.start(mixed, name="changed")
    await world.complete(name, 1)
    await world.close()
    stranger = sqlite3.connect(world.store)
    stranger.execute(f"UPDATE event SET {change} WHERE seq = (SELECT max(seq) FROM event WHERE kind = 'CallCompleted')")
    stranger.commit()
    stranger.close()

    assert check_invariants(world.store)["chain"].problems
    host.forget(world)


async def test_positions_grow_in_the_order_of_commits_over_events_of_instances_and_items(host: Host) -> None:
    world = await host.open(mixed)
    names = [await world.start(mixed, name=str(number)) for number in range(3)]
    for name in names:
        await world.complete(name, 1)

    with world.view() as view:
        seen = [(event.position, event.header) for name in names for event in view.history(world.row(name).id)]
        item_positions = [event.position for name in names for event in view.worklist.events(world.row(name).id)]
    positions = [position for position, _ in seen] + item_positions
    assert len(set(positions)) == len(positions)
    times = [json.loads(header)["at"] for _, header in sorted(seen)]
    assert times == sorted(times)


async def test_a_reader_sees_whole_transactions_while_the_engine_writes(host: Host) -> None:
    """At no moment is there a completion without its item ended, or a request without its wake record."""
    world = await host.open(mixed)
    readers = open_readers(world.store)
    try:
        looks = 0

        async def look() -> None:
            nonlocal looks
            while True:
                with readers.snapshot() as view:
                    assert view.check_waits().problems == ()
                looks += 1
                await asyncio.sleep(0)

        looking = asyncio.create_task(look())
        names = [await world.start(mixed, name=str(number)) for number in range(5)]
        await lived(world, names, 1)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        assert looks > 20
    finally:
        readers.close()


async def test_readers_of_a_store_cannot_write_to_it(host: Host) -> None:
    world = await host.open(mixed)
    with world.view() as view, pytest.raises(sqlite3.OperationalError, match="readonly"):
        view._connection.execute("DELETE FROM event")


# Hazards


def what_was_lived(world: World, names: list[str]) -> list[list[tuple[str, int | None]]]:
    with world.view() as view:
        return [[(event.kind, event.call) for event in view.history(world.row(name).id)] for name in names]


async def until_services_are_done(world: World, names: list[str]) -> None:
    await world.until(lambda: not any(world.waits(name).service_calls for name in names))


@pytest.mark.parametrize("seed", range(3))
async def test_eviction_gives_the_same_histories_as_keeping_all_in_memory(host: Host, seed: int) -> None:
    kept = await host.open(mixed)
    evicted = await host.open(mixed, settings=Settings(most_live=1))
    for world in (kept, evicted):
        names = [await world.start(mixed, name=str(number)) for number in range(4)]
        for name in names:
            await world.complete(name, 5)
        for _ in range(2):
            await until_services_are_done(world, names)
            await world.pass_time("1 hour")
            for name in random.Random(seed).sample(names, len(names)):
                await world.complete(name, 7)
        for name in names:
            await world.until_ended(name)
    assert what_was_lived(kept, names) == what_was_lived(evicted, names)


@pytest.mark.parametrize("seed", range(3))
async def test_a_restart_at_any_moment_goes_on_where_it_was(host: Host, seed: int) -> None:
    world = await host.open(mixed)
    names = [await world.start(mixed, name=str(number)) for number in range(2)]
    order = random.Random(seed)
    while not all(world.state(name) == "completed" for name in names):
        if order.random() < 0.5:
            await world.close(at_once=True)
            await world.restart()
        waiting = [name for name in names if world.waits(name).items]
        if waiting and order.random() < 0.7:
            await world.complete(order.choice(waiting), 3)
        else:
            await world.pass_time("20 minutes")
    assert {world.kinds(name)[-1] for name in names} == {"InstanceCompleted"}


REPLAY = """
import sys
from pathlib import Path
from procession.engine import asyncio_names
from procession.kernel import Instance
from procession.store import open_readers
from procession.store.event_rows import decode_event
from tests.conformance.test_history import mixed
from procession.language.registry import Registry
import tests.conformance.test_history as module

asyncio_names.install()
Registry.of([module])
readers = open_readers(Path(sys.argv[1]))
with readers.snapshot() as view:
    for name in sys.argv[2:]:
        row = view.instances.find_named(name)
        history = [decode_event(event) for event in view.history(row.id)]
        for end in range(1, len(history) + 1):
            if end < len(history) and type(history[end]).__name__ in ("CallRequested", "InstanceCompleted"):
                continue
            if end < len(history) and getattr(history[end], "by_program", False):
                continue
            instance = Instance(mixed.program(row.secret), seed=row.secret)
            instance.replay(history[:end])
            print(name, end, instance.state, instance.now_us, sorted(instance.open_calls))
            instance.close()
readers.close()
"""


async def test_a_history_replays_alike_under_any_hash_seed_and_without_a_collector(host: Host) -> None:
    world = await host.open(mixed)
    names = [await world.start(mixed, name=str(number)) for number in range(2)]
    await lived(world, names, 3)
    await world.close()
    root = Path(__file__).resolve().parents[2]

    def replayed(seed: str, *options: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        command = [sys.executable, *options, "-c", REPLAY, str(world.store), *names]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        return run.stdout

    outcomes = await asyncio.gather(*(asyncio.to_thread(replayed, seed) for seed in ("0", "1", "2", "4711")))
    assert len(set(outcomes)) == 1
    assert len(outcomes[0].splitlines()) > 20


# Who may run an engine


async def test_a_second_engine_on_a_store_is_refused_and_told_who_has_it(host: Host) -> None:
    world = await host.open(mixed)

    with pytest.raises(StoreLocked) as refused:
        await host.open_again(world)

    assert str(os.getpid()) in str(refused.value)
    holder = find_holder(world.store)
    assert holder is not None and holder.pid == os.getpid()


def test_an_engine_refuses_to_run_without_assertions(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\nfrom pathlib import Path\n"
        "from procession.engine.embedded import open_engine\nfrom procession.engine.releases import Release\n"
        "from procession.language.registry import Registry\n"
        "asyncio.run(open_engine(Path(sys.argv[1]), Registry.of([]), Release({})))\n"
    )
    store = tmp_path / "store.db"
    run = subprocess.run([sys.executable, "-O", "-c", script, str(store)], capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert AssertionsAreOff.__name__ in run.stderr and "without -O" in run.stderr
    assert not store.exists()
