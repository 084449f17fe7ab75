"""An engine in service: services and timers run, the local socket takes commands, until a signal ends it."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from procession.api.local import LocalSocket
from procession.api.protocol import socket_path_for
from procession.engine.turn import Notice
from procession.services.application import Application
from procession.services.hosting import Hosting, open_host

# A command that runs on its own engine keeps the lock for a moment.
WAIT_SECONDS = 5.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Served:
    """What whoever starts a server is told: that it is ready and where it listens, what happens, and that it ends."""

    ready: Callable[[Path], None]
    ending: Callable[[], None]
    happened: Callable[[Notice], None] | None = None


async def serve(application: Application, served: Served) -> None:
    """Run the application's engine until SIGINT or SIGTERM; a second one ends the process at once, which loses nothing.

    Raises `StoreLocked` where another engine runs, and whatever is wrong with the application or its store.
    """
    asked_to_end = _ends_on_signal()
    hosting = Hosting(wait_seconds=WAIT_SECONDS, watch=served.happened)
    async with open_host(application, hosting) as host:
        listening = LocalSocket(host.office, socket_path_for(application.store))
        await listening.open()
        try:
            host.engine.store.lock.announce(str(listening.path))
            served.ready(listening.path)
            await asked_to_end.wait()
            served.ending()
        finally:
            await listening.close()


def _ends_on_signal() -> asyncio.Event:
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
    return asked_to_end
