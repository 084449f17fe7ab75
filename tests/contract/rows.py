"""Rows for tests of the store: an instance that asks for a task, with everything that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

from procession.kernel.events import CallCompleted, CallKind, CallRequested, Event, InstanceCompleted, InstanceStarted
from procession.store import (
    Batch,
    InstanceRow,
    NewInstance,
    NewRequest,
    NewServiceCall,
    NewWorkItem,
    NewWorkItemEvent,
    WorkItemRow,
)
from procession.store.event_rows import encode_event
from procession.store.identifiers import new_uuid7

NOW = 1_700_000_000_000_000
_identities = count(1)


def new_uuid() -> bytes:
    return new_uuid7(NOW + next(_identities) * 1000)


def release(batch: Batch) -> int:
    return batch.releases.keep(b"r" * 32, '{"files":{}}', {b"s" * 32: "async def leave(): ..."}, now_us=NOW).id


def add_instance(
    batch: Batch,
    *,
    process: str = "leave",
    key: str | None = None,
    title: str = "Leave",
    at_us: int = NOW,
    parent: tuple[int | None, int | None] = (None, None),
) -> InstanceRow:
    new = NewInstance(new_uuid(), process, title, key, key, "ann", release(batch), at_us, b"k" * 48, b"i" * 16)
    return batch.instances.add(replace(new, parent=parent[0], parent_call=parent[1]))


def append(batch: Batch, instance: int, *events: Event, request: int | None = None) -> range:
    return batch.events.append(instance, [encode_event(event, request=request) for event in events])


def requested(
    call: int, kind: CallKind = CallKind.TASK, *, at_us: int = NOW, due_us: int | None = None
) -> CallRequested:
    operation = "timer" if kind is CallKind.TIMER else f"Team.{kind.value}"
    return CallRequested(at_us, call, kind, operation, b'{"days":3}', b"d" * 16, due_us, 1)


def add_request(batch: Batch, instance: int | None, *, client_id: str | None = None, reason: str | None = None) -> int:
    number = batch.requests.new_number()
    batch.requests.append(
        NewRequest(number, instance, "start", "ann", reason, NOW, client_id, b"d" * 16, '{"ok":true}')
    )
    return number


def add_item(
    batch: Batch, instance: int, call: int, position: int, *, role: str = "Team", at_us: int = NOW
) -> WorkItemRow:
    item = batch.items.add(
        NewWorkItem(new_uuid(), instance, call, "Team.task", "Team", "Approve", role, "offered", at_us, None, position)
    )
    batch.items.record(item.id, NewWorkItemEvent("offered", "engine", at_us))
    return item


@dataclass(frozen=True)
class Parked:
    """An instance that waits for a task (call 1), a service (call 2) and a timer (call 3)."""

    instance: int
    item: int
    service_call: int


def park(batch: Batch, *, process: str = "leave", key: str | None = None, client_id: str | None = None) -> Parked:
    instance = add_instance(batch, process=process, key=key)
    number = add_request(batch, instance.id, client_id=client_id, reason="my holidays")
    positions = append(
        batch,
        instance.id,
        InstanceStarted(NOW, b'{"days":3}'),
        requested(1),
        requested(2, CallKind.SERVICE),
        requested(3, CallKind.TIMER, due_us=NOW + 1000),
        request=number,
    )
    item = add_item(batch, instance.id, 1, positions[1])
    service = batch.service_calls.add(NewServiceCall(instance.id, 2, "Team.service", NOW, "key-2", positions[2]))
    batch.timers.add(instance.id, 3, NOW + 1000)
    return Parked(instance.id, item.id, service.id)


def complete_item(batch: Batch, item: int, *, performer: str = "bob", at_us: int = NOW + 10) -> None:
    row = batch.items.get(item)
    number = add_request(batch, row.instance)
    append(batch, row.instance, CallCompleted(at_us, row.call, b"true", performer), request=number)
    batch.items.change(item, state="completed", ended_us=at_us, performer=performer, version=row.version + 1)
    batch.items.record(item, NewWorkItemEvent("completed", performer, at_us, request=number, payload=b"true"))


def finish(batch: Batch, parked: Parked) -> None:
    """Ends everything the instance waits for, and the instance."""
    complete_item(batch, parked.item)
    append(batch, parked.instance, CallCompleted(NOW + 20, 2, b"1", None), CallCompleted(NOW + 20, 3, b"null", None))
    batch.service_calls.remove(parked.service_call)
    batch.timers.remove(parked.instance, 3)
    append(batch, parked.instance, InstanceCompleted(NOW + 30, b'"enjoy"'))
    batch.instances.change(parked.instance, state="completed", ended_us=NOW + 30, now_us=NOW + 30, open_key=None)
