"""What one instance does to another, until it is applied: written with the transaction that caused it, applied in that order.

A row goes in the very transaction that applies it, so a crash between the two neither loses one nor applies it twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from sqlalchemy import bindparam, select

from procession.store import schema
from procession.store.connections import Connection
from procession.store.counters import Counters
from procession.store.identity import Identity, RowStatements
from procession.store.statements import Prepared, select_where


class DeliveryKind(StrEnum):
    """What is to be done: for `start` and `cancel` the target is the child of the origin's call.

    A `message` is what the target itself asked for: origin and call are those of its receive, which names the message.
    `nothing` and `lost` are about a call that origin and target, which are one, has withdrawn: no attempt at it ran, or the
    worker ended in one.
    """

    START = "start"
    CANCEL = "cancel"
    FORCE = "force"
    ENDED = "ended"
    MESSAGE = "message"
    NOTHING = "nothing"
    LOST = "lost"


class DeliveryRow(NamedTuple):
    """Something to be applied. `position` is the event that caused it; timers that are due by `at_us` go before it.

    `chain` counts what came of each other since something came from outside: messages, children, instances that were begun
    on their own, or began anew. No time has passed in between.
    """

    id: int
    kind: str
    origin: int
    target: int | None
    call: int | None
    position: int
    at_us: int
    chain: int


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """What an instance does to another, in the transaction in which it does it."""

    kind: DeliveryKind
    origin: int
    target: int | None
    call: int | None
    position: int
    at_us: int
    chain: int = 0


@cache
def _statements() -> RowStatements[DeliveryRow]:
    return RowStatements(schema.delivery, DeliveryRow)


_OF_ORIGIN = select_where(schema.delivery, "origin")
_OF_TARGET = select_where(schema.delivery, "target")
_AFTER = Prepared(
    select(schema.delivery)
    .where(schema.delivery.c.id > bindparam("after"))
    .order_by(schema.delivery.c.id)
    .limit(bindparam("limit")),
    "after",
    "limit",
)


def find_old(connection: Connection, before_us: int, limit: int) -> list[DeliveryRow]:
    """What has waited to be applied since before then: nothing does for long, where an engine runs."""
    rows = map(DeliveryRow._make, _AFTER.run(connection, 0, limit))
    return [row for row in rows if row.at_us < before_us]


class Deliveries:
    """The deliveries of one batch."""

    def __init__(self, connection: Connection, counters: Counters) -> None:
        self._connection = connection
        self._counters = counters
        self._rows: Identity[int, DeliveryRow] = Identity(connection, DeliveryRow._make, _statements())

    @property
    def last(self) -> int:
        """The number of the last one given out: those made from here on have greater ones."""
        return self._counters.delivery

    @property
    def are_open(self) -> bool:
        """Whether anything is to be applied; costs nothing."""
        return self._counters.open_deliveries > 0

    def add(self, new: NewDelivery) -> DeliveryRow:
        self._counters.delivery += 1
        self._counters.open_deliveries += 1
        row = DeliveryRow(
            self._counters.delivery,
            str(new.kind),
            new.origin,
            new.target,
            new.call,
            new.position,
            new.at_us,
            new.chain,
        )
        self._rows.add(row.id, row)
        return row

    def find(self, delivery: int) -> DeliveryRow | None:
        return self._rows.find(delivery)

    def next_after(self, after: int, *, limit: int = 1) -> list[DeliveryRow]:
        """The next to be applied, in the order in which they were made."""
        found = _AFTER.run(self._connection, after, limit + self._rows.unwritten_count)
        return self._rows.overlay(found, lambda row: row.id > after)[:limit]

    def next_made_after(self, last: int) -> DeliveryRow | None:
        """The next of those that were made after that one in this batch: it need not be looked for in the store."""
        return self._rows.new_after(last)

    def of_origin(self, instance: int) -> list[DeliveryRow]:
        """What this instance has done to others and is not applied yet."""
        found = _OF_ORIGIN.run(self._connection, instance)
        return self._rows.overlay(found, lambda row: row.origin == instance)

    def of_target(self, instance: int) -> list[DeliveryRow]:
        """What others have done to this instance, or it has asked for, and is not applied yet."""
        found = _OF_TARGET.run(self._connection, instance)
        return self._rows.overlay(found, lambda row: row.target == instance)

    def remove(self, delivery: int) -> None:
        """It is applied in this batch, or there is nothing to apply any more."""
        self._counters.open_deliveries -= 1
        self._rows.remove(delivery)

    def write(self) -> int:
        return self._rows.write()
