"""What a reader sees in one snapshot: the questions of lists, pages and commands, one object per subject."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, func, select

from procession.store import meta, schema
from procession.store.connections import Connection
from procession.store.deliveries import DeliveryRow, find_old
from procession.store.event_log import LogQueries
from procession.store.events import EventRow, find_event, read_history
from procession.store.external_calls import ExternalCallRow, read_external_attention, read_external_calls
from procession.store.instance_queries import InstanceQueries
from procession.store.messages import MessageRow, read_expired, read_kept
from procession.store.receives import ReceiveRow, read_receives
from procession.store.releases import (
    ReleaseRow,
    SiteRow,
    find_newest_release,
    find_release,
    find_release_by_digest,
    find_site,
    find_source,
)
from procession.store.requests import (
    OldIdentifiers,
    RequestRow,
    find_old_client_ids,
    find_request,
    find_request_of_client,
    find_requests_of_clients,
)
from procession.store.service_calls import ServiceCallRow, next_service_due_us
from procession.store.statements import Prepared, select_where
from procession.store.timers import TimerRow, next_timer_due_us
from procession.store.waiting import WaitingEventRow
from procession.store.waits_check import WaitCheck, check_waits
from procession.store.worklist import WorkItemRow
from procession.store.worklist_queries import WorklistQueries


@dataclass(frozen=True, slots=True)
class Waits:
    """What an instance waits for: its open items, service calls and timers, and what waits for it while it is halted.

    `late_calls` are withdrawn; an attempt runs at each, and what comes of it is undone.
    """

    items: tuple[WorkItemRow, ...]
    service_calls: tuple[ServiceCallRow, ...]
    timers: tuple[TimerRow, ...]
    receives: tuple[ReceiveRow, ...]
    external_calls: tuple[ExternalCallRow, ...]
    waiting_events: tuple[WaitingEventRow, ...]
    late_calls: tuple[ServiceCallRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is, for `doctor`."""

    instances: dict[str, int]  # by state
    items: dict[str, int]  # open ones by state
    service_calls: dict[str, int]  # by state
    timers: int
    waiting_events: int
    events: int
    requests: int


_items = schema.work_item.c
_OPEN_ITEMS = Prepared(
    select(schema.work_item)
    .where(_items.instance == bindparam("instance"), _items.ended_us.is_(None))
    .order_by(_items.id),
    "instance",
)
_calls = schema.service_call.c
_SERVICE_CALLS = select_where(schema.service_call, "instance")
_TIMERS = select_where(schema.timer, "instance")
_WAITING = select_where(schema.waiting_event, "instance")
_ATTENTION = Prepared(
    select(schema.service_call)
    .where(schema.service_call.c.state == "attention", schema.service_call.c.id > bindparam("after"))
    .order_by(schema.service_call.c.id)
    .limit(bindparam("limit")),
    "after",
    "limit",
)
_BY_STATE = {
    "instances": Prepared(select(schema.instance.c.state, func.count()).group_by(schema.instance.c.state)),
    "items": Prepared(select(_items.state, func.count()).where(_items.ended_us.is_(None)).group_by(_items.state)),
    "service_calls": Prepared(select(schema.service_call.c.state, func.count()).group_by(schema.service_call.c.state)),
}
_NUMBERS = {
    name: Prepared(select(func.count()).select_from(table))
    for name, table in (
        ("timers", schema.timer),
        ("waiting_events", schema.waiting_event),
        ("events", schema.event),
        ("requests", schema.request),
    )
}
_OPEN_OPERATIONS = (
    Prepared(select(_items.operation, func.count()).where(_items.ended_us.is_(None)).group_by(_items.operation)),
    Prepared(select(schema.service_call.c.operation, func.count()).group_by(schema.service_call.c.operation)),
    Prepared(select(schema.external_call.c.operation, func.count()).group_by(schema.external_call.c.operation)),
)
_LAST_REQUEST_US = Prepared(select(schema.request.c.at_us).order_by(schema.request.c.number.desc()).limit(1))


