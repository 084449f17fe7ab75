"""Branches: eager, numbered, and tasks in every respect that an author can see."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from procession.kernel import InstanceState
from tests.kernel.drive import Declined, Driven, ask, op


def test_a_branch_starts_when_it_is_made() -> None:
    """Work is offered before the next line."""

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(op("a"))
            ask("b")
            group.create_task(op("c"))
            await op("d")

    assert Driven(main).asked == ["+a", "+b", "+c", "+d"]


def test_a_branch_that_ends_in_its_eager_start_completes_one_turn_later() -> None:
    async def at_once() -> int:
        return 1

    async def main() -> list[Any]:
        task = asyncio.create_task(at_once())
        before = task.done()
        cancelled = task.cancel()
        await asyncio.sleep(0)
        return [before, cancelled, task.done(), task.result()]

    assert Driven(main).result == [False, False, True, 1]


@pytest.mark.parametrize("depth", [39, 41, 200, 600])
def test_branches_may_start_inside_one_another_as_deep_as_they_like(depth: int) -> None:
    async def nested(n: int) -> int:
        if n == 0:
            return int(await op("a"))
        return await asyncio.create_task(nested(n - 1)) + 1

    case = Driven(lambda: nested(depth), replays=depth < 100)
    case.complete("a", 0)
    assert case.result == depth


def test_branches_hash_and_print_by_number_and_path_not_by_address() -> None:
    async def main() -> list[Any]:
        tasks = [asyncio.create_task(op("a")), asyncio.create_task(op("b"))]
        futures = [asyncio.get_running_loop().create_future() for _ in range(3)]
        calls = [ask("x"), ask("y")]
        gathered = asyncio.gather(*tasks)
        first = hash(gathered)
        seen = [
            [repr(task) for task in tasks],
            [hash(task) for task in tasks],
            [hash(each) - hash(futures[0]) for each in futures],
            [hash(each) for each in calls],
            hash(gathered) == first,
            repr(calls[0]),
        ]
        await gathered
        return seen

    case = Driven(main)
    case.complete("a")
    case.complete("b")
    assert case.result == [
        ["<branch 0.1 open>", "<branch 0.2 open>"],
        [1, 2],
        [0, 1, 2],
        [3, 4],
        True,
        "<call 3 x requested>",
    ]


def test_a_set_of_gathers_iterates_alike_in_every_run() -> None:
    async def main() -> int:
        gathers = {asyncio.gather(op(f"a{n}"), op(f"b{n}")) for n in range(6)}
        done, pending = await asyncio.wait(gathers, return_when=asyncio.FIRST_COMPLETED)
        for each in pending:
            each.cancel()
        await asyncio.wait(pending)
        return len(done)

    case = Driven(main)
    case.complete("a2")
    case.complete("b2")
    assert case.asked == [f"-{kind}{n}" for n in range(6) if n != 2 for kind in "ab"]
    assert case.result == 1


def test_a_branch_refuses_to_be_completed_by_hand() -> None:
    async def main() -> list[str]:
        task: Any = asyncio.create_task(op("a"))
        said = []
        for attempt in (lambda: task.set_result(1), lambda: task.set_exception(ValueError())):
            try:
                attempt()
            except RuntimeError as error:
                said.append(str(error))
        task.cancel()
        return said

    assert Driven(main).result == ["A branch does not support set_result", "A branch does not support set_exception"]


@pytest.mark.parametrize("wrong", ["a future of another loop", "a bare value", "itself"])
def test_waiting_for_what_cannot_be_waited_for_raises_in_the_branch(wrong: str) -> None:
    class Yields:
        def __await__(self) -> Any:
            yield 42

    outside = asyncio.new_event_loop()
    future: asyncio.Future[None] = outside.create_future()
    outside.close()

    async def main() -> str:
        try:
            match wrong:
                case "a future of another loop":
                    await future
                case "a bare value":
                    await Yields()
                case _:
                    await asyncio.current_task()  # type: ignore[misc]
        except RuntimeError as error:
            return str(error)
        return "?"

    assert "branch" in Driven(main).result


def test_create_task_wants_a_coroutine() -> None:
    async def main() -> str:
        try:
            asyncio.create_task(42)  # type: ignore[arg-type]
        except TypeError as error:
            return str(error)
        return "?"

    assert Driven(main).result == "a coroutine was expected, got 42"


def test_many_errors_of_one_group_come_in_the_order_of_the_branches() -> None:
    async def main() -> list[str]:
        event = asyncio.Event()

        async def fails(n: int) -> None:
            await event.wait()
            raise Declined(str(n))

        said: list[str] = []
        try:
            async with asyncio.TaskGroup() as group:
                for n in range(6):
                    group.create_task(fails(n))
                await op("a")
                event.set()
        except ExceptionGroup as errors:
            said = [str(each) for each in errors.exceptions]
        return said

    case = Driven(main)
    case.complete("a")
    assert case.result == ["0", "1", "2", "3", "4", "5"]
    assert case.instance.state is InstanceState.COMPLETED


def test_all_tasks_gives_the_branches_of_the_instance() -> None:
    async def branch(name: str) -> None:
        await op(name)

    async def main() -> Any:
        async with asyncio.TaskGroup() as group:
            made = [group.create_task(branch(name)) for name in "ab"]
            others = asyncio.all_tasks() - {asyncio.current_task()}
        return others == set(made)

    case = Driven(main)
    case.complete("a")
    case.complete("b")
    assert case.result is True
