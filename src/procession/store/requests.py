"""Requests: every accepted request of a person or an outside program, chained through the whole store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import bindparam, func, null, or_, select, update

from procession.store import schema
from procession.store.chain import digest_of, genesis, link, new_salt
from procession.store.connections import Connection
from procession.store.counters import Counters
from procession.store.header import optional, optional_text, quoted
from procession.store.statements import Prepared, insert_into, select_where

REQUEST_FORMAT = 1


class RequestRow(NamedTuple):
    """An accepted request, as the table has it."""

    number: int
    instance: int | None
    kind: str
    actor: str
    reason: str | None
    at_us: int
    client_id: str | None
    input_digest: bytes | None
    outcome: str
    format: int
    salt: bytes | None
    digest: bytes | None
    hash: bytes


@dataclass(frozen=True, slots=True)
class NewRequest:
    """What the engine says of a request it accepted; `outcome` is JSON text, given again when the request is repeated."""

    number: int
    instance: int | None
    kind: str
    actor: str
    reason: str | None
    at_us: int
    client_id: str | None
    input_digest: bytes | None
    outcome: str


_INSERT = insert_into(schema.request)
_BY_NUMBER = select_where(schema.request, "number")
_BY_CLIENT_ID = select_where(schema.request, "client_id")

_UNDER_CLIENT_ID = Prepared(
    select(schema.request)
    .where(schema.request.c.client_id >= bindparam("first"), schema.request.c.client_id < bindparam("after"))
    .order_by(schema.request.c.client_id),
    "first",
    "after",
)

_FORGET_CLIENT_ID = Prepared(
    update(schema.request).where(schema.request.c.number == bindparam("of")).values(client_id=null()), "of"
)
_OLD_CLIENT_IDS = Prepared(
    select(schema.request.c.number)
    .select_from(schema.request.outerjoin(schema.instance, schema.instance.c.id == schema.request.c.instance))
    .where(
        schema.request.c.number > bindparam("after"),
        schema.request.c.number <= bindparam("last"),
        schema.request.c.client_id.is_not(None),
        schema.request.c.at_us < bindparam("before"),
        or_(schema.request.c.instance.is_(None), schema.instance.c.ended_us < bindparam("ended_before")),
    )
    .order_by(schema.request.c.number),
    "after",
    "last",
    "before",
    "ended_before",
)
_LAST_NUMBER = Prepared(select(func.coalesce(func.max(schema.request.c.number), 0)))

assert RequestRow._fields == tuple(column.name for column in schema.request.columns)


def request_genesis(store_id: bytes) -> bytes:
    """What stands before a store's first request in the chain."""
    return genesis(b"store", store_id)


def request_header(request: NewRequest | RequestRow) -> bytes:
    """What is hashed of a request besides its reason; made again from the row when it is verified.

    The client's identifier is left out: it is removed from the row some time after the instance's end.
    """
    digest = "null" if request.input_digest is None else f'"{request.input_digest.hex()}"'
    return (
        f'{{"actor":{quoted(request.actor)},"at":{request.at_us},"input":{digest},"instance":{optional(request.instance)},'
        f'"kind":{quoted(request.kind)},"number":{request.number},"outcome":{optional_text(request.outcome)}}}'
    ).encode()


def find_request(connection: Connection, number: int) -> RequestRow | None:
    """The request with this number."""
    values = _BY_NUMBER.run(connection, number).fetchone()
    return None if values is None else RequestRow(*values)


class OldIdentifiers(NamedTuple):
    """A page of requests: those whose client's identifier is no longer to be kept, and where the next page begins."""

    numbers: tuple[int, ...]
    next_after: int | None


def find_old_client_ids(connection: Connection, *, before_us: int, after: int, limit: int) -> OldIdentifiers:
    """Among the next so many requests: those from before then whose instance, if any, had ended by then."""
    last = after + limit
    numbers = tuple(int(row[0]) for row in _OLD_CLIENT_IDS.run(connection, after, last, before_us, before_us))
    is_end = last >= int(_LAST_NUMBER.run(connection).fetchone()[0])
    return OldIdentifiers(numbers, None if is_end else last)


def find_request_of_client(connection: Connection, client_id: str) -> RequestRow | None:
    """The request that a client gave this identifier."""
    values = _BY_CLIENT_ID.run(connection, client_id).fetchone()
    return None if values is None else RequestRow(*values)


def find_requests_of_clients(connection: Connection, prefix: str) -> list[RequestRow]:
    """The requests whose clients gave them identifiers that begin so."""
    return [RequestRow(*values) for values in _UNDER_CLIENT_ID.run(connection, prefix, prefix + chr(0x10FFFF))]


class Requests:
    """The requests of one batch."""

    def __init__(self, connection: Connection, counters: Counters) -> None:
        self._connection = connection
        self._counters = counters
        self._rows: list[RequestRow] = []
        self.last_number = 0  # of the last request appended here

    def new_number(self) -> int:
        """The number of the next request; a number whose request is refused in the end is simply left out."""
        self._counters.request += 1
        return self._counters.request

    def append(self, new: NewRequest) -> RequestRow:
        """Adds an accepted request; they come in order of their numbers."""
        salt = digest = None
        if new.reason is not None:
            salt = new_salt()
            digest = digest_of(salt, new.reason.encode())
        head = link(self._counters.request_head, request_header(new), digest)
        row = RequestRow(
            new.number,
            new.instance,
            str(new.kind),
            new.actor,
            new.reason,
            new.at_us,
            new.client_id,
            new.input_digest,
            new.outcome,
            REQUEST_FORMAT,
            salt,
            digest,
            head,
        )
        self._counters.request_head = head
        self._counters.request = max(self._counters.request, new.number)
        self.last_number = new.number
        self._rows.append(row)
        return row

    def find(self, number: int) -> RequestRow | None:
        for row in self._rows:
            if row.number == number:
                return row
        return find_request(self._connection, number)

    def find_by_client_id(self, client_id: str) -> RequestRow | None:
        """The request that a client gave this identifier, so that repeating it gives the same outcome."""
        for row in self._rows:
            if row.client_id == client_id:
                return row
        return find_request_of_client(self._connection, client_id)

    def forget_client_ids(self, numbers: Iterable[int]) -> None:
        """Removes what clients called these requests; it is no part of the chain."""
        rows = [(number,) for number in numbers]
        if rows:
            _FORGET_CLIENT_ID.run_many(self._connection, rows)

    def write(self) -> int:
        written = len(self._rows)
        if written:
            _INSERT.run_many(self._connection, self._rows)
            self._rows.clear()
        return written
