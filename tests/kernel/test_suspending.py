"""An instance that stands still by a person's wish: law 45 in the kernel."""

from __future__ import annotations

import asyncio

import pytest

from procession import kernel
from procession.kernel import IllegalTransition, InstanceState
from tests.kernel.drive import SECOND, Driven, op


async def timed() -> str:
    try:
        async with asyncio.timeout(60):
            return str(await op("a"))
    except TimeoutError:
        return "late"


def test_a_suspended_instance_takes_nothing_but_its_resumption_and_an_end_by_force() -> None:
    case = Driven(timed)
    case.feed(kernel.InstanceSuspended(case.tick(), "audit"))
    assert case.instance.state is InstanceState.SUSPENDED
    call = case.number("a")
    for event in (
        kernel.CallCompleted(case.now_us, call, b"1", "ann"),
        kernel.CallStarted(case.now_us, call, "ann"),
        kernel.CancellationRequested(case.now_us, ""),
        kernel.InstanceSuspended(case.now_us, ""),
        kernel.Retried(case.now_us),
    ):
        with pytest.raises(IllegalTransition):
            case.instance.advance(event)
    case.feed(kernel.InstanceResumed(case.tick(), 0))
    case.complete("a", "in time")
    assert case.result == "in time"


@pytest.mark.parametrize("moved_us", [0, 5 * SECOND])
def test_timers_are_due_later_by_as_much_as_they_stood_still(moved_us: int) -> None:
    case = Driven(timed)
    due_us = next(each.due_us for each in case.instance.open_calls.values())
    assert due_us is not None
    case.feed(kernel.InstanceSuspended(case.tick(), ""))
    case.feed(kernel.InstanceResumed(case.tick(), moved_us))
    assert next(each.due_us for each in case.instance.open_calls.values()) == due_us + moved_us
    case.fire()
    assert case.now_us == due_us + moved_us
    assert case.result == "late"


def test_one_that_was_cancelling_is_so_again_when_it_is_resumed() -> None:
    async def main() -> None:
        try:
            await op("a")
        finally:
            await op("b")

    case = Driven(main)
    case.feed(kernel.CancellationRequested(case.tick(), ""))
    case.feed(kernel.InstanceSuspended(case.tick(), ""))
    case.feed(kernel.InstanceResumed(case.tick(), 0))
    assert case.instance.state is InstanceState.CANCELLING
    case.complete("b")
    assert case.instance.state is InstanceState.CANCELLED
