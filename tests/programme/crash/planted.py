"""Bugs planted in the engine, each in a child only, to see that the crash tests find them.

A bug has the scenario that shows it and the kind of point that a kill needs to show it, or none where a run without a
crash does. What breaks what is in the function's docstring.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from procession import kernel
from procession.engine import (
    attempts,
    deciding,
    dispatcher,
    due_work,
    embedded,
    live,
    messages,
    recording,
    wake_records,
)
from procession.engine.advance import Advance
from procession.engine.contract import Accepted, Decision, Request
from procession.engine.crash_points import CrashPoint
from procession.engine.deciding import Decider
from procession.engine.delivering import Delivering
from procession.engine.live import LiveInstances
from procession.engine.turn import Effects, Turn
from procession.engine.wake_records import WakeRecords
from procession.engine.writer import Writer
from procession.errors import PerformerError
from procession.kernel import CallCompleted, CallStarted, CancellationRequested, instance
from procession.language.attempt import Attempt
from procession.store.deliveries import DeliveryKind
from procession.store.external_calls import ExternalCallRow, ExternalCalls
from procession.store.requests import Requests
from procession.store.timers import Timers
from procession.store.waiting import WaitingEvents


@dataclass(frozen=True, slots=True)
class Bug:
    """A way to break the engine: the scenario that shows it, and at which points it has to be killed for that."""

    name: str
    plant: Callable[[], None]
    scenario: str
    points: str | None


BUGS: dict[str, Bug] = {}


def plant(name: str | None) -> None:
    """Break the engine in this process."""
    if name is not None:
        BUGS[name].plant()


def _put(owner: Any, name: str, replacement: Any) -> None:
    """What `owner` does under that name from here on, in this process. It must have done something before."""
    assert hasattr(owner, name), f"{owner} has no {name} any more: this bug must be planted elsewhere"
    setattr(owner, name, replacement)


def bug(scenario: str, points: str | None = None) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Registers a bug under the name of its function."""

    def register(breaks: Callable[[], None]) -> Callable[[], None]:
        name = breaks.__name__.replace("_", " ")
        BUGS[name] = Bug(name, breaks, scenario, points)
        return breaks

    return register


@bug("approval", "before COMMIT")
def acknowledges_before_the_commit() -> None:
    """The client has its answer and the store may never have the request."""
    given: list[tuple[Any, Any]] = []
    answers: dict[int, Any] = {}
    submit, decide, commit = Writer.submit, Writer._decide, Writer._commit

    def submitting(self: Writer, request: Request) -> Any:
        answer = answers[id(request)] = submit(self, request)
        return answer

    def deciding(self: Writer, batch: Any, effects: Effects, request: Request) -> Any:
        outcome = decide(self, batch, effects, request)
        given.append((answers[id(request)], outcome))
        return outcome

    async def committing(self: Writer, batch: Any) -> None:
        for answer, outcome in given:
            if isinstance(outcome, Accepted):
                answer.set_result(outcome)
        given.clear()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await commit(self, batch)

    _put(Writer, "submit", submitting)
    _put(Writer, "_decide", deciding)
    _put(Writer, "_commit", committing)


@bug("approval", "before COMMIT")
def attempts_a_service_before_the_commit() -> None:
    """The outside world has seen an attempt at something that nobody asked for."""
    begun: list[Effects] = []
    decide, commit = Writer._decide, Writer._commit

    def deciding(self: Writer, batch: Any, effects: Effects, request: Request) -> Any:
        begun.append(effects)
        return decide(self, batch, effects, request)

    async def committing(self: Writer, batch: Any) -> None:
        for effects in begun:
            self._carry_out(Effects(attempts=list(effects.attempts)))
            effects.attempts.clear()
        begun.clear()
        await asyncio.sleep(0)  # the attempt begins, and with it
        await asyncio.sleep(0)  # the body of its service
        await commit(self, batch)

    _put(Writer, "_decide", deciding)
    _put(Writer, "_commit", committing)


