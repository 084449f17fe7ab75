"""Several at once, deadlines and handles, through the store, each with the instance rebuilt for every event: laws 3, 5, 6, 52."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from procession import Call, Elapsed, Function, ProcessFailed, after, deadline, now, together, until
from procession.errors import OperationFailed, OutsideProcess, Withdrawn
from procession.kernel import CallWithdrawn, InstanceFailed
from procession.services.commands import CompleteItem, FailCall, StartItem, WithdrawItem
from tests.conformance.rebuilt import idle, opened
from tests.conformance.world import Host, World

team = Function("Team", owner="ann@acme.example")


class OutOfStock(ProcessFailed):
    """Raised on purpose."""


@team.task()
async def ask(number: int) -> int: ...


def item(world: World, name: str, number: int) -> int:
    """The item that asks for this number."""
    with world.view() as view:
        for row in world.waits(name).items:
            event = view.event(row.requested_position)
            if event is not None and event.payload == f'{{"number":{number}}}'.encode():
                return row.id
    raise AssertionError(f"nobody is asked {number}")


async def answered(world: World, name: str, *numbers: int) -> None:
    """Each of these is answered by itself, and the instance leaves memory after each."""
    for number in numbers:
        await world.give(CompleteItem(item(world, name, number), str(number)))
        await world.start(idle)


def withdrawn(world: World, name: str) -> list[tuple[int, bool]]:
    return [(event.call, event.by_program) for event in world.history(name) if isinstance(event, CallWithdrawn)]


# Several at once


async def test_together_gives_results_in_the_order_asked_whatever_the_order_answered(host: Host) -> None:
    async def main() -> list[object]:
        a, (b, c) = await together(ask(1), together(ask(2), ask(3)))
        return [a, b, c, await together([ask(n) for n in (6, 5, 4)]), await together([])]

    world, name = await opened(host, team, main)
    await answered(world, name, 3, 1, 2, 4, 6, 5)
    assert world.result(name) == str([1, 2, 3, [6, 5, 4], []])


async def test_the_first_error_of_together_withdraws_the_others_and_is_raised_as_itself(host: Host) -> None:
    async def main() -> list[object]:
        try:
            await together(ask(1), after("2 days"), together(ask(2), ask(3)))
        except OperationFailed as failed:
            return [failed.message, await ask(4)]
        return []

    world, name = await opened(host, team, main)
    await world.give(FailCall(name, world.find_item(item(world, name, 3)).call, "cannot be done"))
    await answered(world, name, 4)
    assert world.result(name) == str(["cannot be done", 4])
    # 1 and 2 are tasks, 3 is the timer that the order of asking put between them
    assert sorted(withdrawn(world, name)) == [(1, True), (2, True), (3, True)]


async def test_gather_without_a_scope_leaves_the_others_at_work(host: Host) -> None:
    async def main() -> list[object]:
        late = [asyncio.create_task(ask(number)) for number in (1, 2)]
        try:
            await asyncio.gather(*late)
        except Withdrawn:
            return [await late[1]]
        return []

    world, name = await opened(host, team, main)
    await world.give(WithdrawItem(item(world, name, 1)))
    await answered(world, name, 2)
    assert world.result(name) == str([2])


async def test_a_group_of_errors_that_would_all_fail_the_instance_fails_it(host: Host) -> None:
    async def failing(number: int) -> None:
        try:
            await ask(number)
        finally:
            raise OutOfStock(f"no {number}")

    async def main() -> list[object]:
        async with asyncio.TaskGroup() as group:
            group.create_task(failing(1))
            group.create_task(failing(2))
        return []

    world, name = await opened(host, team, main)
    await answered(world, name, 1)
    assert world.state(name) == "failed"
    last = world.history(name)[-1]
    assert isinstance(last, InstanceFailed) and last.failure.message.count("OutOfStock: no ") == 2
    assert withdrawn(world, name) == [(2, True)]


async def test_an_error_that_nobody_awaited_decides_at_the_end_and_the_first_branch_counts(host: Host) -> None:
    async def failing(number: int) -> None:
        await ask(number)
        raise OutOfStock(f"no {number}")

    kept: list[asyncio.Task[None]] = []

    async def main() -> list[object]:
        kept[:] = [asyncio.create_task(failing(1)), asyncio.create_task(failing(2))]
        return [await ask(3)]

    world, name = await opened(host, team, main)
    await answered(world, name, 2, 3)
    assert world.state(name) == "running"
    assert "ResultRecorded" in world.kinds(name)
    await answered(world, name, 1)
    last = world.history(name)[-1]
    assert isinstance(last, InstanceFailed) and last.failure.message == "no 1"


# Time


async def test_a_deadline_withdraws_what_its_block_asked_for_and_only_that(host: Host) -> None:
    async def main() -> list[object]:
        outside = asyncio.create_task(ask(1))
        try:
            async with deadline("2 days"):
                await together(ask(2), ask(3))
        except TimeoutError:
            return ["too late", await outside]
        return []

    world, name = await opened(host, team, main)
    await answered(world, name, 2)
    await world.pass_time("1 day")
    assert len(world.waits(name).items) == 2
    await world.pass_time("1 day")
    assert [row.call for row in world.waits(name).items] == [1]
    await answered(world, name, 1)
    assert world.result(name) == str(["too late", 1])


async def test_a_deadline_that_is_kept_leaves_no_timer(host: Host) -> None:
    async def main() -> list[object]:
        async with deadline("2 days"), asyncio.timeout(3600):
            await ask(1)
        return [await ask(2)]

    world, name = await opened(host, team, main)
    assert len(world.waits(name).timers) == 2
    await answered(world, name, 1)
    assert world.waits(name).timers == ()
    await world.pass_time("5 days")
    await answered(world, name, 2)
    assert world.result(name) == str([2])


async def test_of_two_deadlines_in_one_another_the_earlier_one_counts_wherever_it_stands(host: Host) -> None:
    async def main() -> list[object]:
        told: list[object] = []
        for outer, inner in ((1, 2), (2, 1)):
            try:
                async with deadline(f"{outer} hours"):
                    try:
                        async with deadline(f"{inner} hours"):
                            await ask(1)
                    except TimeoutError:
                        told.append("inner")
            except TimeoutError:
                told.append("outer")
        return told

    world, name = await opened(host, team, main)
    await world.pass_time("1 hour")
    await world.start(idle)
    await world.pass_time("1 hour")
    assert world.result(name) == str(["outer", "inner"])


async def test_timers_give_when_they_were_due_though_they_were_applied_later(host: Host) -> None:
    async def main() -> list[object]:
        first: Elapsed = await after("1 day")
        second = await until(datetime(2026, 3, 2, 12, tzinfo=UTC))
        return [first.due.isoformat(), second.due.isoformat(), now().isoformat()]

    world, name = await opened(host, team, main)
    await world.restart(runs_timers=False)
    world.skip("10 days")
    await world.restart(runs_timers=True)
    await world.until_ended(name)
    assert world.result(name) == str(
        [
            "2026-03-02T09:00:00+00:00",
            "2026-03-02T12:00:00+00:00",
            "2026-03-11T09:00:00+00:00",
        ]
    )


# Handles


async def test_a_handle_that_its_branch_leaves_open_is_withdrawn_and_whoever_else_awaits_it_is_told(
    host: Host,
) -> None:
    async def main() -> list[object]:
        handles: list[Call[int]] = []

        async def asking() -> None:
            handles.append(ask.request(1))
            await ask(2)

        async def waiting() -> str:
            try:
                return f"{await handles[0]}"
            except Withdrawn:
                return "withdrawn"

        branch = asyncio.create_task(asking())
        told = asyncio.create_task(waiting())
        await branch
        return [await told]

    world, name = await opened(host, team, main)
    await answered(world, name, 2)
    assert world.result(name) == str(["withdrawn"])
    assert withdrawn(world, name) == [(1, True)]


async def test_a_handle_that_nobody_awaits_is_withdrawn_at_the_end_of_root(host: Host) -> None:
    async def main() -> list[object]:
        ask.request(1)
        return [await ask(2)]

    world, name = await opened(host, team, main)
    await answered(world, name, 2)
    assert world.result(name) == str([2])
    assert withdrawn(world, name) == [(1, True)]


async def test_a_handle_answers_each_who_awaits_it_and_later_too_and_a_late_withdrawal_is_nothing(host: Host) -> None:
    async def main() -> list[object]:
        call = ask.request(1)
        call_again = asyncio.gather(call, call)
        await ask(2)
        call.withdraw("too late")
        call.withdraw()
        return [*await call_again, await call, call.performer]

    world, name = await opened(host, team, main)
    await answered(world, name, 1, 2)
    assert world.result(name) == str([1, 1, 1, "ann"])


async def test_a_withdrawn_handle_raises_withdrawn_with_the_reason_to_whoever_awaits_it(host: Host) -> None:
    async def main() -> list[object]:
        call = ask.request(1)

        async def waiting() -> str:
            try:
                return f"{await call}"
            except Withdrawn as error:
                return error.message

        branch = asyncio.create_task(waiting())
        await ask(2)
        call.withdraw("never mind")
        return [await branch, await waiting()]

    world, name = await opened(host, team, main)
    first = item(world, name, 1)
    await answered(world, name, 2)
    assert world.result(name) == str(["never mind", "never mind"])
    assert world.find_item(first).state == "withdrawn"


async def test_an_escalation_starts_when_nobody_has_started_in_time(host: Host) -> None:
    async def main() -> list[object]:
        call = ask.request(1)
        try:
            async with deadline("1 day"):
                await call.started()
        except TimeoutError:
            return ["escalated", await together(call, ask(2))]
        return [f"started by {call.performer}", await call]

    world, name = await opened(host, team, main)
    await world.pass_time("2 days")
    await answered(world, name, 2, 1)
    assert world.result(name) == str(["escalated", (1, 2)])

    in_time = await world.start("subject")
    await world.give(StartItem(item(world, in_time, 1)), "bob")
    await world.pass_time("2 days")
    await world.give(CompleteItem(item(world, in_time, 1), "5"), "bob")
    assert world.result(in_time) == str(["started by bob", 5])


async def test_waiting_for_a_start_is_over_when_the_call_ends_and_raises_if_it_was_withdrawn(host: Host) -> None:
    async def main() -> list[object]:
        told: list[object] = []
        for number in (1, 2):
            call = ask.request(number)
            try:
                await call.started()
                told.append(call.performer)
            except Withdrawn as withdrawn:
                told.append(withdrawn.message)
        return told

    world, name = await opened(host, team, main)
    await world.give(FailCall(name, 1, "nobody can"), "bob")
    await world.start(idle)
    await world.give(WithdrawItem(item(world, name, 2)), reason="never mind")
    assert world.result(name) == str(["bob", "never mind"])


async def test_what_is_shielded_goes_on_and_keeps_the_instance_open(host: Host) -> None:
    async def main() -> list[object]:
        try:
            async with deadline("1 hour"):
                await asyncio.shield(ask(1))
        except TimeoutError:
            return ["too late"]
        return []

    world, name = await opened(host, team, main)
    await world.pass_time("1 hour")
    assert (world.state(name), world.kinds(name)[-1]) == ("running", "ResultRecorded")
    await answered(world, name, 1)
    assert world.result(name) == str(["too late"])


async def test_clean_up_of_a_cancelled_branch_is_real_work(host: Host) -> None:
    async def main() -> list[object]:
        async def careful() -> None:
            try:
                await ask(1)
            finally:
                await ask(2)

        branch = asyncio.create_task(careful())
        await ask(3)
        branch.cancel()
        try:
            await branch
        except asyncio.CancelledError:
            return ["cleaned up"]
        return []

    world, name = await opened(host, team, main)
    await answered(world, name, 3)
    assert [row.call for row in world.waits(name).items] == [3]
    await answered(world, name, 2)
    assert world.result(name) == str(["cleaned up"])


# Outside


@pytest.mark.parametrize("what", [lambda: ask(1), lambda: together([]), lambda: after("1 day")])
async def test_outside_of_instances_operations_and_timers_say_where_they_belong(
    what: Callable[[], Awaitable[object]],
) -> None:
    with pytest.raises(OutsideProcess):
        await what()
