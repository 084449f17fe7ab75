"""Removes messages that nobody took in their time. Until it does, nobody can take them any more either."""

import asyncio
from collections.abc import Callable, Coroutine

from procession.engine.contract import Accepted, Decision, Request, View
from procession.engine.due_work import ENGINE_ACTOR
from procession.engine.patrolling import patrol
from procession.store.readers import Readers

PAUSE_SECONDS = 600.0
MOST_AT_ONCE = 100


class MessagePatrol:
    """Looks now and then for messages whose time is over, and has them removed; the log keeps a line of each."""

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
        await patrol(self.walk, pause_seconds=PAUSE_SECONDS, put_off="Expired messages are removed later")

    async def walk(self) -> int:
        """Have all that is expired removed; gives how many messages those were."""
        removed = 0
        while await asyncio.to_thread(self._are_expired):
            accepted = await self._submit(Request("expire messages", ENGINE_ACTOR, _decide, recorded=False))
            number = accepted.outcome["expired"]
            assert isinstance(number, int)
            removed += number
            if number == 0:
                break
        return removed

    def _are_expired(self) -> bool:
        with self._readers.snapshot() as view:
            return bool(view.expired_messages(self._now_us(), limit=1))


def _decide(view: View) -> Decision:
    found = tuple(row.id for row in view.expired_messages(limit=MOST_AT_ONCE))
    return Decision(outcome={"expired": len(found)}, expires=found)
