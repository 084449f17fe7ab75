"""Our side of the comparison: the embedded engine on a file, driven through the use cases, from JSON bytes."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import purchase
from benchmarks.measure import Rate, in_flight, percentile
from benchmarks.purchase_rows import RelayRows, Rows
from benchmarks.raw_sqlite import RawStore
from procession.engine.embedded import EngineOptions, open_engine
from procession.engine.releases import release_of
from procession.engine.turn import Notice
from procession.language.registry import Registry
from procession.services.commands import CompleteItem, Order, StartInstance
from procession.services.office import Office
from procession.store.worklist import WorkItemRow
from procession.work.performers import Organisation, Performer

REQUEST = '{"requester":"ann@acme.example","item":"laptop","supplier":"Dell","amount":"1200.00"}'
ANSWER = '{"approved":true,"remark":"within the budget of the quarter"}'
ROLE = "Management"
TASKS = 2
PATIENCE_SECONDS = 60
ENDS = ("completed", "failed", "halted")


class Bench:
    """An engine at work, and who waits for news of an instance: learnt inside this process, as the peer's caller does."""

    def __init__(self) -> None:
        self.office: Office
        self._news: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._ended: set[str] = set()

    def watch(self, notice: Notice) -> None:
        if notice.text.startswith(ENDS):
            self._ended.add(notice.instance)
        self._news[notice.instance].set()

    async def start(self, command: StartInstance) -> str:
        """The name of a new instance."""
        answer = await self.office.perform(Order(command, "ann"))
        return str(answer["instance"])

    async def complete(self, item: int) -> None:
        await self.office.perform(Order(CompleteItem(item, ANSWER), "bob"))

    def offered(self, instance: int) -> WorkItemRow | None:
        """What the worklist shows of an instance."""
        with self.office.readers.snapshot() as view:
            return next((row for row in view.worklist.of_instance(instance) if row.state == "offered"), None)

    async def next_for_bob(self, name: str, *, after: int) -> WorkItemRow:
        """Waits until the worklist of the role shows an item newer than this one."""
        news = self._news[name]
        while True:
            news.clear()
            with self.office.readers.snapshot() as view:
                rows = view.worklist.offered([ROLE], after=after, limit=1)
            if rows:
                return rows[0]
            await asyncio.wait_for(news.wait(), PATIENCE_SECONDS)

    async def next_item(self, name: str, instance: int) -> WorkItemRow:
        """Waits until the worklist shows an item of this instance."""
        news = self._news[name]
        while True:
            news.clear()
            row = self.offered(instance)
            if row is not None:
                return row
            if name in self._ended:
                raise RuntimeError(f"{name} ended without an item")
            await asyncio.wait_for(news.wait(), PATIENCE_SECONDS)

    async def run_one(self, _number: int) -> None:
        """One caller's purchase, from start to end."""
        name = await self.start(StartInstance("purchase", f'{{"request":{REQUEST}}}'))
        instance = self.office.get_instance(name).id
        for _ in range(TASKS):
            row = await self.next_item(name, instance)
            await self.complete(row.id)
        news = self._news[name]
        while name not in self._ended:
            news.clear()
            await asyncio.wait_for(news.wait(), PATIENCE_SECONDS)
        del self._news[name]
        self._ended.remove(name)


@asynccontextmanager
async def engine_on(path: Path, *, runs_services: bool = True) -> AsyncIterator[Bench]:
    """An engine as it runs in service: durable, fenced, watched."""
    bench = Bench()
    registry = Registry.of([purchase])
    options = EngineOptions(watch=bench.watch, runs_services=runs_services)
    engine = await open_engine(path, registry, release_of([purchase]), options)
    people = {"bob": Performer("bob", frozenset({ROLE}))}
    bench.office = Office(registry, Organisation(people), engine, engine.store.readers, engine.accept_clock)
    try:
        yield bench
    finally:
        await engine.close()


async def throughput(path: Path, *, callers: int, instances: int, warm_up: int) -> Rate:
    """So many purchases, `callers` at a time."""
    async with engine_on(path) as bench:
        await in_flight(callers, warm_up, bench.run_one)
        rate = await in_flight(callers, instances, bench.run_one)
    return rate


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from handing in an answer to seeing the next item, and of the raw commits made in between."""

    p50_ms: float
    p99_ms: float
    raw_p99_ms: float


async def complete_to_visible(path: Path, raw_path: Path, *, completions: int) -> Latency:
    """Task to task, one caller, each completion followed by a raw commit of the same rows on another file."""
    ours, raw = [], []
    raw_store = RawStore(raw_path)
    raw_rows = RelayRows()
    raw_store.commit(raw_rows.start())
    async with engine_on(path) as bench:
        request = f'{{"request":{REQUEST},"rounds":{completions + 1}}}'
        name = await bench.start(StartInstance("relay", request))
        row = await bench.next_for_bob(name, after=0)
        for _ in range(completions):
            start = time.perf_counter()
            await bench.complete(row.id)
            row = await bench.next_for_bob(name, after=row.id)
            ours.append(time.perf_counter() - start)
            raw.append(timed_commit(raw_store, raw_rows.hand_off()))
    raw_store.close()
    return Latency(percentile(ours, 0.5) * 1000, percentile(ours, 0.99) * 1000, percentile(raw, 0.99) * 1000)


def timed_commit(store: RawStore, rows: Rows) -> float:
    """Seconds of one raw commit."""
    start = time.perf_counter()
    store.commit(rows)
    return time.perf_counter() - start


async def parked_bytes(path: Path, *, instances: int) -> float:
    """Disk for one more purchase that waits at its first task, after a checkpoint."""
    before = await park(path, instances // 10)
    return (await park(path, instances) - before) / instances


async def park(path: Path, instances: int) -> int:
    """Starts so many, lets each come to its first task, closes the store; its size."""
    async with engine_on(path) as bench:

        async def one(_number: int) -> None:
            name = await bench.start(StartInstance("purchase", f'{{"request":{REQUEST}}}'))
            await bench.next_item(name, bench.office.get_instance(name).id)

        await in_flight(64, instances, one)
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*") if file.suffix != ".running")
