"""Messages that nobody has taken yet, or that are on their way to whoever waited for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from sqlalchemy import bindparam, select, text

from procession.store import schema
from procession.store.connections import Connection
from procession.store.counters import Counters
from procession.store.identity import Identity, RowStatements
from procession.store.statements import Prepared


class MessageState(StrEnum):
    """Whether a message is kept for whoever asks for it, or on its way to whoever waited."""

    KEPT = "kept"
    ON_ITS_WAY = "on its way"


class MessageRow(NamedTuple):
    """A message: for whom it is (`type`, `key`), until when it is kept, who sent it, and how many have taken it.

    `chain` is as long as that of whatever it comes to: 0 from outside, else that of its sender and one more.
    """

    id: int
    uuid: bytes
    type: str
    key: str
    payload: bytes
    state: str
    published_us: int
    expires_us: int
    sender: int | None
    sent_by: str
    taken: int
    chain: int


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that is to be stored."""

    uuid: bytes
    type: str
    key: str
    payload: bytes
    published_us: int
    expires_us: int
    sender: int | None
    sent_by: str
    chain: int = 0


@cache
def _statements() -> RowStatements[MessageRow]:
    return RowStatements(schema.message, MessageRow)


_messages = schema.message.c
_IS_KEPT = text("state = 'kept'")  # as the indexes say it: a value that is bound would not let them be used
_KEPT_FOR = Prepared(
    select(schema.message)
    .where(
        _IS_KEPT,
        _messages.type == bindparam("type"),
        _messages.key == bindparam("key"),
        _messages.expires_us > bindparam("now_us"),
    )
    .order_by(_messages.id)
    .limit(bindparam("limit")),
    "type",
    "key",
    "now_us",
    "limit",
)
_EXPIRED = Prepared(
    select(schema.message)
    .where(_IS_KEPT, _messages.expires_us <= bindparam("by_us"))
    .order_by(_messages.expires_us, _messages.id)
    .limit(bindparam("limit")),
    "by_us",
    "limit",
)
_KEPT = Prepared(
    select(schema.message)
    .where(_IS_KEPT, _messages.id > bindparam("after"), _messages.expires_us > bindparam("now_us"))
    .order_by(_messages.id)
    .limit(bindparam("limit")),
    "after",
    "now_us",
    "limit",
)


class Messages:
    """The messages of one batch."""

    def __init__(self, connection: Connection, counters: Counters) -> None:
        self._connection = connection
        self._counters = counters
        self._rows: Identity[int, MessageRow] = Identity(connection, MessageRow._make, _statements())

    def find(self, message: int) -> MessageRow | None:
        return self._rows.find(message)

    def get(self, message: int) -> MessageRow:
        row = self._rows.find(message)
        if row is None:
            raise LookupError(f"no message {message} in the store: it was taken, or has expired")
        return row

    def kept_for(
        self, type_name: str, key: str, *, now_us: int, fits: Callable[[MessageRow], bool]
    ) -> MessageRow | None:
        """The oldest that is kept for this type and key, has not expired, and fits."""

        def is_it(row: MessageRow) -> bool:
            is_for_it = row.state == MessageState.KEPT and row.type == type_name and row.key == key
            return is_for_it and row.expires_us > now_us and fits(row)

        most = 1
        while True:
            limit = most + self._rows.unwritten_count
            found = list(_KEPT_FOR.run(self._connection, type_name, key, now_us, limit))
            rows = self._rows.overlay(found, is_it)
            if rows or len(found) < limit:
                return rows[0] if rows else None
            most *= 8

    def expired(self, by_us: int, *, limit: int) -> list[MessageRow]:
        """Those kept for nobody whose time is over."""
        found = _EXPIRED.run(self._connection, by_us, limit + self._rows.unwritten_count)
        rows = self._rows.overlay(
            found,
            lambda row: row.state == MessageState.KEPT and row.expires_us <= by_us,
        )
        return sorted(rows, key=lambda row: (row.expires_us, row.id))[:limit]

    def add(self, new: NewMessage, state: MessageState) -> MessageRow:
        self._counters.message += 1
        row = MessageRow(
            self._counters.message,
            new.uuid,
            new.type,
            new.key,
            new.payload,
            str(state),
            new.published_us,
            new.expires_us,
            new.sender,
            new.sent_by,
            0,
            new.chain,
        )
        self._rows.add(row.id, row)
        return row

    def mark(self, message: int, state: MessageState) -> MessageRow:
        return self._rows.change(message, self.get(message), {"state": str(state)})

    def count_taken(self, message: int) -> MessageRow:
        """One more has taken it."""
        row = self.get(message)
        return self._rows.change(message, row, {"taken": row.taken + 1})

    def remove(self, message: int) -> None:
        """Everybody it was for has it, or it has expired."""
        self._rows.remove(message)

    def write(self) -> int:
        return self._rows.write()


def read_kept(connection: Connection, now_us: int, *, after: int, limit: int) -> list[MessageRow]:
    """The next messages that are kept for nobody yet and have not expired, oldest first."""
    return [MessageRow(*values) for values in _KEPT.run(connection, after, now_us, limit)]


def read_expired(connection: Connection, by_us: int, *, limit: int) -> list[MessageRow]:
    """Messages kept for nobody whose time is over."""
    return [MessageRow(*values) for values in _EXPIRED.run(connection, by_us, limit)]
