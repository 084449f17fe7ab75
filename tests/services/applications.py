"""Applications made in a test: each with a package name of its own, since all of them are imported into one Python."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from procession.engine.clock import Clock, SystemClock
from procession.services.application import Application, open_application
from procession.services.commands import Command, Order
from procession.services.hosting import Host, Hosting, open_host
from procession.services.scaffold import make_application
from procession.store import View

T = TypeVar("T")
_numbers = itertools.count(1)

OFFICE = '''\
import asyncio

from procession import Function, attribute, process, together

desk = Function("Desk", owner="ann@acme.example")
machine = Function("Machine", owner="ann@acme.example")


@desk.task(due="2 days", title="Read the letter")
async def read(letter: str) -> int:
    """How many pages does it have?"""
    ...


@machine.service(attempts=3)
async def weigh(letter: str) -> int:
    return len(letter)


async def both(letter: str) -> int:
    pages, grams = await together(read(letter), weigh(letter))
    return pages * grams


@process(owner=desk, title="{letter}")
async def receive(letter: str) -> int:
    attribute(length=len(letter))
    return await both(letter)


@process(owner=desk)
async def wait(seconds: int) -> str:
    await asyncio.sleep(seconds)
    return "done"
'''

NEITHER: dict[str, Any] = {"runs_services": False, "runs_timers": False}


@dataclass(frozen=True, slots=True)
class Made:
    """An application, and its source to change."""

    application: Application
    source: Path

    @asynccontextmanager
    async def at_work(self, **hosting: Any) -> AsyncIterator[Host]:
        """An engine in this process, which runs no service and no timer unless that is said."""
        async with open_host(self.application, Hosting(**NEITHER | hosting)) as host:
            yield host

    def perform(self, *commands: Command, actor: str = "ann", clock: Clock | None = None) -> list[dict[str, Any]]:
        """Have commands carried out by an engine of their own."""
        return asyncio.run(self.performed(*commands, actor=actor, clock=clock))

    async def performed(
        self, *commands: Command, actor: str = "ann", clock: Clock | None = None
    ) -> list[dict[str, Any]]:
        """The same, from inside a loop."""
        async with self.at_work(clock=clock or SystemClock()) as host:
            return [await give(host, command, actor=actor) for command in commands]


async def give(host: Host, command: Command, *, actor: str = "ann", reason: str | None = None) -> dict[str, Any]:
    """Have a command carried out by an engine that is at work."""
    return dict(await host.perform(Order(command, actor, reason)))


async def until(host: Host, holds: Callable[[View], T | None]) -> T:
    """Go on with what is due until this holds of the store; gives what it says. The test's own limit ends it."""
    while True:
        with host.engine.store.readers.snapshot() as view:
            if found := holds(view):
                return found
        await host.engine.apply_due()
        await asyncio.sleep(0.01)


def make_office(folder: Path, change: Callable[[str], str] = lambda text: text) -> Made:
    """An application with the process above."""
    name = f"office_in_a_test_{next(_numbers)}"
    made = make_application(folder / name)
    source = Path(made.folder) / name / "process.py"
    source.write_text(change(OFFICE))
    (Path(made.folder) / "organisation.toml").write_text('[people.ann]\nroles = ["Desk"]\n[people.bob]\nroles = []\n')
    return Made(open_application(Path(made.folder)), source)
