"""Knows when something is due next, and says so to the writer: timers and repeated attempts."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable

from procession.engine.clock import ClockNotTrusted
from procession.engine.contract import EngineStopped
from procession.errors import StoreError

log = logging.getLogger("procession.engine")

MOST_WAIT_US = 30_000_000
PAUSE_SECONDS = 1.0


class WakeUps:
    """Sleeps until the earliest due time in the store, then has what is due applied.

    The store is the truth: the time kept here is only a hint that may be too early, never too late, and the store is
    looked at again at least every half minute, unless `looks_again` is off: a test world wants no time to pass for that.
    """

    def __init__(
        self,
        now_us: Callable[[], int],
        apply_due: Callable[[], Awaitable[int | None]],
        *,
        looks_again: bool = True,
    ) -> None:
        self._now_us = now_us
        self._apply_due = apply_due
        self._looks_again = looks_again
        self._next_us: int | None = None
        self._changed = asyncio.Event()

    def expect(self, due_us: int) -> None:
        """Something is due then."""
        if self._next_us is None or due_us < self._next_us:
            self._next_us = due_us
            self._changed.set()
        elif (
            self._next_us <= self._now_us()
        ):  # the clock was set forward, and whoever sleeps until then has not seen it
            self._changed.set()

    async def run(self) -> None:
        """Until cancelled, or the engine stops: apply what is due; `apply_due` returns when the next is due, or None.

        Where nothing can be applied at the moment (the clock is not trusted, the disk fails) it is tried again.
        """
        complaint = ""
        while True:
            self._next_us = None
            self._changed.clear()
            try:
                due_us = await self._apply_due()
            except EngineStopped:
                return
            except (ClockNotTrusted, StoreError) as error:
                if str(error) != complaint:
                    log.error("What is due waits: %s", error)
                complaint = str(error)
                await self._pause()
                continue
            complaint = ""
            if due_us is not None:
                self.expect(due_us)
            await self._sleep()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(PAUSE_SECONDS):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _sleep(self) -> None:
        while True:
            self._changed.clear()
            wait_us = float(MOST_WAIT_US if self._looks_again else math.inf)
            if self._next_us is not None:
                wait_us = min(wait_us, self._next_us - self._now_us())
            if wait_us <= 0:
                return
            try:
                async with asyncio.timeout(wait_us / 1_000_000 if wait_us < math.inf else None):
                    await self._changed.wait()
            except TimeoutError:
                return