@bug("approval")
def leaves_the_row_of_a_call_that_has_ended() -> None:
    _put(WakeRecords, "release", lambda *_, **__: None)


@bug("billing")
def attempts_again_under_another_key() -> None:
    _put(dispatcher, "Attempt", lambda key, number: Attempt(f"{key}-{number}", number))


@bug("approval", str(CrashPoint.BEFORE_ATTEMPT))
def forgets_at_the_restart_what_was_under_way() -> None:
    """An attempt that nobody makes any more, and a row that says that it runs."""
    _put(embedded, "recover", lambda *_, **__: None)


@bug("approval", "an answer came")
def carries_out_a_repeated_order_again() -> None:
    _put(Requests, "find_by_client_id", lambda *_: None)


@bug("approval", "after COMMIT")
def commits_a_hand_off_in_two_halves() -> None:
    """The item has ended, and the instance does not know it."""
    change = recording.change_item

    def changing(turn: Turn, *rest: Any) -> None:
        change(turn, *rest)
        turn.batch.write()
        turn.batch._writer.connection.execute("COMMIT")
        turn.batch._writer.connection.execute("BEGIN IMMEDIATE")

    _put(deciding, "change_item", changing)


@bug("approval", "after COMMIT")
def writes_the_request_in_a_transaction_of_its_own() -> None:
    """What was done is in the store, and who asked for it is not: the repeated order is carried out again."""
    kept: list[tuple[Any, ...]] = []
    keep, after_commit = recording.keep_request, Writer._after_commit

    def keeping(batch: Any, *rest: Any) -> None:
        kept.append(rest)

    def afterwards(self: Writer, *rest: Any) -> None:
        with self._store.begin() as batch:
            for request in kept:
                keep(batch, *request)
            batch.commit()
        kept.clear()
        after_commit(self, *rest)

    _put(deciding, "keep_request", keeping)
    _put(Writer, "_after_commit", afterwards)


@bug("relocation")
def leaves_a_timer_that_was_taken_back() -> None:
    withdraw = WakeRecords.withdraw

    def withdrawing(self: WakeRecords, turn: Turn, row: Any, call: int, at_us: int) -> None:
        if turn.batch.timers.find(row.id, call) is None:
            withdraw(self, turn, row, call, at_us)

    _put(WakeRecords, "withdraw", withdrawing)


@bug("relocation")
def leaves_the_timers_of_what_is_cancelled() -> None:
    remove_all = WakeRecords.remove_all

    def removing(self: WakeRecords, *rest: Any) -> None:
        of_instance = Timers.of_instance
        _put(Timers, "of_instance", lambda *_: [])
        remove_all(self, *rest)
        _put(Timers, "of_instance", of_instance)

    _put(WakeRecords, "remove_all", removing)


@bug("billing")
def does_not_count_an_attempt_before_it_runs() -> None:
    """A service that kills its worker would be attempted for ever."""
    begin = attempts.begin

    def beginning(row: Any, *rest: Any) -> Any:
        return begin(row, *rest)._replace(attempts=row.attempts, round_attempts=row.round_attempts)

    _put(wake_records, "begin", beginning)
    _put(due_work, "begin", beginning)


@bug("billing")
def loses_the_answer_that_halts_an_instance() -> None:
    halt = Advance._halt

    def halting(self: Advance, turn: Turn, row: Any, kept: Any, *rest: Any) -> None:
        lost = [CallStarted(e.at_us, e.call, e.performer) if isinstance(e, CallCompleted) else e for e in kept]
        halt(self, turn, row, lost, *rest)

    _put(Advance, "_halt", halting)


@bug("billing")
def forgets_at_the_retry_what_came_meanwhile() -> None:
    _put(WaitingEvents, "of_instance", lambda *_: [])


@bug("approval")
def leaves_something_of_what_was_refused() -> None:
    decide = Decider.decide

    def deciding(self: Decider, batch: Any, effects: Effects, request: Request) -> Accepted:
        try:
            return decide(self, batch, effects, request)
        except PerformerError as refusal:
            batch.put_meta("last refusal", str(refusal))
            raise

    _put(Decider, "decide", deciding)


