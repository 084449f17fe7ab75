"""Processes that call processes: laws 43, 29 and 23."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from procession import Function, ProcessFailed, after, deadline, process
from procession.engine import delivering
from procession.engine.contract import Request
from procession.engine.turn import Turn
from procession.errors import OperationFailed
from procession.kernel import ChildEnded, InstanceCompleted
from procession.language.process import Process
from procession.services.commands import CancelInstance, ResumeInstance, SuspendInstance
from procession.services.pausing import suspension
from procession.work.worklist import ItemEnded
from tests.conformance.world import Host, World


class OutOfStock(ProcessFailed):
    pass


class Declined(Exception):
    pass


team = Function("Team", owner="ann@acme.example")


@team.task()
async def check(order: str) -> bool: ...


@team.task()
async def clean_up(order: str) -> bool: ...


@team.task()
async def confirm(what: str) -> str: ...


@team.service(raises=[Declined])
async def pay(amount: int) -> None:
    if amount < 0:
        raise Declined("no")


@process(owner=team, title="Delivery of {order}", key="{order}")
async def deliver(order: str) -> str:
    if not await check(order):
        raise OutOfStock(order)
    return f"{order} delivered"


@process(owner=team)
async def buy(order: str) -> str:
    try:
        return await deliver(order)
    except OperationFailed as error:
        return f"{type(error).__name__} {error.type_name.rpartition('.')[2]} {error.message}"


@process(owner=team)
async def refund(amount: int) -> str:
    await pay(amount)
    return "paid"


@process(owner=team)
async def ask_refund(amount: int) -> str:
    try:
        return await refund(amount)
    except Declined as error:
        return f"declined: {error}"


@process(owner=team)
async def tidy(order: str) -> str:
    try:
        await check(order)
    finally:
        await clean_up(order)
    return "checked"


@process(owner=team)
async def hurried(order: str) -> str:
    try:
        async with deadline("2 days"):
            return await tidy(order)
    except TimeoutError:
        return "too late"


@process(owner=team)
async def both(orders: list[str]) -> list[str]:
    calls = [deliver.request(order) for order in orders]
    return [await call for call in calls]


@process(owner=team)
async def announce(order: str) -> str:
    name = await tidy.start(order)
    await confirm(name)
    return name


@process(owner=team)
async def launch(order: str) -> str:
    try:
        return await deliver.start(order)
    except OperationFailed as error:
        return error.message


@process(owner=team)
async def countdown(number: int) -> int:
    return 0 if number == 0 else 1 + await countdown(number - 1)


@process(owner=team)
async def endless(number: int) -> int:
    return await endless(number + 1)


@process(owner=team)
async def sleepy(days: str) -> str:
    try:
        async with deadline("2 days"):
            return await doze(days)
    except TimeoutError:
        return "too late"


@process(owner=team)
async def doze(days: str) -> str:
    await after(days)
    return "rested"


ALL = (team, doze, sleepy, deliver, buy, refund, ask_refund, tidy, hurried, both, announce, launch, countdown, endless)


@pytest.fixture(params=[True, False], ids=["in the same transaction", "as due work"])
def in_step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether what one instance does to another is applied at once, or each thing on its own."""
    if not request.param:
        monkeypatch.setattr("procession.engine.delivering.MOST_AT_ONCE", 0)
    return bool(request.param)


async def opened(host: Host, *declared: object) -> World:
    return await host.open(*(declared or ALL))


async def start(world: World, of: Process[..., object], **inputs: object) -> str:
    name = await world.start(of, **inputs)
    await world.running.apply_due()
    return name


async def complete(world: World, instance: str, answer: object, *, of: str | None = None) -> None:
    await world.complete(instance, answer, of=of)
    await world.running.apply_due()


@pytest.mark.usefixtures("in_step")
async def test_a_process_that_calls_a_process_waits_for_it_and_has_its_result(host: Host) -> None:
    world = await opened(host)

    name = await start(world, buy, order="A-1")
    child = world.row("deliver-1")
    assert (child.title, child.initiator, child.state) == ("Delivery of A-1", "ann", "running")
    assert (child.parent, child.parent_call) == (world.row(name).id, 1)
    await complete(world, "deliver-1", True)

    assert world.result("deliver-1") == "A-1 delivered"
    assert world.result(name) == "A-1 delivered"
    assert world.kinds(name) == ["InstanceStarted", "CallRequested", "CallCompleted", "InstanceCompleted"]


