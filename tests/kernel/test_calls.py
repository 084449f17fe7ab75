"""Calls: numbers, handles, copies, performers, withdrawal."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from procession import kernel
from procession.errors import OperationFailed, OutsideProcess, Withdrawn
from procession.kernel import CallKind, InstanceState
from tests.kernel.drive import SECOND, Declined, Driven, ask, op


def test_calls_are_numbered_in_the_order_of_the_source() -> None:
    async def main() -> list[Any]:
        return await asyncio.gather(op("a"), op("b"), op("c"))

    case = Driven(main)
    assert [(each.number, each.operation) for each in case.instance.open_calls.values()] == [
        (1, "a"),
        (2, "b"),
        (3, "c"),
    ]
    assert case.instance.next_call == 4
    for name in "cab":
        case.complete(name, name.upper())
    assert case.result == ["A", "B", "C"]


def test_every_awaiter_gets_a_copy_of_its_own() -> None:
    async def reader(call: kernel.Call[Any]) -> Any:
        got = await call
        got.append("changed")
        return got

    async def main() -> Any:
        call = ask("a")
        first, second = await asyncio.gather(reader(call), reader(call))
        return [first, second, await call, await call]

    case = Driven(main)
    case.complete("a", [1])
    assert case.result == [[1, "changed"], [1, "changed"], [1], [1]]


def test_a_declared_error_is_rebuilt_and_any_other_is_operation_failed() -> None:
    async def main() -> list[str]:
        said = []
        for _ in range(2):
            try:
                await op("a")
            except (Declined, OperationFailed) as error:
                said.append(f"{type(error).__name__}: {error}")
        return said

    case = Driven(main)
    case.fail("a", "too dear")
    case.fail("a", "down", declared=False)
    assert case.result == ["Declined: too dear", "OperationFailed: ? failed: down"]


def test_the_start_of_a_call_can_be_awaited_and_gives_the_performer() -> None:
    async def main() -> list[Any]:
        call = ask("a")
        await call.started()
        first = call.performer
        await op("b")
        return [first, call.performer, await call, call.performer]

    case = Driven(main)
    case.start("a", "ann")
    assert case.asked == ["+b"]
    case.start("a", "bob")
    case.complete("b")
    case.complete("a", 7, "cleo")
    assert case.result == ["ann", "bob", 7, "cleo"]


def test_several_await_one_start_and_cancelling_one_of_them_leaves_call_and_others_alone() -> None:
    async def main() -> Any:
        call = ask("a")
        first, second = asyncio.create_task(call.started()), asyncio.create_task(call.started())
        await op("b")
        first.cancel()
        await second
        return [first.cancelled(), call.performer]

    case = Driven(main)
    case.complete("b")
    case.start("a", "ann")
    assert case.asked == ["-a"]  # nobody awaits it any more, and root has ended
    assert case.result == [True, "ann"]


@pytest.mark.parametrize("end", ["complete", "fail"])
def test_a_call_that_ends_without_a_start_resolves_the_start_too(end: str) -> None:
    async def main() -> str:
        call = ask("a")
        await call.started()
        return "seen"

    case = Driven(main)
    getattr(case, end)("a")
    assert case.result == "seen"


def test_a_start_that_nobody_awaits_runs_nothing() -> None:
    case = Driven(lambda: op("a"))
    assert case.start("a") is kernel.Outcome(()) or case.outcome.commands == ()
    assert case.instance.open_calls[1].started


def test_a_person_withdraws_a_call_and_its_awaiter_sees_withdrawn() -> None:
    async def main() -> str:
        try:
            await op("a")
        except Withdrawn as error:
            return str(error)
        return "?"

    case = Driven(main)
    assert case.withdraw("a", "a double").commands == (kernel.CompleteInstance(b'"a failed: a double"'),)
    assert case.result == "a failed: a double"


def test_the_program_withdraws_a_handle_and_another_awaiter_sees_withdrawn() -> None:
    async def other(call: kernel.Call[Any]) -> str:
        try:
            await call
        except Withdrawn as error:
            return error.message
        return "?"

    async def main() -> list[Any]:
        call = ask("a")
        waiter = asyncio.create_task(other(call))
        await op("b")
        call.withdraw("late")
        call.withdraw("twice is once")
        return [await waiter]

    case = Driven(main)
    case.complete("b")
    assert case.outcome.commands[0] == kernel.WithdrawCall(1, "late")
    assert case.asked == ["-a"]
    assert case.result == ["late"]


def test_cancelling_the_await_that_made_a_call_withdraws_it_in_the_same_advance() -> None:
    async def main() -> str:
        try:
            async with asyncio.timeout(10):
                await op("a")
        except TimeoutError:
            return str(await op("b"))
        return "?"

    case = Driven(main)
    case.fire()
    assert case.asked == ["-a", "+b"]


def test_cancelling_an_await_of_a_handle_leaves_the_call_open() -> None:
    """Remind after two days, and keep waiting."""

    async def main() -> Any:
        call = ask("a")
        while True:
            try:
                async with asyncio.timeout(2 * 86_400):
                    return await call
            except TimeoutError:
                await op("remind")

    case = Driven(main)
    case.fire()
    assert case.asked == ["+remind"]
    case.complete("remind")
    assert case.open == ["a", "timer"]
    case.complete("a", "at last")
    assert case.result == "at last"


def test_a_handle_ends_with_the_branch_that_asked_for_it() -> None:
    async def child() -> None:
        ask("x")
        ask("y")
        await op("a")

    async def main() -> None:
        await asyncio.create_task(child())
        await op("b")

    case = Driven(main)
    case.complete("a")
    assert case.asked == ["-x", "-y", "+b"]
    case.complete("b")
    assert case.instance.state is InstanceState.COMPLETED


def test_a_handle_that_outlives_its_branch_tells_other_awaiters() -> None:
    async def child() -> kernel.Call[Any]:
        await op("a")
        return ask("x")

    async def main() -> str:
        call = await asyncio.create_task(child())
        try:
            await call
        except Withdrawn:
            return "withdrawn"
        return "?"

    case = Driven(main)
    case.complete("a")
    assert case.asked == ["+x", "-x"]
    assert case.result == "withdrawn"


def test_a_cancellation_that_comes_with_the_result_wins_and_withdraws_nothing() -> None:
    async def child() -> None:
        await op("a")

    async def main() -> str:
        first = asyncio.create_task(op("b"))
        task = asyncio.create_task(child())
        await first
        task.cancel()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return "cancelled"
        return "?"

    case = Driven(main)
    case.complete("b")
    assert case.asked == ["-a"]
    assert case.result == "cancelled"


@pytest.mark.parametrize("use", ["gather", "shield", "wait_for", "as_completed", "create_task of a coroutine"])
def test_asyncio_takes_a_call_wherever_it_takes_an_awaitable(use: str) -> None:
    async def main() -> Any:
        call = ask("a")
        match use:
            case "gather":
                return (await asyncio.gather(call, call, ask("b")))[0]
            case "shield":
                return await asyncio.shield(call)
            case "wait_for":
                return await asyncio.wait_for(call, 10)
            case "as_completed":
                return await next(iter(asyncio.as_completed([call])))
            case _:
                return await asyncio.create_task(op("c"))

    case = Driven(main)
    for name in case.open:
        if name != "timer":
            case.complete(name, "got")
    assert case.result == "got"


def test_an_operation_outside_a_process_says_what_to_do() -> None:
    with pytest.raises(OutsideProcess, match="world"):
        asyncio.run(op("Legal.check"))
    with pytest.raises(OutsideProcess, match="procession start"):
        kernel.now_us()
    assert kernel.current() is None


def test_current_is_the_instance_whose_code_is_running() -> None:
    async def main() -> bool:
        seen.append(kernel.current())
        await op("a")
        return True

    seen: list[Any] = []
    case = Driven(main, replays=False)
    assert seen == [case.instance]
    assert kernel.current() is None


def test_time_is_that_of_the_event_and_never_goes_back() -> None:
    async def main() -> list[int]:
        times = [kernel.now_us()]
        for _ in range(2):
            await op("a")
            times.append(kernel.now_us())
        assert asyncio.get_running_loop().time() == kernel.now_us() / 1_000_000
        return times

    case = Driven(main)
    case.feed(kernel.CallCompleted(5 * SECOND, 1, b"0", None))
    case.feed(kernel.CallCompleted(3 * SECOND, 2, b"0", None))
    assert case.result == [SECOND, 5 * SECOND, 5 * SECOND]


def test_attributes_are_commands_and_their_place_is_compared() -> None:
    async def main() -> None:
        kernel.set_attributes(b'{"amount":1}')
        await op("a")

    case = Driven(main)
    assert case.outcome.commands[0] == kernel.SetAttributes(b'{"amount":1}')
    case.complete("a")


def test_a_timer_of_the_language_is_a_call_like_any_other() -> None:
    async def main() -> str:
        return await kernel.perform(
            CallKind.TIMER,
            "until",
            b"{}",
            decode=lambda value: repr(value),
            rebuild=lambda failure: Declined(),
            terms=kernel.Terms(9 * SECOND),
        )

    case = Driven(main)
    assert case.instance.open_calls[1].due_us == 9 * SECOND
    case.fire()
    assert case.result == "b''"


def test_a_decoder_that_raises_halts_like_any_bug() -> None:
    async def main() -> Any:
        return await kernel.perform(
            CallKind.TASK, "a", b"", decode=lambda value: 1 / 0, rebuild=lambda failure: Declined()
        )

    case = Driven(main)
    case.complete("a")
    assert case.halt is not None and case.halt.code == "bug" and isinstance(case.halt.exception, ZeroDivisionError)


def test_the_open_calls_are_a_view_by_number_in_the_order_of_asking() -> None:
    async def main() -> None:
        await asyncio.gather(op("a"), asyncio.sleep(9), op("b"))

    case = Driven(main)
    calls = case.instance.open_calls
    assert [(n, each.operation, each.kind, each.due_us, each.started) for n, each in calls.items()] == [
        (1, "a", CallKind.TASK, None, False),
        (2, "timer", CallKind.TIMER, 10 * SECOND, False),
        (3, "b", CallKind.TASK, None, False),
    ]
    case.start("b")
    case.complete("a")
    assert list(calls) == [2, 3] and calls[3].started and 1 not in calls and len(calls) == 2


def test_errors_that_somebody_has_seen_are_not_held() -> None:
    async def main() -> None:
        for _ in range(50):
            await asyncio.gather(op("a"), return_exceptions=True)

    case = Driven(main, replays=False)
    for _ in range(50):
        case.fail("a")
        assert len(case.instance._loop.failed) <= 1
    assert case.instance.state is InstanceState.COMPLETED


def test_a_coroutine_that_is_to_be_awaited_and_is_dropped_halts_in_the_same_advance() -> None:
    def noted() -> Any:
        return kernel.to_be_awaited(op("noted"), "noted")

    async def branch() -> None:
        await op("a")
        noted()
        await op("b")

    async def main() -> None:
        await asyncio.gather(branch(), op("c"))

    case = Driven(main)
    assert case.halt is None
    case.complete("a")
    assert case.halt is not None
    assert case.halt.code == "bug"
    assert case.halt.message.startswith("noted was called and not awaited, test_calls.py:")
