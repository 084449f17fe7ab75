"""Everything of asyncio that a process may use means what it means in asyncio, and survives a replay after every event."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

from procession.kernel import InstanceState
from tests.kernel.drive import Declined, Driven, ask, op


def test_gather_gives_results_in_the_order_of_its_arguments() -> None:
    async def main() -> list[Any]:
        return list(await asyncio.gather(op("a"), op("b")))

    case = Driven(main)
    case.complete("b", 2)
    case.complete("a", 1)
    assert case.result == [1, 2]


def test_gather_raises_the_first_error_and_leaves_the_rest_running() -> None:
    async def main() -> str:
        try:
            await asyncio.gather(op("a"), op("b"))
        except Declined as error:
            return str(error)
        return "?"

    case = Driven(main)
    case.fail("b", "no")
    assert case.asked == []
    assert case.instance.state is InstanceState.RUNNING
    case.complete("a")
    assert case.result == "no"


def test_gather_can_collect_errors() -> None:
    async def main() -> list[str]:
        return [str(each) for each in await asyncio.gather(op("a"), op("b"), return_exceptions=True)]

    case = Driven(main)
    case.fail("a", "no")
    case.complete("b", "yes")
    assert case.result == ["no", "yes"]


def test_cancelling_a_gather_withdraws_its_calls_in_order() -> None:
    async def main() -> str:
        try:
            async with asyncio.timeout(5):
                await asyncio.gather(*(op(f"a{n}") for n in range(5)))
        except TimeoutError:
            return "late"
        return "?"

    case = Driven(main)
    case.fire()
    assert case.asked == [f"-a{n}" for n in range(5)]
    assert case.result == "late"


def test_task_group_waits_for_all() -> None:
    async def main() -> list[Any]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(op(name), name=name) for name in ("a", "b", "c")]
        return [task.result() for task in tasks] + [task.get_name() for task in tasks]

    case = Driven(main)
    for name in "bca":
        case.complete(name, name.upper())
    assert case.result == ["A", "B", "C", "a", "b", "c"]


def test_task_group_withdraws_the_siblings_of_a_failure_in_the_order_of_creation() -> None:
    async def main() -> list[str]:
        said: list[str] = []
        try:
            async with asyncio.TaskGroup() as group:
                for n in range(12):
                    group.create_task(op(f"a{n}"))
        except ExceptionGroup as errors:
            said = [str(each) for each in errors.exceptions]
        return said

    case = Driven(main)
    case.fail("a7", "no")
    assert case.asked == [f"-a{n}" for n in range(12) if n != 7]
    assert case.result == ["no"]


def test_task_group_whose_child_fails_at_once_raises_that_failure_alone() -> None:
    """The prototype's finding: a child that is done when `create_task` returns breaks the group."""

    async def fails() -> None:
        raise Declined("at once")

    async def main() -> list[str]:
        said = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
                group.create_task(op("a"))
                await op("b")
        except ExceptionGroup as errors:
            said = [f"{type(each).__name__}: {each}" for each in errors.exceptions]
        current = asyncio.current_task()
        assert current is not None
        return [*said, str(current.cancelling())]

    case = Driven(main)
    assert case.asked == ["+a", "+b", "-b", "-a"] or case.asked == ["+a", "+b", "-a", "-b"]
    assert case.result == ["Declined: at once", "0"]


def test_a_lone_child_that_fails_at_once_leaks_no_cancellation() -> None:
    async def fails() -> None:
        raise Declined("at once")

    async def main() -> str:
        said = ""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
        except ExceptionGroup as errors:
            said = str(errors.exceptions[0])
        return said + str(await op("a"))

    case = Driven(main)
    case.complete("a", "!")
    assert case.result == "at once!"


@pytest.mark.parametrize("when", [asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED])
def test_wait_returns_sets_that_iterate_alike_in_every_run(when: str) -> None:
    async def main() -> list[str]:
        tasks = {asyncio.create_task(op(f"a{n}"), name=f"a{n}") for n in range(20)}
        done, pending = await asyncio.wait(tasks, return_when=when)
        for task in pending:
            task.cancel()
        return [task.get_name() for task in done]

    case = Driven(main)
    case.fail("a3") if when == asyncio.FIRST_EXCEPTION else case.complete("a3")
    if when == asyncio.ALL_COMPLETED:
        for name in case.open:
            case.complete(name)
        assert sorted(case.result) == sorted(f"a{n}" for n in range(20))
    elif when == asyncio.FIRST_COMPLETED:
        assert case.result == ["a3"]
        assert len(case.asked) == 19


def test_wait_takes_a_limit() -> None:
    async def main() -> list[int]:
        task = asyncio.create_task(op("a"))
        done, pending = await asyncio.wait([task], timeout=5)
        counts = [len(done), len(pending)]
        return [*counts, await task]

    case = Driven(main)
    case.fire()
    case.complete("a", 9)
    assert case.result == [0, 1, 9]


def test_as_completed_starts_in_order_and_gives_by_completion() -> None:
    async def main() -> list[Any]:
        return [await each for each in asyncio.as_completed([op(f"a{n}") for n in range(9)])]

    case = Driven(main)
    assert case.asked == [f"+a{n}" for n in range(9)]
    order = [4, 8, 1, 0, 7, 2, 3, 6, 5]
    for n in order:
        case.complete(f"a{n}", n)
    assert case.result == order


