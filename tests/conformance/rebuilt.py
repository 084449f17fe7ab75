"""An instance that is out of memory whenever it waits, and is rebuilt from its history for every event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from procession import Function, after, process
from tests.conformance.subject import Settings
from tests.conformance.world import Host, World

bystanders = Function("Bystanders", owner="ann@acme.example")


@process(owner=bystanders)
async def idle() -> None:
    """To start one puts whatever else is in memory out of it, where there is room for one."""
    await after("300 days")


async def opened(host: Host, team: Function, main: Callable[[], Awaitable[object]]) -> tuple[World, str]:
    """An instance of a process of this team with this body, whose result is what `str` makes of it; there is room in memory for one."""

    @process(owner=team)
    async def subject() -> str:
        return str(await main())

    world = await host.open(subject, idle, settings=Settings(most_live=1))
    name = await world.start(subject)
    await world.start(idle)
    return world, name
