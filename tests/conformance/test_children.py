"""Processes that call processes: how a child ends, and what its parent sees of it (laws 43 and 29)."""

from __future__ import annotations

import pytest

from procession.kernel import CallStarted, ChildEnded, InstanceCompleted
from procession.services.commands import CancelInstance
from tests.conformance.families import (
    announce,
    ask_refund,
    both,
    buy,
    complete,
    countdown,
    decided,
    endless,
    hurried,
    launch,
    opened,
    start,
    watching,
    watching_taken,
)
from tests.conformance.world import Host


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
    assert world.kinds(name) == [
        "InstanceStarted",
        "CallRequested",
        "CallStarted",
        "CallCompleted",
        "InstanceCompleted",
    ]


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
@pytest.mark.parametrize("restarted", [False, True])
async def test_a_call_of_a_child_has_started_when_the_child_has_begun(host: Host, restarted: bool) -> None:
    world = await opened(host)

    name = await start(world, watching, order="A-1")
    if restarted:
        await world.restart()
    assert CallStarted(world.row("tidy-1").started_us, 1, None) in world.history(name)
    await complete(world, name, "seen")
    await complete(world, "tidy-1", True, of="check")
    await complete(world, "tidy-1", True, of="clean_up")

    assert world.result(name) == "seen, checked"


@pytest.mark.usefixtures("in_step")
async def test_whoever_waits_for_the_start_of_a_child_that_cannot_begin_goes_on(host: Host) -> None:
    world = await opened(host)

    await start(world, buy, order="A-1")
    name = await start(world, watching_taken, order="A-1")

    assert "deliver-1 has the business key" in str(world.result(name))
    assert "CallStarted" not in world.kinds(name)


@pytest.mark.usefixtures("in_step")
async def test_one_that_calls_itself_without_an_end_halts(host: Host) -> None:
    world = await opened(host)

    name = await start(world, endless, number=0)

    assert world.state(name) == "running"
    assert world.halt("endless-101")["code"] == "depth-limit"
    await world.give(CancelInstance(name, force=True))
    await world.running.apply_due()
    assert world.state("endless-101") == "cancelled"


@pytest.mark.usefixtures("in_step")
async def test_finishing_forces_the_children_and_none_of_them_cleans_up(host: Host) -> None:
    world = await opened(host)

    name = await start(world, decided, order="A-1")
    await complete(world, name, "enough")

    assert world.result(name) == "enough"
    assert world.kinds("tidy-1")[-1] == "InstanceCancelled"
    assert "CancellationRequested" not in world.kinds("tidy-1")
    assert world.waits("tidy-1").items == ()
