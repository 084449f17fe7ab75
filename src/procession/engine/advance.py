"""Applies events to one instance inside a batch: the history grows, wake records come and go, work items are offered.

Everything of a step is in one transaction, so there is no moment at which a hand-off is half done.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from procession.engine.attempts import ServiceState, begin
from procession.engine.dispatcher import AttemptToRun
from procession.engine.effects import Effects, Notice
from procession.engine.fences import fence_down, fence_up
from procession.engine.halting import HaltRecord, record_of_fault, record_of_halt
from procession.engine.identifiers import new_uuid7
from procession.engine.live import LiveInstances, ProcessIsGone
from procession.engine.watchdog import Watchdog
from procession.errors import OperatorError
from procession.kernel import (
    CallKind,
    CallRequested,
    Command,
    CompleteInstance,
    Divergence,
    Event,
    FailInstance,
    HaltInstance,
    Instance,
    InstanceCancelled,
    InstanceHalted,
    InstanceStarted,
    InstanceState,
    RecordResult,
    RequestCall,
    SetAttributes,
    TimerFired,
    WithdrawCall,
    event_of,
)
from procession.language.operations import Service, Task
from procession.language.process import input_digest
from procession.language.registry import Registry
from procession.store.batch import Batch
from procession.store.event_rows import encode_event
from procession.store.instances import InstanceRow
from procession.store.service_calls import NewServiceCall, ServiceCallRow
from procession.store.worklist import NewWorkItem, NewWorkItemEvent
from procession.work.item import ItemEvent, ItemState

PROCESS_ACTOR = "process"
EVENTS_LIMIT = 100_000

ENDED_STATES = frozenset({InstanceState.COMPLETED, InstanceState.FAILED, InstanceState.CANCELLED})


class DoesNotReplay(OperatorError):
    """The history of a halted instance does not fit the present source of its process, so it cannot go on yet."""

    code = "does-not-replay"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why events come: the number of the request that brought them, and who gave it."""

    request: int | None
    actor: str
    reason: str | None = None


