"""Forgets the identifiers that clients gave their requests, once nobody repeats them any more: law 15.

An identifier is kept while the instance of the request is open, and for thirty days. The request itself stays as it is.
"""

import asyncio
from collections.abc import Callable, Coroutine

from procession.engine.contract import Accepted, Decision, Request
from procession.engine.due_work import ENGINE_ACTOR
from procession.engine.patrolling import patrol
from procession.store.readers import Readers
from procession.store.requests import OldIdentifiers

KEPT_US = 30 * 86_400_000_000
PAUSE_SECONDS = 6 * 3_600.0
MOST_AT_ONCE = 500
MOST_ON_A_PAGE = 5_000


class IdentifierPatrol:
    """Walks through all requests, a page at a time, and has forgotten what is old enough."""

    def __init__(
        self,
        readers: Readers,
        submit: Callable[[Request], Coroutine[object, object, Accepted]],
        now_us: Callable[[], int],
    ) -> None:
        self._readers = readers
        self._submit = submit
        self._now_us = now_us

    async def run(self) -> None:
        """Until cancelled, or the engine stops."""
        await patrol(self.walk, pause_seconds=PAUSE_SECONDS, put_off="Old identifiers of requests are forgotten later")

    async def walk(self) -> int:
        """Go through everything once; gives how many identifiers were forgotten."""
        before_us = self._now_us() - KEPT_US
        forgotten = 0
        after: int | None = 0
        while after is not None:
            page = await asyncio.to_thread(self._page, before_us, after)
            for begin in range(0, len(page.numbers), MOST_AT_ONCE):
                await self._forget(page.numbers[begin : begin + MOST_AT_ONCE])
            forgotten += len(page.numbers)
            after = page.next_after
        return forgotten

    def _page(self, before_us: int, after: int) -> OldIdentifiers:
        with self._readers.snapshot() as view:
            return view.old_client_ids(before_us=before_us, after=after, limit=MOST_ON_A_PAGE)

    async def _forget(self, numbers: tuple[int, ...]) -> None:
        decision = Decision(forgets=numbers)
        await self._submit(Request("forget identifiers", ENGINE_ACTOR, lambda view: decision, recorded=False))
