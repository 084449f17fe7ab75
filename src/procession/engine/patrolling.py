"""What the engine does again and again beside its work: look through the store, then pause."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from procession.engine.clock import ClockNotTrusted
from procession.engine.contract import EngineStopped
from procession.errors import StoreError

log = logging.getLogger("procession.engine")


async def patrol(walk: Callable[[], Awaitable[object]], *, pause_seconds: float, put_off: str) -> None:
    """Until cancelled, or the engine stops: walk, then pause. What fails at the moment is put off to the next time."""
    while True:
        try:
            await walk()
        except EngineStopped:
            return
        except (ClockNotTrusted, StoreError) as error:
            log.warning("%s: %s", put_off, error)
        await asyncio.sleep(pause_seconds)
