"""Has one request decided inside a batch, and puts the decision into rows."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from procession.engine import messages
from procession.engine.advance import ENDED_STATES, Advance
from procession.engine.contract import (
    Accepted,
    Decision,
    InstanceHasEnded,
    InstanceIsHalted,
    NewInstance,
    Request,
)
from procession.engine.delivering import Delivering
from procession.engine.due_work import ENGINE_ACTOR
from procession.engine.recording import change_item, change_service, keep_request, settle
from procession.engine.starting import begin_instance
from procession.engine.suspending import (
    STANDS_STILL,
    Suspension,
    go_on_in_stopped,
    resume,
    stop_again,
    suspend,
    suspend_as_others,
)
from procession.engine.turn import Cause, Effects, Turn
from procession.errors import OperatorError, PerformerError
from procession.kernel import (
    GOES_ON,
    InstanceCancelled,
    InstanceResumed,
    InstanceState,
    InstanceSuspended,
    Retried,
)
from procession.language.registry import Registry
from procession.store.batch import Batch
from procession.store.deliveries import DeliveryRow
from procession.store.event_rows import decode_event
from procession.store.external_calls import ExternalCallRow
from procession.store.instances import InstanceRow
from procession.store.messages import MessageRow, NewMessage
from procession.store.receives import ReceiveRow
from procession.store.requests import RequestRow
from procession.store.service_calls import ServiceCallRow
from procession.store.timers import TimerRow
from procession.store.worklist import WorkItemRow


class IdentifierUsedTwice(PerformerError):
    """The identifier of this request was used before, for something else."""

    code = "identifier-used-twice"


@dataclass(slots=True)
class BatchView:
    """What decisions read: the batch, at the time of the request."""

    batch: Batch
    now_us: int
    registry: Registry

    def instance(self, instance: int) -> InstanceRow | None:
        return self.batch.instances.find(instance)

    def open_instance(self, process: str, key: str) -> InstanceRow | None:
        return self.batch.instances.find_open(process, key)

    def item(self, item: int) -> WorkItemRow | None:
        return self.batch.items.find(item)

    def item_of_call(self, instance: int, call: int) -> WorkItemRow | None:
        return self.batch.items.find_open(instance, call)

    def service_call(self, instance: int, call: int) -> ServiceCallRow | None:
        return self.batch.service_calls.find_open(instance, call)

    def service_calls(self, instance: int) -> list[ServiceCallRow]:
        return self.batch.service_calls.of_instance(instance)

    def due_service_calls(self, *, limit: int, without: frozenset[str] = frozenset()) -> list[ServiceCallRow]:
        return self.batch.service_calls.due(self.now_us, limit=limit, without=without)

    def running_service_calls(self) -> list[ServiceCallRow]:
        return self.batch.service_calls.in_state("running")

    def deliveries(self, *, after: int, limit: int) -> list[DeliveryRow]:
        return self.batch.deliveries.next_after(after, limit=limit)

    def receives(self, instance: int) -> list[ReceiveRow]:
        return self.batch.receives.of_instance(instance)

    def external_call(self, instance: int, call: int) -> ExternalCallRow | None:
        return self.batch.external_calls.find_open(instance, call)

    def offered_externals(self, operation: str, *, limit: int) -> list[ExternalCallRow]:
        """Those that may be fetched; an instance that stands still since the batch began hands nothing out either."""
        most = limit
        while True:
            found = self.batch.external_calls.offered(operation, self.now_us, limit=most)
            offered = [row for row in found if self.batch.instances.get(row.instance).state in GOES_ON]
            if len(offered) >= limit or len(found) < most:
                return offered[:limit]
            most *= 2

    def awaiting_message(self, message: NewMessage) -> int:
        """How many instances wait for this message."""
        return len({row.instance for row in messages.waiting_for(self.batch, self.registry, message)})

    def expired_messages(self, *, limit: int) -> list[MessageRow]:
        return self.batch.messages.expired(self.now_us, limit=limit)

    def has_deliveries(self, instance: int) -> bool:
        """Whether anything is on its way to or from the instance, or one above it."""
        if not self.batch.deliveries.are_open:
            return False
        above: int | None = instance
        while above is not None:
            if self.batch.deliveries.of_target(above) or self.batch.deliveries.of_origin(above):
                return True
            above = self.batch.instances.get(above).parent
        return False

    def instances_with_due_timers(self, *, limit: int, wanted: Callable[[int], bool]) -> list[int]:
        """Some of those that are wanted, the longest due first; none only if there is none."""
        most = limit
        while True:
            due = self.batch.timers.due(self.now_us, limit=most)
            found = [each for each in dict.fromkeys(timer.instance for timer in due) if wanted(each)]
            if found or len(due) < most:
                return found[:limit]
            most *= 4

    def timer(self, instance: int, call: int) -> TimerRow | None:
        return next((each for each in self.batch.timers.of_instance(instance) if each.call == call), None)

    def kept(self, key: str) -> str | None:
        return self.batch.find_meta(key)


@dataclass(frozen=True, slots=True)
class Decider:
    """Decides requests; holds nothing of a batch itself."""

    advance: Advance

    @property
    def delivering(self) -> Delivering:
        """What applies what instances do to others."""
        return Delivering(self.advance)

    def decide(self, batch: Batch, effects: Effects, request: Request) -> Accepted:
        """Have a request decided and its rows collected.

        Raises the refusal (`PerformerError`, `OperatorError`); then nothing of the request is in the batch, only what
        came before it: timers that were due, and what was on its way to its instance. Any other error leaves the batch
        unusable.
        """
        if request.client_id is not None and (earlier := batch.requests.find_by_client_id(request.client_id)):
            return self._repeat(batch, request, earlier)
        engine = Turn(batch, effects, Cause(None, ENGINE_ACTOR, at_us=request.at_us))
        told_before = len(effects.notices)
        made_before = batch.deliveries.last
        try:
            if request.instance is not None:
                self._check_open(engine, request)
            decision = request.decide(BatchView(batch, request.at_us, self.advance.registry))
        except (PerformerError, OperatorError):
            if batch.deliveries.last > made_before:
                effects.expect(0)
            raise
        number = batch.requests.new_number() if request.recorded else None
        turn = Turn(batch, effects, Cause(number, request.actor, request.reason, request.at_us))
        instance = self._put_into_rows(turn, request, decision)
        self.delivering.apply_made_since(engine, made_before)
        row = batch.instances.get(instance) if instance is not None else None
        outcome = dict(decision.outcome)
        if decision.release is not None:
            outcome["release"] = decision.release.keep(batch, request.at_us)
        if row is not None:
            outcome["instance"] = row.name
        if number is not None:
            keep_request(batch, request, number, instance, outcome)
        items = tuple(batch.items.get(change.item) for change in decision.items)
        told = effects.notices[told_before:]
        halts = {notice.instance: notice.halted for notice in told if notice.halted is not None}
        return Accepted(number, outcome, row, _why_it_stands(row), items, halts=halts)

    def forget(self, instances: Iterable[int]) -> None:
        """Drop live instances: their batch failed, or they ended."""
        self.advance.live.drop(instances)

    def remember(self, rows: Iterable[InstanceRow]) -> None:
        """These rows of instances are committed."""
        self.advance.live.remember(rows)

    def forget_all(self) -> None:
        """Drop all live instances: nobody knows what of the last batch is in the store."""
        self.advance.live.close()

    def _put_into_rows(self, turn: Turn, request: Request, decision: Decision) -> int | None:
        """Carry the decision out; gives the instance that the answer is about."""
        instance = decision.about if decision.about is not None else request.instance
        if decision.start is not None:
            instance = self._start(turn, decision.start, request.at_us)
        if decision.settles is not None:
            assert decision.about is not None
            settle(turn, turn.batch.instances.get(decision.about), decision.settles)
        for service in decision.services:
            change_service(turn, service.row, of=self.advance.live.row_of(turn.batch, service.row.instance))
        for external in decision.externals:
            turn.batch.external_calls.change(external)
        for key, value in decision.keeps.items():
            turn.batch.put_meta(key, value)
        turn.batch.requests.forget_client_ids(decision.forgets)
        messages.expire(turn, decision.expires, request.at_us)
        if decision.publishes is not None:
            new = replace(decision.publishes, published_us=request.at_us)
            messages.publish(turn, self.advance.registry, new)
        for fired in decision.fires:
            row = self.advance.live.row_of(turn.batch, fired)
            self.delivering.timers.apply(turn, row, request.at_us, request.at_us)
        for number in decision.delivers:
            if (delivery := turn.batch.deliveries.find(number)) is not None:
                self.delivering.apply(turn, delivery)
        consequences = len(turn.effects.notices)
        if decision.events:
            assert request.instance is not None
            self._apply(turn, turn.batch.instances.get(request.instance), decision)
        told = turn.effects.notices[consequences:]
        del turn.effects.notices[consequences:]
        for change in decision.items:  # after the events: a program may withdraw a call as soon as somebody starts it
            change_item(turn, change, request.at_us)
        turn.effects.notices.extend(told)
        return instance

    def _repeat(self, batch: Batch, request: Request, earlier: RequestRow) -> Accepted:
        same = earlier.kind == request.kind and earlier.input_digest == request.input_digest
        if not same:
            raise IdentifierUsedTwice(
                f"The identifier {request.client_id!r} was used before, for another request ({earlier.kind}).",
                subject=request.client_id or "",
                remedy="Give each request an identifier of its own; a repeated one must be the same request.",
            )
        row = batch.instances.find(earlier.instance) if earlier.instance is not None else None
        return Accepted(earlier.number, json.loads(earlier.outcome), row, _why_it_stands(row), repeated=True)

    def _check_open(self, turn: Turn, request: Request) -> None:
        """Apply what comes before the request; refuse it where its instance stands still or has ended."""
        assert request.instance is not None
        row = self.advance.live.row_of(turn.batch, request.instance)
        if turn.batch.deliveries.are_open:
            self.delivering.apply_what_comes_to(turn, row)
            row = turn.batch.instances.get(request.instance)
        if row.state not in ENDED_STATES:
            self.delivering.timers.apply(turn, row, request.at_us, request.at_us)
            row = turn.batch.instances.get(request.instance)
        if row.state == InstanceState.HALTED and request.recorded and not request.passes_halt:
            raise InstanceIsHalted(
                f"{row.name} stands still: {_why_it_stands(row)}",
                subject=row.name,
                remedy=f"Nothing is lost. Once the cause is mended, `procession retry {row.name}` goes on; then do this again.",
            )
        suspension = Suspension.of(row)
        if suspension is not None and request.recorded and not request.passes_suspension:
            raise suspension.refusal(row.name)
        if row.state in ENDED_STATES and request.recorded:
            raise InstanceHasEnded.of(row)

    def _start(self, turn: Turn, new: NewInstance, now_us: int) -> int:
        return begin_instance(turn, self.advance, new, now_us).id

    def _apply(self, turn: Turn, row: InstanceRow, decision: Decision) -> None:
        first = decision.events[0]
        if isinstance(first, InstanceCancelled):
            self.advance.cancel(turn, row.id, first)
        elif isinstance(first, Retried):
            self._retry(turn, row, first)
        elif isinstance(first, InstanceSuspended):
            suspend(turn, self.advance.live, row, first, stops_timers=decision.stops_timers)
        elif isinstance(first, InstanceResumed):
            self._apply_waiting(turn, resume(turn, self.advance.live, row, first))
        else:
            self.advance.bring(turn, row, *decision.events)

    def _retry(self, turn: Turn, row: InstanceRow, event: Retried) -> None:
        """Go on with a halted instance; then apply what waited for it, as long as it does not stand still again."""
        batch = turn.batch
        self.advance.check_replays(batch, row)
        batch.instances.change(row.id, state=InstanceState.RUNNING, halt=None)  # until the kernel says otherwise
        turn.notice(event.at_us, row.name, f"retried by {turn.cause.actor}")
        go_on_in_stopped(turn, row, event.at_us)
        self.advance.apply(turn, row.id, (event,))
        if (now := batch.instances.get(row.id)).state == InstanceState.HALTED:
            stop_again(turn, now)
        suspend_as_others(turn, self.advance.live, row.id)
        self._apply_waiting(turn, [row.id])

    def _apply_waiting(self, turn: Turn, instances: Sequence[int]) -> None:
        """What came while these stood still, in the order in which it came, and what they do to each other over it.

        One that stands still again keeps the rest. What an instance brings to itself over it comes after all this.
        """
        batch = turn.batch
        waiting = [each for instance in instances for each in batch.waiting_events.of_instance(instance)]
        for each in sorted(waiting, key=lambda row: row.id):
            made_before = batch.deliveries.last
            row = batch.instances.get(each.instance)
            if row.state in STANDS_STILL:
                continue
            batch.waiting_events.remove(each.id)
            self.advance.bring_late(turn.caused_by(ENGINE_ACTOR), row, replace(decode_event(each), at_us=row.now_us))
            if batch.deliveries.last > made_before:
                self.delivering.apply_between(turn, made_before, to_itself=False)


def _why_it_stands(row: InstanceRow | None) -> str | None:
    """The reason, where the instance stands still."""
    if row is None or row.state != InstanceState.HALTED:
        return None
    return str(json.loads(row.halt)["message"]) if row.halt else "a fault"
