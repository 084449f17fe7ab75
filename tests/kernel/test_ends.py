"""How an instance ends, and how it stops: results, failures, halts (laws 2 to 8 and 56)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from procession import kernel
from procession.errors import ProcessFailed
from procession.kernel import HaltInstance, InstanceState
from tests.kernel.drive import Declined, Driven, ask, op


class Fence(HaltInstance):
    code = "fence"
    message = "no files here"


def test_the_result_is_recorded_when_root_returns_and_the_instance_ends_with_its_branches() -> None:
    async def main() -> list[int]:
        result = [1]

        async def rest() -> None:
            await op("a")
            result.append(2)

        asyncio.create_task(rest())
        return result

    case = Driven(main)
    assert case.outcome.commands[-1] == kernel.RecordResult(b"[1]")
    assert case.instance.state is InstanceState.RUNNING
    case.complete("a")
    assert case.result == [1]  # what was returned, not what became of it


def test_no_result_is_recorded_apart_when_the_branches_end_in_the_same_advance() -> None:
    async def main() -> int:
        asyncio.create_task(asyncio.sleep(0))
        return 1

    assert Driven(main).outcome.commands == (kernel.CompleteInstance(b"1"),)


def test_a_result_that_cannot_be_encoded_halts() -> None:
    async def main() -> Any:
        await op("a")
        return object()

    case = Driven(main)
    case.complete("a")
    assert case.halt is not None and case.halt.code == "bug" and "not JSON serializable" in case.halt.message


@pytest.mark.parametrize("raises", [ProcessFailed("over budget"), Declined("no")], ids=["on purpose", "declared"])
def test_an_error_raised_on_purpose_fails_the_instance(raises: Exception) -> None:
    async def main() -> None:
        await op("a")
        raise raises

    case = Driven(main, replays=False)
    case.complete("a")
    assert case.instance.state is InstanceState.FAILED
    assert case.failure.message == str(raises)


def test_a_group_whose_leaves_would_all_fail_fails_the_instance() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(op("a"))
            group.create_task(op("b"))

    case = Driven(main)
    case.fail("b", "too dear")
    assert case.instance.state is InstanceState.FAILED
    assert case.failure.message == "too dear"


def test_a_root_that_fails_unwinds_its_branches_newest_first_and_their_clean_up_is_real_work() -> None:
    async def child(name: str) -> None:
        try:
            await op(name)
        finally:
            await op("undo " + name)

    async def main() -> None:
        for name in "xyz":
            asyncio.create_task(child(name))
        await op("a")
        raise ProcessFailed("over")

    case = Driven(main)
    case.complete("a")
    assert case.asked == ["-z", "+undo z", "-y", "+undo y", "-x", "+undo x"]
    assert case.instance.state is InstanceState.RUNNING
    for name in "xyz":
        case.complete("undo " + name)
    assert case.failure.message == "over"


def test_unwinding_cancels_no_clean_up_twice() -> None:
    """The abort of a parent's group would kill the clean-up of a child that was cancelled before it."""

    async def child() -> None:
        try:
            await op("work")
        finally:
            await op("undo")

    async def parent() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    async def main() -> None:
        asyncio.create_task(parent())
        await op("a")
        raise ProcessFailed("over")

    case = Driven(main)
    case.complete("a")
    assert case.asked == ["-work", "+undo"]
    case.complete("undo")
    assert case.failure.message == "over"


def test_branches_made_by_a_clean_up_are_not_unwound() -> None:
    async def child() -> None:
        try:
            await op("work")
        finally:
            await asyncio.gather(op("undo 1"), op("undo 2"))

    async def main() -> None:
        asyncio.create_task(child())
        await op("a")
        raise ProcessFailed("over")

    case = Driven(main)
    case.complete("a")
    assert case.asked == ["-work", "+undo 1", "+undo 2"]
    case.complete("undo 2")
    case.complete("undo 1")
    assert case.failure.message == "over"


def test_an_error_that_nobody_awaited_decides_at_the_end_the_lowest_branch_first() -> None:
    async def main() -> str:
        asyncio.create_task(op("a"))
        asyncio.create_task(op("b"))
        return "fine"

    case = Driven(main)
    case.fail("b", "second")
    assert case.instance.state is InstanceState.RUNNING
    case.fail("a", "first")
    assert case.failure.message == "first"


