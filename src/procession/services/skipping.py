"""Skipping a call: it ends now with a given result, and the process goes on as if it had been done; a timer fires.

A call that could not undo what it should has ended already: to skip it says that somebody has seen to that.
"""

import json
from collections.abc import Callable

from procession.engine.contract import Decision, View
from procession.errors import InvalidValue
from procession.kernel import TimerFired
from procession.services.commands import Order, SkipCall
from procession.services.desk import Answer, Desk
from procession.services.repairs import completion, no_open_call
from procession.store import InstanceRow


async def skip(desk: Desk, order: Order, command: SkipCall) -> Answer:
    """Do it. Raises `NoOpenCall`, or `InvalidValue` where there is no reason or the result does not fit."""
    if not (order.reason or "").strip():
        raise InvalidValue(
            "A call is skipped for a reason.", problems={"reason": "is missing"}, remedy="Give it with --reason."
        )
    row = desk.get_instance(command.instance)
    if _is_not_undone(row, command.call):
        _refuse_value(command, "What was not undone")
        accepted = await desk.submit(order, _settling(row, command.call))
    else:
        accepted = await desk.submit(order, _end_of(desk, order, command, row), instance=row.id)
    assert accepted.instance is not None
    return {
        "instance": accepted.instance.name,
        "state": accepted.instance.state,
        "halted": accepted.halted,
        "skipped": command.call,
        "settled": bool(accepted.outcome.get("settled")),
    }


def _end_of(desk: Desk, order: Order, command: SkipCall, row: InstanceRow) -> Callable[[View], Decision]:
    with desk.readers.snapshot() as reading:
        is_timer = command.call in {timer.call for timer in reading.waits(row.id).timers}
    if is_timer:
        _refuse_value(command, "A timer")
    return _firing(row, command.call) if is_timer else completion(desk, order, row, command.call, command.value)


def _refuse_value(command: SkipCall, what: str) -> None:
    if command.value.strip() != "null":
        raise InvalidValue(f"{what} has no result.", problems={"value": "is not wanted"}, remedy="Leave --value out.")


def _is_not_undone(row: InstanceRow | None, call: int) -> bool:
    return row is not None and any(each["call"] == call for each in json.loads(row.not_undone or "[]"))


def _settling(row: InstanceRow, call: int) -> Callable[[View], Decision]:
    """Without regard to where the instance stands: as a rule it has ended."""

    def decide(view: View) -> Decision:
        if not _is_not_undone(view.instance(row.id), call):
            raise no_open_call(row, call, "call")
        return Decision(outcome={"settled": True}, about=row.id, settles=call)

    return decide


def _firing(row: InstanceRow, call: int) -> Callable[[View], Decision]:
    def decide(view: View) -> Decision:
        timer = view.timer(row.id, call)
        if timer is None:
            raise no_open_call(row, call, "timer")
        return Decision(events=(TimerFired(view.now_us, timer.call, timer.due_us),))

    return decide
