"""What halts an instance, what fails it, when it ends, and the limits that stop it: laws 3, 6, 34 and 56."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from procession import Function, ProcessFailed, attribute, now, process, until
from procession.control import log
from procession.errors import OperationFailed
from procession.kernel import InstanceFailed
from procession.services.commands import CancelInstance, FailCall
from tests.conformance.test_halts import APPLICATION, mend
from tests.conformance.world import Host, Settings, World, module_from

# What halts, and what fails


async def run_branch(host: Host, error: BaseException, *, swallow: bool = False) -> tuple[World, str]:
    """An instance one of whose branches raises on the answer, beside one that waits for another person."""
    team = Function("Team", owner="ann@acme.example")

    @team.task()
    async def ask() -> int: ...

    @team.task()
    async def other() -> int: ...

    async def raising() -> None:
        await ask()
        raise error

    @process(owner=team)
    async def grouped() -> str:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(raising())
                group.create_task(other())
        except BaseException:
            if not swallow:
                raise
        return "done"

    world = await host.open(grouped)
    name = await world.start(grouped)
    await world.complete(name, 1, of="ask")
    return world, name


@pytest.mark.parametrize("error", [KeyError("typo"), RuntimeError("no"), AssertionError(), TypeError("None")])
async def test_a_bug_in_a_branch_halts_before_any_awaiter_sees_it_and_no_sibling_is_cancelled(
    host: Host, error: Exception
) -> None:
    world, name = await run_branch(host, error, swallow=True)

    assert world.state(name) == "halted"
    assert [item.operation for item in world.waits(name).items] == ["Team.other"]


@pytest.mark.parametrize("error", [ProcessFailed("on purpose"), OperationFailed("x", "y", "z")])
async def test_an_error_on_purpose_cancels_its_siblings_and_fails_the_instance(host: Host, error: Exception) -> None:
    world, name = await run_branch(host, error)

    assert world.state(name) == "failed"
    last = world.history(name)[-1]
    assert isinstance(last, InstanceFailed) and "ExceptionGroup" in last.failure.type_name
    assert world.waits(name).items == ()


async def test_calls_asked_for_on_a_bugs_way_up_are_not_made_and_the_first_is_named(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")

    @team.task()
    async def ask() -> int: ...

    @team.task()
    async def clean_up() -> int: ...

    @process(owner=team)
    async def careful() -> int:
        try:
            return await ask() // 0
        finally:
            await clean_up()

    world = await host.open(careful)
    name = await world.start(careful)
    await world.complete(name, 1)

    # The clean-up is what the code awaits; the bug comes out when it has been done.
    assert world.state(name) == "running"
    await world.complete(name, 1, of="clean_up")
    assert world.halt(name)["asked_meanwhile"] == 2


async def test_the_result_is_recorded_when_root_returns_and_the_instance_ends_with_its_last_branch(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")

    @team.task()
    async def ask() -> int: ...

    async def long() -> None:
        await ask()

    @process(owner=team)
    async def outlived() -> str:
        asyncio.create_task(long())
        return "early"

    world = await host.open(outlived)
    name = await world.start(outlived)
    assert (world.kinds(name)[-1], world.state(name)) == ("ResultRecorded", "running")

    await world.complete(name, 1)
    assert world.result(name) == "early"


async def test_a_root_that_fails_ends_every_branch_as_cancel_does(host: Host) -> None:
    seen: list[str] = []
    team = Function("Team", owner="ann@acme.example")

    @team.task()
    async def ask() -> int: ...

    @team.task()
    async def undo() -> int: ...

    async def waiting() -> None:
        try:
            await ask()
        except asyncio.CancelledError:
            seen.append("cancelled")
            await undo()
            raise

    @process(owner=team)
    async def failing() -> None:
        asyncio.create_task(waiting())
        raise ProcessFailed("enough")

    world = await host.open(failing)
    name = await world.start(failing)
    assert (world.state(name), seen) == ("running", ["cancelled"])

    await world.complete(name, 1, of="undo")
    assert world.state(name) == "failed"


async def test_a_fence_halts_even_where_the_code_swallows_it(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")
    target = host.folder / "out.txt"

    @process(owner=team)
    async def writing() -> str:
        for _ in range(2):
            try:
                target.write_text("x")
            except BaseException:
                log.info("swallowed")
        return "fine"

    world = await host.open(writing)
    name = await world.start(writing)

    assert world.halt(name)["code"] == "fence"
    assert not target.exists()


async def test_a_divergence_halts_even_where_the_code_swallows_it(host: Host) -> None:
    old = APPLICATION % "pass"
    new = (APPLICATION % "pass").replace(
        'number = await ask("how many?")',
        'number = 1\n    try:\n        number = await ask("what?")\n    except BaseException:\n        pass',
    )
    gate = asyncio.Event()
    module = module_from(host.folder / "conformance_app.py", old)
    module.__dict__["GATE"] = gate
    world = await host.open(source=module)
    name = await world.start("asking")
    await mend(world, host, gate, new)

    await world.complete(name, "x", of="also")

    assert world.halt(name)["code"] == "divergence"


# Limits


async def test_a_history_at_its_limit_halts_with_its_own_code_and_goes_on_with_a_higher_one(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")

    @team.task()
    async def ask() -> int: ...

    @process(owner=team)
    async def counting() -> int:
        return sum([await ask() for _ in range(10)])

    world = await host.open(counting)
    name = await world.start(counting)
    await world.restart(events_limit=12)
    while world.state(name) == "running":
        await world.complete(name, 1)
    assert world.halt(name)["code"] == "history-limit"
    assert world.row(name).seq < 16

    await world.restart(events_limit=100)
    await world.retry(name)
    while world.state(name) == "running":
        await world.complete(name, 1)
    assert world.result(name) == 10


async def test_an_instance_at_its_history_limit_can_be_cancelled(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")

    @team.task()
    async def ask() -> int: ...

    @process(owner=team)
    async def counting() -> int:
        return sum([await ask() for _ in range(10)])

    world = await host.open(counting)
    name = await world.start(counting)
    await world.restart(events_limit=2)
    await world.complete(name, 1)
    assert world.state(name) == "halted"

    await world.give(CancelInstance(name, force=True))
    assert world.state(name) == "cancelled"


async def test_a_command_over_the_payload_limit_halts(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")

    @team.task()
    async def read(text: str) -> int: ...

    @process(owner=team)
    async def verbose() -> int:
        return await read("x" * 1_000_001)

    world = await host.open(verbose)
    name = await world.start(verbose)

    assert world.state(name) == "halted"
    assert world.halt(name)["code"] == "payload-limit"


async def test_a_result_of_the_process_over_the_payload_limit_halts(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")

    @process(owner=team)
    async def verbose() -> str:
        return "x" * 1_000_001

    world = await host.open(verbose)
    name = await world.start(verbose)

    assert world.state(name) == "halted"
    assert json.dumps(world.halt(name)).count("x") < 10_000


async def test_attributes_over_the_payload_limit_halt(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")

    @process(owner=team)
    async def verbose() -> None:
        attribute(**{f"name{number}": "x" * 100_000 for number in range(11)})

    world = await host.open(verbose)
    name = await world.start(verbose)

    assert world.halt(name)["code"] == "payload-limit"


async def test_an_operator_may_fail_a_call_of_an_instance_at_its_history_limit(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")

    @team.task()
    async def ask() -> int: ...

    @process(owner=team)
    async def asking() -> int:
        return await ask()

    world = await host.open(asking)
    name = await world.start(asking)
    await world.restart(events_limit=2)
    await world.give(FailCall(name, 1, "enough"))
    assert world.state(name) == "failed"


async def test_a_loop_that_waits_for_moments_that_have_passed_halts_and_the_others_go_on(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")

    @process(owner=team)
    async def spinning() -> None:
        while True:
            await until(datetime(2020, 1, 1, tzinfo=UTC))

    @process(owner=team)
    async def sleeping() -> str:
        await asyncio.sleep(60)
        return "woken"

    world = await host.open(spinning, sleeping, settings=Settings(runs_timers=False))
    bad, good = await world.start(spinning), await world.start(sleeping)
    await world.restart(runs_timers=True)
    await world.pass_time("1 hour")

    assert world.halt(bad)["code"] == "no-progress"
    assert world.result(good) == "woken"


async def test_an_instance_that_makes_up_for_many_missed_moments_goes_on(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")

    @process(owner=team)
    async def daily() -> int:
        moment, count = now(), 0
        while moment < datetime(2027, 3, 1, tzinfo=UTC):
            moment += timedelta(days=1)
            await until(moment)
            count += 1
        return count

    world = await host.open(daily)
    name = await world.start(daily)
    await world.pass_time("500 days")

    assert world.result(name) == 365


async def test_many_timers_that_were_set_before_are_no_loop_though_each_sets_another(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("procession.engine.due_timers.MOST_TIMERS_WITHOUT_TIME", 10)
    team = Function("Team", owner="ann@acme.example")

    @process(owner=team)
    async def reminding() -> int:
        async def remind(number: int) -> int:
            await asyncio.sleep(60 + number)
            if number % 10 == 0:
                await until(datetime(2020, 1, 1, tzinfo=UTC))
            return 1

        return sum(await asyncio.gather(*(remind(number) for number in range(60))))

    world = await host.open(reminding)
    name = await world.start(reminding)
    world.skip("1 day")
    await world.pass_time("1 minute")

    assert world.result(name) == 60
