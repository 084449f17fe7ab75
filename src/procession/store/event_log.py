"""The event log of completed calls, as `export log` and the insight room read it: in commit order, page by page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select, tuple_

from procession.store import schema
from procession.store.connections import Connection
from procession.store.header import facts
from procession.store.statements import Prepared, run_once

PAGE = 500
_COMPLETED = "CallCompleted"
_REQUESTED = "CallRequested"
_STARTED = "CallStarted"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One completed call; `position` is the cursor for the next page."""

    position: int
    instance: str
    business_key: str | None
    process: str
    operation: str
    kind: str
    title: str
    function: str
    requested_us: int
    started_us: int | None
    completed_us: int
    performer: str | None


_events = schema.event.c
_PAGE = Prepared(
    select(
        _events.position,
        _events.instance,
        _events.call,
        _events.header,
        schema.instance.c.name,
        schema.instance.c.business_key,
        schema.instance.c.process,
    )
    .select_from(schema.event.join(schema.instance, schema.instance.c.id == _events.instance))
    .where(_events.kind == _COMPLETED, _events.position > bindparam("after"))
    .order_by(_events.position)
    .limit(bindparam("limit")),
    "after",
    "limit",
)


class LogQueries:
    """The event log of one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def completed(self, *, after: int = 0, limit: int = PAGE) -> list[LogEntry]:
        """Completed calls after this position, in commit order; fewer than `limit` means there are no more."""
        page = _PAGE.run(self._connection, after, limit).fetchall()
        if not page:
            return []
        before = self._what_came_before({row[1] for row in page}, last_position=page[-1][0])
        titles = self._titles({(row[1], row[2]) for row in page})
        return [_entry(row, before, titles) for row in page]

    def _what_came_before(
        self, instances: Iterable[int], *, last_position: int
    ) -> dict[tuple[int, int, str], dict[str, Any]]:
        """Headers of the requested and the last started event of each call, up to a position."""
        found: dict[tuple[int, int, str], dict[str, Any]] = {}
        ordered = sorted(instances)
        for start in range(0, len(ordered), 200):
            statement = (
                select(_events.instance, _events.call, _events.kind, _events.header)
                .where(
                    _events.instance.in_(ordered[start : start + 200]),
                    _events.kind.in_([_REQUESTED, _STARTED]),
                    _events.position <= last_position,
                )
                .order_by(_events.instance, _events.seq)
            )
            for instance, call, kind, header in run_once(self._connection, statement):
                found[instance, call, kind] = facts(header)
        return found

    def _titles(self, calls: Iterable[tuple[int, int]]) -> dict[tuple[int, int], tuple[str, str]]:
        """Title and function of the items that stood for these calls."""
        items = schema.work_item.c
        titles: dict[tuple[int, int], tuple[str, str]] = {}
        ordered = sorted(calls)
        for start in range(0, len(ordered), 200):
            statement = select(items.instance, items.call, items.title, items.function).where(
                tuple_(items.instance, items.call).in_(ordered[start : start + 200])
            )
            for instance, call, title, function in run_once(self._connection, statement):
                titles[instance, call] = (title, function)
        return titles


def _entry(
    row: Any, before: dict[tuple[int, int, str], dict[str, Any]], titles: dict[tuple[int, int], tuple[str, str]]
) -> LogEntry:
    position, instance, call, header, name, business_key, process = row
    completed = facts(header)
    requested = before.get((instance, call, _REQUESTED), {})
    started = before.get((instance, call, _STARTED))
    operation = str(requested.get("operation", ""))
    # A service has no item: its title is its own name, its function the one that owns it.
    function, _, own_name = operation.partition(".")
    title, function = titles.get((instance, call), (own_name, function))
    return LogEntry(
        position=position,
        instance=name,
        business_key=business_key,
        process=process,
        operation=operation,
        kind=str(requested.get("call_kind", "")),
        title=title,
        function=function,
        requested_us=int(requested.get("at", completed.get("at", 0))),
        started_us=None if started is None else int(started.get("at", 0)),
        completed_us=int(completed.get("at", 0)),
        performer=completed.get("performer"),
    )
