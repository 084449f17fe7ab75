"""Choosing many instances at once: by process, state, age, attribute, operation and error, for suspend, resume, cancel, retry and skip."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from procession.engine.attempts import ServiceState, last_error_of
from procession.engine.contract import Decision, InstanceHasEnded
from procession.errors import PerformerError, ProcessionError
from procession.kernel import GOES_ON, InstanceState
from procession.services.application import Application
from procession.services.commands import (
    CancelInstance,
    Command,
    Order,
    RecordBulk,
    ResumeInstance,
    RetryCall,
    RetryInstance,
    SkipCall,
    SuspendInstance,
)
from procession.services.desk import Answer, Desk
from procession.services.paging import every_instance
from procession.services.pausing import NotSuspended
from procession.services.reading import Reading
from procession.store import InstanceFilter, InstanceRow, Readers, ServiceCallRow, View, open_readers
from procession.store.external_calls import ExternalCallRow, ExternalState

Names = tuple[str, ...]


class NothingChosen(PerformerError):
    """No instance is as the filter says, so nothing was done."""

    code = "nothing-chosen"


class NoSuchBulk(PerformerError):
    """There is no bulk of that number that this command undoes."""

    code = "no-such-bulk"


class Verb(StrEnum):
    """What is done to many."""

    SUSPEND = "suspend"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"
    SKIP = "skip"


_OPEN = tuple(sorted(GOES_ON))
_STATES: Mapping[Verb, tuple[InstanceState, ...]] = {
    Verb.SUSPEND: _OPEN,
    Verb.RESUME: (InstanceState.SUSPENDED,),
    Verb.CANCEL: (InstanceState.RUNNING,),
    Verb.RETRY: (*_OPEN, InstanceState.HALTED),
    Verb.SKIP: _OPEN,
}
_UNDOES: Mapping[Verb, type[Command]] = {Verb.SUSPEND: ResumeInstance, Verb.RESUME: SuspendInstance}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which instances are meant; what is None or empty chooses nothing away. `undoes` is the number of an earlier bulk."""

    process: str | None = None
    operation: str | None = None
    started_before: datetime | None = None
    attributes: tuple[tuple[str, object], ...] = ()
    state: InstanceState | None = None
    error: str | None = None
    everything: bool = False
    undoes: int | None = None

    @property
    def is_made(self) -> bool:
        """Whether anything was said at all."""
        return self != Choice()


@dataclass(frozen=True, slots=True)
class Target:
    """An instance, or one of its calls, to which something is to be done."""

    instance: str
    title: str
    call: int | None = None

    def __str__(self) -> str:
        return self.instance if self.call is None else f"{self.instance} call {self.call}"


@dataclass(frozen=True, slots=True)
class Manner:
    """How it is done: whether timers of what is suspended run on, whether it is cancelled by force, the result of what is skipped."""

    timers: str = "run"
    force: bool = False
    value: str = "null"


def choose(application: Application, verb: Verb, choice: Choice, manner: Manner) -> list[Target]:
    """Everything that is meant, oldest first. Raises `NothingChosen`, `NoSuchProcess`, `NoSuchOperation`, `NoSuchBulk`."""
    with Reading(application) as reading:
        processes, operations = reading.names_of(choice.process, choice.operation)
    takes = _STATES[verb] if not manner.force else (*_OPEN, InstanceState.SUSPENDED, InstanceState.HALTED)
    states = takes if choice.state is None else tuple(state for state in takes if state == choice.state)
    found: list[Target] = []
    if application.store.exists() and states:
        readers = open_readers(application.store)
        try:
            undone = _undone(readers, verb, choice.undoes)
            for view, row in every_instance(readers, InstanceFilter(processes, states)):
                if (undone is None or row.id in undone) and _fits(view, row, choice, operations):
                    found += _targets(view, row, verb, choice, operations)
        finally:
            readers.close()
    if not found:
        raise _nothing(verb, choice, takes)
    return found[::-1]


def _nothing(verb: Verb, choice: Choice, takes: tuple[InstanceState, ...]) -> NothingChosen:
    """Why nothing fits: it is a state in which this is not done, or the rest of the filter."""
    stands_still = (InstanceState.SUSPENDED, InstanceState.HALTED)
    way_on = ""
    if verb is Verb.CANCEL and not set(stands_still) & set(takes) and choice.state in (None, *stands_still):
        way_on = (
            " One that is suspended or halted goes on first (`procession resume`, `procession retry`), since it cleans up "
            "when it is cancelled; or `--force` ends it at once, without any clean-up."
        )
    if choice.state is None or choice.state in takes:
        told = f"There is nothing to {verb}: no instance is as the filter says."
        return NothingChosen(told, remedy=f"`procession list` shows what there is.{way_on}")
    remedy = f"It takes those that are {' or '.join(takes)}.{way_on}"
    return NothingChosen(f"`{verb}` takes no instance that is {choice.state}.", remedy=remedy)


