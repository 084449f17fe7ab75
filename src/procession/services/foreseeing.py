"""What the withdrawal of a work item would do, without doing it: a copy of its instance is told of it, and forgotten."""

import logging
from dataclasses import dataclass

from procession.engine.fences import PROCESS_LOGGER
from procession.kernel import (
    GOES_ON,
    CallWithdrawn,
    CancelInstance,
    Command,
    CompleteInstance,
    Divergence,
    FailInstance,
    HaltInstance,
    Outcome,
    PublishMessage,
    RecordFailure,
    RecordNotUndone,
    RecordResult,
    RenewInstance,
    RequestCall,
    SetAttributes,
    WithdrawCall,
)
from procession.language.registry import Registry
from procession.services.guarding import events_to_replay, replayed
from procession.store import InstanceRow, View
from procession.store.worklist import WorkItemRow
from procession.work.worklist import withdraw


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would come of a withdrawal: the instance, and what it would do at once, one sentence each."""

    item: int
    title: str
    instance: str
    consequences: tuple[str, ...]


def foresee_withdrawal(view: View, registry: Registry, item: WorkItemRow, *, reason: str = "") -> Foreseen:
    """What the instance would do if this item were withdrawn now. Nothing is written. Raises `ItemEnded` for an ended item."""
    withdraw(item)
    row = view.instances.find(item.instance)
    assert row is not None
    if row.state not in GOES_ON:
        told: tuple[str, ...] = (f"is refused, since {row.name} is {row.state}",)
    else:
        told = _consequences(view, registry, row, CallWithdrawn(row.now_us, item.call, reason, by_program=False))
    return Foreseen(item.id, item.title, row.name, told)


def _consequences(view: View, registry: Registry, row: InstanceRow, event: CallWithdrawn) -> tuple[str, ...]:
    process = registry.find_process(row.process)
    if process is None or row.secret is None:
        return (f"halts {row.name}: its process {row.process} is not in the application any more",)
    history = events_to_replay(view, row, registry)
    notes = logging.getLogger(PROCESS_LOGGER)
    was_silent, notes.disabled = notes.disabled, True
    try:
        with replayed(process.program(row.secret), row.secret, history, name=row.name) as (copy, at_work):
            return _told(at_work(row.name, lambda: copy.advance(event)), row)
    except (Divergence, HaltInstance) as fault:
        return (f"halts {row.name}: {fault}",)
    finally:
        notes.disabled = was_silent


def _told(outcome: Outcome, row: InstanceRow) -> tuple[str, ...]:
    if outcome.halt is not None:
        return (f"halts {row.name}: {outcome.halt.message}",)
    return tuple(map(_sentence, outcome.commands)) or (f"{row.name} goes on waiting for what else it asked for",)


def _sentence(command: Command) -> str:
    match command:
        case RequestCall(call, kind, operation):
            return f"asks for {kind} {operation} as call {call}"
        case WithdrawCall(call):
            return f"withdraws call {call}"
        case SetAttributes():
            return "sets attributes"
        case PublishMessage(message, key):
            return f"publishes the message {message} with key {key}"
        case RecordResult():
            return "returns its result, with branches still open"
        case RecordFailure(failure):
            return f"fails, with branches still open or things to undo: {failure.message}"
        case CompleteInstance():
            return "completes"
        case FailInstance(failure):
            return f"fails: {failure.message}"
        case CancelInstance():
            return "ends as cancelled"
        case RecordNotUndone(call):
            return f"notes that call {call} undid nothing"
        case RenewInstance():
            return "begins anew"
