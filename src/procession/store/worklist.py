"""Work items: a call as a person sees it, and everything that was done with it, chained per item."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, TypedDict, Unpack

from procession.store import schema
from procession.store.chain import digest_of, genesis, link, new_salt
from procession.store.connections import Connection
from procession.store.counters import Counters
from procession.store.header import compact, optional, quoted
from procession.store.identity import Identity, RowStatements
from procession.store.statements import insert_into, select_where

ITEM_EVENT_FORMAT = 1


class WorkItemRow(NamedTuple):
    """A work item, as the table has it."""

    id: int
    uuid: bytes
    instance: int
    call: int
    operation: str
    function: str
    title: str
    role: str
    state: str
    holder: str | None
    version: int
    requested_us: int
    due_us: int | None
    started_us: int | None
    ended_us: int | None
    performer: str | None
    requested_position: int
    draft: bytes | None
    seq: int
    head: bytes


@dataclass(frozen=True, slots=True)
class NewWorkItem:
    """What the engine says of an item it creates; identifier and chain come from the store."""

    uuid: bytes
    instance: int
    call: int
    operation: str
    function: str
    title: str
    role: str
    state: str
    requested_us: int
    due_us: int | None
    requested_position: int


class WorkItemChanges(TypedDict, total=False):
    """The columns of a work item that may change."""

    title: str
    role: str
    state: str
    holder: str | None
    version: int
    due_us: int | None
    started_us: int | None
    ended_us: int | None
    performer: str | None
    draft: bytes | None


@dataclass(frozen=True, slots=True)
class NewWorkItemEvent:
    """Something done with an item: by whom, why, under which request; `payload` is what came with it."""

    kind: str
    actor: str
    at_us: int
    reason: str | None = None
    request: int | None = None
    payload: bytes | None = None


class WorkItemEventRow(NamedTuple):
    """One entry of an item's own sequence, as the table has it."""

    position: int
    item: int
    seq: int
    kind: str
    actor: str
    reason: str | None
    at_us: int
    request: int | None
    payload: bytes | None
    format: int
    salt: bytes | None
    digest: bytes | None
    hash: bytes


@cache
def _statements() -> RowStatements[WorkItemRow]:
    return RowStatements(schema.work_item, WorkItemRow)


_BY_UUID = select_where(schema.work_item, "uuid")
_OF_INSTANCE = select_where(schema.work_item, "instance")
_OF_CALL = select_where(schema.work_item, "instance", "call")
_EVENTS_OF = select_where(schema.work_item_event, "item")
_INSERT_EVENT = insert_into(schema.work_item_event)

assert WorkItemEventRow._fields == tuple(column.name for column in schema.work_item_event.columns)


def item_genesis(uuid: bytes) -> bytes:
    """What stands before an item's first event in the chain."""
    return genesis(b"work item", uuid)


def item_event_header(event: NewWorkItemEvent) -> bytes:
    """What is hashed of an item's event besides its erasable part; made again from the row when it is verified."""
    return (
        f'{{"actor":{quoted(event.actor)},"at":{event.at_us},"kind":{quoted(event.kind)},"request":{optional(event.request)}}}'
    ).encode()


def item_event_payload(reason: str | None, payload: bytes | None) -> bytes | None:
    """The erasable part: the reason, which is free text, and what came with it."""
    if reason is None:
        return payload and b"\n" + payload
    return compact(reason) + b"\n" + (payload or b"")


