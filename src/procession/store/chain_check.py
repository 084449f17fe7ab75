"""Verifies every chain of a store, row by row: histories, items' own sequences, requests. Also what a history may look like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from procession.store import meta, schema
from procession.store.chain import contradiction, link
from procession.store.connections import Connection
from procession.store.events import EVENT_FORMAT, EventRow
from procession.store.header import facts
from procession.store.instances import InstanceRow, instance_genesis
from procession.store.requests import REQUEST_FORMAT, RequestRow, request_genesis, request_header
from procession.store.statements import Prepared
from procession.store.worklist import (
    ITEM_EVENT_FORMAT,
    NewWorkItemEvent,
    WorkItemEventRow,
    WorkItemRow,
    item_event_header,
    item_event_payload,
    item_genesis,
)

# A terminal event and the state of an instance that has it.
TERMINAL = {"InstanceCompleted": "completed", "InstanceFailed": "failed", "InstanceCancelled": "cancelled"}
ENDED_STATES = frozenset(TERMINAL.values())
CHILD_ENDED = "ChildEnded"  # may follow the withdrawal of a child's call, once
LATE_RESULT = "LateResult"  # so may this that of a call with an undo
CALL_ENDS = frozenset({"CallCompleted", "CallFailed", "CallWithdrawn", "TimerFired"})


@dataclass(slots=True)
class Found:
    """What a check saw: how much it looked at, and what is wrong."""

    exercised: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Findings:
    chain: Found
    sequence: Found
    calls: Found


_EVENTS = Prepared(schema.event.select().order_by(schema.event.c.instance, schema.event.c.seq))
_INSTANCES = Prepared(schema.instance.select().order_by(schema.instance.c.id))
_ITEMS = Prepared(schema.work_item.select().order_by(schema.work_item.c.id))
_ITEM_EVENTS = Prepared(
    schema.work_item_event.select().order_by(schema.work_item_event.c.item, schema.work_item_event.c.seq)
)
_REQUESTS = Prepared(schema.request.select().order_by(schema.request.c.number))


def check_histories(connection: Connection, *, chain: Found, sequence: Found, calls: Found) -> None:
    """One pass over all events, beside their instances: about the chain (hashes), sequences (I2) and calls (I3)."""
    findings = _Findings(chain, sequence, calls)
    events = (EventRow(*values) for values in _EVENTS.run(connection))
    pending = next(events, None)
    for instance in (InstanceRow(*values) for values in _INSTANCES.run(connection)):
        history = _History(instance, findings)
        while pending is not None and pending.instance < instance.id:
            findings.sequence.problems.append(f"event {pending.position} belongs to no instance")
            pending = next(events, None)
        while pending is not None and pending.instance == instance.id:
            history.take(pending)
            pending = next(events, None)
        history.end()
    if pending is not None:
        findings.sequence.problems.append(f"event {pending.position} belongs to no instance")
    for (position,) in connection.execute("SELECT position FROM event INTERSECT SELECT position FROM work_item_event"):
        findings.sequence.problems.append(f"position {position} was given twice")


class _History:
    """The history of one instance while it is checked."""

    def __init__(self, instance: InstanceRow, findings: _Findings) -> None:
        self.instance = instance
        self.findings = findings
        self.seq = 0
        self.position = 0
        self.head = instance_genesis(instance.uuid)
        self.terminal: str | None = None
        self.calls: dict[int, str | None] = {}  # call to the event that ended it
        self.order: list[int | None] = []  # the call of each event
        self.kept: set[int] = set()  # calls whose end a halt kept unapplied: a retry may have the program withdraw them

    def take(self, event: EventRow) -> None:
        self._chain(event)
        self._sequence(event)
        if event.call is not None:
            self._call(event, event.call)
        elif event.kind == "InstanceHalted" and (kept := int(facts(event.header).get("kept", 0))):
            self.kept.update(call for call in self.order[-kept:] if call is not None)
        self.order.append(event.call)

    def end(self) -> None:
        instance, problems = self.instance, self.findings.sequence.problems
        if (self.seq, self.head) != (instance.seq, instance.head):
            problems.append(
                f"{instance.name}: its row says the history ends at {instance.seq}, the history ends at {self.seq} or otherwise"
            )
        state = None if self.terminal is None else TERMINAL[self.terminal]
        is_ended = instance.state in ENDED_STATES
        if state != (instance.state if is_ended else None):
            problems.append(f"{instance.name}: its row says {instance.state}, its history ends with {self.terminal}")
        if is_ended != (instance.ended_us is not None):
            problems.append(f"{instance.name}: it is {instance.state} and its time of end says otherwise")

    def _chain(self, event: EventRow) -> None:
        found = self.findings.chain
        found.exercised += 1
        where = f"{self.instance.name}, event {event.seq}"
        wrong = contradiction(event.payload, event.salt, event.digest)
        if wrong is not None:
            found.problems.append(f"{where} {wrong}")
        if event.hash != link(self.head, event.header, event.digest):
            found.problems.append(f"{where} is not what was recorded there, or what was before it is missing")
        self.head = event.hash
        if event.format != EVENT_FORMAT:
            found.problems.append(f"{where} has the unknown format {event.format}")
        header = facts(event.header)
        if [header.get(name, "") for name in ("kind", "call", "request")] != [event.kind, event.call, event.request]:
            found.problems.append(f"{where} has columns that differ from its header")

    def _sequence(self, event: EventRow) -> None:
        found = self.findings.sequence
        found.exercised += 1
        where = f"{self.instance.name}, event {event.seq}"
        if event.seq != self.seq + 1:
            found.problems.append(f"{where} follows event {self.seq}")
        if event.position <= self.position:
            found.problems.append(f"{where} has a position before that of the event before it")
        if self.terminal is not None:
            found.problems.append(f"{where} comes after {self.terminal}")
        if event.kind in TERMINAL:
            self.terminal = event.kind
        self.seq, self.position = event.seq, event.position

    def _call(self, event: EventRow, call: int) -> None:
        found = self.findings.calls
        where = f"{self.instance.name}, call {call}"
        if event.kind == "CallRequested":
            found.exercised += 1
            if call in self.calls:
                found.problems.append(f"{where} was requested twice")
            self.calls[call] = None
            return
        if call not in self.calls:
            found.problems.append(f"{where} has {event.kind} and was never requested")
        elif event.kind in (CHILD_ENDED, LATE_RESULT):
            if self.calls[call] != "CallWithdrawn":
                found.problems.append(f"{where} has {event.kind} after {self.calls[call]}")
        elif self.calls[call] is not None and not (event.kind == "CallWithdrawn" and call in self.kept):
            found.problems.append(f"{where} has {event.kind} after {self.calls[call]}")
        if event.kind in CALL_ENDS or event.kind in (CHILD_ENDED, LATE_RESULT):
            self.calls[call] = event.kind


def check_items(connection: Connection) -> Found:
    """The chains of all work items."""
    found = Found()
    events = (WorkItemEventRow(*values) for values in _ITEM_EVENTS.run(connection))
    pending = next(events, None)
    for item in (WorkItemRow(*values) for values in _ITEMS.run(connection)):
        seq, head = 0, item_genesis(item.uuid)
        while pending is not None and pending.item <= item.id:
            if pending.item == item.id:
                found.exercised += 1
                found.problems.extend(_item_event_problems(pending, seq, head))
                seq, head = pending.seq, pending.hash
            else:
                found.problems.append(f"item event {pending.position} belongs to no item")
            pending = next(events, None)
        if (seq, head) != (item.seq, item.head):
            found.problems.append(
                f"item {item.id}: its row says its events end at {item.seq}, they end at {seq} or otherwise"
            )
    if pending is not None:
        found.problems.append(f"item event {pending.position} belongs to no item")
    return found


def _item_event_problems(event: WorkItemEventRow, seq: int, head: bytes) -> Iterator[str]:
    where = f"item {event.item}, event {event.seq}"
    if event.seq != seq + 1:
        yield f"{where} follows event {seq}"
    if event.format != ITEM_EVENT_FORMAT:
        yield f"{where} has the unknown format {event.format}"
    wrong = contradiction(item_event_payload(event.reason, event.payload), event.salt, event.digest)
    if wrong is not None:
        yield f"{where} {wrong}"
    header = item_event_header(NewWorkItemEvent(event.kind, event.actor, event.at_us, request=event.request))
    if event.hash != link(head, header, event.digest):
        yield f"{where} is not what was recorded there, or what was before it is missing"


def check_requests(connection: Connection) -> Found:
    """The chain of all requests, from the store's first to the last it says it has."""
    found = Found()
    store_id = bytes.fromhex(meta.find_meta(connection, meta.STORE_ID) or "")
    number, head = 0, request_genesis(store_id)
    for request in (RequestRow(*values) for values in _REQUESTS.run(connection)):
        found.exercised += 1
        if request.format != REQUEST_FORMAT:
            found.problems.append(f"request {request.number} has the unknown format {request.format}")
        wrong = contradiction(None if request.reason is None else request.reason.encode(), request.salt, request.digest)
        if wrong is not None:
            found.problems.append(f"request {request.number} {wrong}")
        if request.hash != link(head, request_header(request), request.digest):
            found.problems.append(
                f"request {request.number} is not what was recorded, or what was before it is missing"
            )
        number, head = request.number, request.hash
    try:
        end = meta.decode_request_head(meta.find_meta(connection, meta.REQUEST_CHAIN) or "")
    except (ValueError, KeyError, TypeError):
        end = None
    if end != (number, head):
        found.problems.append(f"the requests end at {number}, and the store says otherwise")
    return found
