"""Explores random programs in an interpreter of its own: under its hash seed, its collector, and with a planted bug if asked."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import time

from procession import kernel
from procession.kernel import loop
from procession.kernel.branch import Branch, Waitable
from procession.kernel.loop import Entry, Numbered
from tests.kernel.drive import asyncio_replaced
from tests.programme.programs import digest_of, explore


def plant_address_hashes() -> None:
    """Futures, branches and calls hash by address, as asyncio's own do."""
    for owner in (Branch, Numbered, Waitable, asyncio.tasks._GatheringFuture):  # type: ignore[attr-defined]
        owner.__hash__ = object.__hash__


def plant_original_as_completed() -> None:
    """asyncio's own `as_completed`, and nobody to refuse it."""
    loop._ORIGINALS.clear()
    asyncio.as_completed = asyncio.as_completed.__wrapped__  # type: ignore[attr-defined]


def plant_late_withdrawal() -> None:
    """A withdrawal that comes when the callbacks run, or not at all: its order is no longer that of the source."""
    shuffled = random.SystemRandom()
    at_once = Entry.end_by_program

    def late(self: Entry, reason: str) -> None:
        delayed = shuffled.random() < 0.5 and not self.home.dead
        self.home.call_soon(at_once, self, reason) if delayed else at_once(self, reason)

    Entry.end_by_program = late  # type: ignore[method-assign]


def plant_wall_clock() -> None:
    """Time that is read, not recorded."""
    loop.Loop.time = lambda self: time.monotonic() * 3_000 % 1_000  # type: ignore[method-assign]


def plant_chance_of_the_machine() -> None:
    """Randomness from outside."""
    kernel.random = random.SystemRandom  # type: ignore[assignment]


BUGS = {
    "address hashes": plant_address_hashes,
    "original as_completed": plant_original_as_completed,
    "late withdrawal": plant_late_withdrawal,
    "wall clock": plant_wall_clock,
    "chance of the machine": plant_chance_of_the_machine,
}


def main() -> None:
    """`python -m tests.programme.planted FIRST COUNT [GC-THRESHOLD] [BUG]`: prints what came of it as JSON."""
    first, count = int(sys.argv[1]), int(sys.argv[2])
    if len(sys.argv) > 3 and int(sys.argv[3]):
        gc.set_threshold(int(sys.argv[3]))
    with asyncio_replaced():
        if len(sys.argv) > 4:
            BUGS[sys.argv[4]]()
        explored = explore(first, count)
    differing = [each.seed for each in explored if each.differences]
    print(
        json.dumps({"digest": digest_of(explored), "differing": differing, "replays": sum(e.replays for e in explored)})
    )


if __name__ == "__main__":
    main()
