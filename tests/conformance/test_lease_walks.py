"""Workers, leases, lost answers, time and restarts in any order: each call is done once, by who had it last.

Where a walk fails, its seed repeats it: `pytest tests/conformance/test_lease_walks.py -k "embedded-17]"`.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field

import pytest

from procession import Function, process
from procession.services.commands import (
    CompleteExternal,
    FailExternal,
    FetchExternal,
    HeartbeatExternal,
    RetryCall,
)
from procession.services.external import StaleLease
from procession.services.repairs import NothingToRetry
from tests.conformance.world import Host, World

MINUTE_US = 60_000_000
MOST = 3
STEPS = 60

team = Function("Team", owner="ann@acme.example")


@team.external(lease="10 minutes", attempts=MOST)
async def scan(number: int) -> int: ...


@process(owner=team)
async def file(number: int) -> int:
    return await scan(number)


@dataclass
class Lease:
    """A call in the model: who had it last, until when, how often, and what came of it."""

    fencing: int = 0
    until_us: int = 0
    attempts: int = 0
    result: int | None = None

    def is_offered(self, now_us: int) -> bool:
        return self.result is None and self.until_us <= now_us and self.attempts < MOST


@dataclass
class Walk:
    """One world and its model, changed in the same way. `tokens` are all that were ever given."""

    world: World
    chance: random.Random
    calls: dict[str, Lease] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)

    @property
    def now_us(self) -> int:
        return self.world.clock.wall_us()

    async def step(self) -> None:
        kind = self.chance.choices(
            ["start", "fetch", "complete", "fail", "heartbeat", "time", "retry", "restart"], [3, 6, 4, 2, 3, 5, 1, 1]
        )[0]
        if kind == "start":
            self.calls[await self.world.start(file, number=len(self.calls))] = Lease()
        elif kind == "fetch":
            await self._fetch()
        elif kind == "time":
            await self.world.pass_time("7 minutes")
        elif kind == "restart":
            await self.world.restart()
        elif kind == "retry" and self.calls:
            await self._retry()
        elif self.tokens and kind in ("complete", "fail", "heartbeat"):
            await self._use(kind)

    async def _fetch(self) -> None:
        limit = self.chance.choice((1, 2, 9))
        wanted = [name for name, lease in self.calls.items() if lease.is_offered(self.now_us)][:limit]
        answer = await self.world.give(FetchExternal("scan", "robot", limit), "robot")
        assert [call["instance"] for call in answer["calls"]] == wanted
        for call in answer["calls"]:
            lease = self.calls[call["instance"]]
            lease.fencing += 1
            lease.attempts += 1
            lease.until_us = self.now_us + 10 * MINUTE_US
            assert call["token"] == f"{call['instance']}:1:{lease.fencing}"
            self.tokens.append(call["token"])

    async def _use(self, kind: str) -> None:
        token = self.chance.choice(self.chance.choice((self.tokens, self.tokens[-3:])))
        name, fencing = token.split(":")[0], int(token.split(":")[2])
        lease = self.calls[name]
        if lease.result is not None:
            return
        value = self.chance.randrange(100)
        command = {
            "complete": CompleteExternal(token, json.dumps(value)),
            "fail": FailExternal(token, f"no {value}"),
            "heartbeat": HeartbeatExternal(token),
        }[kind]
        if fencing != lease.fencing:
            with pytest.raises(StaleLease):
                await self.world.give(command, "robot")
            return
        for _ in range(self.chance.choice((1, 2))):  # the answer was lost
            await self.world.give(command, "robot")
        if kind == "complete":
            lease.result = value
        elif kind == "fail":
            lease.until_us, lease.fencing = 0, lease.fencing + 1
        else:
            lease.until_us = max(lease.until_us, self.now_us + 10 * MINUTE_US)

    async def _retry(self) -> None:
        name = self.chance.choice(list(self.calls))
        lease = self.calls[name]
        if lease.result is not None:
            return
        if lease.until_us > self.now_us:
            with pytest.raises(NothingToRetry):
                await self.world.give(RetryCall(name, 1))
            return
        await self.world.give(RetryCall(name, 1))
        lease.attempts = lease.until_us = 0

    def compare(self) -> None:
        """All that can be seen is as the model has it, and every history replays."""
        spent = set()
        for name, lease in self.calls.items():
            if lease.result is not None:
                assert self.world.result(name) == lease.result
                continue
            (row,) = self.world.waits(name).external_calls
            assert (row.fencing, row.attempts, row.lease_until_us) == (lease.fencing, lease.attempts, lease.until_us)
            if lease.attempts >= MOST and lease.until_us <= self.now_us:
                spent.add(name)
        with self.world.view() as view:
            rows = view.external_attention(self.now_us)
            assert {view.instances.find(row.instance).name for row in rows} == spent  # type: ignore[union-attr]
        self.world.check()


@pytest.mark.parametrize("seed", range(12))
async def test_who_has_a_call_and_what_came_of_it_is_what_the_model_says(host: Host, seed: int) -> None:
    walk = Walk(await host.open(team, file), random.Random(seed))
    for _ in range(STEPS):
        await walk.step()
        walk.compare()
    assert any(lease.result is not None for lease in walk.calls.values())
