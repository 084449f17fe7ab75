"""Repairs by an operator: go on after a halt, attempt again, end a call by hand, end an instance by force."""

from collections.abc import Callable
from typing import assert_never

from procession.engine.attempts import ServiceState, new_round
from procession.engine.contract import Decision, InstanceIsHalted, ServiceChange, View
from procession.engine.suspending import Suspension
from procession.errors import PerformerError
from procession.kernel import (
    CallCompleted,
    CallFailed,
    CancellationRequested,
    Event,
    Failure,
    InstanceCancelled,
    InstanceState,
    Retried,
)
from procession.language.filling_in import parsed
from procession.services.commands import CancelInstance, CompleteCall, FailCall, Order, RetryCall, RetryInstance
from procession.services.desk import Answer, Desk
from procession.store.external_calls import ExternalCallRow, ExternalState
from procession.store.instances import InstanceRow
from procession.store.service_calls import ServiceCallRow
from procession.work import worklist as rules
from procession.work.worklist import ItemChange

Repair = RetryInstance | RetryCall | CompleteCall | FailCall | CancelInstance


class NothingToRetry(PerformerError):
    """Only a halted instance, or a service call that needs attention, can be retried."""

    code = "nothing-to-retry"


class NoOpenCall(PerformerError):
    """The instance has no open call of that number."""

    code = "no-open-call"


async def repair(desk: Desk, order: Order, command: Repair) -> Answer:
    """Do the repair. Raises `NothingToRetry`, `NoOpenCall`, `InvalidValue`, or `DoesNotReplay`."""
    row = desk.get_instance(command.instance)
    decide, passes_halt = _decision(desk, order, command, row)
    accepted = await desk.submit(
        order, decide, instance=row.id, passes_halt=passes_halt, passes_suspension=isinstance(command, CancelInstance)
    )
    assert accepted.instance is not None
    answer: Answer = {"instance": accepted.instance.name, "state": accepted.instance.state, "halted": accepted.halted}
    if isinstance(command, RetryCall):
        answer |= {"call": command.call, "operation": _operation_of(desk, row, command.call)}
    return answer


def _decision(desk: Desk, order: Order, command: Repair, row: InstanceRow) -> tuple[Callable[[View], Decision], bool]:
    if isinstance(command, RetryCall | CompleteCall | FailCall):
        _check_is_no_child(desk, row, command.call)
    match command:
        case RetryInstance():
            return lambda view: _retry(view, row), True
        case RetryCall(call=call):
            return lambda view: _retry_call(view, row, call), True
        case CompleteCall(call=call, value=value):
            return completion(desk, order, row, call, value), False
        case FailCall(call=call, message=message):
            return lambda view: _fail(view, order, row, call, message), False
        case CancelInstance(force=True):
            forced = order.reason or ""
            return lambda view: Decision(events=(InstanceCancelled(view.now_us, forced, by_program=False),)), True
        case CancelInstance():
            return lambda view: _cancel(view, row, order.reason or ""), True
        case _:
            assert_never(command)


def _check_is_no_child(desk: Desk, row: InstanceRow, call: int) -> None:
    """A call of a child ends with the child, and by nobody's hand."""
    with desk.readers.snapshot() as view:
        child = view.instances.find_child(row.id, call)
    if child is not None:
        raise NoOpenCall(
            f"Call {call} of {row.name} is its child {child.name}, and ends with it.",
            subject=row.name,
            remedy=f"See `procession show {child.name}`; what it waits for can be completed, failed or retried, "
            f"and `procession cancel {child.name}` ends it.",
        )


def _cancel(view: View, row: InstanceRow, reason: str) -> Decision:
    present = view.instance(row.id)
    if present is not None and present.state == InstanceState.HALTED:
        raise InstanceIsHalted(
            f"{row.name} stands still, so its code cannot clean up.",
            subject=row.name,
            remedy=f"Mend the cause, `procession retry {row.name}`, and cancel it then; or end it with --force, "
            "which runs none of its code.",
        )
    if present is not None and (suspended := Suspension.of(present)) is not None:
        raise suspended.refusal(row.name)
    if present is not None and present.cancelling_us is not None:
        return Decision()
    return Decision(events=(CancellationRequested(view.now_us, reason),))


