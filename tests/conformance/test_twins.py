"""Two worlds are told the same: one is restarted at any moment and has room for one instance, the other is left in peace.

Every order has the same answer in both, and in the end both have the same histories.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest

from procession.errors import ProcessionError
from procession.services.commands import Command, StartInstance
from tests.conformance import test_walks as walks
from tests.conformance.subject import Settings
from tests.conformance.test_restarts import told
from tests.conformance.test_walks import IS_BROKEN, WORKS, Walk, grouped, looping, racing
from tests.conformance.world import Host, World

NOT_COMPARED = {"uuid"}


class Twins:
    """What is done to both worlds; `walk` thinks of it, and looks at the one that is left in peace."""

    def __init__(self, quiet: World, restless: World, seed: int) -> None:
        self.walk = Walk(quiet, seed, may_diverge=False)
        self.quiet, self.restless = quiet, restless
        self.chance = random.Random(seed)
        self.answers = 0

    @property
    def both(self) -> tuple[World, World]:
        return self.quiet, self.restless

    async def order(self) -> None:
        command = self.walk.command()
        actor = self.walk.actor(getattr(command, "item", None))
        client = f"c-{self.answers}" if self.chance.random() < 0.3 else None
        for _ in range(2 if client and self.chance.random() < 0.2 else 1):
            of_quiet, of_restless = [await self.given(world, command, actor, client) for world in self.both]
            assert of_quiet == of_restless
            self.answers += 1
        if (
            isinstance(command, StartInstance)
            and "instance" in of_quiet
            and of_quiet["instance"] not in self.walk.names
        ):
            self.walk.names.append(str(of_quiet["instance"]))

    async def given(self, world: World, command: Command, actor: str, client: str | None) -> dict[str, object]:
        try:
            answer = await world.give(command, actor, client_id=client)
        except ProcessionError as refusal:
            return {"refused": refusal.code, "with": str(refusal)}
        return {name: value for name, value in answer.items() if name not in NOT_COMPARED}

    async def restart(self) -> None:
        await self.restless.close(at_once=self.chance.random() < 0.5)
        await self.restless.restart(most_live=1)

    async def change_source(self) -> None:
        walks.source = WORKS if walks.source == IS_BROKEN else IS_BROKEN
        for world in self.both:
            await world.restart()

    async def pass_time(self) -> None:
        written = self.chance.choice(["1 second", "1 hour", "1 day"])
        for world in self.both:
            await world.pass_time(written)

    async def step(self) -> None:
        kinds: list[Callable[[], Awaitable[None]]] = [self.order, self.restart, self.change_source, self.pass_time]
        await self.chance.choices(kinds, [20, 4, 1, 3])[0]()
        for world in self.both:
            await world.until_settled(*self.walk.names)

    def compare(self) -> None:
        """Nothing that is recorded differs, but what is random by design."""
        for name in self.walk.names:
            assert list(map(told, self.quiet.history(name))) == list(map(told, self.restless.history(name)))
            assert self.quiet.attributes(name) == self.restless.attributes(name)
        assert self.seen_of_work(self.quiet) == self.seen_of_work(self.restless)

    def seen_of_work(self, world: World) -> list[object]:
        with world.view() as view:
            rows = [row for number in range(1, 200) if (row := view.worklist.find(number)) is not None]
            events = [(each.kind, each.actor, each.at_us) for row in rows for each in view.worklist.events(row.id)]
        return [[row._replace(uuid=b"", head=b"") for row in rows], events]


async def lived(host: Host, seed: int, steps: int) -> Twins:
    walks.source, walks.faults = WORKS, seed
    quiet = await host.open(grouped, racing, looping)
    restless = await host.open(grouped, racing, looping, settings=Settings(most_live=1))
    twins = Twins(quiet, restless, seed)
    for _ in range(steps):
        await twins.step()
    twins.compare()
    walks.source = WORKS
    return twins


@pytest.mark.parametrize("seed", range(4))
async def test_restarts_and_evictions_change_no_answer_and_no_history(host: Host, seed: int) -> None:
    twins = await lived(host, seed, 100)

    assert twins.answers > 40