def test_an_error_that_somebody_saw_does_not_decide() -> None:
    async def main() -> str:
        task = asyncio.create_task(op("a"))
        await asyncio.wait([task])
        return str(task.exception())

    case = Driven(main)
    case.fail("a", "seen")
    assert case.result == "seen"


def test_a_timeout_may_leave_a_branch_but_halts_at_the_root() -> None:
    async def late() -> None:
        async with asyncio.timeout(5):
            await op("a")

    async def main() -> str:
        task = asyncio.create_task(late())
        try:
            await task
        except TimeoutError:
            await late()
        return "?"

    case = Driven(main)
    case.fire()
    assert case.asked == ["-a", "+timer", "+a"]
    case.fire()
    assert case.halt is not None and case.halt.code == "bug"
    assert isinstance(case.halt.exception, TimeoutError)


def test_a_timeout_that_nobody_awaited_halts_at_the_end() -> None:
    async def late() -> None:
        async with asyncio.timeout(5):
            await op("a")

    async def main() -> str:
        asyncio.create_task(late())
        return "fine"

    case = Driven(main)
    case.fire()
    assert case.halt is not None and case.halt.code == "bug"


def test_a_root_that_cancels_itself_halts() -> None:
    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await op("a")

    case = Driven(main)
    assert case.halt is not None and isinstance(case.halt.exception, asyncio.CancelledError)
    assert case.outcome.commands == ()


def test_a_bug_in_a_branch_halts_at_once_and_no_sibling_is_cancelled() -> None:
    """Otherwise a typo in one branch of a group withdraws the work of the others before anyone sees it."""
    seen = []

    async def buggy() -> None:
        await op("a")
        {}["typo"]

    async def main() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(op("b"))
                group.create_task(buggy())
        except BaseException as error:
            seen.append(error)
            raise

    case = Driven(main, replays=False)
    outcome = case.complete("a")
    assert outcome.commands == ()
    assert seen == []
    assert case.halt is not None
    assert (case.halt.code, case.halt.message) == ("bug", "KeyError: 'typo'")
    assert case.instance.state is InstanceState.HALTED
    stack = case.halt.stack
    assert stack[0].branch == "0.2"
    assert stack[0].frames[-1].frame.function.endswith("buggy")
    assert [each.branch for each in stack[1:]] == ["0", "0.1"]
    assert stack[2].waits_for == 1
    case.instance.close()


def test_a_bug_in_the_eager_start_of_a_branch_halts_and_none_of_its_commands_come_out() -> None:
    async def buggy() -> None:
        ask("x")
        raise LookupError("typo")

    async def main() -> None:
        ask("w")
        asyncio.create_task(buggy())
        await op("y")

    case = Driven(main)
    assert case.outcome.commands == ()
    assert case.halt is not None and case.halt.message == "LookupError: typo"


def test_a_bug_in_a_callback_halts() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_later(5, json.loads, "{")
        await op("a")

    case = Driven(main)
    case.fire()
    assert case.halt is not None and "JSONDecodeError" in case.halt.message


def test_a_process_that_cannot_begin_halts_and_begins_after_a_retry() -> None:
    def begin(encoded: bytes) -> Any:
        raise ValueError("the input no longer fits")

    async def main() -> int:
        return 1

    case = Driven(main)
    broken = kernel.Program(begin, case.program.encode_result, case.program.failure_of, case.program.same_input)
    instance = kernel.Instance(broken, seed=b"")
    outcome = instance.advance(kernel.InstanceStarted(5, b"[]"))
    assert outcome.halt is not None and outcome.halt.message == "ValueError: the input no longer fits"
    instance.close()
    history = [kernel.InstanceStarted(5, b"[]"), kernel.InstanceHalted(5, "bug", "", b"", kept=1)]
    again = kernel.Instance(case.program, seed=b"")
    again.replay(history)
    assert again.state is InstanceState.HALTED
    assert again.advance(kernel.Retried(9)).commands == (kernel.CompleteInstance(b"1"),)
    assert again.now_us == 9
    again.close()


def test_rules_for_errors_that_raise_halt_too() -> None:
    async def main() -> None:
        await op("a")
        raise Declined("no")

    case = Driven(main, replays=False)
    case.instance.close()

    def rules(error: BaseException) -> kernel.Failure | None:
        raise RuntimeError("rules are broken")

    broken = kernel.Program(case.program.main, case.program.encode_result, rules, case.program.same_input)
    instance = kernel.Instance(broken, seed=b"")
    instance.advance(kernel.InstanceStarted(1, b"[]"))
    halt = instance.advance(kernel.CallCompleted(2, 1, b"1", None)).halt
    assert halt is not None and halt.message == "RuntimeError: rules are broken"
    instance.close()


