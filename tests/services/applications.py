"""Applications made in a test: each with a package name of its own, since all of them are imported into one Python."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from procession.engine.clock import Clock, SystemClock
from procession.services.application import Application, open_application
from procession.services.commands import Command, Order
from procession.services.hosting import Hosting, open_host
from procession.services.scaffold import make_application

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


@dataclass(frozen=True, slots=True)
class Made:
    """An application, and its source to change."""

    application: Application
    source: Path

    def perform(self, *commands: Command, actor: str = "ann", clock: Clock | None = None) -> list[dict[str, Any]]:
        """Have commands carried out by an engine that runs no service and no timer."""
        return asyncio.run(self._perform(commands, actor, clock or SystemClock()))

    async def _perform(self, commands: tuple[Command, ...], actor: str, clock: Clock) -> list[dict[str, Any]]:
        hosting = Hosting(runs_services=False, runs_timers=False, clock=clock)
        async with open_host(self.application, hosting) as host:
            return [dict(await host.office.perform(Order(command, actor))) for command in commands]


def make_office(folder: Path, change: Callable[[str], str] = lambda text: text) -> Made:
    """An application with the process above."""
    name = f"office_in_a_test_{next(_numbers)}"
    made = make_application(folder / name)
    source = Path(made.folder) / name / "process.py"
    source.write_text(change(OFFICE))
    (Path(made.folder) / "organisation.toml").write_text('[people.ann]\nroles = ["Desk"]\n[people.bob]\nroles = []\n')
    return Made(open_application(Path(made.folder)), source)
