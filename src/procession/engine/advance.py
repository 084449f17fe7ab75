"""Applies events to one instance inside a batch: the history grows, and what will wake the instance comes and goes.

Everything of a step is in one transaction, so there is no moment at which a hand-off is half done.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from procession.engine import messages
from procession.engine.differences import told_in_full, told_with_lines
from procession.engine.halting import HaltRecord, record_of_divergence, record_of_fault, record_of_halt
from procession.engine.live import LiveInstances, ProcessIsGone
from procession.engine.recording import let_wait
from procession.engine.suspending import STANDS_STILL
from procession.engine.turn import Turn
from procession.engine.wake_records import WakeRecords
from procession.errors import OperatorError
from procession.kernel import (
    GOES_ON,
    INSTANCE,
    CallEvent,
    CallFailed,
    CallKind,
    CallRequested,
    CancelInstance,
    CancellationRequested,
    Command,
    CompleteInstance,
    Divergence,
    Event,
    FailInstance,
    HaltInstance,
    Instance,
    InstanceCancelled,
    InstanceHalted,
    InstanceStarted,
    InstanceState,
    LateResult,
    MessagePublished,
    PublishMessage,
    RecordFailure,
    RecordNotUndone,
    RecordResult,
    RenewInstance,
    RequestCall,
    SetAttributes,
    WithdrawCall,
    event_of,
)
from procession.language.process import OTHER_INSTANCES, input_digest
from procession.language.registry import Registry
from procession.language.strict_json import PAYLOAD_LIMIT_BYTES
from procession.store.batch import Batch
from procession.store.deliveries import DeliveryKind
from procession.store.event_rows import decode_event, encode_event
from procession.store.identifiers import new_uuid7
from procession.store.instances import InstanceRow
from procession.store.messages import NewMessage

EVENTS_LIMIT = 100_000
EVENTS_WARNING = 20_000
MOST_DEPTH = 100
MOST_IN_CHAIN = 5_000
OF_A_BEGINNING = 5
"""What an instance that is started, or begins anew, adds to a chain: it leaves more behind than a message or a child."""

NO_PROGRESS = HaltRecord(
    "no-progress",
    "Thousands of messages, children or new instances came of each other, each of the one before, and no time passed. "
    "Look for processes that answer each other without an end, or for one that starts or renews itself, without waiting "
    "for anything else in between.",
    b"{}",
)

log = logging.getLogger("procession.engine")

ENDED_STATES = frozenset({InstanceState.COMPLETED, InstanceState.FAILED, InstanceState.CANCELLED})


class DoesNotReplay(OperatorError):
    """The history of a halted instance does not fit the present source of its process, so it cannot go on yet."""

    code = "does-not-replay"


@dataclass(frozen=True, slots=True)
class Advance:
    """Applies events to instances. One object per engine; it holds no state of a batch."""

    registry: Registry
    live: LiveInstances
    wake_records: WakeRecords
    release: int
    events_limit: int = EVENTS_LIMIT

    def start(self, turn: Turn, row: InstanceRow, event: InstanceStarted) -> None:
        """Begin an instance whose row was added in this batch."""
        self.live.create(row)
        turn.notice(event.at_us, row.name, f"started by {turn.cause.actor}: {row.title}")
        self.apply(turn, row.id, (event,))

    def apply(self, turn: Turn, instance: int, events: Sequence[Event]) -> None:
        """Apply events in order. An instance that halts keeps those not yet applied, with the halt record behind them.

        One that is about a call which an earlier one made the program withdraw is left out, unless it has to be undone.
        """
        for index, each in enumerate(events):
            event: Event | None = each
            if index and isinstance(each, CallEvent) and not self.live.waits_for_call(instance, each.call):
                event = self.live.as_it_fits(instance, each)
            if event is None:
                continue
            row = turn.batch.instances.get(instance)
            halt = self._apply_one(turn, row, event)
            if halt is not None:
                self._halt(turn, row, (event, *events[index + 1 :]), halt)
                return

    def bring(self, turn: Turn, row: InstanceRow, *events: Event) -> None:
        """Apply events; where the instance stands still, have them wait."""
        if row.state not in STANDS_STILL:
            self.apply(turn, row.id, events)
            return
        for event in events:
            let_wait(turn.batch, row.id, event)

    def bring_late(self, turn: Turn, row: InstanceRow, event: Event) -> None:
        """The same with one that others may have overtaken: it is applied as what it is by now, if it is anything."""
        if row.state in ENDED_STATES:
            return
        fitting: Event | None = event
        if row.state in GOES_ON:
            try:
                self.live.get(turn.batch, row)
                fitting = self.live.as_it_fits(row.id, event)
            except (Divergence, HaltInstance, ProcessIsGone):
                pass  # it halts below, and keeps the event
        if fitting is not None:
            self.bring(turn, row, fitting)

    def cancel(self, turn: Turn, instance: int, event: InstanceCancelled) -> None:
        """End an instance by force: no author's code runs, all that it asked for is withdrawn."""
        row = turn.batch.instances.get(instance)
        (position,) = turn.batch.events.append(instance, [encode_event(event, request=turn.cause.request)])
        self.live.drop([instance])
        self.wake_records.remove_all(turn, instance, event.at_us)
        self._end(turn, row, event, position)

    def stop(self, turn: Turn, row: InstanceRow, event: Event, halt: HaltRecord) -> None:
        """Halt an instance from outside, with an event that is kept."""
        self._halt(turn, row, (event,), halt)

    def check_replays(self, batch: Batch, row: InstanceRow) -> None:
        """Refuse to go on with a halted instance whose history does not replay on the present source.

        Raises `DoesNotReplay` with the first difference; nothing is recorded then.
        """
        self.live.drop([row.id])
        try:
            self.live.get(batch, row)
        except (Divergence, HaltInstance, ProcessIsGone) as fault:
            told = told_in_full(fault, batch, self.release) if isinstance(fault, Divergence) else str(fault)
            raise DoesNotReplay(
                f"{row.name} does not replay on the present source: {told}",
                subject=row.name,
                remedy="It stays halted and keeps all it has. Correct the source, and retry.",
            ) from fault

    def _apply_one(self, turn: Turn, row: InstanceRow, event: Event) -> HaltRecord | None:
        try:
            live = self.live.get(turn.batch, row)
            if row.seq - row.renewed_seq >= self.events_limit and not _has_no_limit(live, event):
                message = (
                    f"The history has {row.seq - row.renewed_seq:,} events, and the limit is {self.events_limit:,}. Raise the "
                    "limit and retry, or cancel it by force; a process that loops for years should end, and start another."
                )
                return HaltRecord("history-limit", message, b"{}")
            kind = _kind_of_call(live, event)
            outcome = self.live.at_work(row.id, row.seq + 1, lambda: live.advance(event), name=row.name)
            if outcome.halt is not None:
                return record_of_halt(outcome.halt)
            if (refusal := self._refusal(turn, row, outcome.commands)) is not None:
                return refusal
            self.wake_records.release(turn, row.id, event, kind=kind)
            self._record(turn, row, live, event, outcome.commands)
            return None
        except Divergence as fault:
            return record_of_divergence(fault, told_with_lines(fault, turn.batch, self.release))
        except (HaltInstance, ProcessIsGone) as fault:
            return record_of_fault(fault)
        except BaseException:
            self.live.drop([row.id])  # it has gone on in memory, and its history has not
            raise

    def _refusal(self, turn: Turn, row: InstanceRow, commands: Sequence[Command]) -> HaltRecord | None:
        """Why the instance cannot go on, where it asks for what cannot be carried out."""
        for command in commands:
            if turn.cause.chain >= MOST_IN_CHAIN and _lengthens_a_chain(command):
                return NO_PROGRESS
            if isinstance(command, RequestCall) and command.kind in OTHER_INSTANCES:
                if command.operation not in self.registry.processes:
                    message = f"The process calls the process {command.operation}, which the application does not have."
                    return HaltRecord("operation-gone", message, b"{}")
                if command.kind is CallKind.CHILD and _depth(turn.batch, row) >= MOST_DEPTH:
                    message = (
                        f"Processes call each other {MOST_DEPTH} deep; look for one that calls itself without an end."
                    )
                    return HaltRecord("depth-limit", message, b"{}")
            elif isinstance(command, PublishMessage) or (
                isinstance(command, RequestCall) and command.kind is CallKind.MESSAGE
            ):
                if (refusal := _of_unclear_class(self.registry, command)) is not None:
                    return refusal
            elif isinstance(command, RequestCall) and command.kind is not CallKind.TIMER:
                if command.operation not in self.registry.operations:
                    message = f"The process asks for {command.operation}, which the application does not have."
                    return HaltRecord("operation-gone", message, b"{}")
            elif isinstance(command, SetAttributes) and len(command.values) > PAYLOAD_LIMIT_BYTES:
                message = f"The attributes take {len(command.values):,} bytes; the limit is {PAYLOAD_LIMIT_BYTES:,}."
                return HaltRecord("payload-limit", message, b"{}")
        return None

    def _record(self, turn: Turn, row: InstanceRow, live: Instance, event: Event, commands: Sequence[Command]) -> None:
        assert row.secret is not None
        batch, request, now_us = turn.batch, turn.cause.request, live.now_us
        made = [event]
        for command in commands:
            if isinstance(command, RequestCall):
                digest = input_digest(row.secret, command.input)
                site = batch.releases.site(self.release, command.site)
                made.append(event_of(command, now_us, digest=digest, site=site))
            else:
                made.append(event_of(command, now_us))
        positions = batch.events.append(row.id, [encode_event(each, request=request) for each in made])
        length = row.seq - row.renewed_seq
        if length < EVENTS_WARNING <= length + len(made):
            log.warning(
                "%s has %d events; at %d it halts. Let it end, and start another.",
                row.name,
                EVENTS_WARNING,
                self.events_limit,
            )
        batch.instances.change(row.id, now_us=now_us)
        if isinstance(event, LateResult) and event.why:
            _note_lost(turn, row, event)
        if row.state != live.state and live.state in GOES_ON:
            self._now_is(turn, row, live.state, event)
        for place, (position, command, recorded) in enumerate(zip(positions[1:], commands, made[1:], strict=True)):
            if isinstance(command, RenewInstance):
                seq = row.seq + place + 2
                batch.instances.change(
                    row.id, renewed_seq=seq, generation=batch.instances.get(row.id).generation + 1, release=self.release
                )
                self._name_anew(turn, row, command.input)
                turn.notice(now_us, row.name, "begins anew")
                turn = turn.in_chain(turn.cause.chain + OF_A_BEGINNING)
            else:
                self._carry_out(turn, batch.instances.get(row.id), command, recorded, position)

    def _name_anew(self, turn: Turn, row: InstanceRow, payload: bytes) -> None:
        process = self.registry.find_process(row.process)
        assert process is not None, "it has just run"
        try:
            title = process.title_for(process.inputs.decode(payload))
        except Exception:  # the author's code has just given one, and keeps nobody from going on
            log.exception("%s keeps its title: it could not be named anew.", row.name)
            return
        turn.batch.instances.change(row.id, title=title)

    def _carry_out(self, turn: Turn, row: InstanceRow, command: Command, recorded: Event, position: int) -> None:
        match command:
            case RequestCall():
                assert isinstance(recorded, CallRequested)
                self.wake_records.make(turn, row, recorded, position)
            case WithdrawCall(call) if self.live.withdrew_child(row.id, call):
                turn.deliver(DeliveryKind.CANCEL, row.id, position, to=(None, call))
            case WithdrawCall(call) if call in self.live.late_calls(row.id):
                if not self.wake_records.withdraw_undone(turn, row, call, recorded.at_us):
                    turn.deliver(DeliveryKind.NOTHING, row.id, position, to=(row.id, call))
            case WithdrawCall(call):
                self.wake_records.withdraw(turn, row, call, recorded.at_us)
            case SetAttributes(values):
                texts = {name: json.dumps(value, ensure_ascii=False) for name, value in json.loads(values).items()}
                turn.batch.instances.set_attributes(row.id, texts)
            case PublishMessage():
                assert isinstance(recorded, MessagePublished)
                messages.publish(turn, self.registry, _message(row, recorded, turn.cause.chain + 1))
            case RecordNotUndone(call, operation, why):
                _note_not_undone(turn, row, {"call": call, "operation": operation, "why": why, "at_us": recorded.at_us})
            case CompleteInstance() | FailInstance() | CancelInstance():
                self._end(turn, row, recorded, position)
            case RecordResult() | RecordFailure() | RenewInstance():
                pass  # the event is all there is to it, and what a renewal changes is changed where its place is known

    def _now_is(self, turn: Turn, row: InstanceRow, state: InstanceState, event: Event) -> None:
        """The instance goes on in another state."""
        turn.batch.instances.change(row.id, state=state)
        if state is InstanceState.CANCELLING and row.cancelling_us is None:
            turn.batch.instances.change(row.id, cancelling_us=event.at_us)
        if isinstance(event, CancellationRequested):
            turn.notice(event.at_us, row.name, f"to be cancelled, says {turn.cause.actor}")

    def _halt(self, turn: Turn, row: InstanceRow, kept: Sequence[Event], halt: HaltRecord) -> None:
        at_us = max(row.now_us, kept[-1].at_us)
        for event in kept:
            self.wake_records.release(turn, row.id, event, kind=None)
        halted = InstanceHalted(at_us, halt.code, halt.message, halt.detail, len(kept))
        encoded = [encode_event(event, request=turn.cause.request) for event in (*kept, halted)]
        turn.batch.events.append(row.id, encoded)
        turn.batch.instances.change(
            row.id, state=InstanceState.HALTED, halt=halt.to_json(at_us, self.release), now_us=at_us
        )
        turn.effects.spent.append(row.id)
        turn.notice(at_us, row.name, f"halted: {halt.message}", halted=halt.message, alarms=True)

    def _end(self, turn: Turn, row: InstanceRow, last: Event, position: int) -> None:
        state, at_us = INSTANCE[InstanceState.RUNNING][type(last)], last.at_us
        open_key = row.open_key if row.key_forever else None
        turn.batch.instances.change(row.id, state=state, ended_us=at_us, open_key=open_key, now_us=at_us)
        if self.live.late_calls(row.id):
            self.wake_records.remove_withdrawn(turn, row.id)
        turn.effects.spent.append(row.id)
        turn.notice(at_us, row.name, str(state))
        if row.parent is not None:
            turn.deliver(DeliveryKind.ENDED, row.id, position, to=(row.parent, row.parent_call))
        children = turn.batch.instances.open_children(row.id) if self.live.may_have_children(row.id) else []
        if children:  # it did not wait for them: none of them is to clean up first
            for made in turn.batch.deliveries.of_origin(row.id):
                if made.kind == DeliveryKind.CANCEL:
                    turn.batch.deliveries.remove(made.id)
        for child in children:
            turn.deliver(DeliveryKind.FORCE, row.id, position, to=(child.id, child.parent_call))


