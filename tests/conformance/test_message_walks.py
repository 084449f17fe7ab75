"""Messages, receives, time, cancellations and restarts in any order: who gets what is what a model of a page says.

Where a walk fails, its seed repeats it: `pytest tests/conformance/test_message_walks.py -k "embedded-17]"`.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field

import pytest

from procession import Elapsed, Function, after, pick, process, publish, receive, together
from procession.kernel import CallCompleted
from procession.services.commands import CancelInstance, SendMessage
from tests.conformance.world import Host, World

KEYS = ("a", "b")
COLOURS = ("red", "blue")
ANY = "any"
DAY_US = 86_400_000_000
STEPS = 30


@dataclass(frozen=True)
class Note:
    number: int
    colour: str = "red"


team = Function("Team", owner="ann@acme.example")


@process(owner=team)
async def collect(key: str) -> list[int]:
    return [(await receive(Note, key=key)).number for _ in range(3)]


@process(owner=team)
async def pair(key: str) -> int:
    one, other = await together(receive(Note, key=key), receive(Note, key=key))
    return one.number + other.number


@process(owner=team)
async def hurried(key: str) -> int:
    match await pick(receive(Note, key=key), after("1 day")):
        case Elapsed():
            return 0
        case Note(number=number):
            return number


@process(owner=team)
async def choosy(key: str) -> list[int]:
    return [(await receive(Note, key=key, where={"colour": "blue"})).number for _ in range(2)]


@process(owner=team)
async def colourful(key: str) -> int:
    notes = await together(*(receive(Note, key=key, where={"colour": each}) for each in COLOURS))
    return sum(note.number for note in notes)


@process(owner=team)
async def tell(key: str, number: int, colour: str, expires: str) -> None:
    publish(Note(number, colour), key=key, expires=expires)


@dataclass
class Waiting:
    """An instance in the model: the colours that it still wants, how many receives stand open, until when, and what it got."""

    key: str
    wants: list[str]
    open: int
    until_us: int | None
    got: list[int] = field(default_factory=list)

    def would_take(self, colour: str) -> bool:
        return any(wish in (ANY, colour) for wish in self.wants[: self.open])


KINDS: dict[str, tuple[list[str], int]] = {
    "collect": ([ANY] * 3, 1),
    "pair": ([ANY] * 2, 2),
    "hurried": ([ANY], 1),
    "choosy": (["blue"] * 2, 1),
    "colourful": (list(COLOURS), 2),
}
"""Of each process, the receives that it makes, and how many of them stand open at once."""


@dataclass
class Model:
    """Who gets which message: laws 13 and 57, without a store."""

    instances: dict[str, Waiting] = field(default_factory=dict)
    kept: list[tuple[int, str, str, int]] = field(default_factory=list)

    def start(self, name: str, kind: str, key: str, now_us: int) -> None:
        wants, at_once = KINDS[kind]
        until_us = now_us + DAY_US if kind == "hurried" else None
        one = self.instances[name] = Waiting(key, list(wants), at_once, until_us)
        while found := self._first_kept(one, now_us):
            self.kept.remove(found)
            self._receive(one, found[0], found[1])

    def send(self, number: int, colour: str, key: str, expires_us: int) -> None:
        waiting = [one for one in self.instances.values() if one.key == key and one.would_take(colour)]
        for one in waiting:
            self._receive(one, number, colour)
        if not waiting:
            self.kept.append((number, colour, key, expires_us))

    def time_is(self, now_us: int) -> None:
        for one in self.instances.values():
            if one.until_us is not None and one.until_us <= now_us:
                one.open = 0
        self.kept = [message for message in self.kept if message[3] > now_us]

    def _first_kept(self, one: Waiting, now_us: int) -> tuple[int, str, str, int] | None:
        """What the receive that was asked for first finds; where that finds nothing, the next."""
        for wish in one.wants[: one.open]:
            for message in self.kept:
                if wish in (ANY, message[1]) and message[2] == one.key and message[3] > now_us:
                    return message
        return None

    def _receive(self, one: Waiting, number: int, colour: str) -> None:
        one.got.append(number)
        one.wants.remove(next(wish for wish in one.wants[: one.open] if wish in (ANY, colour)))
        one.open = min(one.open, len(one.wants))


class Walk:
    """One world and its model, changed in the same way."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        self.model = Model()
        self.sent = 0

    async def step(self) -> None:
        kind = self.chance.choices(
            [*KINDS, "send", "tell", "time", "cancel", "restart"], [3, 2, 2, 2, 2, 7, 7, 4, 1, 1]
        )[0]
        key, now_us = self.chance.choice(KEYS), self.world.clock.wall_us()
        if kind in ("send", "tell"):
            await self._send(kind, key, now_us)
        elif kind == "time":
            await self.world.pass_time("7 hours")
            self.model.time_is(self.world.clock.wall_us())
        elif kind == "restart":
            await self.world.restart()
        elif kind == "cancel":
            await self._cancel()
        else:
            self.model.start(await self.world.start(kind, key=key), kind, key, now_us)

    async def _send(self, kind: str, key: str, now_us: int) -> None:
        self.sent += 1
        days = self.chance.choice((1, 2))
        colour = self.chance.choice(COLOURS)
        self.model.send(self.sent, colour, key, now_us + days * DAY_US)
        note, expires = {"number": self.sent, "colour": colour}, f"{days} days"
        if kind == "send":
            await self.world.give(SendMessage("Note", key, json.dumps(note), expires))
        else:
            await self.world.start(tell, key=key, expires=expires, **note)

    async def _cancel(self) -> None:
        names = [name for name, one in self.model.instances.items() if one.open]
        if names:
            name = self.chance.choice(names)
            await self.world.give(CancelInstance(name, force=True))
            self.model.instances[name].open = 0

    async def compare(self) -> None:
        """All that can be seen is as the model has it, and every history replays."""
        world, now_us = self.world, self.world.clock.wall_us()
        await world.running.apply_due()  # what was too much for one transaction
        for name, one in self.model.instances.items():
            got = [json.loads(e.value)["number"] for e in world.history(name) if isinstance(e, CallCompleted)]
            assert (got, len(world.waits(name).receives)) == (one.got, one.open), name
        with world.view() as view:
            kept = [(row.payload, row.key, row.expires_us) for row in view.kept_messages(now_us)]
        assert [(*json.loads(payload).values(), *rest) for payload, *rest in kept] == self.model.kept
        world.check()


@pytest.mark.usefixtures("in_step")
@pytest.mark.parametrize("seed", range(12))
async def test_who_gets_which_message_is_what_the_model_says(host: Host, seed: int) -> None:
    world = await host.open(team, Note, collect, pair, hurried, choosy, colourful, tell)
    walk = Walk(world, random.Random(seed))
    for _ in range(STEPS):
        await walk.step()
        await walk.compare()
    assert sum(len(one.got) for one in walk.model.instances.values()) > 2
