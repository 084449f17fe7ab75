"""Puts into rows what a decision says of items, service calls and the request itself."""

import json

from procession.engine.attempts import ServiceState, last_error_of
from procession.engine.contract import Request
from procession.engine.dispatcher import AttemptToRun
from procession.engine.turn import Turn
from procession.engine.wake_records import change_after_attempt, change_service_call
from procession.errors import InternalError
from procession.kernel import Event, TimerFired
from procession.store.batch import Batch
from procession.store.event_rows import encode_event
from procession.store.instances import InstanceRow
from procession.store.requests import NewRequest
from procession.store.service_calls import ServiceCallRow
from procession.store.worklist import NewWorkItemEvent
from procession.work.item import ENDED, ItemEvent, ItemState
from procession.work.worklist import ItemChange


def change_item(turn: Turn, change: ItemChange, now_us: int) -> None:
    """An item goes through the events of the change, unless the program has just withdrawn it; each is recorded with who and why."""
    if not change.events:
        return
    items, cause = turn.batch.items, turn.cause
    row = items.get(change.item)
    if row.ended_us is not None:
        return
    draft = None if change.drops_draft else change.draft if change.draft is not None else row.draft
    items.change(
        row.id,
        state=change.state,
        holder=change.holder,
        version=row.version + 1,
        draft=draft,
        started_us=now_us if ItemEvent.STARTED in change.events else row.started_us,
        ended_us=now_us if change.state in ENDED else None,
        performer=cause.actor if change.state is ItemState.COMPLETED else row.performer,
    )
    for event in change.events:
        payload = change.draft if event is ItemEvent.DRAFT_SAVED else None
        items.record(row.id, NewWorkItemEvent(event, cause.actor, now_us, cause.reason, cause.request, payload))
    name = turn.batch.instances.get(row.instance).name
    turn.notice(now_us, name, f"item {row.id} {row.title}: {change.events[-1]} by {cause.actor}")


def change_service(turn: Turn, row: ServiceCallRow, *, of: InstanceRow) -> None:
    """An open service call is attempted, becomes due again, or needs attention."""
    if row.state == ServiceState.RUNNING:
        requested = turn.batch.events.find(row.requested_position)
        if requested is None or requested.payload is None:
            raise InternalError(f"The input of service call {row.id} is not in the store.", subject=row.operation)
        turn.effects.room -= 1
        turn.effects.attempts.append(AttemptToRun(change_service_call(turn.batch, row), requested.payload, of.name))
        return
    changed = change_after_attempt(turn.batch, row)
    if changed.state == ServiceState.DUE:
        turn.effects.expect(changed.due_us)
    elif changed.state == ServiceState.ATTENTION:
        said = f"{row.operation} needs attention: {last_error_of(changed)} (attempt {changed.attempts})"
        turn.notice(changed.due_us, of.name, said, alarms=True)


def let_wait(batch: Batch, instance: int, event: Event) -> None:
    """What comes for an instance that stands still waits as a row; its wake record goes, since it has done its work."""
    encoded = encode_event(event)
    if encoded.call is None:
        pass
    elif isinstance(event, TimerFired):
        batch.timers.remove(instance, encoded.call)
    elif (service_call := batch.service_calls.find_open(instance, encoded.call)) is not None:
        batch.service_calls.remove(service_call.id)
    elif (external := batch.external_calls.find_open(instance, encoded.call)) is not None:
        batch.external_calls.remove(external.id)
    batch.waiting_events.add(instance, encoded, at_us=event.at_us)


def settle(turn: Turn, row: InstanceRow, call: int) -> None:
    """What a call did not undo need not be shown to people any more: somebody has seen to it."""
    left = [each for each in json.loads(row.not_undone or "[]") if each["call"] != call]
    turn.batch.instances.change(row.id, not_undone=json.dumps(left) if left else None)
    turn.notice(turn.cause.at_us, row.name, f"what call {call} did not undo is settled by {turn.cause.actor}")


def keep_request(batch: Batch, request: Request, number: int, instance: int | None, outcome: dict[str, object]) -> None:
    """An accepted request of a person or a program is a row: who, when, why, and what came of it."""
    batch.requests.append(
        NewRequest(
            number=number,
            instance=instance,
            kind=request.kind,
            actor=request.actor,
            reason=request.reason,
            at_us=request.at_us,
            client_id=request.client_id,
            input_digest=request.input_digest,
            outcome=json.dumps(outcome),
        )
    )