@bug("approval")
def does_not_store_all_that_the_instance_saw() -> None:
    """The live instance knows that work has begun, its history does not."""
    record = Advance._record

    def recording(self: Advance, *rest: Any) -> None:
        if not isinstance(rest[3], CallStarted):
            record(self, *rest)

    _put(Advance, "_record", recording)


@bug("billing")
def takes_the_result_of_an_attempt_that_came_too_late() -> None:
    def reporting(row: Any, service: Any, outcome: Any, chance: Any) -> Request:
        value = getattr(outcome, "value", None)
        if value is None:
            return attempts.report(row, service, outcome, chance)
        return Request(
            "service result",
            "service",
            lambda view: Decision(events=(CallCompleted(view.now_us, row.call, value, None),)),
            instance=row.instance,
            recorded=False,
        )

    _put(dispatcher, "report", reporting)


@bug("moving", "after COMMIT")
def forgets_when_killed_what_instances_do_to_others() -> None:
    """A child is asked for, and never begins; or it has ended, and its parent is never told."""
    recover = embedded.recover

    def recovering(batch: Any, *given: Any, **options: Any) -> None:
        recover(batch, *given, **options)
        for row in batch.deliveries.next_after(0, limit=1_000):
            batch.deliveries.remove(row.id)

    _put(embedded, "recover", recovering)


@bug("moving at once")
def begins_a_child_twice() -> None:
    begun = Delivering._begun

    def beginning(self: Delivering, *given: Any) -> Any:
        begun(self, *given)
        return begun(self, *given)

    _put(Delivering, "_begun", beginning)


@bug("moving at once")
def forces_no_child_of_an_instance_that_ends_by_force() -> None:
    _put(Delivering, "_force", lambda *given: None)


@bug("touring", "after COMMIT")
def forgets_when_killed_what_was_to_be_undone_before_a_renewal() -> None:
    """What was booked before stays booked, and nobody knows."""
    renewed = kernel.Instance._renewed

    def renewing(self: kernel.Instance, event: kernel.Renewed) -> None:
        renewed(self, replace(event, compensations=()))

    _put(kernel.Instance, "_renewed", renewing)


@bug("touring", "after COMMIT")
def forgets_when_killed_that_an_instance_is_being_cancelled() -> None:
    class Forgetting(kernel.Instance):
        def replay(self, history: Sequence[kernel.Event], **options: Any) -> None:
            super().replay([event for event in history if not isinstance(event, CancellationRequested)], **options)

    _put(live, "Instance", Forgetting)


@bug("touring", "after COMMIT")
def forgets_when_killed_which_message_is_on_its_way() -> None:
    """It is promised to a receive, and comes to nobody."""
    recover = embedded.recover

    def recovering(batch: Any, *given: Any, **options: Any) -> None:
        recover(batch, *given, **options)
        for row in batch.deliveries.next_after(0, limit=1_000):
            if row.kind == DeliveryKind.MESSAGE:
                batch.deliveries.remove(row.id)

    _put(embedded, "recover", recovering)


@bug("touring", "work was fetched")
def hands_out_only_once_what_an_outside_program_fetched() -> None:
    """The program was killed with it, and its lease is never over."""
    offered = ExternalCalls.offered

    def offering(self: ExternalCalls, *given: Any, **options: Any) -> list[ExternalCallRow]:
        return [row for row in offered(self, *given, **options) if row.worker is None]

    _put(ExternalCalls, "offered", offering)


@bug("touring")
def undoes_the_oldest_first() -> None:
    undo_all = instance.undo_all

    def undoing(loop: Any, todo: list[Any]) -> Any:
        todo.reverse()
        return undo_all(loop, todo)

    _put(instance, "undo_all", undoing)


@bug("touring")
def leaves_a_child_alone_that_nobody_wants_any_more() -> None:
    _put(LiveInstances, "withdrew_child", lambda *_: False)


@bug("touring")
def keeps_a_message_that_was_taken() -> None:
    _put(messages, "taken", lambda *_: None)