def _operation_of(desk: Desk, row: InstanceRow, call: int) -> str:
    """The operation of a service call that is open still; nothing where it has ended meanwhile."""
    with desk.readers.snapshot() as view:
        return next((each.operation for each in view.waits(row.id).service_calls if each.call == call), "")


def _retry(view: View, row: InstanceRow) -> Decision:
    present = view.instance(row.id)
    if present is None or present.state != InstanceState.HALTED:
        in_attention = [str(call.call) for call in view.service_calls(row.id) if call.state == ServiceState.ATTENTION]
        hint = (
            f" A service call needs attention: `procession retry {row.name} --call {in_attention[0]}`."
            if in_attention
            else ""
        )
        raise NothingToRetry(f"{row.name} is not halted.", subject=row.name, remedy=f"There is nothing to retry.{hint}")
    return Decision(events=(Retried(view.now_us),))


def _open_service_call(view: View, row: InstanceRow, call: int) -> ServiceCallRow | None:
    found = view.service_call(row.id, call)
    return None if found is None or found.state == ServiceState.WITHDRAWN else found


def _retry_call(view: View, row: InstanceRow, call: int) -> Decision:
    service_call = _open_service_call(view, row, call)
    if (external := view.external_call(row.id, call)) is not None:
        return _retry_external(row, external, view.now_us)
    if service_call is None:
        raise no_open_call(row, call, "service call")
    if service_call.state == ServiceState.RUNNING:
        raise NothingToRetry(
            f"An attempt at call {call} of {row.name} runs now.", subject=row.name, remedy="Wait for what comes of it."
        )
    return Decision(services=(ServiceChange(new_round(service_call, view.now_us)),))


def _retry_external(row: InstanceRow, external: ExternalCallRow, now_us: int) -> Decision:
    if external.state(now_us) is ExternalState.LEASED:
        raise NothingToRetry(
            f"{external.worker} has call {external.call} of {row.name} now.",
            subject=row.name,
            remedy="Wait for what comes of it.",
        )
    return Decision(externals=(external._replace(attempts=0, lease_until_us=0),))


def completion(desk: Desk, order: Order, row: InstanceRow, call: int, value: str) -> Callable[[View], Decision]:
    """The decision to end an open call with this result. Raises `InvalidValue`; the decision raises `NoOpenCall`."""
    with desk.readers.snapshot() as reading:
        waits = reading.waits(row.id)
    open_calls = {row.call: row.operation for row in waits.items}
    open_calls |= {row.call: row.operation for row in waits.service_calls}
    open_calls |= {row.call: row.operation for row in waits.external_calls}
    requested = open_calls.get(call)
    operation = desk.registry.find_operation(requested) if requested is not None else None
    if operation is None:
        missing = "call" if requested is None else "call of an operation that the application still has"

        def refuse(view: View) -> Decision:
            # Not before the engine has looked whether this very order was carried out already and is only repeated.
            raise no_open_call(row, call, missing)

        return refuse
    result = parsed(operation.result, value, whole="result", subject=operation.id)
    encoded = operation.result.encode(result)

    def decide(view: View) -> Decision:
        items = _item_change(view, row, call, rules.settle)
        events: tuple[Event, ...] = (CallCompleted(view.now_us, call, encoded, order.actor),)
        return Decision(items=items, events=events)

    return decide


def _fail(view: View, order: Order, row: InstanceRow, call: int, message: str) -> Decision:
    service_call = _open_service_call(view, row, call)
    attempts = service_call.attempts if service_call is not None else 0
    items = _item_change(view, row, call, rules.fail)
    failure = Failure("FailedByHand", message, None, attempts)
    return Decision(items=items, events=(CallFailed(view.now_us, call, failure, order.actor),))


def _item_change(
    view: View, row: InstanceRow, call: int, rule: Callable[[rules.ItemView], ItemChange]
) -> tuple[ItemChange, ...]:
    item = view.item_of_call(row.id, call)
    if item is not None:
        return (rule(item),)
    if _open_service_call(view, row, call) is None and view.external_call(row.id, call) is None:
        raise no_open_call(row, call, "call")
    return ()


def no_open_call(row: InstanceRow, call: int, what: str) -> NoOpenCall:
    """The refusal of a call that is not open."""
    return NoOpenCall(
        f"{row.name} has no open {what} of number {call}.",
        subject=row.name,
        remedy=f"`procession show {row.name}` lists what it waits for.",
    )