def test_a_fence_halts_even_if_the_code_swallows_it() -> None:
    async def main() -> int:
        await op("a")
        try:
            raise Fence()
        except BaseException:
            pass
        await op("b")
        return 1

    case = Driven(main)
    assert case.complete("a").commands == ()
    assert case.halt is not None
    assert (case.halt.code, case.halt.message) == ("fence", "no files here")


def test_a_fence_swallowed_in_a_task_group_halts_before_anyone_else_runs() -> None:
    ran = []

    async def swallows() -> None:
        await op("a")
        try:
            raise Fence("watchdog", "too long")
        except Fence:
            return

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(swallows())
        ran.append("after")

    case = Driven(main, replays=False)
    case.complete("a")
    assert case.halt is not None and case.halt.code == "watchdog"
    assert ran == []


def test_a_halt_made_outside_of_an_advance_halts_nothing() -> None:
    reason = Fence()
    case = Driven(lambda: op("a"))
    case.complete("a", 1)
    assert case.result == 1
    assert reason.code == "fence"


def test_a_halt_names_the_first_call_that_was_asked_for_while_the_error_was_on_its_way() -> None:
    async def main() -> None:
        await op("a")
        try:
            {}["typo"]
        finally:
            await op("tidy up")
            await op("tidy more")

    case = Driven(main)
    case.complete("a")
    assert case.asked == ["+tidy up"]
    case.complete("tidy up")
    case.complete("tidy more")
    assert case.halt is not None and case.halt.message == "KeyError: 'typo'"
    assert case.halt.asked_meanwhile == 2


def test_an_interrupt_discards_the_advance_and_goes_to_the_host() -> None:
    async def main() -> None:
        await op("a")
        ask("b")
        raise KeyboardInterrupt

    case = Driven(main)
    with pytest.raises(KeyboardInterrupt):
        case.instance.advance(kernel.CallCompleted(9, 1, b"1", None))
    with pytest.raises(kernel.IllegalTransition, match="replay"):
        case.instance.advance(kernel.CallCompleted(9, 1, b"1", None))
    case.instance.close()
    again = case.replayed()
    assert list(again.open_calls) == [1]
    again.close()


def test_an_interrupt_in_an_eager_child_cannot_be_swallowed_by_its_parent() -> None:
    async def child() -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        await op("a")
        try:
            asyncio.create_task(child())
        except BaseException:
            pass
        await op("b")

    case = Driven(main)
    with pytest.raises(KeyboardInterrupt):
        case.complete("a")


def test_an_exit_in_an_eager_child_halts_however_its_parent_swallows_it() -> None:
    async def child() -> None:
        raise SystemExit(3)

    async def main() -> None:
        await op("a")
        try:
            asyncio.create_task(child())
        except BaseException:
            pass
        await op("b")

    case = Driven(main)
    case.complete("a")
    assert case.halt is not None and case.halt.message == "SystemExit: 3"


def test_an_instance_in_which_nothing_can_ever_happen_halts() -> None:
    """Nothing is silently stuck."""

    async def main() -> None:
        await op("a")
        await asyncio.Event().wait()

    case = Driven(main)
    case.complete("a")
    assert case.halt is not None and case.halt.code == "stuck"
    assert "no call is open" in case.halt.message


def test_the_last_call_that_nobody_awaits_can_leave_an_instance_stuck() -> None:
    async def main() -> None:
        ask("a")
        await asyncio.get_running_loop().create_future()

    case = Driven(main)
    case.complete("a")
    assert case.halt is not None and case.halt.code == "stuck"


def test_a_halt_can_be_raised_as_a_bare_class_from_outside() -> None:
    """As a watchdog does, through the interpreter, in the middle of any line."""
    import ctypes
    import threading

    async def main() -> int:
        await op("a")
        raised = ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(threading.get_ident()), ctypes.py_object(Fence)
        )
        for _ in range(1_000):
            raised += 0
        return int(raised)

    case = Driven(main)
    case.complete("a")
    assert case.halt is not None
    assert (case.halt.code, case.halt.message) == ("fence", "no files here")
