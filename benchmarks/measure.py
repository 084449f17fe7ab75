"""Clocks, percentiles and the drive loop that every side of the comparison shares."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

HAND_OFFS_PER_INSTANCE = 6
"""Purchase approval: service, task, two services in parallel, task, service."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What one side did: whole instances of the purchase approval, and what they cost."""

    instances: int
    seconds: float
    cpu_seconds: float

    @property
    def hand_offs(self) -> int:
        return self.instances * HAND_OFFS_PER_INSTANCE

    @property
    def hand_offs_per_second(self) -> float:
        return self.hand_offs / self.seconds

    @property
    def cpu_us_per_hand_off(self) -> float:
        return self.cpu_seconds / self.hand_offs * 1e6


@dataclass(slots=True)
class Stopwatch:
    """Wall and CPU seconds of this process, all threads."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Times a block; the figures stand in the stopwatch after it."""
    watch = Stopwatch()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield watch
    finally:
        watch.seconds, watch.cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


async def in_flight(callers: int, instances: int, run_one: Callable[[int], Awaitable[object]]) -> Rate:
    """`callers` callers, each of which runs one instance after another to its end, until `instances` have ended.

    A closed loop, the same for every side: a side that answers sooner is asked sooner.
    """
    numbers = iter(range(instances))

    async def caller() -> None:
        for number in numbers:
            await run_one(number)

    with stopwatch() as watch:
        await asyncio.gather(*(caller() for _ in range(callers)))
    return Rate(instances, watch.seconds, watch.cpu_seconds)
