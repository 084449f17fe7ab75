"""Has an instance stand still by a person's wish, and go on: rows alone, so that no line of its code need run for it."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from procession.engine.attempts import ServiceState
from procession.engine.live import LiveInstances
from procession.engine.turn import Turn
from procession.engine.wake_records import change_service_call
from procession.errors import PerformerError
from procession.kernel import GOES_ON, InstanceResumed, InstanceState, InstanceSuspended
from procession.store.batch import Batch
from procession.store.event_rows import encode_event
from procession.store.instances import InstanceRow

STANDS_STILL = frozenset({InstanceState.HALTED, InstanceState.SUSPENDED})
"""What comes for an instance in one of these states waits as a row."""


class InstanceIsSuspended(PerformerError):
    """A person has the instance stand still; nothing can be done in it until it is resumed."""

    code = "instance-suspended"


StoppedTimers = tuple[int, int, tuple[tuple[int, int], ...]]


@dataclass(frozen=True, slots=True)
class Suspension:
    """Since when an instance is suspended, by whom and why, and the timers that stand still with it: (call, due).

    `within` is the instance with which it was suspended, as its child. `of_halted` are timers of those below it that stood
    still by themselves already: the instance, since when they do not run, and each of them.
    """

    at_us: int
    by: str
    reason: str
    stops_timers: bool
    stopped: tuple[tuple[int, int], ...] = ()
    within: str | None = None
    of_halted: tuple["StoppedTimers", ...] = ()

    @classmethod
    def of(cls, row: InstanceRow) -> "Suspension | None":
        """That of an instance, if it is suspended."""
        if row.suspended is None:
            return None
        kept = json.loads(row.suspended)
        stopped = tuple((call, due) for call, due in kept["stopped"])
        of_halted = tuple(
            (instance, since, tuple((call, due) for call, due in timers))
            for instance, since, timers in kept.get("of_halted", ())
        )
        return cls(**{**kept, "stopped": stopped, "of_halted": of_halted})

    def to_json(self) -> str:
        """What the row keeps."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    def refusal(self, name: str) -> InstanceIsSuspended:
        """What whoever wants something of the instance is told."""
        why = f": {self.reason}" if self.reason else ""
        return InstanceIsSuspended(
            f"{name} is suspended by {self.by}{why}.",
            subject=name,
            remedy=f"Nothing is lost. `procession resume {name}` has it go on; then do this again.",
        )


PAUSES = "pause:"
"""What the keys begin with under which the store keeps what is paused."""


class Scope(StrEnum):
    """What is paused."""

    PROCESS = "process"
    OPERATION = "operation"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class KeptPause:
    """What the store keeps of a pause wider than one instance: of what, who wants it, why, since when, and what timers do."""

    scope: Scope
    name: str
    by: str
    reason: str
    at_us: int
    timers: str

    @classmethod
    def of(cls, key: str, text: str) -> "KeptPause":
        """That which is kept under this key."""
        scope, _, name = key.removeprefix(PAUSES).partition(":")
        return cls(Scope(scope), name, **json.loads(text))

    def to_json(self) -> str:
        """What the store keeps under the key."""
        return json.dumps({"by": self.by, "reason": self.reason, "at_us": self.at_us, "timers": self.timers})


def pause_key(scope: Scope, name: str) -> str:
    """Under which the store keeps that something is paused."""
    return f"{PAUSES}{scope}:{name}"


def find_pause(kept: Callable[[str], str | None], scope: Scope, names: Iterable[str]) -> KeptPause | None:
    """The pause of what has these names; it outlives a renaming, under the name that it was made for."""
    for key in (pause_key(scope, name) for name in names):
        if (text := kept(key)) is not None:
            return KeptPause.of(key, text)
    return None


def paused_process(name: str) -> str:
    """The reason for which an instance of a paused process stands still."""
    return f"the process {name} is paused"


