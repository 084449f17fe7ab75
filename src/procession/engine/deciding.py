"""Has one request decided inside a batch, and puts the decision into rows."""

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from procession.engine.advance import ENDED_STATES, Advance, Cause, change_service_call
from procession.engine.attempts import ServiceState
from procession.engine.contract import (
    Accepted,
    Decision,
    InstanceHasEnded,
    InstanceIsHalted,
    NewInstance,
    Request,
)
from procession.engine.dispatcher import AttemptToRun
from procession.engine.effects import Effects, Notice
from procession.engine.identifiers import new_uuid7
from procession.errors import InternalError, PerformerError
from procession.kernel import Event, InstanceCancelled, InstanceStarted, InstanceState, Retried, TimerFired
from procession.language.process import input_digest
from procession.store.batch import Batch
from procession.store.event_rows import decode_event, encode_event
from procession.store.instances import InstanceRow
from procession.store.instances import NewInstance as NewInstanceRow
from procession.store.requests import NewRequest, RequestRow
from procession.store.service_calls import ServiceCallRow
from procession.store.timers import TimerRow
from procession.store.worklist import NewWorkItemEvent, WorkItemRow
from procession.work.item import ENDED as ENDED_ITEMS
from procession.work.item import ItemEvent, ItemState
from procession.work.worklist import ItemChange

log = logging.getLogger("procession.engine")


class IdentifierUsedTwice(PerformerError):
    """The identifier of this request was used before, for something else."""

    code = "identifier-used-twice"


@dataclass(slots=True)
class BatchView:
    """What decisions read: the batch, at the time of the request."""

    batch: Batch
    now_us: int

    def instance(self, instance: int) -> InstanceRow | None:
        return self.batch.instances.find(instance)

    def open_instance(self, process: str, key: str) -> InstanceRow | None:
        return self.batch.instances.find_open(process, key)

    def item(self, item: int) -> WorkItemRow | None:
        return self.batch.items.find(item)

    def item_of_call(self, instance: int, call: int) -> WorkItemRow | None:
        return self.batch.items.find_open(instance, call)

    def service_call(self, instance: int, call: int) -> ServiceCallRow | None:
        return self.batch.service_calls.find_open(instance, call)

    def service_calls(self, instance: int) -> list[ServiceCallRow]:
        return self.batch.service_calls.of_instance(instance)

    def due_service_calls(self, *, limit: int) -> list[ServiceCallRow]:
        return self.batch.service_calls.due(self.now_us, limit=limit)

    def instances_with_due_timers(self, *, limit: int) -> list[int]:
        due = self.batch.timers.due(self.now_us, limit=limit)
        return list(dict.fromkeys(timer.instance for timer in due))


