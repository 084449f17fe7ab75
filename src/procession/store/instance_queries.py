"""Questions about instances: by name, identifier or business key, and lists with filters."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from unicodedata import normalize
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, or_, select

from procession.store import schema
from procession.store.connections import Connection
from procession.store.instances import OPEN_CHILD, InstanceRow
from procession.store.statements import Prepared, run_once, select_where

PAGE = 100


@dataclass(frozen=True, slots=True)
class InstanceFilter:
    """Which instances to list; what is None or empty filters nothing."""

    processes: Collection[str] = ()  # under one of these names
    states: Collection[str] = ()
    business_key: str | None = None
    text: str | None = None  # in title, name or business key
    since_us: int | None = None  # started at or after
    parent: int | None = None  # children of this one
    has_not_undone: bool = False  # something that it did could not be undone
    cancelling_before_us: int | None = None  # open, and to be cancelled since this time or before

    def conditions(self) -> list[ColumnElement[bool]]:
        columns = schema.instance.c
        found: list[ColumnElement[bool]] = []
        if self.processes:
            found.append(columns.process.in_(list(self.processes)))
        if self.states:
            found.append(columns.state.in_([str(state) for state in self.states]))
        if self.business_key is not None:
            found.append(columns.business_key == self.business_key)
        if self.text:
            found.append(
                or_(
                    columns.title.icontains(self.text, autoescape=True),
                    columns.name.icontains(self.text, autoescape=True),
                    columns.business_key.icontains(self.text, autoescape=True),
                )
            )
        if self.since_us is not None:
            found.append(columns.started_us >= self.since_us)
        if self.parent is not None:
            found.append(columns.parent == self.parent)
        if self.has_not_undone:
            found.append(columns.not_undone.is_not(None))
        if self.cancelling_before_us is not None:
            found.append(columns.cancelling_us <= self.cancelling_before_us)
            found.append(columns.ended_us.is_(None))
        return found


_columns = schema.instance.c
_BY_ID = select_where(schema.instance, "id")
_BY_UUID = select_where(schema.instance, "uuid")
_BY_NAME = select_where(schema.instance, "name")
_BY_OPEN_KEY = select_where(schema.instance, "process", "open_key")
_BY_KEY = Prepared(
    select(schema.instance)
    .where(_columns.process == bindparam("process"), _columns.business_key == bindparam("business_key"))
    .order_by(_columns.id.desc())
    .limit(1),
    "process",
    "business_key",
)
_CHILDREN = Prepared(
    select(schema.instance)
    .where(_columns.parent == bindparam("parent"))
    .order_by(_columns.ended_us.is_not(None), _columns.id)
    .limit(bindparam("limit")),
    "parent",
    "limit",
)
_OPEN_CHILDREN = Prepared(
    select(schema.instance)
    .where(_columns.parent == bindparam("parent"), _columns.ended_us.is_(None))
    .order_by(_columns.id)
    .limit(bindparam("limit")),
    "parent",
    "limit",
)
_ATTRIBUTES = select_where(schema.attribute, "instance")


class InstanceQueries:
    """Instances of one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, instance: int) -> InstanceRow | None:
        return self._one(_BY_ID, instance)

    def find_by_uuid(self, uuid: bytes) -> InstanceRow | None:
        return self._one(_BY_UUID, uuid)

    def find_by_name(self, name: str) -> InstanceRow | None:
        return self._one(_BY_NAME, name)

    def find_by_key(self, process: str, business_key: str) -> InstanceRow | None:
        """The instance that holds the key now, else the last that had it."""
        return self._one(_BY_OPEN_KEY, process, business_key) or self._one(_BY_KEY, process, business_key)

    def find_named(self, text: str) -> InstanceRow | None:
        """The instance that people mean by `leave-17`, by a whole UUID, or by `leave:business key`."""
        text = normalize("NFC", text)  # as names and keys are kept, whatever a terminal made of an accent
        found = self.find_by_name(text)
        if found is not None:
            return found
        try:
            return self.find_by_uuid(UUID(text).bytes)
        except ValueError:
            process, separator, key = text.partition(":")
            return self.find_by_key(process, key) if separator else None

    def list(
        self, wanted: InstanceFilter | None = None, *, before: int | None = None, limit: int = PAGE
    ) -> Sequence[InstanceRow]:
        """Newest first; for the next page give the identifier of the last row as `before`."""
        conditions = (wanted or InstanceFilter()).conditions()
        if before is not None:
            conditions.append(_columns.id < before)
        statement = select(schema.instance).where(and_(True, *conditions)).order_by(_columns.id.desc()).limit(limit)
        return [InstanceRow(*values) for values in run_once(self._connection, statement)]

    def children(self, parent: int, *, open_only: bool = False, limit: int = PAGE) -> Sequence[InstanceRow]:
        """The children of an instance: the open ones first, each in the order in which they began."""
        found = (_OPEN_CHILDREN if open_only else _CHILDREN).run(self._connection, parent, limit)
        return [InstanceRow(*values) for values in found]

    def find_child(self, parent: int, call: int) -> InstanceRow | None:
        """The child of this call that has not ended."""
        return self._one(OPEN_CHILD, parent, call)

    def attributes(self, instance: int) -> dict[str, str]:
        """Attribute name to JSON text."""
        return {name: value for _, name, value in _ATTRIBUTES.run(self._connection, instance)}

    def _one(self, statement: Prepared, *values: object) -> InstanceRow | None:
        found = statement.run(self._connection, *values).fetchone()
        return None if found is None else InstanceRow(*found)