def suspend(turn: Turn, live: LiveInstances, row: InstanceRow, event: InstanceSuspended, *, stops_timers: bool) -> None:
    """The instance and its children stand still: attempts under way end, no other begins, timers stop where that is asked for."""
    _suspend_tree(turn, live, row, Suspension(event.at_us, turn.cause.actor, event.reason, stops_timers))


def suspend_as_others(turn: Turn, live: LiveInstances, instance: int) -> None:
    """One that begins, or goes on after a halt, stands still from its next wait on where those above it or its process do."""
    row = turn.batch.instances.get(instance)
    _suspend_with_those_above(turn, live, row)
    _suspend_as_paused(turn, live, turn.batch.instances.get(instance))


def _suspend_with_those_above(turn: Turn, live: LiveInstances, row: InstanceRow) -> None:
    parent = row.parent
    while parent is not None and row.state in GOES_ON:
        ancestor = turn.batch.instances.get(parent)
        if (above := Suspension.of(ancestor)) is not None:
            within = above.within or ancestor.name
            _suspend_tree(turn, live, row, replace(above, at_us=row.now_us, within=within, stopped=(), of_halted=()))
            return
        parent = ancestor.parent


def _suspend_as_paused(turn: Turn, live: LiveInstances, row: InstanceRow) -> None:
    if row.state not in GOES_ON:
        return
    pause = find_pause(turn.batch.find_meta, Scope.PROCESS, live.registry.names_of_process(row.process))
    if pause is not None:
        why = paused_process(row.process)
        _suspend_tree(turn, live, row, Suspension(row.now_us, pause.by, why, pause.timers == "stop"))


def _tree(turn: Turn, row: InstanceRow) -> list[InstanceRow]:
    """All that came of an instance and has not ended."""
    found: list[InstanceRow] = []
    for child in turn.batch.instances.open_children(row.id):
        found += [child, *_tree(turn, child)]
    return found


def _suspend_tree(turn: Turn, live: LiveInstances, row: InstanceRow, suspension: Suspension) -> None:
    tree = _tree(turn, row)
    if suspension.stops_timers:
        known = {each[0] for _, above in _suspended_above(turn, row) for each in above.of_halted}
        halted = [each.id for each in tree if each.state == InstanceState.HALTED and each.id not in known]
        stopped = tuple((each, suspension.at_us, _stop_timers(turn.batch, each)) for each in halted)
        suspension = replace(suspension, of_halted=stopped)
    _suspend(turn, live, row, suspension)
    within = suspension.within or row.name
    for child in tree:
        if child.state in GOES_ON:
            at_us = max(suspension.at_us, child.now_us)
            _suspend(turn, live, child, replace(suspension, at_us=at_us, within=within, of_halted=()))


def go_on_in_stopped(turn: Turn, row: InstanceRow, at_us: int) -> None:
    """Before a halted instance goes on: timers that stand still because those above it do have moved so far."""
    for above, suspension in _suspended_above(turn, row):
        for instance, since_us, timers in suspension.of_halted:
            if instance == row.id:
                _move(turn, row, timers, max(0, at_us - since_us))
        left = tuple(each for each in suspension.of_halted if each[0] != row.id)
        if left != suspension.of_halted:
            kept = replace(suspension, of_halted=left)
            turn.batch.instances.change(above.id, suspended=kept.to_json())


def stop_again(turn: Turn, row: InstanceRow) -> None:
    """It has halted once more: its timers stand still as before."""
    stops = next((each for each in _suspended_above(turn, row) if each[1].stops_timers), None)
    if stops is not None:
        above, suspension = stops
        timers = _stop_timers(turn.batch, row.id)
        kept = replace(suspension, of_halted=(*suspension.of_halted, (row.id, row.now_us, timers)))
        turn.batch.instances.change(above.id, suspended=kept.to_json())


def _suspended_above(turn: Turn, row: InstanceRow) -> list[tuple[InstanceRow, Suspension]]:
    found: list[tuple[InstanceRow, Suspension]] = []
    parent = row.parent
    while parent is not None:
        above = turn.batch.instances.get(parent)
        if (suspension := Suspension.of(above)) is not None:
            found.append((above, suspension))
        parent = above.parent
    return found


