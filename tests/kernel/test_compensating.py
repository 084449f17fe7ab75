"""What was done is undone when an instance is cancelled or fails: newest first, and whatever cannot be is recorded (law 55)."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession import kernel
from procession.errors import ProcessFailed
from procession.kernel import CallKind, InstanceState, LateResult, NotUndone
from tests.kernel.drive import Driven, op, rebuild
from tests.kernel.test_cancelling import cancel, close_all


async def reserve(name: str) -> object:
    """A service that declares its undo."""
    terms = kernel.Terms(undo=lambda value: kernel.Compensation(CallKind.SERVICE, f"undo {name}", value))
    return await kernel.perform(CallKind.SERVICE, name, b"1", decode=bytes.decode, rebuild=rebuild, terms=terms)


async def booking() -> str:
    await reserve("hotel")
    kernel.compensate(kernel.Compensation(CallKind.TASK, "tell", b'"them"'))
    await asyncio.gather(reserve("train"), reserve("car"))
    if await op("sure?") == "no":
        raise ProcessFailed("not sure")
    return "booked"


def booked() -> Driven:
    case = Driven(booking)
    for name in ("hotel", "car", "train"):
        case.complete(name, name + "-1")
    return case


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_what_was_done_is_undone_newest_first_one_after_the_other(how: str) -> None:
    case = booked()
    if how == "failed":
        case.complete("sure?", "no")
    else:
        cancel(case)
    for name in ("undo train", "undo car", "tell", "undo hotel"):
        assert case.open == [name]
        case.complete(name)
    assert case.instance.state.value == how
    inputs = {e.operation: e.input for e in case.history if isinstance(e, kernel.CallRequested)}
    assert inputs["undo car"] == b'"car-1"'


def test_that_it_fails_is_recorded_before_anything_is_undone() -> None:
    case = booked()
    case.complete("sure?", "no")
    (recorded,) = [event for event in case.history if isinstance(event, kernel.FailureRecorded)]
    assert (recorded.failure.message, case.instance.state) == ("not sure", InstanceState.RUNNING)
    cancel(case)
    assert [event for event in case.history if isinstance(event, kernel.FailureRecorded)] == [recorded]


def test_a_branch_that_fails_after_the_result_is_recorded_too_before_anything_is_undone() -> None:
    async def fails() -> None:
        await op("later")
        raise ProcessFailed("after all")

    async def main() -> str:
        kernel.compensate(kernel.Compensation(CallKind.TASK, "tell", b"1"))
        asyncio.create_task(fails())
        return "booked"

    case = Driven(main)
    case.complete("later")
    recorded = [type(event) for event in case.history if type(event).__name__.endswith("Recorded")]
    assert recorded == [kernel.ResultRecorded, kernel.FailureRecorded]
    case.complete("tell")
    assert case.failure.message == "after all"


def test_nothing_is_undone_when_all_went_well() -> None:
    case = booked()
    case.complete("sure?", "yes")
    assert case.result == "booked"


def test_what_was_not_completed_is_not_undone() -> None:
    case = Driven(booking)
    case.complete("hotel")
    car = case.number("car")
    case.fail("train")
    assert case.open == []
    case.feed(LateResult(case.tick(), car, None))
    assert case.open == ["tell"]
    case.complete("tell")
    case.complete("undo hotel")
    assert case.failure.type_name == "Declined"


@pytest.mark.parametrize("how", ["fails", "withdrawn"])
def test_what_cannot_be_undone_is_recorded_and_the_rest_goes_on(how: str) -> None:
    case = booked()
    cancel(case)
    call = case.number("undo train")
    if how == "fails":
        case.fail("undo train", "too late")
    else:
        case.withdraw("undo train", "too late")
    noted = [event for event in case.history if isinstance(event, NotUndone)]
    assert [(each.call, each.operation) for each in noted] == [(call, "undo train")]
    assert "too late" in noted[0].why
    for name in ("undo car", "tell", "undo hotel"):
        case.complete(name)
    assert case.instance.state is InstanceState.CANCELLED


def test_the_clean_up_of_branches_ends_before_anything_is_undone() -> None:
    async def main() -> None:
        await reserve("hotel")
        try:
            await op("a")
        finally:
            await op("clean up")

    case = Driven(main)
    case.complete("hotel")
    cancel(case)
    assert case.open == ["clean up"]
    case.complete("clean up")
    assert case.open == ["undo hotel"]
    case.complete("undo hotel")
    assert case.instance.state is InstanceState.CANCELLED


def test_one_that_fails_and_is_cancelled_while_it_undoes_goes_on_undoing() -> None:
    case = booked()
    case.complete("sure?", "no")
    case.complete("undo train")
    cancel(case)
    assert case.open == ["undo car"]
    for name in ("undo car", "tell", "undo hotel"):
        case.complete(name)
    assert case.instance.state is InstanceState.CANCELLED


@given(st.lists(st.sampled_from(["done", "failed", "said"]), max_size=8), st.booleans(), st.randoms())
@settings(max_examples=100)
def test_the_order_of_undoing_is_the_order_of_doing_turned_round(steps: list[str], fails: bool, chance: object) -> None:
    async def main() -> None:
        for n, step in enumerate(steps):
            if step == "said":
                kernel.compensate(kernel.Compensation(CallKind.TASK, f"undo {n}", b"1"))
                continue
            try:
                await reserve(str(n))
            except Exception:  # declined
                pass
        if await op("end"):
            raise ProcessFailed("over")

    case = Driven(main)
    for n, step in enumerate(steps):
        if step == "done":
            case.complete(str(n))
        elif step == "failed":
            case.fail(str(n))
    if fails:
        case.complete("end", True)
    else:
        cancel(case)
    expected = [f"undo {n}" for n, step in enumerate(steps) if step != "failed"][::-1]
    undone = []
    while case.open:
        undone += case.open
        case.complete(case.open[0])
    assert undone == expected
    assert case.instance.state is (InstanceState.FAILED if fails else InstanceState.CANCELLED)
    close_all()
