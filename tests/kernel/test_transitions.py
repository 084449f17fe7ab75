"""The life cycles: each cell of each table, the legal and the illegal."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from procession import kernel
from procession.kernel import CALL, INSTANCE, TIMER, CallKind, CallState, IllegalTransition, InstanceState
from procession.kernel.events import INCOMING, RECORDED, Event, is_recorded
from procession.kernel.transitions import after
from tests.kernel.drive import Driven, ask, op, standing

EVENTS: list[type] = sorted(INCOMING | RECORDED, key=lambda kind: kind.__name__)

LEGAL_INSTANCE = {
    ("new", "InstanceStarted"): "running",
    ("new", "InstanceHalted"): "halted",
    ("running", "InstanceCompleted"): "completed",
    ("running", "InstanceFailed"): "failed",
    ("running", "InstanceHalted"): "halted",
    ("running", "CancellationRequested"): "cancelling",
    ("running", "InstanceCancelled"): "cancelled",
    ("new", "Renewed"): "running",
    ("running", "InstanceSuspended"): "suspended",
    ("suspended", "InstanceResumed"): "running",
    ("suspended", "InstanceCancelled"): "cancelled",
    ("cancelling", "InstanceSuspended"): "suspended",
    ("cancelling", "InstanceHalted"): "halted",
    ("cancelling", "InstanceCancelled"): "cancelled",
    ("halted", "Retried"): "running",
    ("halted", "InstanceHalted"): "halted",
    ("halted", "InstanceCancelled"): "cancelled",
}
LEGAL_CALL = {
    ("requested", "CallStarted"): "started",
    ("requested", "CallCompleted"): "completed",
    ("requested", "CallFailed"): "failed",
    ("requested", "CallWithdrawn"): "withdrawn",
    ("started", "CallStarted"): "started",
    ("started", "CallCompleted"): "completed",
    ("started", "CallFailed"): "failed",
    ("started", "CallWithdrawn"): "withdrawn",
}
LEGAL_TIMER = {("requested", "TimerFired"): "completed", ("requested", "CallWithdrawn"): "withdrawn"}

TABLES: list[tuple[str, Any, Any, dict[tuple[str, str], str]]] = [
    ("instance", INSTANCE, InstanceState, LEGAL_INSTANCE),
    ("call", CALL, CallState, LEGAL_CALL),
    ("timer", TIMER, CallState, LEGAL_TIMER),
]
CELLS = [
    pytest.param(table, state, event, legal.get((state.value, event.__name__)), id=f"{name}-{state}-{event.__name__}")
    for name, table, states, legal in TABLES
    for state, event in itertools.product(states, EVENTS)
]


@pytest.mark.parametrize(("table", "state", "event", "leads_to"), CELLS)
def test_each_cell_leads_where_the_life_cycle_says_or_raises(
    table: Any, state: Any, event: type, leads_to: str | None
) -> None:
    if leads_to is None:
        with pytest.raises(IllegalTransition, match=event.__name__):
            after(table, state, event, subject="it")
    else:
        assert after(table, state, event, subject="it") == leads_to


def test_a_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        INSTANCE[InstanceState.COMPLETED][kernel.Retried] = InstanceState.RUNNING  # type: ignore[index]


def test_an_event_is_incoming_or_the_record_of_a_command_and_only_a_withdrawal_or_a_cancellation_can_be_either() -> (
    None
):
    assert {kernel.CallWithdrawn, kernel.InstanceCancelled} == INCOMING & RECORDED
    assert not is_recorded(kernel.CallWithdrawn(1, 1, "", by_program=False))
    assert is_recorded(kernel.CallWithdrawn(1, 1, "", by_program=True))


async def waiting() -> str:
    handle = ask("b")
    async with __import__("asyncio").timeout(60):
        await op("a")
    return str(await handle)


FAILURE = kernel.Failure("X", "x")
# The instance above has the calls 1 (b), 2 (timer of asyncio's), 3 (a).
ILLEGAL: list[Event] = [
    kernel.InstanceStarted(9, b"[]"),
    kernel.Retried(9),
    kernel.TimerFired(9, 1, 9),
    kernel.CallCompleted(9, 2, b"1", None),
    kernel.CallStarted(9, 2, "ann"),
    kernel.CallFailed(9, 2, FAILURE, None),
    kernel.CallWithdrawn(9, 2, "", by_program=False),
    kernel.CallCompleted(9, 4, b"1", None),
    kernel.CallRequested(9, 4, CallKind.TASK, "a", b"", b"", None, 0),
    kernel.CallWithdrawn(9, 1, "", by_program=True),
    kernel.AttributesSet(9, b"{}"),
    kernel.ResultRecorded(9, b"1"),
    kernel.InstanceCompleted(9, b"1"),
    kernel.InstanceFailed(9, FAILURE),
    kernel.InstanceCancelled(9, "", by_program=True),
]


@pytest.mark.parametrize("event", ILLEGAL, ids=lambda event: f"{type(event).__name__}")
def test_an_illegal_event_raises_and_changes_nothing(event: Event) -> None:
    case = Driven(waiting)
    before = standing(case.instance)
    with pytest.raises(IllegalTransition):
        case.instance.advance(event)
    assert standing(case.instance) == before
    case.complete("a")
    case.complete("b", "done")
    assert case.result == "done"
    case.instance.close()


@pytest.mark.parametrize("ended", ["completed", "failed", "withdrawn"])
def test_a_call_ends_once(ended: str) -> None:
    case = Driven(waiting)
    match ended:
        case "completed":
            case.complete("b")
        case "failed":
            case.fail("b")
        case _:
            case.withdraw("b")
    for again in (
        kernel.CallStarted(case.tick(), 1, "bob"),
        kernel.CallCompleted(case.tick(), 1, b"1", None),
        kernel.CallFailed(case.tick(), 1, FAILURE, None),
        kernel.CallWithdrawn(case.tick(), 1, "", by_program=False),
    ):
        with pytest.raises(IllegalTransition, match="not open"):
            case.instance.advance(again)
    case.instance.close()


def test_nothing_happens_to_an_ended_instance() -> None:
    async def short() -> int:
        return 1

    case = Driven(short)
    assert case.result == 1
    for event in (
        kernel.InstanceCancelled(9, "", by_program=False),
        kernel.Retried(9),
        kernel.InstanceStarted(9, b"[]"),
    ):
        with pytest.raises(IllegalTransition):
            case.instance.advance(event)
    case.instance.close()


def test_a_cancelled_instance_takes_no_event_and_runs_no_code() -> None:
    ran = []

    async def with_cleanup() -> None:
        try:
            await op("a")
        finally:
            ran.append("finally")

    case = Driven(with_cleanup, replays=False)
    assert case.feed(kernel.InstanceCancelled(case.tick(), "no longer wanted", by_program=False)).commands == ()
    assert case.instance.state is InstanceState.CANCELLED
    assert ran == []
    with pytest.raises(IllegalTransition, match="cancelled"):
        case.instance.advance(kernel.CallCompleted(case.tick(), 1, b"1", None))
    again = case.replayed()
    assert again.state is InstanceState.CANCELLED
    again.close()
    case.instance.close()
