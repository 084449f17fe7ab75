"""Calls of other instances: the program takes one back at once, and the instance ends after the child has."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from procession import kernel
from procession.kernel import CallKind, ChildEnded, IllegalTransition, InstanceState
from tests.kernel.drive import Declined, Driven, op, rebuild


async def child(name: str, value: object = None) -> Any:
    return await kernel.perform(CallKind.CHILD, name, json.dumps(value).encode(), decode=json.loads, rebuild=rebuild)


def ask_child(name: str) -> kernel.Call[Any]:
    return kernel.request(CallKind.CHILD, name, b"null", decode=json.loads, rebuild=rebuild)


def ended(case: Driven, call: int) -> None:
    case.feed(ChildEnded(case.tick(), call))


async def hurried() -> str:
    try:
        async with asyncio.timeout(10):
            return str(await child("a"))
    except TimeoutError:
        return "late"


def test_a_child_ends_its_call_as_an_operation_does() -> None:
    case = Driven(hurried)
    case.complete("a", "done")
    assert case.result == "done"


def test_a_withdrawn_child_holds_the_end_back_until_it_has_ended_and_the_result_is_recorded_before() -> None:
    case = Driven(hurried)
    case.fire()
    assert case.instance.state is InstanceState.RUNNING
    assert case.instance.ending_children == {2}
    assert isinstance(case.history[-1], kernel.ResultRecorded)
    ended(case, 2)
    assert case.result == "late"
    assert case.instance.ending_children == frozenset()


def test_an_instance_goes_on_while_a_child_that_it_no_longer_wants_ends() -> None:
    async def main() -> str:
        await hurried()
        return str(await op("b"))

    case = Driven(main)
    case.fire()
    assert case.open == ["b"]
    ended(case, 2)
    assert case.instance.state is InstanceState.RUNNING
    case.complete("b", "b")
    assert case.result == "b"


def test_a_failure_waits_for_the_children_that_it_ends() -> None:
    async def main() -> None:
        ask_child("a")
        ask_child("b")
        await op("c")

    case = Driven(main)
    case.fail("c")
    assert case.asked == ["-a", "-b"]
    ended(case, 1)
    assert case.instance.state is InstanceState.RUNNING
    ended(case, 2)
    assert case.failure.type_name == "Declined"


def test_an_error_that_nobody_awaited_still_decides_after_the_children_have_ended() -> None:
    async def failing() -> None:
        await op("b")

    async def main() -> None:
        ask_child("a")
        main.branch = asyncio.create_task(failing())  # type: ignore[attr-defined]
        await op("c")

    case = Driven(main)
    case.fail("b")
    case.complete("c")
    assert case.instance.state is InstanceState.RUNNING
    ended(case, 1)
    assert case.failure.type_name == "Declined"


def test_a_cancelled_instance_waits_for_its_children() -> None:
    case = Driven(hurried)
    case.feed(kernel.CancellationRequested(case.tick(), "twice"))
    assert case.instance.state is InstanceState.CANCELLING
    ended(case, 2)
    assert case.instance.state is InstanceState.CANCELLED


def test_a_child_that_somebody_withdraws_is_not_waited_for() -> None:
    async def main() -> str:
        try:
            return str(await child("a"))
        except Declined:
            raise
        except Exception as error:
            return type(error).__name__

    case = Driven(main)
    case.withdraw("a")
    assert case.result == "Withdrawn"


def test_a_call_of_a_task_holds_nothing_back() -> None:
    async def main() -> str:
        try:
            async with asyncio.timeout(10):
                return str(await op("a"))
        except TimeoutError:
            return "late"

    case = Driven(main)
    case.fire()
    assert case.result == "late"


def test_the_end_of_a_child_that_nobody_waits_for_is_refused_and_changes_nothing() -> None:
    case = Driven(hurried)
    with pytest.raises(IllegalTransition):
        case.instance.advance(ChildEnded(case.tick(), 2))
    case.complete("a", "done")
    assert case.result == "done"


def test_a_kept_end_of_a_child_counts_where_the_retry_withdraws_the_call_first() -> None:
    """A halt keeps two facts; on the corrected source the first makes the program withdraw the child."""

    async def wrong() -> str:
        call = ask_child("a")
        await op("b")
        raise KeyError("typo") if call else None  # type: ignore[misc]

    async def right() -> str:
        call = ask_child("a")
        await op("b")
        call.withdraw()
        return str(await op("c"))

    case = Driven(wrong)
    case.complete("b")
    halted = case.history.pop()
    assert isinstance(halted, kernel.InstanceHalted)
    case.history.append(kernel.CallCompleted(case.tick(), 1, b"1", None))
    case.history.append(kernel.InstanceHalted(case.now_us, halted.code, halted.message, b"", kept=2))
    case.retry(right)
    assert case.instance.ending_children == frozenset()
    case.complete("c", "c")
    assert case.result == "c"
