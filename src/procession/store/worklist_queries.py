"""Questions about work items: what is offered to roles, what a person holds, one item with its input."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import merge
from itertools import islice

from sqlalchemy import ColumnElement, bindparam, func, literal_column, select

from procession.store import schema
from procession.store.connections import Connection
from procession.store.statements import Prepared, select_where
from procession.store.worklist import WorkItemEventRow, WorkItemRow

PAGE = 100


@dataclass(frozen=True, slots=True)
class ItemWithInput:
    """An item as its page shows it: the row, the recorded input, and the instance it belongs to."""

    item: WorkItemRow
    input: bytes | None
    instance_name: str
    instance_title: str
    business_key: str | None
    process: str
    release: int


@dataclass(frozen=True, slots=True)
class FailedBody:
    """An open item whose task's body failed on an answer: the last error, since when it fails, and how often it did."""

    item: WorkItemRow
    error: str
    since_us: int
    times: int


_items = schema.work_item.c
_BY_ID = select_where(schema.work_item, "id")
_BY_UUID = select_where(schema.work_item, "uuid")
# Written out, since SQLite does not use a partial index for a bound value.
_IS_OFFERED: ColumnElement[str] = literal_column("'offered'")
_BODY_FAILED: ColumnElement[str] = literal_column("'body failed'")
_OFFERED = Prepared(
    select(schema.work_item)
    .where(_items.role == bindparam("role"), _items.state == _IS_OFFERED, _items.id > bindparam("after"))
    .order_by(_items.id)
    .limit(bindparam("limit")),
    "role",
    "after",
    "limit",
)
_HELD = Prepared(
    select(schema.work_item)
    .where(_items.holder == bindparam("holder"), _items.ended_us.is_(None), _items.id > bindparam("after"))
    .order_by(_items.id)
    .limit(bindparam("limit")),
    "holder",
    "after",
    "limit",
)
_OPEN = Prepared(
    select(schema.work_item)
    .where(_items.ended_us.is_(None), _items.id > bindparam("after"))
    .order_by(_items.id)
    .limit(bindparam("limit")),
    "after",
    "limit",
)
_OVERDUE = Prepared(
    select(schema.work_item)
    .where(_items.ended_us.is_(None), _items.due_us < bindparam("by_us"))
    .order_by(_items.due_us, _items.id)
    .limit(bindparam("limit")),
    "by_us",
    "limit",
)
_OF_INSTANCE = Prepared(
    select(schema.work_item).where(_items.instance == bindparam("instance")).order_by(_items.id), "instance"
)
_WITH_INPUT = Prepared(
    select(
        schema.work_item,
        schema.event.c.payload,
        schema.instance.c.name,
        schema.instance.c.title,
        schema.instance.c.business_key,
        schema.instance.c.process,
        schema.instance.c.release,
    )
    .select_from(
        schema.work_item.join(schema.event, schema.event.c.position == _items.requested_position).join(
            schema.instance, schema.instance.c.id == _items.instance
        )
    )
    .where(_items.id == bindparam("item")),
    "item",
)
_item_events = schema.work_item_event.c
_failures = schema.work_item_event.alias("failure")
_FAILED_BODIES = Prepared(
    select(
        schema.work_item,
        select(_failures.c.reason)
        .where(_failures.c.item == _items.id, _failures.c.kind == _BODY_FAILED)
        .order_by(_failures.c.seq.desc())
        .limit(1)
        .scalar_subquery(),
        func.min(_item_events.at_us),
        func.count(),
    )
    .select_from(schema.work_item.join(schema.work_item_event, _item_events.item == _items.id))
    .where(_items.ended_us.is_(None), _item_events.kind == _BODY_FAILED)
    .group_by(_items.id)
    .order_by(_items.id)
    .limit(bindparam("limit")),
    "limit",
)
_EVENTS = Prepared(
    select(schema.work_item_event)
    .where(schema.work_item_event.c.item == bindparam("item"))
    .order_by(schema.work_item_event.c.seq),
    "item",
)
_ITEM_COLUMNS = len(schema.work_item.columns)
_NUMBERS = range(1, 2**63)  # what SQLite can be asked for


class WorklistQueries:
    """Work items of one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, item: int) -> WorkItemRow | None:
        return self._one(_BY_ID, item) if item in _NUMBERS else None

    def find_by_uuid(self, uuid: bytes) -> WorkItemRow | None:
        return self._one(_BY_UUID, uuid)

    def find_with_input(self, item: int) -> ItemWithInput | None:
        if item not in _NUMBERS:
            return None
        values = _WITH_INPUT.run(self._connection, item).fetchone()
        return None if values is None else ItemWithInput(WorkItemRow(*values[:_ITEM_COLUMNS]), *values[_ITEM_COLUMNS:])

    def offered(self, roles: Iterable[str], *, after: int = 0, limit: int = PAGE) -> list[WorkItemRow]:
        """Items offered to any of the roles, the longest waiting first; the last row's id is `after` of the next page."""
        pages = (self._rows(_OFFERED, role, after, limit) for role in sorted(set(roles)))
        return list(islice(merge(*pages, key=lambda row: row.id), limit))

    def held(self, person: str, *, after: int = 0, limit: int = PAGE) -> list[WorkItemRow]:
        """Items a person has claimed or started and not finished, oldest first."""
        return list(self._rows(_HELD, person, after, limit))

    def open(self, *, after: int = 0, limit: int = PAGE) -> list[WorkItemRow]:
        """Every open item, whoever may do it, oldest first: for an overview, it looks at all items."""
        return list(self._rows(_OPEN, after, limit))

    def overdue(self, by_us: int, *, limit: int = PAGE) -> list[WorkItemRow]:
        """Open items that were due before then, the longest overdue first."""
        return list(self._rows(_OVERDUE, by_us, limit))

    def failed_bodies(self, *, limit: int = PAGE) -> list[FailedBody]:
        """Open items whose task's body failed on an answer, oldest first."""
        found = _FAILED_BODIES.run(self._connection, limit)
        return [FailedBody(WorkItemRow(*row[:_ITEM_COLUMNS]), *row[_ITEM_COLUMNS:]) for row in found]

    def of_instance(self, instance: int) -> list[WorkItemRow]:
        """All items of an instance, ended ones too, oldest first."""
        return list(self._rows(_OF_INSTANCE, instance))

    def events(self, item: int) -> list[WorkItemEventRow]:
        """Everything that was done with an item, in order."""
        return [WorkItemEventRow(*values) for values in _EVENTS.run(self._connection, item)]

    def _rows(self, statement: Prepared, *values: object) -> Iterable[WorkItemRow]:
        return [WorkItemRow(*found) for found in statement.run(self._connection, *values)]

    def _one(self, statement: Prepared, *values: object) -> WorkItemRow | None:
        found = statement.run(self._connection, *values).fetchone()
        return None if found is None else WorkItemRow(*found)