class View:
    """One snapshot of the store."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.instances = InstanceQueries(connection)
        self.worklist = WorklistQueries(connection)
        self.log = LogQueries(connection)

    def history(self, instance: int, *, after: int = 0) -> list[EventRow]:
        """The events of an instance, in order, after this sequence number."""
        return list(read_history(self._connection, instance, after=after))

    def event(self, position: int) -> EventRow | None:
        return find_event(self._connection, position)

    def request(self, number: int) -> RequestRow | None:
        return find_request(self._connection, number)

    def old_client_ids(self, *, before_us: int, after: int, limit: int) -> OldIdentifiers:
        """Among the next requests after this number: those whose client's identifier was to be kept until then only."""
        return find_old_client_ids(self._connection, before_us=before_us, after=after, limit=limit)

    def request_of_client(self, client_id: str) -> RequestRow | None:
        """The request that a client gave this identifier."""
        return find_request_of_client(self._connection, client_id)

    def requests_of_clients(self, prefix: str) -> list[RequestRow]:
        """The requests whose clients gave them identifiers that begin so."""
        return find_requests_of_clients(self._connection, prefix)

    def release(self, release: int) -> ReleaseRow | None:
        return find_release(self._connection, release)

    def newest_release(self) -> ReleaseRow | None:
        """The release that came last; None where nothing ran yet."""
        return find_newest_release(self._connection)

    def release_by_digest(self, digest: bytes) -> ReleaseRow | None:
        return find_release_by_digest(self._connection, digest)

    def source(self, digest: bytes) -> str | None:
        return find_source(self._connection, digest)

    def site(self, site: int) -> SiteRow | None:
        return find_site(self._connection, site)

    def waits(self, instance: int) -> Waits:
        """Everything that can wake this instance, and what waits for it."""
        connection = self._connection
        called = sorted(
            (ServiceCallRow(*values) for values in _SERVICE_CALLS.run(connection, instance)), key=lambda row: row.call
        )
        return Waits(
            items=tuple(WorkItemRow(*values) for values in _OPEN_ITEMS.run(connection, instance)),
            service_calls=tuple(row for row in called if row.state != "withdrawn"),
            late_calls=tuple(row for row in called if row.state == "withdrawn"),
            timers=tuple(
                sorted(
                    (TimerRow(*values) for values in _TIMERS.run(connection, instance)),
                    key=lambda row: (row.due_us, row.call),
                )
            ),
            receives=tuple(read_receives(connection, instance)),
            external_calls=tuple(read_external_calls(connection, instance)),
            waiting_events=tuple(
                sorted(
                    (WaitingEventRow(*values) for values in _WAITING.run(connection, instance)), key=lambda row: row.id
                )
            ),
        )

    def external_attention(self, now_us: int, *, limit: int = 200) -> list[ExternalCallRow]:
        """Calls of outside systems that were handed out as often as they may be, and that nobody has by then."""
        return read_external_attention(self._connection, now_us, limit=limit)

    def kept_messages(self, now_us: int, *, after: int = 0, limit: int = 200) -> list[MessageRow]:
        """Messages that nobody has taken yet and that have not expired by now, the oldest first."""
        return read_kept(self._connection, now_us, after=after, limit=limit)

    def expired_messages(self, by_us: int, *, limit: int) -> list[MessageRow]:
        """Messages that nobody took in their time."""
        return read_expired(self._connection, by_us, limit=limit)

    def attention(self, *, after: int = 0, limit: int = 200) -> list[ServiceCallRow]:
        """Service calls out of attempts, oldest first; halted instances are `instances.list` with state "halted"."""
        return [ServiceCallRow(*values) for values in _ATTENTION.run(self._connection, after, limit)]

    def next_timer_due_us(self) -> int | None:
        return next_timer_due_us(self._connection)

    def next_service_due_us(self, *, without: frozenset[str] = frozenset()) -> int | None:
        """When the next attempt may start; `without` those at these operations."""
        return next_service_due_us(self._connection, without=without)

    def open_operations(self) -> dict[str, int]:
        """How many open items and service calls there are of each operation: for `doctor`."""
        found: dict[str, int] = {}
        for statement in _OPEN_OPERATIONS:
            for operation, number in statement.run(self._connection):
                found[str(operation)] = found.get(str(operation), 0) + int(number)
        return found

    def old_deliveries(self, before_us: int, *, limit: int) -> list[DeliveryRow]:
        """What instances have done to others before then and is not applied yet: for `doctor`."""
        return find_old(self._connection, before_us, limit)

    def last_request_us(self) -> int:
        """When the last request was taken in; 0 before the first."""
        values = _LAST_REQUEST_US.run(self._connection).fetchone()
        return 0 if values is None else int(values[0])

    def counts(self) -> Counts:
        """Counts every row: for `doctor`, not for a page."""
        connection = self._connection
        by_state = {
            name: {str(state): int(number) for state, number in statement.run(connection)}
            for name, statement in _BY_STATE.items()
        }
        numbers = {name: int(statement.run(connection).fetchone()[0]) for name, statement in _NUMBERS.items()}
        return Counts(**by_state, **numbers)  # type: ignore[arg-type]

    def check_waits(self, *, after: int = 0, limit: int = 500) -> WaitCheck:
        """The no-orphan-wait check on the next open instances after this identifier."""
        return check_waits(self._connection, after=after, limit=limit)

    def store_id(self) -> bytes:
        return bytes.fromhex(meta.find_meta(self._connection, meta.STORE_ID) or "")

    def metas(self, prefix: str) -> dict[str, str]:
        """What is kept under keys that begin so."""
        return meta.find_metas(self._connection, prefix)

    def find_meta(self, key: str) -> str | None:
        return meta.find_meta(self._connection, key)
