"""Time in the world, beside an oracle: whatever is due by then has happened, each at its moment, and nothing else has."""

import asyncio
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from procession import Function, after, now, process
from procession.testing import world as made

team = Function("Team", owner="ann@acme.example")


@team.service(attempts=1, timeout="100 days")
async def note(branch: int, round_: int, seconds: int) -> None:
    """Stubbed by the tests."""


@process(owner=team)
async def branches(waits: list[list[int]], works: list[int]) -> list[tuple[int, int, float]]:
    """Each branch waits and works in turn; gives when which round of which branch was over, in the order of that."""
    over: list[tuple[int, int, float]] = []
    began = now()

    async def branch(number: int) -> None:
        for round_, seconds in enumerate(waits[number]):
            await after(timedelta(seconds=seconds))
            await note(number, round_, works[number])
            over.append((number, round_, (now() - began).total_seconds()))

    async with asyncio.TaskGroup() as group:
        for number in range(len(waits)):
            group.create_task(branch(number))
    return over


def expected(waits: list[list[int]], works: list[int]) -> list[tuple[int, int, float]]:
    found = []
    for number, rounds in enumerate(waits):
        elapsed = 0
        for round_, seconds in enumerate(rounds):
            elapsed += seconds + works[number]
            found.append((number, round_, float(elapsed)))
    return found


SECONDS = st.integers(1, 3_000_000)
PLANS = st.lists(st.tuples(st.lists(SECONDS, min_size=1, max_size=4), st.integers(0, 5_000)), min_size=1, max_size=4)


@settings(max_examples=15)
@given(PLANS, st.lists(SECONDS, max_size=6), st.data())
def test_everything_happens_at_its_moment_however_time_is_made_to_pass(
    plans: list[tuple[list[int], int]], steps: list[int], data: st.DataObject
) -> None:
    waits, works = [each[0] for each in plans], [each[1] for each in plans]
    began: list[tuple[int, int]] = []

    async def work(branch: int, round_: int, seconds: int) -> None:
        began.append((branch, round_))
        await asyncio.sleep(seconds)

    with made() as world:
        world.stub(note).does(work)
        start = world.now
        run = world.person("ann").start(branches, waits, works)
        for step in steps:
            world.advance(timedelta(seconds=step))
            if data.draw(st.booleans(), label="crash"):
                world.crash()
            elapsed = (world.now - start).total_seconds()
            over = {(b, r) for b, r, at in expected(waits, works) if at <= elapsed}
            assert {(b, r) for b, r, at in expected(waits, works) if at - works[b] <= elapsed} == set(began)
            assert over <= set(began)
        while run.state == "running":
            world.advance()
        result = run.result()
    assert sorted(result) == sorted(expected(waits, works))
    assert [at for _, _, at in result] == sorted(at for _, _, at in result)


@process(owner=team)
async def monthly(months: int) -> float:
    began = now()
    for _ in range(months):
        await after("30 days")
    return (now() - began) / timedelta(days=1)


def test_years_pass_to_the_day() -> None:
    with made() as world:
        running = world.person("ann").start(monthly, 36)
        for _ in range(36):
            world.advance("30 days")
        assert running.result() == 1080
