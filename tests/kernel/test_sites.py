"""Sites and business call stacks: function, line and column, exactly."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from procession import kernel
from procession.kernel import Frame, RequestCall
from tests.kernel.drive import Driven, ask, op


def text_at(frame: Frame, filename: str = __file__) -> str:
    """The source that a frame points at."""
    with open(filename, encoding="utf-8") as source:
        lines = source.read().splitlines()[frame.line - 1 : frame.end_line]
    lines[-1] = lines[-1][: frame.end_column]
    lines[0] = lines[0][frame.column :]
    return " ".join(line.strip() for line in lines)


def ours(frames: Any) -> list[Frame]:
    """Without the operations of `drive`, which stand for the language's."""
    return [each for each in frames if each.module == __name__]


def sites(case: Driven) -> list[list[str]]:
    return [
        [text_at(frame) for frame in ours(command.site)]
        for command in case.outcome.commands
        if isinstance(command, RequestCall)
    ]


async def stage(name: str) -> Any:
    return await op(name)


async def two_stages() -> list[Any]:
    pair = [await op("a"), await op("b")]
    both = await asyncio.gather(stage("c"), op("d"))
    return [*pair, *both]


def test_a_site_is_the_exact_expression_even_for_two_on_a_line() -> None:
    case = Driven(two_stages)
    assert sites(case) == [['await op("a")']]
    case.complete("a")
    assert sites(case) == [['await op("b")']]


def test_a_site_goes_through_the_line_where_each_branch_was_created() -> None:
    case = Driven(two_stages)
    case.complete("a")
    case.complete("b")
    gather = 'asyncio.gather(stage("c"), op("d"))'
    assert sites(case) == [[gather, "await op(name)"], [gather]]
    first = next(each for each in case.outcome.commands if isinstance(each, RequestCall))
    assert [each.function for each in ours(first.site)] == ["two_stages", "stage"]
    line = inspect.getsourcelines(two_stages)[1] + 2
    assert ours(first.site)[0] == Frame(__name__, "two_stages", line, 17, line, 17 + len(gather))


def test_a_site_of_a_call_made_after_a_wait_in_a_branch_still_has_its_origin() -> None:
    async def child() -> None:
        await op("a")
        await op("b")

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    case = Driven(main)
    case.complete("a")
    assert sites(case) == [["group.create_task(child())", 'await op("b")']]


def test_a_site_has_the_same_origin_after_a_replay() -> None:
    case = Driven(two_stages)
    case.complete("a")
    case.complete("b")
    case.instance.close()
    case.instance = case.replayed()
    case.complete("c")
    frames = [each for stack in case.instance.branches() for each in stack.frames]
    assert 'asyncio.gather(stage("c"), op("d"))' in [
        text_at(each.frame) for each in frames if each.frame.module == __name__
    ]


def test_timers_have_a_site() -> None:
    async def main() -> None:
        await asyncio.sleep(5)

    assert sites(Driven(main)) == [["await asyncio.sleep(5)"]]


def test_sites_are_not_computed_in_a_replay() -> None:
    async def main() -> None:
        await op("a")
        await op("b")

    case = Driven(main)
    again = case.replayed()
    assert again.advance(kernel.CallCompleted(9, 1, b"1", None)).commands[0].site  # type: ignore[union-attr]
    again.close()


def stacks(case: Driven) -> list[tuple[str, list[str], int | None]]:
    return [
        (each.branch, [text_at(at.frame) for at in each.frames if at.frame.module == __name__], each.waits_for)
        for each in case.instance.branches()
    ]


def test_the_stack_of_each_waiting_branch_is_exact_and_says_what_it_waits_for() -> None:
    case = Driven(two_stages)
    assert stacks(case) == [("0", ['await op("a")'], 1)]
    case.complete("a")
    case.complete("b")
    gather = 'asyncio.gather(stage("c"), op("d"))'
    assert stacks(case) == [
        ("0", ["await " + gather], None),
        ("0.1", [gather, "await op(name)"], 3),
        ("0.2", [gather], 4),
    ]