class WorkItems:
    """The work items of one batch."""

    def __init__(self, connection: Connection, counters: Counters) -> None:
        self._connection = connection
        self._counters = counters
        self._rows: Identity[int, WorkItemRow] = Identity(connection, WorkItemRow._make, _statements())
        self._tails: dict[int, tuple[int, bytes]] = {}
        self._events: list[tuple[object, ...]] = []

    def know(self, row: WorkItemRow) -> None:
        """Takes an item's row, as the last commit left it, so that it need not be read again."""
        self._rows.know(row.id, row)

    def find(self, item: int) -> WorkItemRow | None:
        row = self._rows.find(item)
        return None if row is None else self._with_tail(row)

    def get(self, item: int) -> WorkItemRow:
        return self._with_tail(self._known(item))

    def find_by_uuid(self, uuid: bytes) -> WorkItemRow | None:
        for _, mine in self._rows.touched():
            if mine.uuid == uuid:
                return self._with_tail(mine)
        found = _BY_UUID.run(self._connection, uuid).fetchone()
        row = None if found is None else self._rows.seen(found[0], found)
        return None if row is None else self._with_tail(row)

    def find_open(self, instance: int, call: int) -> WorkItemRow | None:
        """The item that stands for this call, unless it has ended."""
        found = _OF_CALL.run(self._connection, instance, call)
        open_rows = self._rows.overlay(
            found,
            lambda row: row.instance == instance and row.call == call and row.ended_us is None,
        )
        return self._with_tail(open_rows[0]) if open_rows else None

    def has_in_hand(self, instance: int, call: int) -> bool:
        """Whether the batch deals with an item of this call; False where only the store can tell."""
        return self._rows.has_in_hand(lambda row: row.instance == instance and row.call == call)

    def of_instance(self, instance: int) -> list[WorkItemRow]:
        """All items of an instance, ended ones too, oldest first."""
        found = _OF_INSTANCE.run(self._connection, instance)
        return list(map(self._with_tail, self._rows.overlay(found, lambda row: row.instance == instance)))

    def add(self, new: NewWorkItem) -> WorkItemRow:
        self._counters.item += 1
        row = WorkItemRow(
            id=self._counters.item,
            uuid=new.uuid,
            instance=new.instance,
            call=new.call,
            operation=new.operation,
            function=new.function,
            title=new.title,
            role=new.role,
            state=str(new.state),
            holder=None,
            version=1,
            requested_us=new.requested_us,
            due_us=new.due_us,
            started_us=None,
            ended_us=None,
            performer=None,
            requested_position=new.requested_position,
            draft=None,
            seq=0,
            head=item_genesis(new.uuid),
        )
        self._rows.add(row.id, row)
        return row

    def change(self, item: int, **changes: Unpack[WorkItemChanges]) -> WorkItemRow:
        """The item with these columns changed; whether the version grows is the caller's to say."""
        if "state" in changes:
            changes["state"] = str(changes["state"])
        tail = self._tails.get(item)
        if tail is None:
            return self._rows.change(item, self._known(item), changes)
        return self._rows.change(item, self._known(item), {**changes, "seq": tail[0], "head": tail[1]})

    def record(self, item: int, event: NewWorkItemEvent) -> int:
        """Adds to the item's own sequence; gives the position."""
        seq, head = self._tail(item)
        payload = item_event_payload(event.reason, event.payload)
        salt = digest = None
        if payload is not None:
            salt = new_salt()
            digest = digest_of(salt, payload)
        head = link(head, item_event_header(event), digest)
        self._counters.position += 1
        position = self._counters.position
        self._tails[item] = (seq + 1, head)
        self._events.append(
            (
                position,
                item,
                seq + 1,
                str(event.kind),
                event.actor,
                event.reason,
                event.at_us,
                event.request,
                event.payload,
                ITEM_EVENT_FORMAT,
                salt,
                digest,
                head,
            )
        )
        return position

    def events_of(self, item: int) -> list[WorkItemEventRow]:
        """The item's own sequence, in order."""
        rows = [WorkItemEventRow(*values) for values in _EVENTS_OF.run(self._connection, item)]
        rows.extend(WorkItemEventRow(*row) for row in self._events if row[1] == item)  # type: ignore[arg-type]
        return sorted(rows, key=lambda row: row.seq)

    def write(self) -> int:
        for item, (seq, head) in self._tails.items():
            row = self._known(item)
            if row.seq != seq:
                self._rows.change(item, row, {"seq": seq, "head": head})
        self._tails.clear()
        return self._rows.write()

    def write_events(self) -> int:
        written = len(self._events)
        if written:
            _INSERT_EVENT.run_many(self._connection, self._events)
            self._events.clear()
        return written

    def _tail(self, item: int) -> tuple[int, bytes]:
        tail = self._tails.get(item)
        if tail is None:
            row = self._known(item)
            tail = (row.seq, row.head)
        return tail

    def _known(self, item: int) -> WorkItemRow:
        """The row, its sequence and head as last written."""
        row = self._rows.find(item)
        if row is None:
            raise LookupError(f"no work item {item} in the store")
        return row

    def _with_tail(self, row: WorkItemRow) -> WorkItemRow:
        tail = self._tails.get(row.id)
        return row if tail is None or row.seq == tail[0] else row._replace(seq=tail[0], head=tail[1])
