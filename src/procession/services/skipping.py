"""Skipping a call: it ends now with a given result, and the process goes on as if it had been done; a timer fires."""

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
    with desk.readers.snapshot() as reading:
        is_timer = command.call in {timer.call for timer in reading.waits(row.id).timers}
    end = _firing(row, command.call) if is_timer else completion(desk, order, row, command.call, command.value)
    accepted = await desk.submit(order, end, instance=row.id)
    assert accepted.instance is not None
    return {
        "instance": accepted.instance.name,
        "state": accepted.instance.state,
        "halted": accepted.halted,
        "skipped": command.call,
    }


def _firing(row: InstanceRow, call: int) -> Callable[[View], Decision]:
    def decide(view: View) -> Decision:
        timer = view.timer(row.id, call)
        if timer is None:
            raise no_open_call(row, call, "timer")
        return Decision(events=(TimerFired(view.now_us, timer.call, timer.due_us),))

    return decide
