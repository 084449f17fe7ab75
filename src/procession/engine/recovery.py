"""What an engine does with a store before it takes requests: nothing that was under way is forgotten."""

import json
import logging

from procession.engine.attempts import ServiceState, interrupted
from procession.engine.wake_records import change_after_attempt
from procession.engine.watchdog import Culprit
from procession.kernel import GOES_ON, InstanceHalted, InstanceState
from procession.language.registry import Registry
from procession.store.batch import Batch
from procession.store.deliveries import DeliveryKind, NewDelivery
from procession.store.event_rows import encode_event

log = logging.getLogger("procession.engine")


def recover(batch: Batch, registry: Registry, *, culprit: Culprit | None, now_us: int) -> None:
    """Take over attempts whose worker ended, and halt the instance whose code made the watchdog end it."""
    if culprit is not None:
        _halt_culprit(batch, culprit, now_us)
    for row in batch.service_calls.in_state(ServiceState.RUNNING, limit=1_000_000):
        change_after_attempt(batch, interrupted(row, registry.find_service(row.operation), now_us))
    for row in batch.service_calls.in_state(ServiceState.WITHDRAWN, limit=1_000_000):
        batch.service_calls.remove(row.id)
        lost = NewDelivery(DeliveryKind.LOST, row.instance, row.instance, row.call, row.requested_position, now_us)
        batch.deliveries.add(lost)


def _halt_culprit(batch: Batch, culprit: Culprit, now_us: int) -> None:
    instance = culprit.instance
    row = batch.instances.find(instance)
    if row is None or row.state not in GOES_ON:
        return
    message = (
        "Process code held the interpreter for so long that the worker had to be ended. "
        "Look for an endless computation in a library call, or for code that waits for something outside, "
        "and move it into a service."
    )
    at_us = max(row.now_us, now_us)
    batch.events.append(instance, [encode_event(InstanceHalted(at_us, "watchdog", message, b"{}", 0))])
    halt = json.dumps({"code": "watchdog", "message": message, "at_us": at_us, "traceback": culprit.traceback})
    batch.instances.change(instance, state=InstanceState.HALTED, halt=halt, now_us=at_us)
    log.error("%s was halted: %s", row.name, message)
