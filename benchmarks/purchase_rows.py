"""The rows that the purchase approval writes, without the engine that makes them: what raw SQLite is measured with.

Built beforehand, so that nothing but SQLite is timed. A transition is all that one hand-off writes; the start of an instance
belongs to its first. Sizes of headers and payloads are those of real instances.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator

from procession.store import schema
from procession.store.instances import InstanceRow
from procession.store.statements import delete_by_key, insert_into, update_by_key

Rows = dict[str, list[tuple[object, ...]]]
"""Statement to the rows it runs with."""

INSTANCE_CHANGES = ["state", "ended_us", "now_us", "seq", "head"]
ITEM_CHANGES = ["state", "holder", "version", "started_us", "ended_us", "performer", "seq", "head"]

SQL = {
    "instance": insert_into(schema.instance).sql,
    "instance changed": update_by_key(schema.instance, INSTANCE_CHANGES).sql,
    "event": insert_into(schema.event).sql,
    "item": insert_into(schema.work_item).sql,
    "item changed": update_by_key(schema.work_item, ITEM_CHANGES).sql,
    "item event": insert_into(schema.work_item_event).sql,
    "service call": insert_into(schema.service_call).sql,
    "service call ended": delete_by_key(schema.service_call).sql,
    "request": insert_into(schema.request).sql,
}
"""In the order in which one transaction runs them: what is referred to comes first."""

RELEASE = (1, b"\0" * 32, "{}", 1_700_000_000_000_000)
NOW_US = 1_767_225_600_000_000
INPUT = b'{"request":{"amount":"1200.00","item":"laptop","requester":"ann@acme.example","supplier":"Dell"}}'
ANSWER = b'{"approved":true,"remark":"within the budget of the quarter"}'
RESULT = b'{"number":"4711","supplier":"Dell"}'


class Numbers:
    """The numbers a writer gives out: one counter for positions, one for each kind of row."""

    def __init__(self) -> None:
        self._last: dict[str, int] = defaultdict(int)

    def next(self, kind: str) -> int:
        self._last[kind] += 1
        return self._last[kind]


class InstanceRows:
    """One instance of the purchase approval, hand-off by hand-off."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self._id = numbers.next("instance")
        self._seq = 0
        self._head = os.urandom(32)
        self._secret = os.urandom(48)
        self._call = 0
        self._service_calls: dict[int, int] = {}
        self._item = 0
        self._rows: Rows = {}

    def transitions(self) -> Iterator[Rows]:
        """Service, task, two services in parallel, task, service: six."""
        self._start()
        reserve = self._request_service("Finance.reserve budget")
        yield self._end_of_service(reserve, then_task="Management.approve")
        self._complete_item()
        supplier = self._request_service("Purchasing.check supplier")
        stock = self._request_service("Purchasing.check stock")
        yield self._change()
        yield self._end_of_service(supplier)
        yield self._end_of_service(stock, then_task="Management.sign")
        self._complete_item()
        order = self._request_service("Purchasing.place order")
        yield self._change()
        self._end_of_service_call(order)
        self._event("InstanceCompleted", None, RESULT)
        yield self._change(state="completed")

    def _add(self, statement: str, *values: object) -> None:
        self._rows.setdefault(statement, []).append(values)

    def _start(self) -> None:
        name = f"purchase-{self._id}"
        self._add_request("start")
        row = InstanceRow(
            id=self._id, uuid=os.urandom(16), process="purchase", number=self._id, name=name,
            title="laptop from Dell for 1200.00", business_key=None, open_key=None, key_forever=0, state="running",
            initiator="ann", release=1, started_us=NOW_US, ended_us=None, now_us=NOW_US, seq=0, head=self._head,
            secret=self._secret, generation=1, input_digest=os.urandom(16), halt=None, cancelling_us=None, suspended=None,
            renewed_seq=0, not_undone=None, parent=None, parent_call=None,
        )  # fmt: skip
        self._add("instance", *row)
        self._event("InstanceStarted", None, INPUT)

    def _add_request(self, kind: str) -> None:
        number = self._numbers.next("request")
        outcome = f'{{"instance":"purchase-{self._id}","item":{self._item}}}'
        self._add(
            "request", number, self._id, kind, "ann", None, NOW_US, None, os.urandom(16), outcome, 1, None, None,
            os.urandom(32),
        )  # fmt: skip

    def _event(self, kind: str, call: int | None, payload: bytes | None, more: str = "") -> int:
        position = self._numbers.next("position")
        self._seq += 1
        self._head = os.urandom(32)
        header = f'{{"at":{NOW_US},"call":{call or "null"},"kind":"{kind}","request":null{more}}}'.encode()
        salt, digest = (None, None) if payload is None else (os.urandom(16), os.urandom(32))
        self._add(
            "event", position, self._id, self._seq, kind, call, None, 1, header, payload, salt, digest, self._head
        )  # fmt: skip
        return position

    def _request_call(self, operation: str) -> tuple[int, int]:
        self._call += 1
        digest = os.urandom(16).hex()
        more = f',"call_kind":"service","operation":"{operation}","digest":"{digest}","due":null,"site":17'
        return self._call, self._event("CallRequested", self._call, INPUT, more)

    def _request_service(self, operation: str) -> int:
        call, position = self._request_call(operation)
        row = self._service_calls[call] = self._numbers.next("service call")
        key = os.urandom(16).hex()
        self._add("service call", row, self._id, call, operation, "due", 0, 0, NOW_US, 0, key, position, None)
        return call

    def _end_of_service_call(self, call: int) -> None:
        self._event("CallCompleted", call, RESULT)
        self._add("service call ended", self._service_calls.pop(call))

    def _end_of_service(self, call: int, *, then_task: str | None = None) -> Rows:
        self._end_of_service_call(call)
        if then_task is not None:
            self._request_task(then_task)
        return self._change()

    def _request_task(self, operation: str) -> None:
        call, position = self._request_call(operation)
        self._item = self._numbers.next("item")
        self._add(
            "item", self._item, os.urandom(16), self._id, call, operation, "Management", "Approve the purchase",
            "Management", "offered", None, 1, NOW_US, None, None, None, None, position, None, 1, os.urandom(32),
        )  # fmt: skip
        self._item_event(1, "offered", None)

    def _complete_item(self) -> None:
        call = self._call
        self._add_request("complete")
        self._event("CallStarted", call, None)
        self._event("CallCompleted", call, ANSWER)
        for seq, kind in enumerate(("started", "completed"), 2):
            self._item_event(seq, kind, None)
        head = os.urandom(32)
        self._add("item changed", "completed", "bob", 2, NOW_US, NOW_US, "bob", 3, head, self._item)

    def _item_event(self, seq: int, kind: str, payload: bytes | None) -> None:
        position = self._numbers.next("position")
        self._add(
            "item event", position, self._item, seq, kind, "bob", None, NOW_US, None, payload, 1, None, None,
            os.urandom(32),
        )  # fmt: skip

    def _change(self, state: str = "running") -> Rows:
        ended = NOW_US if state == "completed" else None
        self._add("instance changed", state, ended, NOW_US, self._seq, self._head, self._id)
        rows, self._rows = self._rows, {}
        return rows


class RelayRows(InstanceRows):
    """An instance that goes from person to person: each hand-off is the end of one item and the beginning of the next."""

    def __init__(self) -> None:
        super().__init__(Numbers())

    def start(self) -> Rows:
        """The rows up to the first item."""
        self._start()
        self._request_task("Management.sign")
        return self._change()

    def hand_off(self) -> Rows:
        """The rows from one item to the next."""
        self._complete_item()
        self._request_task("Management.sign")
        return self._change()


def transitions_of(instances: int, callers: int) -> Iterator[Rows]:
    """The transitions of so many instances, as `callers` that work side by side bring them."""
    numbers = Numbers()
    for start in range(0, instances, callers):
        running = [InstanceRows(numbers).transitions() for _ in range(min(callers, instances - start))]
        for step in zip(*running, strict=True):
            yield from step


def together(transitions: list[Rows]) -> Rows:
    """Several transitions as the rows of one transaction."""
    merged: Rows = {}
    for statement in SQL:
        rows = [row for transition in transitions for row in transition.get(statement, ())]
        if rows:
            merged[statement] = rows
    return merged