@pytest.mark.usefixtures("in_step")
async def test_what_a_child_fails_with_on_purpose_is_told_by_its_name(host: Host) -> None:
    world = await opened(host)

    name = await start(world, buy, order="A-1")
    await complete(world, "deliver-1", False)

    assert world.state("deliver-1") == "failed"
    assert world.result(name) == "OperationFailed OutOfStock A-1"


@pytest.mark.usefixtures("in_step")
async def test_an_error_that_an_operation_declares_comes_out_of_a_child_as_its_own_class(host: Host) -> None:
    world = await opened(host)

    name = await start(world, ask_refund, amount=-1)
    await world.until_ended(name)

    assert world.result(name) == "declined: no"


@pytest.mark.usefixtures("in_step")
@pytest.mark.parametrize("force", [True, False])
async def test_a_child_that_a_person_cancels_is_withdrawn_for_its_parent(host: Host, force: bool) -> None:
    world = await opened(host)

    name = await start(world, buy, order="A-1")
    await world.give(CancelInstance("deliver-1", force=force), reason="entered twice")
    await world.running.apply_due()

    assert world.state("deliver-1") == "cancelled"
    assert str(world.result(name)).startswith("Withdrawn Withdrawn entered twice")


@pytest.mark.usefixtures("in_step")
async def test_a_timeout_takes_the_call_back_at_once_and_the_parent_ends_after_the_clean_up_of_the_child(
    host: Host,
) -> None:
    world = await opened(host)

    name = await start(world, hurried, order="A-1")
    await world.pass_time("3 days")
    assert world.state("tidy-1") == "cancelling"
    assert world.state(name) == "running"
    assert world.kinds(name)[-2:] == ["CallWithdrawn", "ResultRecorded"]
    assert [item.operation for item in world.waits("tidy-1").items] == ["Team.clean_up"]
    await complete(world, "tidy-1", True)

    assert world.state("tidy-1") == "cancelled"
    assert [type(event) for event in world.history(name)][-2:] == [ChildEnded, InstanceCompleted]
    assert world.result(name) == "too late"


@pytest.mark.usefixtures("in_step")
async def test_cancelling_a_parent_cancels_its_child_and_waits_for_the_clean_up(host: Host) -> None:
    world = await opened(host)

    name = await start(world, hurried, order="A-1")
    await world.give(CancelInstance(name, force=False))
    await world.running.apply_due()
    assert (world.state(name), world.state("tidy-1")) == ("cancelling", "cancelling")
    await complete(world, "tidy-1", True)

    assert (world.state(name), world.state("tidy-1")) == ("cancelled", "cancelled")


@pytest.mark.usefixtures("in_step")
async def test_forcing_the_end_of_a_parent_forces_that_of_its_children_and_runs_no_code(host: Host) -> None:
    world = await opened(host)

    name = await start(world, countdown, number=0)
    name = await start(world, hurried, order="A-1")
    await world.give(CancelInstance(name, force=True))
    await world.running.apply_due()

    assert (world.state(name), world.state("tidy-1")) == ("cancelled", "cancelled")
    assert world.waits("tidy-1").items == ()


@pytest.mark.usefixtures("in_step")
async def test_forcing_a_parent_forces_a_child_that_is_cleaning_up_already(host: Host) -> None:
    world = await opened(host)

    name = await start(world, hurried, order="A-1")
    await world.pass_time("3 days")
    assert world.state("tidy-1") == "cancelling"
    await world.give(CancelInstance(name, force=True))
    await world.running.apply_due()

    assert (world.state(name), world.state("tidy-1")) == ("cancelled", "cancelled")