def test_as_completed_can_be_iterated_asynchronously_on_every_version() -> None:
    async def main() -> list[Any]:
        tasks = [asyncio.create_task(op(name), name=name) for name in "ab"]
        return [task.get_name() async for task in asyncio.as_completed(tasks)]  # type: ignore[attr-defined, unused-ignore]

    case = Driven(main)
    case.complete("b")
    case.complete("a")
    assert case.result == ["b", "a"]


def test_as_completed_raises_a_timeout_for_what_is_late() -> None:
    async def main() -> list[Any]:
        got: list[Any] = []
        for each in asyncio.as_completed([op("a"), op("b")], timeout=10):
            try:
                got.append(await each)
            except TimeoutError:
                got.append("late")
        return got

    case = Driven(main)
    case.complete("a", 1)
    case.fire()
    case.complete("b")
    assert case.result == [1, "late"]


def test_shield_keeps_the_work_when_the_waiter_is_cancelled() -> None:
    async def main() -> list[Any]:
        inner = asyncio.create_task(op("a"))
        try:
            async with asyncio.timeout(10):
                await asyncio.shield(inner)
        except TimeoutError:
            pass
        return ["kept", await inner]

    case = Driven(main)
    case.fire()
    assert case.asked == []
    case.complete("a", 5)
    assert case.result == ["kept", 5]


def test_cancelled_error_can_be_caught_for_a_clean_up_that_asks_for_work() -> None:
    async def child() -> None:
        try:
            await op("work")
        except asyncio.CancelledError:
            await op("undo")
            raise

    async def main() -> bool:
        task = asyncio.create_task(child())
        await op("a")
        task.cancel("changed my mind")
        await asyncio.wait([task])
        return task.cancelled()

    case = Driven(main)
    case.complete("a")
    assert case.asked == ["-work", "+undo"]
    assert [each.reason for each in case.outcome.commands if hasattr(each, "reason")] == ["changed my mind"]
    case.complete("undo")
    assert case.result is True


def test_uncancel_takes_a_cancellation_back() -> None:
    async def main() -> Any:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        left = task.uncancel()
        return [left, task.cancelling(), await op("a")]

    case = Driven(main)
    case.complete("a", "on")
    assert case.result == [0, 0, "on"]


def test_a_cancellation_in_its_own_step_ends_the_next_wait_and_its_call() -> None:
    async def main() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await op("a")
        except asyncio.CancelledError:
            task.uncancel()
        return "caught"

    case = Driven(main)
    assert case.asked == ["+a", "-a"]
    assert case.result == "caught"


def test_context_variables_belong_to_a_branch() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def child(name: str) -> str:
        before = variable.get()
        variable.set(name)
        await op(name)
        return f"{before} {variable.get()}"

    async def main() -> list[str]:
        seen = [variable.get()]
        variable.set("main")
        seen += await asyncio.gather(child("a"), child("b"))
        return [*seen, variable.get()]

    variable.set("the host's")
    case = Driven(main)
    case.complete("b")
    case.complete("a")
    assert case.result == ["unset", "main a", "main b", "main"]
    assert variable.get() == "the host's"


def test_a_context_can_be_passed_even_one_that_is_entered() -> None:
    async def main() -> list[str]:
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("passed", default="unset")
        other = contextvars.copy_context()
        other.run(variable.set, "other")

        async def child() -> str:
            await op("a")
            return variable.get()

        mine = asyncio.current_task().get_context()  # type: ignore[union-attr, attr-defined, unused-ignore]
        variable.set("mine")
        first = asyncio.create_task(child(), context=other)
        second = asyncio.create_task(child(), context=mine)
        return [await first, await second]

    case = Driven(main)
    case.complete("a")
    case.complete("a")
    assert case.result == ["other", "mine"]


def test_an_asynchronous_generator_works_and_an_abandoned_one_is_not_run() -> None:
    cleaned: list[str] = []

    async def steps() -> Any:
        try:
            for n in range(3):
                yield await op(f"a{n}")
        finally:
            cleaned.append("finally")

    async def main() -> list[Any]:
        got = []
        async for first in steps():
            got.append(first)
            break
        return [*got, [each async for each in steps()]]

    case = Driven(main, replays=False)
    for n in (0, 0, 1, 2):
        case.complete(f"a{n}", n)
    assert case.result == [0, [0, 1, 2]]
    assert cleaned == ["finally"]


def test_current_task_and_running_loop_are_those_of_the_instance() -> None:
    async def main() -> bool:
        here = asyncio.current_task()
        loop = asyncio.get_running_loop()
        assert here is not None and loop.is_running() and not loop.is_closed()
        await asyncio.gather(op("a"))
        return asyncio.current_task() is here and asyncio.get_running_loop() is loop

    case = Driven(main)
    case.complete("a")
    assert case.result is True


def test_an_instance_runs_nested_in_a_running_loop_and_leaves_it_as_it_was() -> None:
    async def process() -> list[Any]:
        return list(await asyncio.gather(op("a"), op("b")))

    async def host() -> Any:
        before = asyncio.current_task()
        case = Driven(process)
        case.complete("a", 1)
        assert asyncio.current_task() is before
        async with asyncio.timeout(60):  # needs the outer loop, task and hooks
            await asyncio.sleep(0)
        case.complete("b", 2)

        async def numbers() -> Any:
            yield 1

        assert [n async for n in numbers()] == [1]
        return case.result

    assert asyncio.run(host()) == [1, 2]


def test_a_call_made_by_hand_is_taken_by_task_group_through_a_coroutine() -> None:
    async def waits(call: Any) -> Any:
        return await call

    async def main() -> Any:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(waits(ask("a")))
        return task.result()

    case = Driven(main)
    case.complete("a", 4)
    assert case.result == 4
