"""What will wake an instance: the work item, service call or timer that stands for each of its open calls.

There is exactly one for each open call of an instance that is neither halted nor ended, and none for any other.
"""

from dataclasses import dataclass, field

from procession.engine import messages
from procession.engine.attempts import ServiceState, begin
from procession.engine.dispatcher import AttemptToRun
from procession.engine.limits import Limits
from procession.engine.turn import Cause, Turn
from procession.kernel import (
    CallCompleted,
    CallFailed,
    CallKind,
    CallRequested,
    CallWithdrawn,
    Event,
    LateResult,
    TimerFired,
)
from procession.language.externals import External
from procession.language.operations import Service, Task
from procession.language.process import OTHER_INSTANCES
from procession.language.registry import Registry
from procession.store.batch import Batch
from procession.store.deliveries import DeliveryKind
from procession.store.external_calls import NewExternalCall
from procession.store.identifiers import new_uuid7
from procession.store.instances import InstanceRow
from procession.store.service_calls import NewServiceCall, ServiceCallRow
from procession.store.worklist import NewWorkItem, NewWorkItemEvent
from procession.work.item import ItemEvent, ItemState

PROCESS_ACTOR = "process"

_ENDS = (CallCompleted, CallFailed, CallWithdrawn, LateResult)


@dataclass(frozen=True, slots=True)
class WakeRecords:
    """Makes and removes wake records as calls begin and end."""

    registry: Registry
    limits: Limits = field(default_factory=Limits)

    def make(self, turn: Turn, row: InstanceRow, event: CallRequested, position: int) -> None:
        """A call was asked for; `position` is its event, where the input is."""
        if event.kind is CallKind.TIMER:
            assert event.due_us is not None
            turn.batch.timers.add(row.id, event.call, event.due_us)
            turn.effects.expect(event.due_us)
            return
        if event.kind in OTHER_INSTANCES:
            turn.deliver(DeliveryKind.START, row.id, position, to=(None, event.call))
            return
        if event.kind is CallKind.MESSAGE:
            messages.ask(turn, self.registry, row, event, position)
            return
        operation = self.registry.performer_of(self.registry.operations[event.operation])
        if isinstance(operation, Task):
            _offer(turn, row, operation, event, position)
        elif isinstance(operation, External):
            _have_fetched(turn, row, operation, event, position)
        else:
            assert isinstance(operation, Service)
            _have_attempted(turn, row, operation, event, position, limits=self.limits)

    def release(self, turn: Turn, instance: int, event: Event, *, kind: CallKind | None) -> None:
        """A call ended from outside. Its item, if it has one, is changed by the decision itself.

        `kind` spares a search where it is known.
        """
        if isinstance(event, TimerFired):
            turn.batch.timers.remove(instance, event.call)
        elif not isinstance(event, _ENDS) or kind in OTHER_INSTANCES:
            pass  # what stands for it is the other instance
        elif kind is CallKind.TASK and turn.batch.items.has_in_hand(instance, event.call):
            pass  # what stands for it is its item; where it was bound to code, there is none
        elif kind is CallKind.MESSAGE:
            messages.taken(turn, instance, event.call)
        else:
            service_call = turn.batch.service_calls.find_open(instance, event.call)
            if service_call is not None:
                turn.batch.service_calls.remove(service_call.id)
            elif (external := turn.batch.external_calls.find_open(instance, event.call)) is not None:
                turn.batch.external_calls.remove(external.id)
            elif kind is None:
                messages.taken(turn, instance, event.call)

    def withdraw(self, turn: Turn, row: InstanceRow, call: int, at_us: int) -> None:
        """The program no longer wants a call."""
        batch = turn.batch
        if batch.timers.find(row.id, call) is not None:
            batch.timers.remove(row.id, call)
        elif (service_call := batch.service_calls.find_open(row.id, call)) is not None:
            batch.service_calls.remove(service_call.id)
            turn.effects.stopped.append((row.id, call))
        elif (item := batch.items.find_open(row.id, call)) is not None:
            _withdraw_item(turn.caused_by(PROCESS_ACTOR), item.id, at_us)
            turn.notice(at_us, row.name, f"item {item.id} {item.title}: withdrawn")
        elif (external := batch.external_calls.find_open(row.id, call)) is not None:
            batch.external_calls.remove(external.id)
        elif (receive := batch.receives.find_open(row.id, call)) is not None:
            messages.drop(turn, self.registry, receive)

    def withdraw_undone(self, turn: Turn, row: InstanceRow, call: int, at_us: int) -> bool:
        """The program no longer wants a call whose result is undone: gives whether one may come, of an attempt that ends as it likes."""
        found = turn.batch.service_calls.find_open(row.id, call)
        if found is None or found.state != ServiceState.RUNNING:
            self.withdraw(turn, row, call, at_us)
            return False
        turn.batch.service_calls.change(found.id, state=ServiceState.WITHDRAWN)
        return True

    def remove_withdrawn(self, turn: Turn, instance: int) -> None:
        """The instance has ended without waiting for what may still come: nothing of it is undone."""
        for call in turn.batch.service_calls.of_instance(instance):
            if call.state == ServiceState.WITHDRAWN:
                turn.batch.service_calls.remove(call.id)
                turn.effects.stopped.append((instance, call.call))

    def remove_all(self, turn: Turn, instance: int, at_us: int) -> None:
        """The instance is ended by force: nothing will wake it any more."""
        batch = turn.batch
        for item in batch.items.of_instance(instance):
            if item.ended_us is None:
                _withdraw_item(turn, item.id, at_us)
        for call in batch.service_calls.of_instance(instance):
            batch.service_calls.remove(call.id)
            turn.effects.stopped.append((instance, call.call))
        for timer in batch.timers.of_instance(instance):
            batch.timers.remove(instance, timer.call)
        for external in batch.external_calls.of_instance(instance):
            batch.external_calls.remove(external.id)
        for receive in batch.receives.of_instance(instance):
            messages.drop(turn, self.registry, receive)
        for waiting in batch.waiting_events.of_instance(instance):
            batch.waiting_events.remove(waiting.id)


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