@pytest.mark.usefixtures("in_step")
async def test_requested_children_run_side_by_side_and_a_taken_key_fails_the_one_call(host: Host) -> None:
    world = await opened(host)

    name = await start(world, both, orders=["A", "B", "A"])
    assert [world.state(f"deliver-{number}") for number in (1, 2)] == ["running", "running"]
    await complete(world, "deliver-2", True)
    await complete(world, "deliver-1", True)

    failed = world.history(name)[-1]
    assert world.state(name) == "failed"
    assert "deliver-1 has the business key 'A' already" in failed.failure.message  # type: ignore[union-attr]


@pytest.mark.usefixtures("in_step")
async def test_an_instance_that_is_started_on_its_own_is_named_at_once_and_outlives_the_one_that_started_it(
    host: Host,
) -> None:
    world = await opened(host)

    name = await start(world, announce, order="A-1")
    assert world.item(name).operation == "Team.confirm"
    assert world.row("tidy-1").parent is None
    assert world.row("tidy-1").initiator == "ann"
    await world.give(CancelInstance(name, force=True))
    await world.running.apply_due()

    assert world.state("tidy-1") == "running"


@pytest.mark.usefixtures("in_step")
async def test_starting_with_a_key_that_is_taken_names_the_instance_that_has_it(host: Host) -> None:
    world = await opened(host)

    first = await start(world, launch, order="A-1")
    again = await start(world, launch, order="A-1")

    assert (world.result(first), world.result(again)) == ("deliver-1", "deliver-1")


@pytest.mark.usefixtures("in_step")
async def test_a_process_may_call_itself(host: Host) -> None:
    world = await opened(host)

    name = await start(world, countdown, number=20)

    assert world.result(name) == 20
    assert world.state("countdown-21") == "completed"


@pytest.mark.usefixtures("in_step")
async def test_one_that_calls_itself_without_an_end_halts(host: Host) -> None:
    world = await opened(host)

    name = await start(world, endless, number=0)

    assert world.state(name) == "running"
    assert world.halt("endless-101")["code"] == "depth-limit"
    await world.give(CancelInstance(name, force=True))
    await world.running.apply_due()
    assert world.state("endless-101") == "cancelled"


async def test_a_child_that_begins_while_its_parent_is_suspended_stands_still_with_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("procession.engine.delivering.MOST_AT_ONCE", 0)
    world = await opened(host)

    name = await world.start(buy, order="before")
    await world.running.apply_due()
    third = Request("suspend", "ann", lambda view: suspension(view, 3, "", stops_timers=False), instance=3)
    await asyncio.gather(world.start(buy, order="A-1"), world.running.submit(third))
    await world.running.apply_due()
    assert (world.state("buy-2"), world.state("deliver-2")) == ("suspended", "suspended")
    assert world.state(name) == world.state("deliver-1") == "running"
    await world.give(ResumeInstance("buy-2"))
    await complete(world, "deliver-2", True)

    assert world.result("buy-2") == "A-1 delivered"


@pytest.mark.usefixtures("in_step")
async def test_what_a_child_has_come_to_waits_for_a_parent_that_is_suspended_alone(host: Host) -> None:
    world = await opened(host)

    name = await start(world, buy, order="A-1")
    await world.give(SuspendInstance(name))
    await world.give(ResumeInstance("deliver-1"))
    await complete(world, "deliver-1", True)
    assert (world.state(name), world.state("deliver-1")) == ("suspended", "completed")
    await world.give(ResumeInstance(name))

    assert world.result(name) == "A-1 delivered"


# Order and time


async def test_overdue_timers_of_a_parent_come_before_a_late_answer_to_the_child(host: Host) -> None:
    world = await opened(host)

    name = await start(world, hurried, order="A-1")
    world.skip("3 days")  # nobody looks at what is due
    with pytest.raises(ItemEnded):
        await world.complete("tidy-1", True)

    assert world.kinds(name)[-2:] == ["CallWithdrawn", "ResultRecorded"]
    assert world.state("tidy-1") == "cancelling"


