"""The numbers the writer gives out: read once when the store is opened, taken back when a batch is dropped."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Column, func, select

from procession.store import schema
from procession.store.connections import Connection
from procession.store.statements import Prepared


def _highest(column: Column[Any]) -> Prepared:
    return Prepared(select(func.coalesce(func.max(column), 0)))


_HIGHEST = {
    "position": (_highest(schema.event.c.position), _highest(schema.work_item_event.c.position)),
    "request": (_highest(schema.request.c.number),),
    "instance": (_highest(schema.instance.c.id),),
    "item": (_highest(schema.work_item.c.id),),
    "service_call": (_highest(schema.service_call.c.id),),
    "waiting_event": (_highest(schema.waiting_event.c.id),),
    "external_call": (_highest(schema.external_call.c.id),),
    "message": (_highest(schema.message.c.id),),
    "receive": (_highest(schema.receive.c.id),),
    "delivery": (_highest(schema.delivery.c.id),),
    "release": (_highest(schema.release.c.id),),
    "site": (_highest(schema.site.c.id),),
}
_OPEN_DELIVERIES = Prepared(select(func.count()).select_from(schema.delivery))


@dataclass(slots=True)
class Counters:
    """The last number given out, by kind; `numbers` holds the last instance number of each process met.

    `open_deliveries` counts what instances have done to others and is not applied: most often nothing.
    """

    position: int
    request: int
    instance: int
    item: int
    service_call: int
    waiting_event: int
    external_call: int
    message: int
    receive: int
    delivery: int
    release: int
    site: int
    open_deliveries: int
    request_head: bytes
    numbers: dict[str, int] = field(default_factory=dict)

    def copy(self) -> Counters:
        return replace(self, numbers=dict(self.numbers))


def read_counters(connection: Connection, *, request_head: bytes) -> Counters:
    """The last numbers in the store; `request_head` is the end of the chain of requests."""
    highest = {
        name: max(int(statement.run(connection).fetchone()[0]) for statement in statements)
        for name, statements in _HIGHEST.items()
    }
    deliveries = int(_OPEN_DELIVERIES.run(connection).fetchone()[0])
    return Counters(open_deliveries=deliveries, request_head=request_head, numbers={}, **highest)