def change_after_attempt(batch: Batch, row: ServiceCallRow) -> ServiceCallRow:
    """The same after an attempt: what is due again of a suspended instance stands still with it."""
    if row.state == ServiceState.DUE and batch.instances.get(row.instance).suspended is not None:
        row = row._replace(state=ServiceState.SUSPENDED)
    return change_service_call(batch, row)


def _offer(
    turn: Turn, row: InstanceRow, task: "Task[..., object, object]", event: CallRequested, position: int
) -> None:
    item = turn.batch.items.add(
        NewWorkItem(
            uuid=new_uuid7(event.at_us),
            instance=row.id,
            call=event.call,
            operation=task.id,
            function=task.function.name,
            title=task.title,
            role=event.offered_to or task.by.name,
            state=ItemState.OFFERED,
            requested_us=event.at_us,
            due_us=_due_us(task, event),
            requested_position=position,
        )
    )
    turn.batch.items.record(item.id, NewWorkItemEvent(ItemEvent.OFFERED, PROCESS_ACTOR, event.at_us))
    turn.notice(event.at_us, row.name, f"item {item.id} {task.title}: offered to {item.role}")


def _due_us(task: "Task[..., object, object] | External[..., object]", event: CallRequested) -> int | None:
    if event.due_us is not None or task.due is None:
        return event.due_us
    return task.due.after(event.at_us)


def _have_fetched(
    turn: Turn, row: InstanceRow, external: "External[..., object]", event: CallRequested, position: int
) -> None:
    turn.batch.external_calls.add(
        NewExternalCall(
            row.id, event.call, external.id, external.attempts, event.at_us, _due_us(external, event), position
        )
    )
    turn.notice(event.at_us, row.name, f"{external.id}: offered to outside programs (call {event.call})")


def _have_attempted(
    turn: Turn,
    row: InstanceRow,
    service: "Service[..., object]",
    event: CallRequested,
    position: int,
    *,
    limits: Limits,
) -> None:
    key = f"{row.uuid.hex()}-{row.generation}-{event.call}-{event.digest.hex()}"
    added = turn.batch.service_calls.add(
        NewServiceCall(row.id, event.call, event.operation, event.at_us, key, position, state=ServiceState.DUE)
    )
    effects = turn.effects
    if effects.room > 0 and not limits.holds(
        service
    ):  # who has to wait for a turn does so with those that wait already
        effects.room -= 1
        begun = change_service_call(turn.batch, begin(added, service, event.at_us))
        effects.attempts.append(AttemptToRun(begun, event.input, row.name))
    else:
        effects.expect(event.at_us)


def _withdraw_item(turn: Turn, item: int, at_us: int) -> None:
    row = turn.batch.items.get(item)
    cause: Cause = turn.cause
    turn.batch.items.change(item, state=ItemState.WITHDRAWN, ended_us=at_us, version=row.version + 1, draft=None)
    turn.batch.items.record(
        item, NewWorkItemEvent(ItemEvent.WITHDRAWN, cause.actor, at_us, cause.reason, cause.request)
    )