def _of_unclear_class(registry: Registry, command: PublishMessage | RequestCall) -> HaltRecord | None:
    """Why nobody can tell which class of messages is meant."""
    name = command.message if isinstance(command, PublishMessage) else command.operation
    classes = registry.messages.get(name, ())
    if len(classes) < 2:
        return None
    places = " and ".join(f"{cls.__module__}.{cls.__qualname__}" for cls in classes)
    said = f"The application has more than one class {name}: {places}. A message is known by that name: change one."
    return HaltRecord("message-unclear", said, b"{}")


def _message(row: InstanceRow, event: MessagePublished, chain: int) -> NewMessage:
    """What an instance has published, as it is stored."""
    uuid = new_uuid7(event.at_us)
    return NewMessage(
        uuid, event.message, event.key, event.value, event.at_us, event.expires_us, row.id, row.name, chain
    )


def _lengthens_a_chain(command: Command) -> bool:
    if isinstance(command, RequestCall):
        return command.kind in OTHER_INSTANCES
    return isinstance(command, RenewInstance | PublishMessage)


def _depth(batch: Batch, row: InstanceRow) -> int:
    """How many instances stand above this one, each of them the parent of the next."""
    depth = 0
    while row.parent is not None:
        row, depth = batch.instances.get(row.parent), depth + 1
    return depth


