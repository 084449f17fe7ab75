"""Instances: one row each, with the tail of its chain of events; and its attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, TypedDict, Unpack

from sqlalchemy import bindparam, func, select

from procession.store import schema
from procession.store.chain import genesis
from procession.store.connections import Connection
from procession.store.counters import Counters
from procession.store.identity import Identity, RowStatements
from procession.store.statements import Prepared, delete_by_key, insert_or_replace, select_where


class InstanceRow(NamedTuple):
    """One run of a process, as the table has it."""

    id: int
    uuid: bytes
    process: str
    number: int
    name: str
    title: str
    business_key: str | None
    open_key: str | None
    key_forever: int
    state: str
    initiator: str
    release: int
    started_us: int
    ended_us: int | None
    now_us: int
    seq: int
    head: bytes
    secret: bytes | None
    generation: int
    input_digest: bytes
    halt: str | None
    cancelling_us: int | None
    suspended: str | None
    renewed_seq: int
    not_undone: str | None
    parent: int | None
    parent_call: int | None


@dataclass(frozen=True, slots=True)
class NewInstance:
    """What the engine says of an instance it starts; identifier, number, name and chain come from the store."""

    uuid: bytes
    process: str
    title: str
    business_key: str | None
    open_key: str | None
    initiator: str
    release: int
    started_us: int
    secret: bytes
    input_digest: bytes
    state: str = "running"
    key_forever: bool = False
    parent: int | None = None
    parent_call: int | None = None


class InstanceChanges(TypedDict, total=False):
    """The columns of an instance that may change."""

    title: str
    business_key: str | None
    open_key: str | None
    state: str
    release: int
    ended_us: int | None
    now_us: int
    secret: bytes | None
    generation: int
    halt: str | None
    cancelling_us: int | None
    suspended: str | None
    renewed_seq: int
    not_undone: str | None


@cache
def _statements() -> RowStatements[InstanceRow]:
    return RowStatements(schema.instance, InstanceRow)


_BY_UUID = select_where(schema.instance, "uuid")
_BY_NAME = select_where(schema.instance, "name")
_BY_OPEN_KEY = select_where(schema.instance, "process", "open_key")
_columns = schema.instance.c
_OPEN_CHILDREN = Prepared(
    select(schema.instance).where(_columns.parent == bindparam("parent"), _columns.ended_us.is_(None)), "parent"
)
OPEN_CHILD = Prepared(
    select(schema.instance).where(
        _columns.parent == bindparam("parent"),
        _columns.ended_us.is_(None),
        _columns.parent_call == bindparam("parent_call"),
    ),
    "parent",
    "parent_call",
)
_LAST_NUMBER = Prepared(
    select(func.coalesce(func.max(schema.instance.c.number), 0)).where(
        schema.instance.c.process == bindparam("process")
    ),
    "process",
)
_ATTRIBUTES_OF = select_where(schema.attribute, "instance")
_SET_ATTRIBUTE = insert_or_replace(schema.attribute)
_REMOVE_ATTRIBUTE = delete_by_key(schema.attribute)
_NOTHING = "null"


def instance_genesis(uuid: bytes) -> bytes:
    """What stands before an instance's first event in the chain."""
    return genesis(b"instance", uuid)


