"""What comes of one attempt at a service: pure rules from an outcome to a decision."""

import json
import random
from dataclasses import dataclass, replace
from enum import StrEnum

from procession.engine.contract import Decision, Request, ServiceChange, View
from procession.errors import PerformerError
from procession.kernel import CallCompleted, CallFailed, CallStarted, Failure, LateResult
from procession.language.operations import Service
from procession.store.external_calls import ExternalCallRow
from procession.store.service_calls import ServiceCallRow

SERVICE_ACTOR = "service"


class ServiceState(StrEnum):
    """Where an open service call stands."""

    DUE = "due"
    RUNNING = "running"
    ATTENTION = "attention"
    SUSPENDED = "suspended"
    WITHDRAWN = "withdrawn"
    """The program no longer wants it, but an attempt runs whose result has to be undone."""


class TooLate(PerformerError):
    """An attempt reports a result after its call ended, or after another attempt took over; it changes nothing."""

    code = "too-late"


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The service returned; `value` is encoded."""

    value: bytes


@dataclass(frozen=True, slots=True)
class Declared:
    """The service raised an error that its operation declares: the process is told, typed."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Broke:
    """The attempt failed technically. `final` where another attempt makes no sense: a result of the wrong type, `never_retry`."""

    type_name: str
    message: str
    final: bool = False


AttemptOutcome = Succeeded | Declared | Broke


def report(
    row: ServiceCallRow, service: Service[..., object], outcome: AttemptOutcome, chance: random.Random
) -> Request:
    """The request by which an attempt tells the engine what came of it. Refused with `TooLate` where it is too late."""

    def decide(view: View) -> Decision:
        present = view.service_call(row.instance, row.call)
        if present is None or present.fencing != row.fencing:
            raise TooLate(
                f"The result of attempt {row.attempts} at {row.operation} came too late.", subject=row.operation
            )
        if present.state == ServiceState.WITHDRAWN:
            return Decision(events=(_come_late(view.now_us, row, outcome),))
        started = (CallStarted(view.now_us, row.call, None),) if service.starts else ()
        match outcome:
            case Succeeded(value):
                return Decision(events=(*started, CallCompleted(view.now_us, row.call, value, None)))
            case Declared(failure):
                return Decision(
                    events=(
                        *started,
                        CallFailed(view.now_us, row.call, replace(failure, attempts=present.attempts), None),
                    )
                )
            case Broke():
                return Decision(services=(ServiceChange(_after_break(present, service, outcome, view.now_us, chance)),))

    return Request("service result", SERVICE_ACTOR, decide, instance=row.instance, recorded=False)


def _come_late(now_us: int, row: ServiceCallRow, outcome: AttemptOutcome) -> LateResult:
    match outcome:
        case Succeeded(value):
            return LateResult(now_us, row.call, value)
        case Declared():
            return LateResult(now_us, row.call, None)
        case Broke(type_name, message):
            return LateResult(now_us, row.call, None, f"{type_name}: {message}")


def _after_break(
    row: ServiceCallRow, service: Service[..., object], broke: Broke, now_us: int, chance: random.Random
) -> ServiceCallRow:
    error = _error_text(broke.type_name, broke.message, now_us, row.attempts)
    if broke.final or row.round_attempts >= service.attempts:
        return row._replace(state=ServiceState.ATTENTION, last_error=error)
    return row._replace(
        state=ServiceState.DUE, due_us=now_us + backoff_us(service, row.round_attempts, chance), last_error=error
    )


def backoff_us(service: Service[..., object], failed_attempts: int, chance: random.Random) -> int:
    """How long to wait after that many failed attempts: half of the service's delay for sure, the other half by chance.

    Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("equal jitter").
    """
    whole_us = service.backoff.delay_us(failed_attempts)
    return int(whole_us / 2 + chance.random() * whole_us / 2)


def begin(row: ServiceCallRow, service: Service[..., object] | None, now_us: int) -> ServiceCallRow:
    """The row of a call whose next attempt begins: counted before it runs, so that one that kills the worker counts too.

    The fencing number tells this attempt from every other one: a result under another number is refused. A call whose
    service is not in the application any more needs attention.
    """
    if service is None:
        error = _error_text(
            "OperationGone", "there is no code for it in the application any more", now_us, row.attempts
        )
        return row._replace(state=ServiceState.ATTENTION, last_error=error)
    return row._replace(
        state=ServiceState.RUNNING,
        due_us=now_us + service.timeout.length_us,
        attempts=row.attempts + 1,
        round_attempts=row.round_attempts + 1,
        fencing=row.fencing + 1,
    )


def new_round(row: ServiceCallRow, now_us: int) -> ServiceCallRow:
    """The row of a call that an operator gives another round of attempts: same key, attempts go on counting."""
    return row._replace(state=ServiceState.DUE, round_attempts=0, due_us=now_us)


def interrupted(row: ServiceCallRow, service: Service[..., object] | None, now_us: int) -> ServiceCallRow:
    """The row of a call whose worker ended in the middle of an attempt; nobody knows whether the effect happened."""
    error = _error_text("WorkerEnded", "the worker ended during the attempt", now_us, row.attempts)
    if service is not None and row.round_attempts >= service.attempts:
        return row._replace(state=ServiceState.ATTENTION, last_error=error)
    return row._replace(state=ServiceState.DUE, due_us=now_us, last_error=error)


@dataclass(frozen=True, slots=True)
class LastError:
    """What the last attempt at a service ended with."""

    type_name: str
    message: str
    at_us: int
    attempt: int

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}" if self.message else self.type_name


def last_error_of(row: ServiceCallRow | ExternalCallRow) -> LastError | None:
    """The last error that the row of a call keeps, if an attempt failed already."""
    if row.last_error is None:
        return None
    kept = json.loads(row.last_error)
    return LastError(str(kept["type"]), str(kept["message"]), int(kept["at_us"]), int(kept["attempt"]))


def _error_text(type_name: str, message: str, now_us: int, attempt: int) -> str:
    return json.dumps({"type": type_name, "message": message, "at_us": now_us, "attempt": attempt})
