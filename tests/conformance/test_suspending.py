"""An instance that a person has stand still: its items refuse, what comes for it waits, and its timers run or stop (law 45)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from procession import Function, after, deadline, process
from procession.engine.contract import InstanceIsHalted
from procession.engine.suspending import InstanceIsSuspended
from procession.kernel import InstanceResumed
from procession.services.commands import (
    CancelInstance,
    ClaimItem,
    CompleteItem,
    Pause,
    ResumeInstance,
    SaveDraft,
    SuspendInstance,
    Unpause,
)
from procession.services.pausing import NotSuspended
from procession.services.scopes import IsPaused, NothingToPause
from tests.conformance.test_halts import halted
from tests.conformance.world import Host, World

team = Function("Team", owner="ann@acme.example")


@team.task(due="2 days")
async def answer(question: str) -> str: ...


@process(owner=team)
async def patient(question: str) -> str:
    try:
        async with asyncio.timeout(86_400):
            return await answer(question)
    except TimeoutError:
        return "late"


async def suspended(host: Host, *, timers: str = "run") -> tuple[World, str]:
    """An instance with an item and a deadline, standing still."""
    world = await host.open(team, patient)
    name = await world.start(patient, question="why?")
    given = await world.give(SuspendInstance(name, timers), "rita", reason="the audit")
    assert given["state"] == "suspended"
    return world, name


async def test_an_item_of_a_suspended_instance_refuses_with_a_sentence(host: Host) -> None:
    world, name = await suspended(host)
    item = world.item(name).id
    for command in (CompleteItem(item, '"so"'), ClaimItem(item), SaveDraft(item, '"s'), CancelInstance(name)):
        with pytest.raises(InstanceIsSuspended, match="suspended by rita: the audit"):
            await world.give(command)
    await world.give(ResumeInstance(name))
    await world.complete(name, "so")
    assert world.result(name) == "so"


@pytest.mark.parametrize("restarted", [False, True])
async def test_timers_that_run_are_applied_when_it_is_resumed(host: Host, restarted: bool) -> None:
    world, name = await suspended(host)
    await world.pass_time("3 days")
    assert world.state(name) == "suspended"
    if restarted:
        await world.restart(team, patient)
    given = await world.give(ResumeInstance(name))
    assert given["state"] == "completed"
    assert world.result(name) == "late"


@pytest.mark.parametrize("restarted", [False, True])
async def test_timers_that_stop_and_due_dates_are_later_by_the_pause(host: Host, restarted: bool) -> None:
    world, name = await suspended(host, timers="stop")
    due_us = world.item(name).due_us
    assert due_us is not None
    await world.pass_time("3 days")
    if restarted:
        await world.restart(team, patient)
    await world.give(ResumeInstance(name))
    pause_us = 3 * 86_400 * 1_000_000
    assert InstanceResumed(world.row(name).now_us, pause_us) in world.history(name)
    assert world.item(name).due_us == due_us + pause_us
    await world.pass_time("23 hours")
    assert world.state(name) == "running"
    await world.pass_time("1 hour")
    assert world.result(name) == "late"


async def test_an_attempt_under_way_ends_and_its_result_waits(host: Host) -> None:
    gate, attempts = asyncio.Event(), []

    @team.service()
    async def look_up() -> str:
        attempts.append(1)
        await gate.wait()
        return "found"

    @process(owner=team)
    async def searching() -> str:
        return await look_up()

    world = await host.open(team, searching)
    name = await world.start(searching)
    await world.until(lambda: attempts)
    await world.give(SuspendInstance(name))
    gate.set()
    await world.until(lambda: world.waits(name).waiting_events)
    assert (world.state(name), world.waits(name).service_calls) == ("suspended", ())
    await world.give(ResumeInstance(name))
    assert world.result(name) == "found"


async def test_no_attempt_begins_while_it_is_suspended_and_a_failed_one_waits(host: Host) -> None:
    gate, attempts = asyncio.Event(), []

    @team.service(backoff=timedelta(milliseconds=1))
    async def connect() -> str:
        attempts.append(1)
        await gate.wait()
        if len(attempts) == 1:
            raise ConnectionError("down")
        return "up"

    @process(owner=team)
    async def connecting() -> str:
        return await connect()

    world = await host.open(team, connecting)
    name = await world.start(connecting)
    await world.until(lambda: attempts)
    await world.give(SuspendInstance(name))
    gate.set()
    await world.until(lambda: [call.state for call in world.waits(name).service_calls] == ["suspended"])
    await world.pass_time("1 day")
    await world.restart(team, connecting)
    await world.pass_time("1 day")
    assert len(attempts) == 1
    await world.give(ResumeInstance(name))
    await world.running.apply_due()
    await world.until_ended(name)
    assert world.result(name) == "up"


async def test_suspending_twice_is_suspending_once_and_one_that_runs_cannot_be_resumed(host: Host) -> None:
    world, name = await suspended(host)
    length = len(world.history(name))
    assert (await world.give(SuspendInstance(name, "stop")))["state"] == "suspended"
    assert len(world.history(name)) == length
    await world.give(ResumeInstance(name))
    with pytest.raises(NotSuspended):
        await world.give(ResumeInstance(name))


async def test_a_suspended_instance_is_ended_by_force(host: Host) -> None:
    world, name = await suspended(host, timers="stop")
    assert (await world.give(CancelInstance(name, force=True)))["state"] == "cancelled"


async def test_a_halted_instance_stands_still_already(host: Host) -> None:
    world, name, _ = await halted(host)
    with pytest.raises(InstanceIsHalted, match="already"):
        await world.give(SuspendInstance(name))


async def test_what_waits_is_applied_in_the_order_in_which_it_came(host: Host) -> None:
    @team.service()
    async def at_once() -> str:
        return "at once"

    @process(owner=team)
    async def racing() -> list[str]:
        came: list[str] = []

        async def waits(hours: int) -> None:
            await after(timedelta(hours=hours))
            came.append(str(hours))

        await asyncio.gather(waits(3), waits(1), waits(2))
        return came

    world = await host.open(team, racing)
    name = await world.start(racing)
    await world.give(SuspendInstance(name))
    await world.pass_time("1 day")
    await world.give(ResumeInstance(name))
    assert world.result(name) == ["1", "2", "3"]


async def test_suspending_acts_on_the_tree(host: Host) -> None:
    @process(owner=team)
    async def asking_twice(question: str) -> list[str]:
        return [await patient(question), await answer(question)]

    world = await host.open(team, patient, asking_twice)
    name = await world.start(asking_twice, question="why?")
    await world.give(SuspendInstance(name, "stop"))
    assert world.state("patient-1") == "suspended"
    await world.pass_time("3 days")
    await world.give(ResumeInstance(name))
    await world.complete("patient-1", "so")
    await world.complete(name, "and so")
    assert world.result(name) == ["so", "and so"]


@process(owner=team)
async def halve(question: str) -> str:
    await asyncio.sleep(3_600)
    assert MENDED, "not yet"
    return await answer(question)


@process(owner=team)
async def middle(question: str) -> str:
    return await halve(question)


@process(owner=team)
async def top(question: str) -> str:
    return await middle(question)


MENDED: list[bool] = []


@pytest.fixture(autouse=True)
def broken_at_first() -> None:
    MENDED.clear()


@pytest.mark.parametrize("timers", ["run", "stop"])
async def test_a_halted_one_below_a_suspended_one_stands_still_with_it_once_it_is_mended(
    host: Host, timers: str
) -> None:
    world = await host.open(team, halve, middle, top)
    name = await world.start(top, question="why?")
    await world.pass_time("1 hour")
    assert world.state("halve-1") == "halted"
    await world.give(SuspendInstance(name, timers))
    await world.pass_time("2 days")
    MENDED.append(True)
    assert (await world.retry("halve-1"))["state"] == "suspended"
    due_us = world.item("halve-1").due_us
    with pytest.raises(InstanceIsSuspended):
        await world.complete("halve-1", "so")
    await world.pass_time("1 day")
    await world.give(ResumeInstance(name))
    assert [world.state(each) for each in (name, "middle-1", "halve-1")] == ["running"] * 3
    assert due_us is not None
    moved_us = 86_400 * 1_000_000 if timers == "stop" else 0
    assert world.item("halve-1").due_us == due_us + moved_us, "it stood still with the others for a day only"
    await world.complete("halve-1", "so")
    assert world.result(name) == "so"


async def test_what_waits_for_a_halted_one_goes_on_waiting_where_it_is_mended_below_a_suspended_one(host: Host) -> None:
    @process(owner=team)
    async def hurried(question: str) -> str:
        try:
            async with asyncio.timeout(86_400):
                await asyncio.sleep(3_600)
                assert MENDED, "not yet"
                return await answer(question)
        except TimeoutError:
            return "late"

    @process(owner=team)
    async def over(question: str) -> str:
        return await hurried(question)

    world = await host.open(team, hurried, over)
    name = await world.start(over, question="why?")
    await world.pass_time("1 hour")
    await world.give(SuspendInstance(name))
    await world.pass_time("2 days")
    MENDED.append(True)
    await world.retry("hurried-1")
    assert len(world.waits("hurried-1").waiting_events) == 1
    await world.give(ResumeInstance(name))
    assert (world.result("hurried-1"), world.result(name)) == ("late", "late")


GATE: list[asyncio.Event] = []


@team.service(timeout="1 hour")
async def slow(question: str) -> str:
    await GATE[0].wait()
    return question


@pytest.mark.parametrize("how", ["awake", "suspended"])
@pytest.mark.parametrize("main", ["alone", "above"])
async def test_what_came_in_time_below_decides_above_although_both_stood_still_meanwhile(
    host: Host, how: str, main: str
) -> None:
    GATE[:] = [asyncio.Event()]

    @process(owner=team)
    async def below(question: str) -> str:
        return await slow(question)

    @process(owner=team)
    async def within_days(question: str) -> str:
        try:
            async with deadline("2 days"):
                return await (slow(question) if main == "alone" else below(question))
        except TimeoutError:
            return "late"

    world = await host.open(team, below, within_days)
    name = await world.start(within_days, question="so?")
    called = name if main == "alone" else "below-1"
    await world.until(lambda: [call.state for call in world.waits(called).service_calls] == ["running"])
    if how == "suspended":
        await world.give(SuspendInstance(name))
    GATE[0].set()
    await world.until(lambda: not world.waits(called).service_calls)
    await world.pass_time("3 days")
    if how == "suspended":
        await world.give(ResumeInstance(name))
    assert world.result(name) == "so?"


async def test_a_halted_one_of_a_paused_process_and_its_children_stand_still_once_it_is_mended(host: Host) -> None:
    @process(owner=team)
    async def asking_first(question: str) -> str:
        asked = asyncio.create_task(patient(question))
        await asyncio.sleep(3_600)
        assert MENDED, "not yet"
        return await asked

    world = await host.open(team, asking_first, patient)
    name = await world.start(asking_first, question="why?")
    await world.pass_time("1 hour")
    await world.give(Pause("process", "asking_first"))
    assert (world.state(name), world.state("patient-1")) == ("halted", "running")
    MENDED.append(True)
    await world.retry(name)
    assert (world.state(name), world.state("patient-1")) == ("suspended", "suspended")
    await world.give(Unpause("process", "asking_first"))
    assert (world.state(name), world.state("patient-1")) == ("running", "running")
    await world.complete("patient-1", "so")
    assert world.result(name) == "so"


@process(owner=team)
async def plain(question: str) -> str:
    return await answer(question)


async def test_a_pause_outlives_a_renaming_and_is_lifted_under_the_new_name(host: Host) -> None:
    world = await host.open(team, plain)
    name = await world.start(plain, question="why?")
    await world.give(Pause("process", "plain"))

    @process(owner=team, was=("plain",))
    async def calm(question: str) -> str:
        return await answer(question)

    @process(owner=team)
    async def asking_calmly(question: str) -> str:
        return await calm(question)

    await world.restart(team, calm, asking_calmly)
    with pytest.raises(IsPaused, match="The process calm is paused by ann"):
        await world.start(calm, question="why?")
    await world.start(asking_calmly, question="why?")
    assert world.state("calm-1") == "suspended"
    assert (await world.give(Unpause("process", "calm")))["instances"] == 2
    assert (world.state(name), world.state("calm-1")) == ("running", "running")
    assert world.state(await world.start(calm, question="why?")) == "running"
    with pytest.raises(NothingToPause):
        await world.give(Unpause("process", "plain"))


async def test_a_process_that_was_paused_before_its_renaming_is_paused_once(host: Host) -> None:
    world = await host.open(team, plain)
    await world.give(Pause("process", "plain"))

    @process(owner=team, was=("plain",))
    async def calm(question: str) -> str:
        return await answer(question)

    await world.restart(team, calm)
    await world.give(Pause("process", "calm"))
    await world.give(Unpause("process", "plain"))
    assert world.state(await world.start(calm, question="why?")) == "running"


async def test_a_pause_of_what_is_gone_is_lifted_under_the_name_it_had(host: Host) -> None:
    world = await host.open(team, plain)
    name = await world.start(plain, question="why?")
    await world.give(Pause("process", "plain"))
    await world.give(Pause("operation", "Team.answer"))
    await world.restart(Function("Team", owner="ann@acme.example"))
    await world.give(Unpause("operation", "Team.answer"))
    await world.give(Unpause("process", "plain"))
    assert world.state(name) == "running"
    await world.restart(team, plain)
    await world.complete(name, "so")


async def test_work_at_an_operation_that_was_paused_before_its_renaming_is_refused(host: Host) -> None:
    world = await host.open(team, plain)
    name = await world.start(plain, question="why?")
    await world.give(Pause("operation", "Team.answer"))
    renamed = Function("Team", owner="ann@acme.example")

    @renamed.task(was=("answer",))
    async def reply(question: str) -> str: ...

    @process(owner=renamed, was=("plain",))
    async def plain_still(question: str) -> str:
        return await reply(question)

    await world.restart(renamed, plain_still)
    later = await world.start(plain_still, question="why?")
    for each in (name, later):
        with pytest.raises(IsPaused, match=r"The operation Team\.reply is paused"):
            await world.complete(each, "so")
    await world.give(Unpause("operation", "Team.reply"))
    await world.complete(name, "so")