def _stop_timers(batch: Batch, instance: int) -> tuple[tuple[int, int], ...]:
    """The timers of an instance, (call, due); they run no more."""
    timers = batch.timers.of_instance(instance)
    for timer in timers:
        batch.timers.remove(instance, timer.call)
    return tuple((timer.call, timer.due_us) for timer in timers)


def _move(turn: Turn, row: InstanceRow, timers: Iterable[tuple[int, int]], moved_us: int) -> None:
    """Timers that stood still run again, and all that is due is due by so much later."""
    for call, due_us in timers:
        turn.batch.timers.add(row.id, call, due_us + moved_us)
        turn.effects.expect(due_us + moved_us)
    if moved_us:
        _move_due_dates(turn, row, moved_us)


def _suspend(turn: Turn, live: LiveInstances, row: InstanceRow, suspension: Suspension) -> None:
    batch, event = turn.batch, InstanceSuspended(suspension.at_us, suspension.reason)
    batch.events.append(row.id, [encode_event(event, request=turn.cause.request)])
    live.drop([row.id])
    stopped = _stop_timers(batch, row.id) if suspension.stops_timers else ()
    for call in batch.service_calls.of_instance(row.id):
        if call.state == ServiceState.DUE:
            change_service_call(batch, call._replace(state=ServiceState.SUSPENDED))
    kept = replace(suspension, stopped=stopped).to_json()
    batch.instances.change(row.id, state=InstanceState.SUSPENDED, suspended=kept, now_us=max(row.now_us, event.at_us))
    turn.notice(event.at_us, row.name, f"suspended by {turn.cause.actor}")


def resume(turn: Turn, live: LiveInstances, row: InstanceRow, event: InstanceResumed) -> list[int]:
    """The instance goes on, and what was suspended with it; gives those for which what waited is still to be applied."""
    resumed = [row.id]
    _resume(turn, live, row, event)
    for child in _tree(turn, row):
        suspension = Suspension.of(child)
        if suspension is not None and suspension.within == row.name:
            moved_us = min(event.moved_us, max(0, event.at_us - suspension.at_us))  # it may stand still for less long
            _resume(turn, live, child, InstanceResumed(max(event.at_us, child.now_us), moved_us))
            resumed.append(child.id)
    return resumed


def _resume(turn: Turn, live: LiveInstances, row: InstanceRow, event: InstanceResumed) -> None:
    batch, suspension = turn.batch, Suspension.of(row)
    assert suspension is not None
    batch.events.append(row.id, [encode_event(event, request=turn.cause.request)])
    live.drop([row.id])
    _move(turn, row, suspension.stopped, event.moved_us)
    for instance, since_us, timers in suspension.of_halted:
        halted = batch.instances.get(instance)
        if halted.state == InstanceState.HALTED:
            _move(turn, halted, timers, min(event.moved_us, max(0, event.at_us - since_us)))
    for service_call in batch.service_calls.of_instance(row.id):
        if service_call.state == ServiceState.SUSPENDED:
            due_again = change_service_call(batch, service_call._replace(state=ServiceState.DUE))
            turn.effects.expect(due_again.due_us)
    state = InstanceState.RUNNING if row.cancelling_us is None else InstanceState.CANCELLING
    batch.instances.change(row.id, state=state, suspended=None, now_us=max(row.now_us, event.at_us))
    turn.notice(event.at_us, row.name, f"resumed by {turn.cause.actor}")


def _move_due_dates(turn: Turn, row: InstanceRow, moved_us: int) -> None:
    for item in turn.batch.items.of_instance(row.id):
        if item.ended_us is None and item.due_us is not None:
            turn.batch.items.change(item.id, due_us=item.due_us + moved_us, version=item.version + 1)
    for external in turn.batch.external_calls.of_instance(row.id):
        if external.due_us is not None:
            turn.batch.external_calls.change(external._replace(due_us=external.due_us + moved_us))