async def test_overdue_timers_of_parent_and_child_fire_in_the_order_in_which_they_were_due(host: Host) -> None:
    """The child would be done after a day, its parent waits for two, and the clean-up of the child takes three."""
    for days, told in (("1 day", "rested"), ("2 days", "too late"), ("3 days", "too late")):
        world = await opened(host)

        name = await world.start(sleepy, days=days)
        world.skip("10 days")
        await world.running.apply_due()

        assert world.result(name) == told, days


@pytest.mark.usefixtures("in_step")
async def test_a_halted_parent_takes_the_end_of_its_child_once_it_is_mended(host: Host) -> None:
    broken = [True]

    @process(owner=team)
    async def checked(order: str) -> str:
        call = tidy.request(order)
        await confirm(order)
        if broken[0]:
            raise KeyError("typo")
        return await call

    world = await host.open(team, tidy, checked)
    name = await start(world, checked, order="A-1")
    await complete(world, name, "yes")
    assert world.state(name) == "halted"
    await complete(world, "tidy-1", True, of="check")
    await complete(world, "tidy-1", True, of="clean_up")
    assert world.state("tidy-1") == "completed"
    broken[0] = False
    await world.retry(name)

    assert world.result(name) == "checked"


@pytest.mark.usefixtures("in_step")
async def test_the_end_of_a_child_is_only_that_where_the_mended_parent_no_longer_wants_it(host: Host) -> None:
    broken = [True]

    @process(owner=team)
    async def checked(order: str) -> str:
        call = tidy.request(order)
        await confirm(order)
        if broken[0]:
            raise KeyError("typo")
        call.withdraw("changed our mind")
        return await confirm("again")

    world = await host.open(team, tidy, checked)
    name = await start(world, checked, order="A-1")
    await complete(world, name, "yes")
    await complete(world, "tidy-1", True, of="check")
    await complete(world, "tidy-1", True, of="clean_up")
    broken[0] = False
    await world.retry(name)
    await complete(world, name, "done")

    assert "ChildEnded" in world.kinds(name)
    assert world.result(name) == "done"


@pytest.mark.usefixtures("in_step")
async def test_a_halted_child_is_cancelled_once_it_is_mended_and_holds_its_parent_until_then(host: Host) -> None:
    broken = [True]

    @process(owner=team)
    async def fragile(order: str) -> str:
        said = await confirm(order)
        if broken[0]:
            raise KeyError("typo")
        return said + await confirm("again")

    @process(owner=team)
    async def impatient(order: str) -> str:
        try:
            async with deadline("2 days"):
                return await fragile(order)
        except TimeoutError:
            return "too late"

    world = await host.open(team, fragile, impatient)
    name = await start(world, impatient, order="A-1")
    await complete(world, "fragile-1", "yes")
    await world.pass_time("3 days")
    await world.running.apply_due()
    assert (world.state(name), world.state("fragile-1")) == ("running", "halted")
    broken[0] = False
    await world.retry("fragile-1")
    await world.running.apply_due()

    assert (world.result(name), world.state("fragile-1")) == ("too late", "cancelled")


async def test_a_child_that_the_engine_cannot_begin_is_set_aside_and_its_parent_is_answered_all_the_same(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await opened(host)
    begin = delivering.begin_instance

    def fails(turn: Turn, *given: Any) -> Any:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(delivering, "begin_instance", fails)
    name = await start(world, buy, order="A-1")
    other = await world.start(countdown, number=0)

    assert (world.state(name), world.result(other)) == ("running", 0)
    assert any("cannot be applied" in notice.text for notice in world.notices)
    monkeypatch.setattr(delivering, "begin_instance", begin)
    await world.restart()
    await world.running.apply_due()
    assert world.state("deliver-1") == "running"


async def test_a_new_default_and_a_former_name_move_no_parent(host: Host) -> None:
    world = await opened(host)
    name = await start(world, buy, order="A-1")

    @process(owner=team, key="{order}", was=("deliver",))
    async def bring(order: str, by: str = "van") -> str:
        return f"{order} by {by}" if await check(order) else ""

    @process(owner=team, was=("buy",))
    async def shop(order: str) -> str:
        return await bring(order)

    await world.restart(team, bring, shop)
    await complete(world, "deliver-1", True)

    assert world.result(name) == "A-1 by van"