@dataclass(slots=True)
class Decider:
    """Decides requests; holds nothing of a batch itself."""

    advance: Advance

    def decide(self, batch: Batch, effects: Effects, request: Request) -> Accepted:
        """Have a request decided and its rows collected.

        Raises the refusal (`PerformerError`, `OperatorError`); then nothing of the request is in the batch, only the
        timers that were due before it. Any other error leaves the batch unusable.
        """
        if (
            request.client_id is not None
            and (earlier := batch.requests.find_by_client_id(request.client_id)) is not None
        ):
            return self._repeat(batch, request, earlier)
        if request.instance is not None:
            self._check_open(batch, effects, request)
        decision = request.decide(BatchView(batch, request.at_us))
        number = batch.requests.new_number() if request.recorded else None
        cause = Cause(number, request.actor, request.reason)
        instance = decision.about if decision.about is not None else request.instance
        if decision.start is not None:
            instance = self._start(batch, effects, decision.start, request.at_us, cause)
        for change in decision.items:
            self._change_item(batch, effects, change, request.at_us, cause)
        for service in decision.services:
            self._change_service(batch, effects, service.row)
        for fired in decision.fires:
            self._apply_timers(batch, effects, batch.instances.get(fired), request.at_us)
        if decision.events:
            assert request.instance is not None
            self._apply(batch, effects, batch.instances.get(request.instance), decision, cause)
        row = batch.instances.get(instance) if instance is not None else None
        outcome = dict(decision.outcome)
        if row is not None:
            outcome["instance"] = row.name
        if number is not None:
            self._keep_request(batch, request, number, instance, outcome)
        halted = effects.halted.get(row.id) if row is not None else None
        return Accepted(number, outcome, row, halted)

    def forget(self, instances: Iterable[int]) -> None:
        """Drop live instances: their batch failed, or they ended."""
        self.advance.live.drop(instances)

    def forget_all(self) -> None:
        """Drop all live instances: nobody knows what of the last batch is in the store."""
        self.advance.live.close()

    def _repeat(self, batch: Batch, request: Request, earlier: RequestRow) -> Accepted:
        same = earlier.kind == request.kind and earlier.input_digest == request.input_digest
        if not same:
            raise IdentifierUsedTwice(
                f"The identifier {request.client_id!r} was used before, for another request ({earlier.kind}).",
                subject=request.client_id or "",
                remedy="Give each request an identifier of its own; a repeated one must be the same request.",
            )
        row = batch.instances.find(earlier.instance) if earlier.instance is not None else None
        return Accepted(earlier.number, json.loads(earlier.outcome), row, repeated=True)

    def _check_open(self, batch: Batch, effects: Effects, request: Request) -> None:
        assert request.instance is not None
        row = batch.instances.get(request.instance)
        if row.state not in ENDED_STATES and row.state != InstanceState.HALTED:
            self._apply_timers(batch, effects, row, request.at_us)
            row = batch.instances.get(request.instance)
        if row.state == InstanceState.HALTED and request.recorded and not request.passes_halt:
            reason = json.loads(row.halt)["message"] if row.halt else "a fault"
            raise InstanceIsHalted(
                f"{row.name} stands still: {reason}",
                subject=row.name,
                remedy=f"Nothing is lost. Once the cause is mended, `procession retry {row.name}` goes on; then do this again.",
            )
        if row.state in ENDED_STATES and request.recorded:
            raise InstanceHasEnded(
                f"{row.name} is already {row.state}.", subject=row.name, remedy="Nothing was changed."
            )

    def _apply_timers(self, batch: Batch, effects: Effects, row: InstanceRow, now_us: int) -> None:
        """All timers due by then, in the order (due, call): so a late answer and an overdue deadline have one outcome."""
        while True:
            timer = next((timer for timer in batch.timers.of_instance(row.id) if timer.due_us <= now_us), None)
            if timer is None:
                return
            self._fire(batch, effects, row, timer, now_us)
            row = batch.instances.get(row.id)

    def _fire(self, batch: Batch, effects: Effects, row: InstanceRow, timer: TimerRow, now_us: int) -> None:
        event = TimerFired(now_us, timer.call, timer.due_us)
        if row.state == InstanceState.HALTED:
            batch.timers.remove(row.id, timer.call)
            batch.waiting_events.add(row.id, encode_event(event), at_us=now_us)
        else:
            self.advance.apply(batch, effects, row.id, (event,), Cause(None, "timer"))

    def _start(self, batch: Batch, effects: Effects, new: NewInstance, now_us: int, cause: Cause) -> int:
        secret = os.urandom(32)
        row = batch.instances.add(
            NewInstanceRow(
                uuid=new_uuid7(now_us),
                process=new.process.name,
                title=new.title,
                business_key=new.business_key,
                open_key=new.business_key,
                initiator=new.initiator,
                release=self.advance.release,
                started_us=now_us,
                secret=secret,
                input_digest=input_digest(secret, new.input),
            )
        )
        self.advance.start(batch, effects, row, InstanceStarted(now_us, new.input), cause)
        return row.id

    def _apply(self, batch: Batch, effects: Effects, row: InstanceRow, decision: Decision, cause: Cause) -> None:
        first = decision.events[0]
        if isinstance(first, InstanceCancelled):
            self.advance.cancel(batch, effects, row.id, first, cause)
        elif isinstance(first, Retried):
            self._retry(batch, effects, row, first, cause)
        elif row.state == InstanceState.HALTED:
            for event in decision.events:
                self._let_wait(batch, row, event)
        else:
            self.advance.apply(batch, effects, row.id, decision.events, cause)

    def _retry(self, batch: Batch, effects: Effects, row: InstanceRow, event: Retried, cause: Cause) -> None:
        self.advance.check_replays(batch, row)
        batch.instances.change(row.id, state=InstanceState.RUNNING, halt=None)
        effects.notices.append(Notice(event.at_us, row.name, f"retried by {cause.actor}"))
        self.advance.apply(batch, effects, row.id, (event,), cause)
        for waiting in batch.waiting_events.of_instance(row.id):
            row = batch.instances.get(row.id)
            if row.state != InstanceState.RUNNING:
                return
            batch.waiting_events.remove(waiting.id)
            self.advance.apply(
                batch, effects, row.id, (replace(decode_event(waiting), at_us=event.at_us),), Cause(None, "engine")
            )

    def _let_wait(self, batch: Batch, row: InstanceRow, event: Event) -> None:
        """What comes for a halted instance from services waits as a row; the call it ends has no other wake record any more."""
        encoded = encode_event(event)
        assert encoded.call is not None
        service_call = batch.service_calls.find_open(row.id, encoded.call)
        if service_call is not None:
            batch.service_calls.remove(service_call.id)
        batch.waiting_events.add(row.id, encoded, at_us=event.at_us)

    def _change_item(self, batch: Batch, effects: Effects, change: ItemChange, now_us: int, cause: Cause) -> None:
        if not change.events:
            return
        row = batch.items.get(change.item)
        ended = change.state in ENDED_ITEMS
        draft = None if change.drops_draft else change.draft if change.draft is not None else row.draft
        starts = ItemEvent.STARTED in change.events
        batch.items.change(
            row.id,
            state=change.state,
            holder=change.holder,
            version=row.version + 1,
            draft=draft,
            started_us=now_us if starts else row.started_us,
            ended_us=now_us if ended else None,
            performer=cause.actor if change.state is ItemState.COMPLETED else row.performer,
        )
        for event in change.events:
            payload = change.draft if event is ItemEvent.DRAFT_SAVED else None
            batch.items.record(
                row.id, NewWorkItemEvent(event, cause.actor, now_us, cause.reason, cause.request, payload)
            )
        name = batch.instances.get(row.instance).name
        effects.notices.append(Notice(now_us, name, f"item {row.id} {row.title}: {change.events[-1]} by {cause.actor}"))

    def _change_service(self, batch: Batch, effects: Effects, row: ServiceCallRow) -> None:
        if row.state == ServiceState.RUNNING:
            requested = batch.events.find(row.requested_position)
            if requested is None or requested.payload is None:
                raise InternalError(f"The input of service call {row.id} is not in the store.", subject=row.operation)
            effects.room -= 1
            effects.attempts.append(AttemptToRun(change_service_call(batch, row), requested.payload))
            return
        changed = change_service_call(batch, row)
        if changed.state == ServiceState.DUE:
            effects.expect(changed.due_us)
        else:
            name = batch.instances.get(row.instance).name
            effects.notices.append(Notice(changed.due_us, name, f"{row.operation} needs attention: {row.last_error}"))

    def _keep_request(
        self, batch: Batch, request: Request, number: int, instance: int | None, outcome: dict[str, object]
    ) -> None:
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
