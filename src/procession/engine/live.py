"""Live instances: a bounded cache of those at work. A waiting instance that drops out costs no memory and is rebuilt by replay."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TypeVar

from procession.engine import interrupts
from procession.engine.guard import behind_fence
from procession.engine.present_names import in_present_names
from procession.engine.watchdog import Watchdog
from procession.errors import OperatorError
from procession.kernel import (
    CallKind,
    CallStarted,
    CancellationRequested,
    ChildEnded,
    Event,
    HaltInstance,
    Instance,
    InstanceState,
    late_result,
)
from procession.language.registry import Registry
from procession.store.batch import Batch
from procession.store.event_rows import decode_event
from procession.store.instances import InstanceRow

log = logging.getLogger("procession.engine")

MOST_LIVE = 10_000
MOST_LOOKED_AT = 20

R = TypeVar("R")


class ProcessIsGone(OperatorError):
    """The source that an instance runs on no longer has its process."""

    code = "process-gone"


class LiveInstances:
    """The instances in memory, by internal number; the least recently used is dropped first."""

    def __init__(self, registry: Registry, watchdog: Watchdog, *, most: int = MOST_LIVE) -> None:
        self.registry = registry
        self._watchdog = watchdog
        self._most = most
        self._instances: OrderedDict[int, Instance] = OrderedDict()
        self._rows: dict[int, InstanceRow] = {}
        self.set_aside = 0

    def __len__(self) -> int:
        return len(self._instances)

    def create(self, row: InstanceRow) -> Instance:
        """A live instance without a history."""
        instance = self._new(row)
        self._keep(row.id, instance)
        return instance

    def get(self, batch: Batch, row: InstanceRow) -> Instance:
        """The live instance, rebuilt by replay where it is not in memory.

        Raises `kernel.Divergence` or `kernel.HaltInstance` where its history does not replay on the present source, and
        `ProcessIsGone` where there is no such process any more.
        """
        instance = self._instances.get(row.id)
        if instance is not None:
            self._instances.move_to_end(row.id)
            return instance
        instance = self._new(row)
        since_renewal = batch.events.history(row.id, after=max(0, row.renewed_seq - 1))
        history = [in_present_names(decode_event(event), self.registry) for event in since_renewal]
        try:
            self.at_work(
                row.id,
                0,
                lambda: instance.replay(history, before_event=lambda seq: self._watchdog.enter(row.id, seq)),
                name=row.name,
            )
        except BaseException:
            self._close(row.id, instance)
            raise
        self._keep(row.id, instance)
        return instance

    def at_work(self, number: int, seq: int, work: Callable[[], R], *, name: str = "") -> R:
        """The result of `work`, which runs an instance's code: behind the fence, and watched."""
        try:
            return behind_fence(self._watchdog, work, instance=number, seq=seq, name=name)
        except KeyboardInterrupt as raised:
            if interrupts.is_waiting():
                raise
            raise interrupts.InterruptRaised() from raised
        finally:
            interrupts.let_in()

    def row_of(self, batch: Batch, number: int) -> InstanceRow:
        """The row of an instance as a batch has it; of one in memory it need not be read from the store."""
        known = self._rows.get(number)
        if known is not None:
            batch.instances.know(known)
        return batch.instances.get(number)

    def remember(self, rows: Iterable[InstanceRow]) -> None:
        """These rows are committed."""
        self._rows.update((row.id, row) for row in rows if row.id in self._instances)

    def waits_for_no_timer(self, number: int) -> bool:
        """Whether a live instance is known to wait for no timer; False where only the store can tell.

        That is so where it is not in memory, or waits for so much that to ask the store costs less than to look.
        """
        instance = self._instances.get(number)
        if instance is None or len(instance.open_calls) > MOST_LOOKED_AT:
            return False
        return all(call.kind is not CallKind.TIMER for call in instance.open_calls.values())

    def holds(self, number: int) -> bool:
        """Whether an instance is in memory."""
        return number in self._instances

    def waits_for_call(self, number: int, call: int | None) -> bool:
        """Whether a live instance waits for that call."""
        instance = self._instances.get(number)
        return instance is not None and call in instance.open_calls

    def as_it_fits(self, number: int, event: Event) -> Event | None:
        """What an event that has waited is by now to a live instance; None where it is nothing any more.

        The end of a child whose call was withdrawn meanwhile is only that, and a result of such a call comes late.
        """
        instance = self._instances.get(number)
        if instance is None:
            return None
        call = getattr(event, "call", None)
        if call is None:
            is_again = isinstance(event, CancellationRequested) and instance.state is not InstanceState.RUNNING
            return None if is_again else event
        if call in instance.open_calls:
            return event
        if call in instance.ending_children:
            return None if isinstance(event, CallStarted) else ChildEnded(event.at_us, call)
        return late_result(event) if call in instance.late_calls else None

    def withdrew_child(self, number: int, call: int) -> bool:
        """Whether a live instance has withdrawn this call, and its child is still to end."""
        instance = self._instances.get(number)
        return instance is not None and call in instance.ending_children

    def may_have_children(self, number: int) -> bool:
        """Whether an instance that ends may leave children that have not; False where that is known without asking the store."""
        instance = self._instances.get(number)
        return instance is None or bool(instance.ending_children)

    def late_calls(self, number: int) -> frozenset[int]:
        """The calls that a live instance has withdrawn, and of which a result may still come that it undoes."""
        instance = self._instances.get(number)
        return frozenset() if instance is None else instance.late_calls

    def drop(self, instances: Iterable[int]) -> None:
        """Forget these; what they were is in their history."""
        for number in instances:
            self._rows.pop(number, None)
            instance = self._instances.pop(number, None)
            if instance is not None:
                self._close(number, instance)

    def close(self) -> None:
        """Forget all."""
        self.drop(list(self._instances))

    def _new(self, row: InstanceRow) -> Instance:
        process = self.registry.find_process(row.process)
        if process is None:
            raise ProcessIsGone(
                f"The process {row.process!r} of {row.name} is not in the application any more.",
                subject=row.name,
                remedy='Bring it back, or name its old name with was=("…",) on the process that took its place; then `procession retry`.',
            )
        assert row.secret is not None, "an erased instance has ended and is never run"
        return Instance(process.program(row.secret), seed=row.secret)

    def _keep(self, number: int, instance: Instance) -> None:
        self._instances[number] = instance
        while len(self._instances) > self._most:
            self.drop([next(iter(self._instances))])

    def _close(self, number: int, instance: Instance) -> None:
        try:
            teardown = self.at_work(number, 0, instance.close)
        except HaltInstance as fault:
            log.warning("Instance %d was cut short while it was dropped: %s", number, fault)
            return
        if teardown.swallowed:
            self.set_aside += teardown.swallowed
            log.warning(
                "%d coroutines would not end when their instance was dropped; they were set aside.", teardown.swallowed
            )
