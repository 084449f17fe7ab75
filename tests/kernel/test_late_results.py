"""What comes of a call with an undo after the program has withdrawn it: nobody has that result, so it is undone (law 55)."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession import kernel
from procession.errors import ProcessFailed
from procession.kernel import CallCompleted, CallStarted, IllegalTransition, InstanceState, LateResult, NotUndone
from tests.kernel.drive import Driven, op
from tests.kernel.test_cancelling import cancel, close_all
from tests.kernel.test_compensating import reserve


async def hurried() -> str:
    try:
        async with asyncio.timeout(3600):
            await reserve("hotel")
    except TimeoutError:
        pass
    return str(await op("then?"))


def overdue(main: object = hurried) -> tuple[Driven, int]:
    """An instance that has waited for the hotel for too long, and the call."""
    case = Driven(main)  # type: ignore[arg-type]
    call = case.number("hotel")
    case.fire()
    return case, call


def come(case: Driven, call: int, value: bytes | None = b'"hotel-1"') -> None:
    case.feed(LateResult(case.tick(), call, value))


def test_what_comes_late_is_undone_at_once_while_the_instance_goes_on() -> None:
    case, call = overdue()
    assert case.open == ["then?"]
    come(case, call)
    assert case.open == ["then?", "undo hotel"]
    assert [e.input for e in case.history if isinstance(e, kernel.CallRequested)][-1] == b'"hotel-1"'
    case.complete("undo hotel")
    case.complete("then?", "home")
    assert case.result == "home"


def test_the_end_waits_until_it_is_known_and_undone() -> None:
    case, call = overdue()
    case.complete("then?", "home")
    assert (case.instance.state, case.open) == (InstanceState.RUNNING, [])
    assert case.instance.late_calls == {call}
    come(case, call)
    assert (case.instance.late_calls, case.open) == (frozenset(), ["undo hotel"])
    case.complete("undo hotel")
    assert case.result == "home"


def test_nothing_that_comes_ends_the_wait_for_it() -> None:
    case, call = overdue()
    case.complete("then?", "home")
    come(case, call, None)
    assert case.result == "home"


def test_it_comes_late_only_once() -> None:
    case, call = overdue()
    come(case, call)
    for again in (b"1", None):
        with pytest.raises(IllegalTransition):
            case.instance.advance(LateResult(case.tick(), call, again))
    with pytest.raises(IllegalTransition):
        case.instance.advance(LateResult(case.tick(), 99, None))


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_where_it_is_cancelled_or_fails_that_comes_before_what_was_noted(how: str) -> None:
    async def main() -> None:
        await reserve("flight")
        async with asyncio.TaskGroup() as group:
            group.create_task(reserve("hotel"))
            if await op("go?") == "no":
                raise ProcessFailed("no")

    case = Driven(main)
    case.complete("flight")
    call = case.number("hotel")
    if how == "failed":
        case.complete("go?", "no")
    else:
        cancel(case)
    assert case.open == []
    come(case, call)
    assert case.open == ["undo hotel"]
    case.complete("undo hotel")
    case.complete("undo flight")
    assert case.instance.state.value == how


def test_cancelling_leaves_the_undo_alone_that_is_under_way() -> None:
    case, call = overdue()
    come(case, call)
    cancel(case)
    assert case.open == ["undo hotel"]
    case.complete("undo hotel")
    assert case.instance.state is InstanceState.CANCELLED


def test_an_undo_that_fails_is_recorded() -> None:
    case, call = overdue()
    come(case, call)
    case.fail("undo hotel", "closed")
    assert [each.operation for each in case.history if isinstance(each, NotUndone)] == ["undo hotel"]
    case.complete("then?", "home")
    assert case.result == "home"


def test_to_begin_anew_waits_for_it() -> None:
    async def main(run: int) -> None:
        if run == 1:
            try:
                async with asyncio.timeout(3600):
                    await reserve("hotel")
            except TimeoutError:
                await kernel.renew(b"[2]")
        await op("second")

    case = Driven(main, 1)
    call = case.number("hotel")
    case.fire()
    assert case.open == []
    come(case, call)
    assert case.open == ["undo hotel"]
    case.complete("undo hotel")
    assert case.open == ["second"]
    assert any(isinstance(event, kernel.Renewed) for event in case.history)


def test_what_a_halt_kept_of_a_call_that_is_withdrawn_meanwhile_came_late() -> None:
    is_mended = False

    async def main() -> None:
        hotel = asyncio.create_task(reserve("hotel"))
        await op("first")
        assert is_mended
        hotel.cancel()
        await op("then?")

    case = Driven(main)
    call = case.number("hotel")
    case.complete("first")
    assert case.halt is not None
    # The host keeps what comes meanwhile behind what the halt kept.
    halted = case.history.pop()
    case.history += [
        CallStarted(case.tick(), call, None),
        CallCompleted(case.tick(), call, b'"hotel-1"', None),
        kernel.InstanceHalted(case.now_us, "bug", "", b"", kept=3),
    ]
    assert isinstance(halted, kernel.InstanceHalted)
    is_mended = True
    case.retry()
    assert case.open == ["then?", "undo hotel"]


ENDS = st.sampled_from(["in time", "late", "late for nothing", "failed"])


@given(st.lists(ENDS, min_size=1, max_size=6), st.sampled_from(["completes", "fails", "cancelled"]), st.randoms())
@settings(max_examples=100, deadline=None)
def test_whatever_was_booked_is_undone_once_unless_the_instance_has_it_and_completes(
    how: list[str], end: str, chance: object
) -> None:
    async def book(n: int) -> None:
        try:
            async with asyncio.timeout(3600):
                await reserve(str(n))
        except Exception:  # declined, or too late
            pass

    async def main() -> None:
        await asyncio.gather(*(book(n) for n in range(len(how))))
        if await op("end") == "fails":
            raise ProcessFailed("over")

    case = Driven(main)
    calls = {n: case.number(str(n)) for n in range(len(how))}
    for n, each in enumerate(how):
        if each == "in time":
            case.complete(str(n))
        elif each == "failed":
            case.fail(str(n))
    while "late" in "".join(how) and "end" not in case.open:
        case.fire()
    late = [n for n, each in enumerate(how) if each.startswith("late")]
    chance.shuffle(late)  # type: ignore[attr-defined]
    before, after = late[: len(late) // 2], late[len(late) // 2 :]
    for n in before:
        come(case, calls[n], b"1" if how[n] == "late" else None)
    if end == "cancelled":
        cancel(case)
    else:
        case.complete("end", end)
    for n in after:
        come(case, calls[n], b"1" if how[n] == "late" else None)
    while case.open:
        case.complete(case.open[0])
    asked = [each.operation for each in case.history if isinstance(each, kernel.CallRequested)]
    undone = sorted(each for each in asked if each.startswith("undo"))
    wanted = {"late"} if end == "completes" else {"late", "in time"}
    assert undone == [f"undo {n}" for n, each in enumerate(how) if each in wanted]
    assert case.instance.state.value == {"completes": "completed", "fails": "failed"}.get(end, end)
    close_all()