def _undone(readers: Readers, verb: Verb, bulk: int | None) -> frozenset[int] | None:
    """The instances of an earlier bulk that this command undoes."""
    if bulk is None:
        return None
    with readers.snapshot() as view:
        requests = view.requests_of_clients(f"bulk:{bulk}:")
    wanted = _UNDOES.get(verb)
    found = frozenset(
        each.instance for each in requests if wanted is not None and each.kind == wanted.__name__ and each.instance
    )
    if not found:
        raise NoSuchBulk(
            f"There is no bulk {bulk} that `{verb}` undoes.",
            subject=str(bulk),
            remedy="`resume --undo` takes the number of a bulk that suspended, `suspend --undo` of one that resumed.",
        )
    return found


def _fits(view: View, row: InstanceRow, choice: Choice, operations: Names) -> bool:
    if choice.started_before is not None and row.started_us >= choice.started_before.timestamp() * 1_000_000:
        return False
    if choice.attributes:
        attributes = {name: json.loads(value) for name, value in view.instances.attributes(row.id).items()}
        if any(name not in attributes or attributes[name] != value for name, value in choice.attributes):
            return False
    return not operations or bool(_open_at(view, row, operations))


def _open_at(view: View, row: InstanceRow, operations: Names) -> set[int]:
    """The open calls of an instance at an operation of these names: items, service calls, and those of outside programs."""
    waits = view.waits(row.id)
    return {
        *(each.call for each in waits.items if each.operation in operations),
        *(each.call for each in waits.service_calls if each.operation in operations),
        *(each.call for each in waits.external_calls if each.operation in operations),
    }


def _targets(view: View, row: InstanceRow, verb: Verb, choice: Choice, operations: Names) -> Iterator[Target]:
    halted = json.loads(row.halt)["message"] if row.halt else ""
    waits, now_us = view.waits(row.id), time.time_ns() // 1000
    given_up = [each for each in waits.external_calls if each.state(now_us) is ExternalState.ATTENTION]
    failed = [each for each in waits.service_calls if each.state == ServiceState.ATTENTION]
    calls: list[ServiceCallRow | ExternalCallRow] = [*failed, *given_up]
    calls = [each for each in calls if not operations or each.operation in operations]
    if choice.error is not None:
        calls = [call for call in calls if choice.error in str(last_error_of(call))]
        if choice.error not in halted and not calls:
            return
    if verb is Verb.SKIP:
        at_it = _open_at(view, row, operations)
        if choice.error is not None:
            at_it &= {call.call for call in calls}
        yield from (Target(row.name, row.title, call) for call in sorted(at_it))
    elif verb is not Verb.RETRY:
        yield Target(row.name, row.title)
    elif row.state == InstanceState.HALTED:
        if not operations and (choice.error is None or choice.error in halted):
            yield Target(row.name, row.title)
    else:
        yield from (Target(row.name, row.title, call.call) for call in calls)


def command_for(verb: Verb, target: Target, manner: Manner) -> Command:
    """What is given for one of them."""
    match verb:
        case Verb.SUSPEND:
            return SuspendInstance(target.instance, manner.timers)
        case Verb.RESUME:
            return ResumeInstance(target.instance)
        case Verb.CANCEL:
            return CancelInstance(target.instance, manner.force)
        case Verb.RETRY:
            return RetryInstance(target.instance) if target.call is None else RetryCall(target.instance, target.call)
        case Verb.SKIP:
            assert target.call is not None
            return SkipCall(target.instance, target.call, manner.value)


def is_done_already(verb: Verb, refusal: ProcessionError) -> bool:
    """Whether one of many is refused because what is wanted of it came with another: a child goes on, and ends, with its parent."""
    return refusal.code == {Verb.RESUME: NotSuspended.code, Verb.CANCEL: InstanceHasEnded.code}.get(verb)


def identifier_in_bulk(bulk: int, target: Target) -> str:
    """The identifier of the request for one of them: by it the bulk is found again."""
    return f"bulk:{bulk}:{target.instance}:{target.call or ''}"


async def record(desk: Desk, order: Order, command: RecordBulk) -> Answer:
    """Note that many are going to be done; its number is what undoes them."""
    decision = Decision(outcome={"verb": command.verb, "chosen": command.chosen, "number": command.number})
    accepted = await desk.submit(order, lambda view: decision)
    return {"bulk": accepted.number}
