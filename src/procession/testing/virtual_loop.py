"""An event loop whose time stands still until it is moved, for an engine in a test.

What is ready runs at once. When nothing is, and no thread works for the loop, whoever drives it is told how long it is
until the next timer, and moves the clock there: months pass in milliseconds, and in the same order each time.
"""

import asyncio
import math
import selectors
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

from procession.engine.clock import VirtualClock
from procession.errors import AuthorError, InternalError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

THREAD_SECONDS = 10.0
"""How long a thread may work in a test, in real time, before the test fails."""


class ThreadTakesTooLong(AuthorError):
    """In a test a service worked for more than ten seconds of real time, in a thread."""

    code = "thread-takes-too-long"


class _WatchedSelector(selectors.DefaultSelector):
    """Waits for nothing: where the loop would, it asks the loop what to do instead."""

    def __init__(self, when_idle: Callable[[float | None], list[tuple[selectors.SelectorKey, int]]]) -> None:
        super().__init__()
        self._when_idle = when_idle

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now; if the loop has nothing else to do, what comes of being idle."""
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        return self._when_idle(timeout)

    def wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait in real time."""
        return super().select(timeout)


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop. `threads` says which threads work for it, by the name of what each does; `is_real` that time passes by itself."""

    def __init__(self, clock: VirtualClock, *, threads: Callable[[], list[str]], is_real: Callable[[], bool]) -> None:
        self._clock = clock
        self._start_us = clock.wall_us()
        self._threads = threads
        self._is_real = is_real
        self._in_executor = 0
        self._idle: asyncio.Future[float | None] | None = None
        self._watched = _WatchedSelector(self._when_idle)
        super().__init__(self._watched)
        # asyncio adds its clock's resolution to the time to see what is due: a nanosecond is lost in the seconds of half a year.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Seconds since the loop was made, by its clock."""
        return (self._clock.wall_us() - self._start_us) / 1_000_000

    async def until_idle(self) -> float | None:
        """Waits until nothing is ready and no thread works; gives the seconds until the next timer, None if there is none."""
        self._idle = self.create_future()
        try:
            return await self._idle
        finally:
            self._idle = None

    def move(self, seconds: float) -> None:
        """Move the clock on by so much."""
        self._clock.advance_to(self._clock.wall_us() + math.ceil(seconds * 1_000_000))

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        """As ever; the loop is not idle meanwhile."""
        future = super().run_in_executor(executor, func, *args)
        self._in_executor += 1
        future.add_done_callback(self._has_run)
        return future

    def _has_run(self, future: "asyncio.Future[Any]") -> None:
        self._in_executor -= 1

    def _when_idle(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._is_real():
            return self._wait_really(timeout)
        if self._in_executor or self._threads():
            return self._wait_for_threads()
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(timeout)
        elif timeout is not None:
            self.move(timeout)
        else:
            raise InternalError(
                "The loop of a test waits for something that never comes.", remedy="Please report this."
            )
        return []

    def _wait_for_threads(self) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._watched.wait(THREAD_SECONDS)
        if not ready and (names := self._threads()):
            raise ThreadTakesTooLong(
                f"{' and '.join(sorted(set(names)))} has worked for {THREAD_SECONDS:g} seconds of real time, in a thread.",
                subject=names[0],
                remedy="Put a stub in its place: world.stub(…).returns(…); or, if it is to be called really, mark the test "
                "with @pytest.mark.world(real_time=True).",
            )
        return ready

    def _wait_really(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        before = time.monotonic()
        ready = self._watched.wait(timeout)
        self.move(time.monotonic() - before)
        return ready