def test_the_stack_has_the_variables_as_they_stand() -> None:
    async def inner(amount: int) -> None:
        double = amount * 2
        await op("a", double)

    async def main() -> None:
        limit = 5
        await inner(limit)

    case = Driven(main)
    (stack,) = case.instance.branches()
    seen = [dict(each.variables) for each in stack.frames if each.frame.module == __name__]
    assert seen[0]["limit"] == 5
    assert seen[1] == {"amount": 5, "double": 10}
    assert stack.frames[0].filename == __file__


def test_the_stack_goes_through_context_managers_async_generators_and_awaitables() -> None:
    class Paused:
        async def wait(self) -> Any:
            return await ask("a")

        def __await__(self) -> Any:
            return self.wait().__await__()

    async def numbers() -> Any:
        yield await Paused()

    async def main() -> None:
        async with asyncio.timeout(60):
            async for _ in numbers():
                pass

    case = Driven(main)
    (stack,) = case.instance.branches()
    names = [each.frame.function.rsplit(".", 1)[-1] for each in stack.frames]
    assert names == ["main", "numbers", "wait"]
    assert stack.waits_for == 2


def test_a_sleeper_waits_for_its_timer_and_one_who_waits_for_others_for_no_call() -> None:
    async def main() -> None:
        event = asyncio.Event()
        await asyncio.gather(asyncio.sleep(5), asyncio.wait_for(op("a"), 9), event.wait())

    case = Driven(main)
    assert [each.waits_for for each in case.instance.branches()] == [None, 1, 3, None]


def test_the_stack_of_an_error_is_where_it_was_raised() -> None:
    def check(amount: int) -> float:
        return 1 / amount

    async def child() -> None:
        await op("a")
        check(0)

    async def main() -> None:
        await asyncio.gather(child(), op("b"))

    case = Driven(main)
    case.complete("a")
    assert case.halt is not None
    assert [text_at(each.frame) for each in case.halt.stack[0].frames if each.frame.module == __name__] == [
        'asyncio.gather(child(), op("b"))',
        "check(0)",
        "1 / amount",
    ]
    assert case.halt.stack[0].frames[-1].variables == {"amount": 0}


def test_code_that_a_class_generates_for_itself_is_no_part_of_a_stack() -> None:
    @dataclass
    class Line:
        amount: int

        def __post_init__(self) -> None:
            raise ValueError(self.amount)

    async def main() -> None:
        await op("a")
        Line(1)

    case = Driven(main)
    case.complete("a")
    assert case.halt is not None
    functions = [each.frame.function.rpartition(".")[2] for each in case.halt.stack[0].frames]
    assert functions[-2:] == ["main", "__post_init__"]


def test_frames_of_asyncio_and_of_the_package_are_no_part_of_a_site() -> None:
    async def main() -> None:
        await asyncio.wait_for(asyncio.shield(op("a")), 9)

    case = Driven(main)
    seen = {
        frame.module for command in case.outcome.commands if isinstance(command, RequestCall) for frame in command.site
    }
    assert seen == {__name__, "tests.kernel.drive"}


def test_a_site_hashes_and_equals_by_its_positions() -> None:
    cases = [Driven(two_stages), Driven(two_stages)]
    first, second = (each.outcome.commands[0].site for each in cases)  # type: ignore[union-attr]
    assert first == second
    assert hash(first) == hash(second)


def test_a_site_survives_code_without_positions() -> None:
    source = "async def bare(op):\n    await op('a')\n"
    code = compile(source, "/somewhere/bare.py", "exec")
    inner = next(each for each in code.co_consts if hasattr(each, "co_name"))
    space: dict[str, Any] = {"__name__": "bare"}
    function: Callable[..., Any] = type(lambda: None)(inner.replace(co_linetable=b""), space)
    case = Driven(lambda: function(op), replays=False)
    command = case.outcome.commands[0]
    assert isinstance(command, RequestCall)
    assert command.site[0][:3] == ("bare", "bare", 1)
