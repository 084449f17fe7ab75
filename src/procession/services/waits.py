"""Everything that an instance waits for, in words: whom, since when, due when, and what keeps it from being done."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from procession.language.boxes import BOX
from procession.language.messages import told_wish
from procession.language.registry import Registry
from procession.services.call_stacks import open_requests
from procession.services.families import waits_for_children
from procession.services.holding import Holding
from procession.services.last_errors import last_error_shown
from procession.services.records import Wait, maybe_moment, moment
from procession.store import EventRow, InstanceRow, ServiceCallRow, View, Waits, WorkItemRow
from procession.store.external_calls import ExternalCallRow, ExternalState


def waits_of(
    view: View, row: InstanceRow, history: list[EventRow], registry: Registry | None, holding: Holding
) -> tuple[Wait, ...]:
    """What an instance waits for, by the number of the call. Without `registry` the application does not load."""
    now, requested, waits = datetime.now(UTC), open_requests(history), view.waits(row.id)
    withdrawn = {each.call or 0: json.loads(each.header) for each in history if each.kind == "CallWithdrawn"}
    calls = _Calls(registry, holding, now)
    found = [calls.of_item(item) for item in waits.items]
    found += [calls.of_service(call, moment(_at(requested, call.call))) for call in waits.service_calls]
    found += [calls.of_service(call, moment(_at(withdrawn, call.call))) for call in waits.late_calls]
    found += [calls.of_external(call) for call in waits.external_calls]
    found += _of_receives(waits)
    for timer in waits.timers:
        due, since = moment(timer.due_us), moment(_at(requested, timer.call))
        found.append(Wait(timer.call, "timer", "timer", "timer", "waiting", since, due, due < now))
    asked = {call: moment(_at(requested, call)) for call in requested}
    found += waits_for_children(view, row, requested=requested, since=asked, holding=holding)
    return tuple(sorted(found, key=lambda wait: wait.call))


def _of_receives(waits: Waits) -> list[Wait]:
    found = []
    for receive in waits.receives:
        is_box = receive.type == BOX
        kind, title = (
            ("group", receive.key) if is_box else ("message", told_wish(receive.type, receive.key, receive.wanted))
        )
        since = moment(receive.since_us)
        found.append(Wait(receive.call, kind, receive.type, title, "waiting", since, None, is_overdue=False))
    return found


@dataclass(frozen=True, slots=True)
class _Calls:
    """How the calls of operations are told."""

    registry: Registry | None
    holding: Holding
    now: datetime

    def of_item(self, item: WorkItemRow) -> Wait:
        due = maybe_moment(item.due_us)
        return Wait(
            call=item.call,
            kind="task",
            operation=item.operation,
            title=item.title,
            state=item.state,
            since=moment(item.requested_us),
            due=due,
            is_overdue=due is not None and due < self.now,
            item=item.id,
            role=item.role,
            holder=item.holder,
            pause=self.holding.pause_at(item.operation),
        )

    def of_service(self, row: ServiceCallRow, since: datetime) -> Wait:
        service = None if self.registry is None else self.registry.find_service(row.operation)
        is_due = row.state == "due"
        return Wait(
            call=row.call,
            kind="service",
            operation=row.operation,
            title=service.title if service is not None else row.operation,
            state=row.state,
            since=since,
            due=moment(row.due_us) if is_due else None,
            is_overdue=False,
            attempts=row.attempts,
            attempts_allowed=service.attempts if service is not None else None,
            last_error=last_error_shown(row),
            pause=self.holding.pause_at(row.operation) if is_due else None,
            limits=self.holding.limits_on(row.operation) if is_due else (),
        )

    def of_external(self, row: ExternalCallRow) -> Wait:
        operation = None if self.registry is None else self.registry.find_operation(row.operation)
        state = row.state(time.time_ns() // 1000)
        due = maybe_moment(row.due_us)
        return Wait(
            call=row.call,
            kind="external",
            operation=row.operation,
            title=operation.title if operation is not None else row.operation,
            state=state,
            since=moment(row.requested_us),
            due=due,
            is_overdue=due is not None and due < self.now,
            holder=row.worker if state is ExternalState.LEASED else None,
            attempts=row.attempts,
            attempts_allowed=row.most_attempts,
            last_error=last_error_shown(row),
            pause=self.holding.pause_at(row.operation),
        )


def _at(requested: Mapping[int, Mapping[str, Any]], call: int) -> int:
    return int(requested.get(call, {}).get("at", 0))
