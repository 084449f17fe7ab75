"""What lies outside the engine and outlives its end: the clock, what clients wrote down, what outside systems saw.

Each is a file of its own that the engine knows nothing of. A world also numbers the points of a run and ends the process
at one of them, by the signal that nobody can catch.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import signal
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from procession.engine.fences import fence_down

_MOMENT = struct.Struct("<Q")
START_US = 1_700_000_000_000_000
DAY_US = 86_400_000_000


class OutsideClock:
    """A clock that goes on by a microsecond whenever it is read: no two moments are the same, so every order can be told."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(_MOMENT.pack(START_US))
        with path.open("r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), _MOMENT.size)

    def wall_us(self) -> int:
        (now_us,) = _MOMENT.unpack_from(self._map)
        _MOMENT.pack_into(self._map, 0, now_us + 1)
        return int(now_us)

    def monotonic_us(self) -> int:
        return int(_MOMENT.unpack_from(self._map)[0])

    def move_to(self, moment_us: int) -> None:
        """Go on to that moment; an earlier one changes nothing."""
        _MOMENT.pack_into(self._map, 0, max(self.monotonic_us(), moment_us))


class Ledger:
    """An append-only file of JSON lines: what was written stays when its writer is killed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, **entry: Any) -> None:
        os.write(self._descriptor, json.dumps(entry).encode() + b"\n")

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._path.read_bytes().splitlines()]


class World:
    """One case: a folder with a store, ledgers and a clock, and the point at which the present run is to end."""

    def __init__(self, folder: Path, *, kill_at: int | None = None) -> None:
        self.folder = folder
        self.store = folder / "store.db"
        self.clock = OutsideClock(folder / "clock")
        self.answers = Ledger(folder / "answers")
        self.effects = Ledger(folder / "effects")
        self.deployments = Ledger(folder / "deployments")
        self.errors = Ledger(folder / "errors")
        self.points: list[str] = []
        self.held: set[asyncio.Task[Any]] = set()
        self.somebody_is_held = asyncio.Event()
        self.turn_of_threads = threading.Event()
        self._goes_on: dict[str, asyncio.Event] = {}
        self._kill_at = kill_at
        self._looks = False

    def reached(self, point: str) -> None:
        """The run stands here; it ends here if this is the point to end at."""
        if self._looks:
            return
        self.points.append(point)
        if len(self.points) == self._kill_at:
            fence_down()  # process code may not send signals; whoever pulls the plug does not ask
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """While a test looks at what there is, nothing of what it does counts as the run."""
        before, self._looks = self._looks, True
        try:
            yield
        finally:
            self._looks = before

    def attempt(self, operation: str, step: str, key: str) -> int:
        """An outside system is asked to do something; gives how often it has been asked for this step."""
        self.reached(f"before the effect of {operation}")
        step = f"{operation} {step}"
        made = len([entry for entry in self.effects.entries() if entry["step"] == step]) + 1
        self.effects.add(step=step, key=key, at_us=self.clock.wall_us())
        self.reached(f"after the effect of {operation}")
        return made

    def wait_for_turn(self) -> None:
        """A thread goes on only when the engine has nothing else to do, so that each run has its points in one order."""
        self.turn_of_threads.wait()

    async def hold(self, what: str) -> None:
        """Keep an outside system busy until the script lets it go on."""
        task = asyncio.current_task()
        assert task is not None
        self.held.add(task)
        self.somebody_is_held.set()
        try:
            await self._event(what).wait()
        finally:
            self.held.discard(task)

    def let_go_on(self, what: str) -> None:
        """Whoever is held up there goes on."""
        self._event(what).set()

    def _event(self, what: str) -> asyncio.Event:
        return self._goes_on.setdefault(what, asyncio.Event())


_present: World | None = None


def enter(world: World) -> None:
    """From here on this process lives in that world."""
    global _present
    _present = world


def present() -> World:
    """The world that this process lives in."""
    assert _present is not None, "services and processes of these tests run in a world"
    return _present


def passing() -> None:
    """Process code stands at this line, live or in replay. Nothing but a test may do this in a process."""
    caller = sys._getframe(1)
    present().reached(f"process code, {caller.f_code.co_name} line {caller.f_lineno}")