@dataclass(slots=True)
class Advance:
    """Applies events to instances. One object per engine; it holds no state of a batch."""

    registry: Registry
    live: LiveInstances
    watchdog: Watchdog
    release: int
    events_limit: int = EVENTS_LIMIT

    def start(self, batch: Batch, effects: Effects, row: InstanceRow, event: InstanceStarted, cause: Cause) -> None:
        """Begin an instance whose row was added in this batch."""
        self.live.create(row)
        effects.notices.append(Notice(event.at_us, row.name, f"started by {cause.actor}: {row.title}"))
        self.apply(batch, effects, row.id, (event,), cause)

    def apply(self, batch: Batch, effects: Effects, instance: int, events: Sequence[Event], cause: Cause) -> None:
        """Apply events in order. An instance that halts keeps those not yet applied, with the halt record behind them."""
        for index, event in enumerate(events):
            row = batch.instances.get(instance)
            halt = self._apply_one(batch, effects, row, event, cause)
            if halt is not None:
                self._halt(batch, effects, row, events[index:], halt, cause)
                return

    def cancel(self, batch: Batch, effects: Effects, instance: int, event: InstanceCancelled, cause: Cause) -> None:
        """End an instance by force: no author's code runs, all that it asked for is withdrawn."""
        row = batch.instances.get(instance)
        batch.events.append(instance, [encode_event(event, request=cause.request)])
        for item in batch.items.of_instance(instance):
            if item.ended_us is None:
                self._withdraw_item(batch, item.id, event.at_us, cause)
        for call in batch.service_calls.of_instance(instance):
            batch.service_calls.remove(call.id)
            effects.stopped.append((instance, call.call))
        for timer in batch.timers.of_instance(instance):
            batch.timers.remove(instance, timer.call)
        for waiting in batch.waiting_events.of_instance(instance):
            batch.waiting_events.remove(waiting.id)
        self._end(batch, effects, row, InstanceState.CANCELLED, event.at_us)

    def check_replays(self, batch: Batch, row: InstanceRow) -> None:
        """Refuse to go on with a halted instance whose history does not replay on the present source.

        Raises `DoesNotReplay` with the first difference; nothing is recorded then.
        """
        self.live.drop([row.id])
        try:
            self.live.get(batch, row)
        except (Divergence, HaltInstance, ProcessIsGone) as fault:
            raise DoesNotReplay(
                f"{row.name} does not replay on the present source: {fault}",
                subject=row.name,
                remedy="It stays halted and keeps all it has. Correct the source, and retry.",
            ) from fault

    def _apply_one(
        self, batch: Batch, effects: Effects, row: InstanceRow, event: Event, cause: Cause
    ) -> HaltRecord | None:
        if row.seq >= self.events_limit:
            return HaltRecord(
                "history-limit", f"The history has {row.seq} events; the limit is {self.events_limit}.", b"{}"
            )
        try:
            live = self.live.get(batch, row)
        except (Divergence, HaltInstance, ProcessIsGone) as fault:
            return record_of_fault(fault)
        try:
            self.watchdog.enter(row.id, row.seq + 1)
            fence_up()
            try:
                outcome = live.advance(event)
            finally:
                fence_down()
                self.watchdog.leave()
        except HaltInstance as late:  # the watchdog's exception arrived when process code had just come back
            return record_of_fault(late)
        if outcome.halt is not None:
            return record_of_halt(outcome.halt)
        self._release_wake_record(batch, row.id, event)
        self._record(batch, effects, row, live, event, outcome.commands, cause)
        return None

    def _record(
        self,
        batch: Batch,
        effects: Effects,
        row: InstanceRow,
        live: Instance,
        event: Event,
        commands: Sequence[Command],
        cause: Cause,
    ) -> None:
        assert row.secret is not None
        made = [event]
        for command in commands:
            if isinstance(command, RequestCall):
                digest = input_digest(row.secret, command.input)
                site = batch.releases.site(self.release, command.site)
                made.append(event_of(command, live.now_us, digest=digest, site=site))
            else:
                made.append(event_of(command, live.now_us))
        positions = batch.events.append(row.id, [encode_event(each, request=cause.request) for each in made])
        batch.instances.change(row.id, now_us=live.now_us)
        for position, command, recorded in zip(positions[1:], commands, made[1:], strict=True):
            self._carry_out(batch, effects, row, command, recorded, position)

    def _carry_out(
        self, batch: Batch, effects: Effects, row: InstanceRow, command: Command, recorded: Event, position: int
    ) -> None:
        match command:
            case RequestCall():
                assert isinstance(recorded, CallRequested)
                self._request(batch, effects, row, recorded, position)
            case WithdrawCall(call):
                self._withdraw(batch, effects, row, call, recorded.at_us)
            case SetAttributes(values):
                texts = {name: json.dumps(value, ensure_ascii=False) for name, value in json.loads(values).items()}
                batch.instances.set_attributes(row.id, texts)
            case RecordResult():
                pass  # the event is all there is to it
            case CompleteInstance():
                self._end(batch, effects, row, InstanceState.COMPLETED, recorded.at_us)
            case FailInstance():
                self._end(batch, effects, row, InstanceState.FAILED, recorded.at_us)

    def _request(self, batch: Batch, effects: Effects, row: InstanceRow, event: CallRequested, position: int) -> None:
        if event.kind is CallKind.TIMER:
            assert event.due_us is not None
            batch.timers.add(row.id, event.call, event.due_us)
            effects.expect(event.due_us)
            return
        operation = self.registry.operations[event.operation]
        if isinstance(operation, Task):
            self._offer(batch, effects, row, operation, event, position)
        else:
            assert isinstance(operation, Service)
            self._have_attempted(batch, effects, row, operation, event, position)

    def _offer(
        self,
        batch: Batch,
        effects: Effects,
        row: InstanceRow,
        task: "Task[..., object, object]",
        event: CallRequested,
        position: int,
    ) -> None:
        item = batch.items.add(
            NewWorkItem(
                uuid=new_uuid7(event.at_us),
                instance=row.id,
                call=event.call,
                operation=task.id,
                function=task.function.name,
                title=task.title,
                role=task.by.name,
                state=ItemState.OFFERED,
                requested_us=event.at_us,
                due_us=task.due.after(event.at_us) if task.due is not None else None,
                requested_position=position,
            )
        )
        batch.items.record(item.id, NewWorkItemEvent(ItemEvent.OFFERED, PROCESS_ACTOR, event.at_us))
        effects.notices.append(Notice(event.at_us, row.name, f"item {item.id} {task.title}: offered to {item.role}"))

    def _have_attempted(
        self,
        batch: Batch,
        effects: Effects,
        row: InstanceRow,
        service: "Service[..., object]",
        event: CallRequested,
        position: int,
    ) -> None:
        key = f"{row.uuid.hex()}-{row.generation}-{event.call}-{event.digest.hex()}"
        added = batch.service_calls.add(
            NewServiceCall(row.id, event.call, event.operation, event.at_us, key, position, state=ServiceState.DUE)
        )
        if effects.room > 0:
            effects.room -= 1
            begun = change_service_call(batch, begin(added, service, event.at_us))
            effects.attempts.append(AttemptToRun(begun, event.input))
        else:
            effects.expect(event.at_us)

    def _withdraw(self, batch: Batch, effects: Effects, row: InstanceRow, call: int, at_us: int) -> None:
        if batch.timers.find(row.id, call) is not None:
            batch.timers.remove(row.id, call)
        elif (service_call := batch.service_calls.find_open(row.id, call)) is not None:
            batch.service_calls.remove(service_call.id)
            effects.stopped.append((row.id, call))
        elif (item := batch.items.find_open(row.id, call)) is not None:
            self._withdraw_item(batch, item.id, at_us, Cause(None, PROCESS_ACTOR))
            effects.notices.append(Notice(at_us, row.name, f"item {item.id} {item.title}: withdrawn"))

    def _withdraw_item(self, batch: Batch, item: int, at_us: int, cause: Cause) -> None:
        row = batch.items.get(item)
        batch.items.change(item, state=ItemState.WITHDRAWN, ended_us=at_us, version=row.version + 1, draft=None)
        batch.items.record(item, NewWorkItemEvent(ItemEvent.WITHDRAWN, cause.actor, at_us, cause.reason, cause.request))

    def _release_wake_record(self, batch: Batch, instance: int, event: Event) -> None:
        """A call has ended: what would have woken the instance for it goes. Items are changed by the decision itself."""
        if isinstance(event, TimerFired):
            batch.timers.remove(instance, event.call)
        elif (call := getattr(event, "call", None)) is not None:
            service_call = batch.service_calls.find_open(instance, call)
            if service_call is not None:
                batch.service_calls.remove(service_call.id)

    def _halt(
        self, batch: Batch, effects: Effects, row: InstanceRow, kept: Sequence[Event], halt: HaltRecord, cause: Cause
    ) -> None:
        at_us = max(row.now_us, kept[-1].at_us)
        for event in kept:
            self._release_wake_record(batch, row.id, event)
        halted = InstanceHalted(at_us, halt.code, halt.message, halt.detail, len(kept))
        batch.events.append(row.id, [encode_event(event, request=cause.request) for event in (*kept, halted)])
        batch.instances.change(row.id, state=InstanceState.HALTED, halt=halt.to_json(at_us), now_us=at_us)
        effects.halted[row.id] = halt.message
        effects.ended.append(row.id)
        effects.notices.append(Notice(at_us, row.name, f"halted: {halt.message}"))

    def _end(self, batch: Batch, effects: Effects, row: InstanceRow, state: InstanceState, at_us: int) -> None:
        process = self.registry.find_process(row.process)
        keeps_key = process is not None and process.key_forever
        open_key = row.open_key if keeps_key else None
        batch.instances.change(row.id, state=state, ended_us=at_us, open_key=open_key, now_us=at_us)
        effects.ended.append(row.id)
        effects.notices.append(Notice(at_us, row.name, str(state)))


def change_service_call(batch: Batch, row: ServiceCallRow) -> ServiceCallRow:
    """Put what may change of an open service call into the batch."""
    return batch.service_calls.change(
        row.id,
        state=row.state,
        attempts=row.attempts,
        round_attempts=row.round_attempts,
        due_us=row.due_us,
        fencing=row.fencing,
        last_error=row.last_error,
    )
