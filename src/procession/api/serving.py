"""An engine in service: services and timers run, the local socket takes commands, until a signal ends it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from procession.api.local import LocalSocket
from procession.api.protocol import socket_path_for
from procession.engine.contract import EngineStopped
from procession.engine.embedded import EmbeddedEngine
from procession.engine.turn import Notice
from procession.services.application import Application
from procession.services.following import SourceNews, follow_source
from procession.services.hosting import Host, Hosting, open_host

# A command that runs on its own engine keeps the lock for a moment.
WAIT_SECONDS = 5.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Served:
    """What whoever starts a server is told: that it is ready and where it listens, what happens, and that it ends.

    Where `source_changed` is told, the engine takes what is saved while it runs.
    """

    ready: Callable[[Path], None]
    ending: Callable[[], None]
    happened: Callable[[Notice], None] | None = None
    source_changed: Callable[[SourceNews], None] | None = None
    is_for_debugging: bool = False


async def serve(application: Application, served: Served) -> None:
    """Run the application's engine until SIGINT or SIGTERM; a second one ends the process at once, which loses nothing.

    Raises `StoreLocked` where another engine runs, whatever is wrong with the application or its store, and
    `EngineStopped` where the engine has to give up: whoever watches over the process starts it again.
    """
    with _ending_by_signal() as asked_to_end:
        hosting = Hosting(
            wait_seconds=WAIT_SECONDS,
            watch=served.happened,
            tells=True,
            is_for_debugging=served.is_for_debugging,
        )
        async with open_host(application, hosting) as host:
            listening = LocalSocket(host, socket_path_for(application.store))
            await listening.open()
            try:
                host.engine.store.lock.announce(str(listening.path))
                served.ready(listening.path)
                async with _following(application, host, served):
                    breakdown = await _first_of(asked_to_end, host.engine)
                served.ending()
            finally:
                await listening.close()
        if breakdown is not None:
            raise EngineStopped(
                breakdown, remedy="Start it again with `procession serve`: nothing acknowledged is lost."
            )


@asynccontextmanager
async def _following(application: Application, host: Host, served: Served) -> AsyncIterator[None]:
    """The source is followed until the end of the block, where somebody wants to be told."""
    if served.source_changed is None:
        yield
        return
    following = asyncio.create_task(follow_source(application, host, served.source_changed))
    try:
        yield
    finally:
        following.cancel()
        await asyncio.wait({following})


async def _first_of(asked_to_end: asyncio.Event, engine: EmbeddedEngine) -> str | None:
    """None once somebody asks to end; the reason if the engine gives up before."""
    asked = asyncio.create_task(asked_to_end.wait())
    broken = asyncio.create_task(engine.until_breakdown())
    await asyncio.wait({asked, broken}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if broken.done():
        return broken.result()
    broken.cancel()
    return None


@contextmanager
def _ending_by_signal() -> Iterator[asyncio.Event]:
    """Set at the first signal; from then on the system's own action, which is to end the process, is back."""
    loop = asyncio.get_running_loop()
    asked_to_end = asyncio.Event()

    def come() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        asked_to_end.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, come)
    try:
        yield asked_to_end
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
