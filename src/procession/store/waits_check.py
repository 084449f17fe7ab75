"""The no-orphan-wait check: nothing is silently stuck (I6), nothing that has ended still owns work (I12).

An open instance has, for each call that was requested and has not ended, exactly one row that will wake it: an open work item,
a service call, a timer, a child that has not ended, or a delivery; and each such row belongs to a call that is open. The call of
a child stays open until the child has ended, though the program may have withdrawn it. A service call that was withdrawn during an
attempt whose result is to be undone keeps its row until that is known. The check goes by pages, so that the engine can
run it all the time and `doctor` over everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, bindparam, case, literal_column, or_, select

from procession.store import schema
from procession.store.chain_check import CALL_ENDS, CHILD_ENDED, ENDED_STATES, LATE_RESULT
from procession.store.connections import Connection
from procession.store.header import facts
from procession.store.statements import Prepared

PAGE = 500
_PERFORMED = ("task", "service", "external")
_NOT_WOKEN = frozenset({"halted", "suspended"})

_WakeKey = tuple[int, str, int]  # instance, kind of call, call


@dataclass(frozen=True, slots=True)
class WaitCheck:
    """What a page of instances shows; give `last` as `after` for the next page, None means there is no more."""

    last: int | None
    instances: int
    waits: int
    problems: tuple[str, ...]


_instances = schema.instance.c
_events = schema.event.c
_deliveries = schema.delivery.c
_BOUNDS = ("first", "last")


def _between(column: Column[Any]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (column >= bindparam("first"), column <= bindparam("last"))


_OPEN = Prepared(
    select(_instances.id, _instances.name, _instances.state)
    .where(_instances.id > bindparam("after"), _instances.ended_us.is_(None))
    .order_by(_instances.id)
    .limit(bindparam("limit")),
    "after",
    "limit",
)
_CALLS = Prepared(
    select(
        _events.instance,
        _events.call,
        _events.kind,
        case((or_(_events.kind == "CallRequested", _events.kind == "CallWithdrawn"), _events.header)),
    )
    .where(*_between(_events.instance), _events.call.is_not(None))
    .order_by(_events.instance, _events.seq),
    *_BOUNDS,
)
_WAKES = (
    Prepared(
        select(schema.work_item.c.instance, literal_column("'task'"), schema.work_item.c.call).where(
            *_between(schema.work_item.c.instance),
            schema.work_item.c.ended_us.is_(None),
        ),
        *_BOUNDS,
    ),
    Prepared(
        select(schema.service_call.c.instance, literal_column("'service'"), schema.service_call.c.call).where(
            *_between(schema.service_call.c.instance), schema.service_call.c.state != "withdrawn"
        ),
        *_BOUNDS,
    ),
    Prepared(
        select(schema.service_call.c.instance, literal_column("'late'"), schema.service_call.c.call).where(
            *_between(schema.service_call.c.instance), schema.service_call.c.state == "withdrawn"
        ),
        *_BOUNDS,
    ),
    Prepared(
        select(schema.timer.c.instance, literal_column("'timer'"), schema.timer.c.call).where(
            *_between(schema.timer.c.instance)
        ),
        *_BOUNDS,
    ),
    Prepared(
        select(schema.external_call.c.instance, literal_column("'external'"), schema.external_call.c.call).where(
            *_between(schema.external_call.c.instance)
        ),
        *_BOUNDS,
    ),
    Prepared(
        select(schema.receive.c.instance, literal_column("'message'"), schema.receive.c.call).where(
            *_between(schema.receive.c.instance)
        ),
        *_BOUNDS,
    ),
    Prepared(
        select(_instances.parent, literal_column("'child'"), _instances.parent_call).where(
            *_between(_instances.parent), _instances.ended_us.is_(None)
        ),
        *_BOUNDS,
    ),
    Prepared(
        select(_deliveries.target, literal_column("'child'"), _deliveries.call).where(
            *_between(_deliveries.target), _deliveries.kind == "ended"
        ),
        *_BOUNDS,
    ),
)
_STARTS = Prepared(
    select(_deliveries.origin, literal_column("'child'"), _deliveries.call).where(
        *_between(_deliveries.origin), _deliveries.kind == "start"
    ),
    *_BOUNDS,
)


def check_waits(connection: Connection, *, after: int = 0, limit: int = PAGE) -> WaitCheck:
    """Checks the next open instances after this identifier."""
    rows = _OPEN.run(connection, after, limit).fetchall()
    if not rows:
        return WaitCheck(None, 0, 0, ())
    first, last = rows[0][0], rows[-1][0]
    pending, withdrawn = _pending_calls(connection, first, last)
    wakes: Counter[_WakeKey] = Counter()
    for statement in _WAKES:
        wakes.update(
            (int(instance), str(kind), int(call)) for instance, kind, call in statement.run(connection, first, last)
        )
    # Code may perform a task, people a service: what wakes a call is by who performs it, whatever kind it is of.
    for instance, kind, call in [key for key in wakes if key not in pending and key[1] in _PERFORMED]:
        for asked in ((instance, other, call) for other in _PERFORMED):
            if asked in pending:
                wakes[asked] += wakes.pop((instance, kind, call))
    # An instance that is started on its own is, even if the call was withdrawn before.
    for instance, kind, call in _STARTS.run(connection, first, last):
        if (int(instance), str(kind), int(call)) in pending:
            wakes[int(instance), str(kind), int(call)] += 1
    for key in withdrawn & set(wakes):
        del wakes[key]
    problems = tuple(_problems({int(row[0]): (str(row[1]), str(row[2])) for row in rows}, pending, wakes))
    is_last = len(rows) < limit
    waits = sum(1 for instance, _, _ in pending if instance in {row[0] for row in rows})
    return WaitCheck(None if is_last else last, len(rows), waits, problems)


def _pending_calls(connection: Connection, first: int, last: int) -> tuple[set[_WakeKey], set[_WakeKey]]:
    """The calls that something has to end; and those that were withdrawn, of which a result may come late."""
    withdrawn: set[_WakeKey] = set()
    pending: dict[tuple[int, int], str] = {}
    children: set[tuple[int, int]] = set()
    for instance, call, kind, header in _CALLS.run(connection, first, last):
        if kind == "CallRequested":
            kind_of_call = str(facts(header).get("call_kind"))
            pending[instance, call] = "child" if kind_of_call == "start" else kind_of_call
            children.update({(instance, call)} if kind_of_call == "child" else ())
        elif kind == "CallWithdrawn" and (instance, call) in children and facts(header).get("by_program"):
            pass  # until its child has ended
        elif kind in CALL_ENDS or kind == CHILD_ENDED:
            pending.pop((instance, call), None)
            withdrawn.update({(instance, "late", call)} if kind == "CallWithdrawn" else ())
        elif kind == LATE_RESULT:
            withdrawn.discard((instance, "late", call))
    return {(instance, kind, call) for (instance, call), kind in pending.items()}, withdrawn


def _problems(instances: dict[int, tuple[str, str]], pending: set[_WakeKey], wakes: Counter[_WakeKey]) -> Iterator[str]:
    for key in sorted(pending):
        instance, kind, call = key
        name, state = instances.get(instance, ("", ""))
        if not name or state in _NOT_WOKEN:
            continue
        if wakes[key] == 0:
            yield f"{name} waits for call {call} ({kind}), and nothing will ever end it"
        elif wakes[key] > 1:
            yield f"{name} has {wakes[key]} rows for call {call} ({kind})"
    for key in sorted(wakes):
        instance, kind, call = key
        if instance in instances and key not in pending:
            yield f"{instances[instance][0]} has a row for call {call} ({kind}), which it does not wait for"


_ENDED = ", ".join(f"'{state}'" for state in sorted(ENDED_STATES))
_LEFTOVERS = (
    (
        "an open work item",
        "SELECT i.name, w.call FROM work_item w JOIN instance i ON i.id = w.instance WHERE w.ended_us IS NULL",
    ),
    ("a service call", "SELECT i.name, w.call FROM service_call w JOIN instance i ON i.id = w.instance WHERE 1"),
    ("a timer", "SELECT i.name, w.call FROM timer w JOIN instance i ON i.id = w.instance WHERE 1"),
    (
        "a child",
        "SELECT i.name, w.parent_call FROM instance w JOIN instance i ON i.id = w.parent "
        "WHERE w.ended_us IS NULL AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.kind = 'force' AND d.target = w.id)",
    ),
    ("an external call", "SELECT i.name, w.call FROM external_call w JOIN instance i ON i.id = w.instance WHERE 1"),
    ("a receive", "SELECT i.name, w.call FROM receive w JOIN instance i ON i.id = w.instance WHERE 1"),
    ("a waiting event", "SELECT i.name, w.call FROM waiting_event w JOIN instance i ON i.id = w.instance WHERE 1"),
)


def leftovers(connection: Connection) -> Iterator[str]:
    """What ended instances still own (I12)."""
    for what, statement in _LEFTOVERS:
        for name, call in connection.execute(f"{statement} AND i.state IN ({_ENDED})"):
            yield f"{name} has ended and still has {what} for call {call}"


_STRANDED = (
    (
        "is on its way to nobody",
        "SELECT m.id, m.type FROM message m WHERE m.state <> 'kept' AND NOT EXISTS (SELECT 1 FROM receive r WHERE r.message = m.id)",
    ),
    (
        "is kept, and somebody waits for it",
        "SELECT m.id, m.type FROM message m JOIN receive r ON r.type = m.type AND r.key = m.key AND r.message IS NULL "
        "AND r.wanted IS NULL WHERE m.state = 'kept' AND r.since_us < m.expires_us",
    ),
    (
        "is promised, and not there",
        "SELECT r.message, r.type FROM receive r LEFT JOIN message m ON m.id = r.message WHERE r.message IS NOT NULL AND m.id IS NULL",
    ),
    (
        "is promised, and nothing brings it",
        "SELECT r.message, r.type FROM receive r JOIN instance i ON i.id = r.instance WHERE r.message IS NOT NULL "
        "AND i.state NOT IN ('halted', 'suspended') AND NOT EXISTS "
        "(SELECT 1 FROM delivery d WHERE d.kind = 'message' AND d.target = r.instance AND d.call = r.call)",
    ),
)


def stranded_messages(connection: Connection) -> Iterator[str]:
    """Messages that will reach nobody, though somebody waits for them."""
    for what, statement in _STRANDED:
        for number, type_name in connection.execute(statement):
            yield f"message {number}, {type_name}, {what}"


def misplaced_requests(connection: Connection) -> Iterator[str]:
    """Items and service calls whose recorded input is not that of their call."""
    for table in ("work_item", "service_call", "external_call", "receive"):
        statement = (
            f"SELECT w.id FROM {table} w LEFT JOIN event e ON e.position = w.requested_position WHERE e.position IS NULL "
            "OR e.kind <> 'CallRequested' OR e.instance <> w.instance OR e.call <> w.call"
        )
        for (row,) in connection.execute(statement):
            yield f"{table} {row} names an event that is not the request of its call"
