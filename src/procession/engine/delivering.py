"""Applies what one instance does to another: it starts a child, cancels it, and is told of its end.

Each is a row, written with the transaction that caused it and applied in that order: in the same transaction where that goes
well, else as due work. So a crash in between neither loses one nor applies it twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from procession.engine.advance import ENDED_STATES, OF_A_BEGINNING, Advance
from procession.engine.contract import NewInstance
from procession.engine.due_timers import DueTimers
from procession.engine.present_names import in_present_names
from procession.engine.starting import begin_instance
from procession.engine.suspending import suspend_as_others
from procession.engine.turn import Turn
from procession.errors import InternalError
from procession.kernel import (
    CallCompleted,
    CallFailed,
    CallKind,
    CallRequested,
    CallStarted,
    CallWithdrawn,
    CancellationRequested,
    Event,
    Failure,
    InstanceCancelled,
    InstanceCompleted,
    InstanceFailed,
    InstanceState,
    LateResult,
)
from procession.language.failures import message_of
from procession.language.process import Process, input_digest, name_codec
from procession.store.deliveries import DeliveryKind, DeliveryRow
from procession.store.event_rows import decode_event
from procession.store.instances import InstanceRow

MOST_AT_ONCE = 64
MOST_BETWEEN_EVENTS = 1_000


@dataclass(frozen=True, slots=True)
class Delivering:
    """Applies deliveries inside a batch. One object per engine; it holds no state of a batch."""

    advance: Advance

    @property
    def timers(self) -> DueTimers:
        """How the timers due before something are fired."""
        return DueTimers(self.advance, self.apply_between)

    def apply_made_since(self, turn: Turn, last: int) -> None:
        """Apply what was made after delivery `last` in this batch; what is too much, or may not overtake, is left to due work."""
        deliveries = turn.batch.deliveries
        if deliveries.last == last:
            return
        older = deliveries.next_after(0)
        if not turn.effects.delivers or (older and older[0].id <= last):
            turn.effects.expect(0)
            return
        self._apply_after(turn, last, MOST_AT_ONCE)
        if deliveries.next_made_after(last) is not None:
            turn.effects.expect(0)

    def apply(self, turn: Turn, row: DeliveryRow) -> None:
        """Apply one, in the transaction in which its row goes."""
        turn.effects.has_delivered = True
        turn.batch.deliveries.remove(row.id)
        origin = self.advance.live.row_of(turn.batch, row.origin)
        turn = turn.caused_by(origin.name, at_us=row.at_us).in_chain(row.chain)
        match DeliveryKind(row.kind):
            case DeliveryKind.MESSAGE:
                self._bring_message(turn, row)
            case DeliveryKind.START:
                self._start(turn, origin, self._cause(turn, row))
            case DeliveryKind.CANCEL:
                self._cancel(turn, origin, self._cause(turn, row), row)
            case DeliveryKind.FORCE:
                self._force(turn, origin, self._cause(turn, row), row)
            case DeliveryKind.NOTHING | DeliveryKind.LOST:
                assert row.call is not None
                why = "the worker ended during it" if row.kind == DeliveryKind.LOST else ""
                self.advance.bring_late(turn, origin, LateResult(max(row.at_us, origin.now_us), row.call, None, why))
            case DeliveryKind.ENDED:
                assert row.target is not None
                assert row.call is not None
                cause = self._cause(turn, row)
                parent = self._brought_up_to(turn, row.target, row.at_us, cause.at_us)
                self.advance.bring_late(turn, parent, _end_of_call(cause, row.call, max(cause.at_us, parent.now_us)))

    def apply_between(self, turn: Turn, last: int, *, to_itself: bool = True) -> None:
        """Apply what was made after delivery `last`, before the next event of those that are applied in this turn.

        What an instance brings to itself, a message or a result that comes late, may be left for later.
        """
        if turn.effects.delivers:
            self._apply_after(turn, last, MOST_BETWEEN_EVENTS, to_itself=to_itself)

    def apply_what_comes_to(self, turn: Turn, row: InstanceRow) -> None:
        """Apply what is on its way to an instance or one above it, in order: what comes for it from now on is later."""
        if not turn.effects.delivers:
            return
        line = [row]
        while (parent := line[-1].parent) is not None:
            line.append(turn.batch.instances.get(parent))
        for _ in range(MOST_BETWEEN_EVENTS):
            coming = self._next_to(turn, line)
            if coming is None:
                return
            self.apply(turn, coming)

    def _next_to(self, turn: Turn, line: Sequence[InstanceRow]) -> DeliveryRow | None:
        """The first of what is on its way to these, and of what they began before it, whose outcome comes to them."""
        deliveries = turn.batch.deliveries
        found: list[DeliveryRow] = []
        for row in line:
            coming = deliveries.of_target(row.id)
            if row.parent is not None:
                asked = deliveries.of_origin(row.parent)
                coming += [each for each in asked if (each.kind, each.call) == (DeliveryKind.CANCEL, row.parent_call)]
            if coming:
                last = max(each.id for each in coming)
                begun = [each for each in deliveries.of_origin(row.id) if each.kind == DeliveryKind.START]
                found += [*coming, *(each for each in begun if each.id < last)]
        return min(found, key=lambda each: each.id, default=None)

    def _apply_after(self, turn: Turn, last: int, most: int, *, to_itself: bool = True) -> None:
        for _ in range(most):
            found = turn.batch.deliveries.next_made_after(last)
            if found is None:
                return
            if found.origin == found.target and not to_itself:
                last = found.id
            else:
                self.apply(turn, found)

    def _cause(self, turn: Turn, row: DeliveryRow) -> Event:
        found = turn.batch.events.find(row.position)
        if found is None:
            raise InternalError(f"Event {row.position}, which caused a delivery, is not in the store.")
        return in_present_names(decode_event(found), self.advance.registry)

    def _brought_up_to(self, turn: Turn, instance: int, by_us: int, now_us: int) -> InstanceRow:
        """The instance after the timers that are due first."""
        row = self.advance.live.row_of(turn.batch, instance)
        if row.state in ENDED_STATES:
            return row
        self.timers.apply(turn, row, by_us, now_us)
        return turn.batch.instances.get(instance)

    def _start(self, turn: Turn, origin: InstanceRow, cause: Event) -> None:
        """Begin a child, or an instance on its own, and tell the call: that it has begun, cannot begin, or its name."""
        assert isinstance(cause, CallRequested)
        is_child = cause.kind is CallKind.CHILD
        if is_child and origin.state in ENDED_STATES:
            return
        at_us = max(cause.at_us, origin.now_us)
        told = self._begun(turn, origin, cause, at_us)
        event: Event
        if isinstance(told, Failure):
            event = CallFailed(at_us, cause.call, told, None)
        elif is_child:
            event = CallStarted(at_us, cause.call, None)
        else:
            event = CallCompleted(at_us, cause.call, name_codec().encode(told), None)
        self.advance.bring_late(turn, turn.batch.instances.get(origin.id), event)

    def _begun(self, turn: Turn, origin: InstanceRow, cause: CallRequested, at_us: int) -> str | Failure:
        """The name of the instance that the call began, or why it could not."""
        process = self.advance.registry.find_process(cause.operation)
        if process is None:
            return Failure("ProcessGone", f"The application has no process {cause.operation} any more.")
        try:
            values = process.inputs.decode(cause.input)
            key, title = process.key_for(values), process.title_for(values)
        except Exception as error:  # the author's code: that of a type, or what a title names
            return Failure(type(error).__name__, message_of(error))
        is_child = cause.kind is CallKind.CHILD
        holder = _holder(turn, process, key) if key is not None else None
        if holder is not None:
            if not is_child and holder.secret and input_digest(holder.secret, cause.input) == holder.input_digest:
                return holder.name
            return Failure("KeyTaken", f"{holder.name} has the business key {key!r} already.")
        parent = (origin.id, cause.call) if is_child else (None, None)
        new = NewInstance(process, cause.input, title, origin.initiator, key, *parent)
        longer = turn.in_chain(turn.cause.chain + (1 if is_child else OF_A_BEGINNING))
        row = begin_instance(longer, self.advance, new, at_us)
        suspend_as_others(turn, self.advance.live, row.id)
        return row.name

    def _cancel(self, turn: Turn, origin: InstanceRow, cause: Event, row: DeliveryRow) -> None:
        """The parent has withdrawn the call of a child: the child cleans up and ends."""
        assert isinstance(cause, CallWithdrawn)
        child = turn.batch.instances.find_child(row.origin, cause.call)
        if child is None:
            return
        child = self._brought_up_to(turn, child.id, row.at_us, cause.at_us)
        if child.state in ENDED_STATES or child.state == InstanceState.CANCELLING:
            return
        reason = f"{origin.name} no longer wants it{f': {cause.reason}' if cause.reason else ''}"
        event = CancellationRequested(max(cause.at_us, child.now_us), reason)
        self.advance.bring(turn, child, event)

    def _force(self, turn: Turn, origin: InstanceRow, cause: Event, row: DeliveryRow) -> None:
        """The parent has ended, and does not wait for this child."""
        assert row.target is not None
        child = turn.batch.instances.get(row.target)
        if child.state not in ENDED_STATES:
            at_us = max(cause.at_us, child.now_us)
            self.advance.cancel(turn, child.id, InstanceCancelled(at_us, f"{origin.name} has ended", by_program=False))

    def _bring_message(self, turn: Turn, row: DeliveryRow) -> None:
        """A message comes to the receive it was promised to, unless that is withdrawn by now."""
        assert row.target is not None
        assert row.call is not None
        target = self._brought_up_to(turn, row.target, row.at_us, row.at_us)
        receive = turn.batch.receives.find_open(row.target, row.call)
        if receive is None or receive.message is None:
            return
        message = turn.batch.messages.get(receive.message)
        at_us = max(row.at_us, target.now_us, message.published_us)
        self.advance.bring_late(turn, target, CallCompleted(at_us, row.call, message.payload, None))


def _end_of_call(cause: Event, call: int, at_us: int) -> CallCompleted | CallFailed | CallWithdrawn:
    """How the end of a child ends the call of its parent."""
    match cause:
        case InstanceCompleted(value=value):
            return CallCompleted(at_us, call, value, None)
        case InstanceFailed(failure=failure):
            return CallFailed(at_us, call, failure, None)
        case InstanceCancelled(reason=reason):
            return CallWithdrawn(at_us, call, reason, by_program=False)
        case _:
            raise InternalError(f"{type(cause).__name__} is told as the end of a child, and is none.")


def _holder(turn: Turn, process: Process[..., object], key: str) -> InstanceRow | None:
    """The instance that has this business key, started under the process's present name or a former one."""
    found = (turn.batch.instances.find_open(name, key) for name in (process.name, *process.was))
    return next((row for row in found if row is not None), None)
