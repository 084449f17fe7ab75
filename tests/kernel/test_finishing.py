"""An instance that ends by itself: `finish` from any branch, `renew` with a short history (laws 7 and 35)."""

from __future__ import annotations

import asyncio

import pytest

from procession import kernel
from procession.kernel import CallKind, InstanceState
from tests.kernel.drive import Driven, op


async def worker(ran: list[str]) -> None:
    try:
        await op("work")
    finally:
        ran.append("finally")
        await op("undo")


def test_finish_ends_the_instance_from_any_branch_and_no_clean_up_does_anything() -> None:
    async def main() -> str:
        kernel.compensate(kernel.Compensation(CallKind.TASK, "undo", b"1"))
        asyncio.create_task(worker([]))
        asyncio.create_task(finisher())
        return str(await op("root"))

    async def finisher() -> None:
        await op("end")
        await kernel.finish("early")

    case = Driven(main)
    case.complete("end")
    assert sorted(case.asked) == ["-root", "-work"]
    assert case.result == "early"


def test_what_a_creator_does_after_a_branch_that_finished_at_once_is_asked_of_nobody() -> None:
    async def finisher() -> None:
        await kernel.finish("early")

    async def main() -> str:
        asyncio.create_task(finisher())
        kernel.set_attributes(b'{"a":1}')
        return str(await op("never"))

    case = Driven(main)
    assert case.outcome.commands == (kernel.CompleteInstance(b'"early"'),)
    assert case.result == "early"


def test_a_result_that_cannot_be_encoded_halts_as_one_that_root_returns() -> None:
    async def main() -> None:
        await kernel.finish(object())

    case = Driven(main)
    assert case.halt is not None and case.halt.code == "bug"


def test_in_a_cancelled_instance_finish_ends_its_branch_and_no_more() -> None:
    async def main() -> None:
        try:
            await op("a")
        finally:
            try:
                await kernel.finish("partial")
            finally:
                await op("clean up")

    case = Driven(main)
    case.feed(kernel.CancellationRequested(case.tick(), ""))
    assert case.asked == ["-a", "+clean up"]
    case.complete("clean up")
    assert case.instance.state is InstanceState.CANCELLED


async def counting(n: int) -> int:
    drawn = str(kernel.uuid4())
    await op("step", [n, drawn])
    if n < 3:
        await kernel.renew(b"[%d]" % (n + 1))
    return n


def since_renewal(case: Driven) -> list[kernel.Event]:
    places = [n for n, event in enumerate(case.history) if isinstance(event, kernel.Renewed)]
    return case.history[places[-1] :]


def test_a_renewed_instance_goes_on_with_its_next_input_and_replays_from_there() -> None:
    case = Driven(counting, 1)
    case.complete("step")
    renewed = kernel.Renewed(case.now_us, b"[2]", 2, ())
    assert renewed in case.history
    assert case.asked == ["+step"]
    again = kernel.Instance(case.program, seed=b"seed")
    again.replay(since_renewal(case))
    assert list(again.open_calls) == list(case.instance.open_calls) == [2]
    case.complete("step")
    case.complete("step")
    assert case.result == 3
    again.close()
    asked = [event.input for event in case.history if isinstance(event, kernel.CallRequested)]
    assert len(set(asked)) == 3  # each run draws anew


async def renewing(n: int) -> int:
    if n < 1_000:
        await kernel.renew(b"[%d]" % (n + 1))
    await op("step")
    return n


def test_a_thousand_renewals_without_a_wait_are_one_advance_and_replay() -> None:
    case = Driven(renewing, 0)
    assert sum(isinstance(event, kernel.Renewed) for event in case.history) == 1_000
    for history in (case.history, since_renewal(case)):
        again = kernel.Instance(case.program, seed=b"seed")
        again.replay(history)
        assert list(again.open_calls) == [1]
        again.close()
    case.complete("step")
    assert case.result == 1_000


def test_an_instance_that_renews_for_ever_halts_and_says_so() -> None:
    case = Driven(renewing, -1)
    assert case.halt is not None and case.halt.code == "no-progress"
    assert "began anew 1,000 times without a wait" in case.halt.message


def test_what_is_to_be_undone_carries_over_a_renewal() -> None:
    async def main(n: int) -> None:
        if n == 1:
            kernel.compensate(kernel.Compensation(CallKind.TASK, "undo", b'"x"'))
            await kernel.renew(b"[2]")
        await op("a")

    case = Driven(main, 1)
    case.feed(kernel.CancellationRequested(case.tick(), ""))
    assert case.asked == ["-a", "+undo"]
    again = kernel.Instance(case.program, seed=b"seed")
    again.replay(since_renewal(case))
    assert [each.operation for each in again.open_calls.values()] == ["undo"]
    again.close()
    case.complete("undo")
    assert case.instance.state is InstanceState.CANCELLED


def test_what_a_clean_up_notes_while_the_run_is_discarded_is_not_carried_over() -> None:
    async def main(n: int) -> None:
        try:
            if n == 1:
                await kernel.renew(b"[2]")
        finally:
            if n == 1:
                kernel.compensate(kernel.Compensation(CallKind.TASK, "undo", b'"x"'))
        await op("a")

    case = Driven(main, 1)
    case.feed(kernel.CancellationRequested(case.tick(), ""))
    assert case.instance.state is InstanceState.CANCELLED
    again = kernel.Instance(case.program, seed=b"seed")
    again.replay(since_renewal(case))
    assert again.state is InstanceState.CANCELLED
    again.close()


def test_callbacks_draw_anew_in_each_run_and_alike_in_a_replay() -> None:
    drawn: list[str] = []

    async def main(n: int) -> None:
        task = asyncio.create_task(op("a"))
        task.add_done_callback(lambda _: drawn.append(str(kernel.uuid4())))
        await task
        await op("b", drawn[-1])
        if n < 3:
            await kernel.renew(b"[%d]" % (n + 1))

    case = Driven(main, 1)
    for _ in range(2):
        case.complete("a")
        case.complete("b")
    case.complete("a")
    again = kernel.Instance(case.program, seed=b"seed")
    again.replay(since_renewal(case))
    again.close()
    asked = [each.input for each in case.history if isinstance(each, kernel.CallRequested) and each.operation == "b"]
    assert len(set(asked)) == 3


@pytest.mark.parametrize("what", ["branch", "call", "deadline"])
def test_renew_is_refused_while_anything_else_is_open(what: str) -> None:
    async def main() -> None:
        if what == "branch":
            asyncio.create_task(op("a"))
        if what == "call":
            from tests.kernel.drive import ask

            handle = ask("a")
            assert handle
        async with asyncio.timeout(60 if what == "deadline" else None):
            await kernel.renew(b"[]")

    case = Driven(main)
    assert case.halt is not None and "renew() while" in case.halt.message
