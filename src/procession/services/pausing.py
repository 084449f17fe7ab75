"""Suspending an instance and resuming it, by a person."""

from procession.engine.contract import Decision, InstanceIsHalted, View
from procession.engine.suspending import Suspension
from procession.errors import InvalidValue, PerformerError
from procession.kernel import InstanceResumed, InstanceState, InstanceSuspended
from procession.services.commands import Order, ResumeInstance, SuspendInstance
from procession.services.desk import Answer, Desk

TIMERS = ("run", "stop")


class NotSuspended(PerformerError):
    """Only a suspended instance can be resumed."""

    code = "not-suspended"


async def pause(desk: Desk, order: Order, command: SuspendInstance | ResumeInstance) -> Answer:
    """Do it. Raises `NotSuspended`, `InstanceIsHalted`, `InstanceHasEnded`."""
    row = desk.get_instance(command.instance)
    if isinstance(command, SuspendInstance) and command.timers not in TIMERS:
        raise InvalidValue(
            f"Timers cannot {command.timers!r}.",
            problems={"timers": "is neither run nor stop"},
            remedy="Say run, or stop.",
        )

    def decide(view: View) -> Decision:
        if isinstance(command, SuspendInstance):
            return suspension(view, row.id, order.reason or "", stops_timers=command.timers == "stop")
        return resumption(view, row.id)

    accepted = await desk.submit(order, decide, instance=row.id, passes_halt=True, passes_suspension=True)
    assert accepted.instance is not None
    return {"instance": accepted.instance.name, "state": accepted.instance.state, "halted": accepted.halted}


def suspension(view: View, instance: int, reason: str, *, stops_timers: bool) -> Decision:
    """Have it stand still; one that does already stays as it is. Raises `InstanceIsHalted`."""
    row = view.instance(instance)
    assert row is not None
    if row.suspended is not None:
        return Decision()
    if row.state == InstanceState.HALTED:
        raise InstanceIsHalted(
            f"{row.name} stands still already: it is halted.", subject=row.name, remedy="There is nothing to suspend."
        )
    return Decision(events=(InstanceSuspended(view.now_us, reason),), stops_timers=stops_timers)


def resumption(view: View, instance: int) -> Decision:
    """Have it go on. Raises `NotSuspended`."""
    row = view.instance(instance)
    assert row is not None
    suspended = Suspension.of(row)
    if suspended is None:
        raise NotSuspended(f"{row.name} is not suspended.", subject=row.name, remedy="There is nothing to resume.")
    moved_us = max(0, view.now_us - suspended.at_us) if suspended.stops_timers else 0
    return Decision(events=(InstanceResumed(view.now_us, moved_us),))