def _note_not_undone(turn: Turn, row: InstanceRow, what: dict[str, object]) -> None:
    """For people to look at, until they say that they have."""
    known = json.loads(row.not_undone) if row.not_undone else []
    turn.batch.instances.change(row.id, not_undone=json.dumps([*known, what]))
    wrong = "may have done something" if what.get("is_lost") else "did not undo"
    turn.notice(row.now_us, row.name, f"{what['operation']} {wrong}: {what['why']}")


def _note_lost(turn: Turn, row: InstanceRow, event: LateResult) -> None:
    """An attempt broke after its call was withdrawn: for people to look whether there is something to undo."""
    asked = (decode_event(each) for each in turn.batch.events.history(row.id) if each.kind == "CallRequested")
    operation = next(each.operation for each in asked if isinstance(each, CallRequested) and each.call == event.call)
    lost = {"call": event.call, "operation": operation, "why": event.why, "at_us": event.at_us, "is_lost": True}
    _note_not_undone(turn, row, lost)


def _has_no_limit(live: Instance, event: Event) -> bool:
    """To fail and to cancel is possible however long the history is."""
    return live.unwinds or isinstance(event, CallFailed | CancellationRequested)


def _kind_of_call(live: Instance, event: Event) -> CallKind | None:
    """What kind of call the event is about, where it is about an open one."""
    if not isinstance(event, CallEvent):
        return None
    call = live.open_calls.get(event.call)
    return call.kind if call is not None else None
