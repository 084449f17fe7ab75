"""Looks again and again whether anything is silently stuck: an open call that nothing will ever end.

Such a row cannot come to be as long as the engine is right. Where it is wrong, or a store was restored or mended by hand,
somebody must be told before a customer asks.
"""

import asyncio
import logging
from collections.abc import Callable

from procession.engine.patrolling import patrol
from procession.store.readers import Readers

log = logging.getLogger("procession.engine")

PAUSE_SECONDS = 300.0


class WaitPatrol:
    """Walks through all open instances, a page at a time, and tells of each problem once."""

    def __init__(self, readers: Readers, tell: Callable[[str], None], *, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._readers = readers
        self._tell = tell
        self._pause_seconds = pause_seconds
        self._known: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Until cancelled."""
        await patrol(self.walk, pause_seconds=self._pause_seconds, put_off="Whether anything is stuck is told later")

    async def walk(self) -> frozenset[str]:
        """Go through everything once; gives all problems, those told before too."""
        found: set[str] = set()
        after: int | None = 0
        while after is not None:
            after, problems = await asyncio.to_thread(self._page, after)
            found.update(problems)
        for problem in sorted(found - self._known):
            log.error("Nothing will wake it: %s. See `procession doctor`.", problem)
            self._tell(problem)
        self._known = frozenset(found)
        return self._known

    def _page(self, after: int) -> tuple[int | None, tuple[str, ...]]:
        with self._readers.snapshot() as view:
            page = view.check_waits(after=after)
        return page.last, page.problems