class Instances:
    """The instances of one batch: what is found here includes what the batch has not written yet."""

    def __init__(self, connection: Connection, counters: Counters) -> None:
        self._connection = connection
        self._counters = counters
        self._rows: Identity[int, InstanceRow] = Identity(connection, InstanceRow._make, _statements())
        self._tails: dict[int, tuple[int, bytes]] = {}
        self._opened: dict[tuple[str, str], int] = {}
        self._attributes: dict[tuple[int, str], str] = {}

    @property
    def touched(self) -> set[int]:
        """Instances with something unwritten."""
        return {key for key, _ in self._rows.touched()} | self._tails.keys()

    def know(self, row: InstanceRow) -> None:
        """Takes the row of a live instance, as the last commit left it, so that it need not be read again."""
        self._rows.know(row.id, row)

    def find(self, instance: int) -> InstanceRow | None:
        row = self._rows.find(instance)
        return None if row is None else self._with_tail(row)

    def get(self, instance: int) -> InstanceRow:
        return self._with_tail(self._known(instance))

    def find_by_uuid(self, uuid: bytes) -> InstanceRow | None:
        return self._find_where(_BY_UUID, (uuid,), lambda row: row.uuid == uuid)

    def find_by_name(self, name: str) -> InstanceRow | None:
        return self._find_where(_BY_NAME, (name,), lambda row: row.name == name)

    def find_open(self, process: str, open_key: str) -> InstanceRow | None:
        """The instance that holds this business key of this process now."""
        opened = self._opened.get((process, open_key))
        if opened is not None:
            mine = self.get(opened)
            if mine.open_key == open_key:
                return mine
        found = _BY_OPEN_KEY.run(self._connection, process, open_key).fetchone()
        row = None if found is None else self._rows.seen(found[0], found)
        return self._with_tail(row) if row is not None and row.open_key == open_key else None

    def open_children(self, parent: int) -> list[InstanceRow]:
        """Its children that have not ended, in the order in which they began."""
        return self._open_children(_OPEN_CHILDREN, (parent,), lambda row: row.parent == parent)

    def find_child(self, parent: int, call: int) -> InstanceRow | None:
        """The child of this call that has not ended."""
        found = self._open_children(
            OPEN_CHILD, (parent, call), lambda row: (row.parent, row.parent_call) == (parent, call)
        )
        return found[0] if found else None

    def add(self, new: NewInstance) -> InstanceRow:
        counters = self._counters
        counters.instance += 1
        number = self._next_number(new.process)
        row = InstanceRow(
            id=counters.instance,
            uuid=new.uuid,
            process=new.process,
            number=number,
            name=f"{new.process}-{number}",
            title=new.title,
            business_key=new.business_key,
            open_key=new.open_key,
            key_forever=int(new.key_forever),
            state=str(new.state),
            initiator=new.initiator,
            release=new.release,
            started_us=new.started_us,
            ended_us=None,
            now_us=new.started_us,
            seq=0,
            head=instance_genesis(new.uuid),
            secret=new.secret,
            generation=1,
            input_digest=new.input_digest,
            halt=None,
            cancelling_us=None,
            suspended=None,
            renewed_seq=0,
            not_undone=None,
            parent=new.parent,
            parent_call=new.parent_call,
        )
        self._rows.add(row.id, row)
        if row.open_key is not None:
            self._opened[row.process, row.open_key] = row.id
        return row

    def change(self, instance: int, **changes: Unpack[InstanceChanges]) -> InstanceRow:
        """The row with these columns changed; sequence and head follow the events by themselves."""
        if "state" in changes:
            changes["state"] = str(changes["state"])
        tail = self._tails.get(instance)
        if tail is None:
            return self._rows.change(instance, self._known(instance), changes)
        return self._rows.change(instance, self._known(instance), {**changes, "seq": tail[0], "head": tail[1]})

    def attributes(self, instance: int) -> dict[str, str]:
        """Attribute name to JSON text."""
        values = {name: value for _, name, value in _ATTRIBUTES_OF.run(self._connection, instance)}
        values.update({name: value for (owner, name), value in self._attributes.items() if owner == instance})
        values = {name: value for name, value in values.items() if value != _NOTHING}
        return values

    def set_attributes(self, instance: int, values: Mapping[str, str]) -> None:
        """Attribute name to JSON text; `null` removes one."""
        for name, value in values.items():
            self._attributes[instance, name] = value

    def tail(self, instance: int) -> tuple[int, bytes]:
        """Sequence number and hash of the last event; for the chain."""
        tail = self._tails.get(instance)
        if tail is None:
            row = self._known(instance)
            tail = (row.seq, row.head)
        return tail

    def move_tail(self, instance: int, seq: int, head: bytes) -> None:
        self._tails[instance] = (seq, head)

    def write(self) -> int:
        for instance, (seq, head) in self._tails.items():
            row = self._known(instance)
            if row.seq != seq:
                self._rows.change(instance, row, {"seq": seq, "head": head})
        self._tails.clear()
        return self._rows.write()

    def write_attributes(self) -> int:
        gone = [key for key, value in self._attributes.items() if value == _NOTHING]
        if gone:
            _REMOVE_ATTRIBUTE.run_many(self._connection, gone)
        rows = [(*key, value) for key, value in self._attributes.items() if value != _NOTHING]
        if rows:
            _SET_ATTRIBUTE.run_many(self._connection, rows)
        self._attributes.clear()
        return len(gone) + len(rows)

    def _known(self, instance: int) -> InstanceRow:
        """The row, its sequence and head as last written."""
        row = self._rows.find(instance)
        if row is None:
            raise LookupError(f"no instance {instance} in the store")
        return row

    def _with_tail(self, row: InstanceRow) -> InstanceRow:
        tail = self._tails.get(row.id)
        return row if tail is None or row.seq == tail[0] else row._replace(seq=tail[0], head=tail[1])

    def _open_children(
        self, statement: Prepared, values: tuple[object, ...], wanted: Callable[[InstanceRow], bool]
    ) -> list[InstanceRow]:
        found = statement.run(self._connection, *values)
        rows = self._rows.overlay(found, lambda row: row.ended_us is None and wanted(row))
        return [self._with_tail(row) for row in rows]

    def _find_where(
        self, statement: Prepared, values: tuple[object, ...], wanted: Callable[[InstanceRow], bool]
    ) -> InstanceRow | None:
        for _, mine in self._rows.touched():
            if wanted(mine):
                return self._with_tail(mine)
        found = statement.run(self._connection, *values).fetchone()
        row = None if found is None else self._rows.seen(found[0], found)
        return None if row is None else self._with_tail(row)

    def _next_number(self, process: str) -> int:
        numbers = self._counters.numbers
        last = numbers.get(process)
        if last is None:
            last = int(_LAST_NUMBER.run(self._connection, process).fetchone()[0])
        numbers[process] = last + 1
        return last + 1
