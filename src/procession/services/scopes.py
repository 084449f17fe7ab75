"""Pauses wider than one instance: of a process, of an operation, of an outside system. The store keeps them, so they outlive the engine.

A paused process is not started, and its instances stand still as each suspended one does. At a paused operation no item
is claimed, started or completed, no attempt begins and nothing is handed out; what is under way ends. Of a paused system
it is the same for all services that name it. Timers and deadlines of instances run on, but for a process where
`timers="stop"` has them stand still.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum

from procession.engine.contract import Decision, InstanceHasEnded, InstanceIsHalted, View
from procession.engine.suspending import Suspension, pause_key, paused_process
from procession.errors import InvalidValue, PerformerError, ProcessionError
from procession.kernel import InstanceState
from procession.language.registry import Registry
from procession.services.application import Application
from procession.services.commands import Order, Pause, ResumeInstance, SuspendInstance, Unpause
from procession.services.desk import Answer, Desk
from procession.services.limiting import limited_names
from procession.services.pausing import pause as pause_instance
from procession.services.records import moment
from procession.services.settings import told_instead
from procession.store import InstanceFilter, InstanceRow, open_readers

KEPT = "pause:"
"""Under which the store keeps what is paused."""

_PAGE = 500


class Scope(StrEnum):
    """What is paused."""

    PROCESS = "process"
    OPERATION = "operation"
    SYSTEM = "system"


class IsPaused(PerformerError):
    """A person has paused this process or this operation; nothing was changed."""

    code = "is-paused"


class NothingToPause(PerformerError):
    """There is no process, operation or outside system of that name, or it is not paused."""

    code = "nothing-to-pause"


@dataclass(frozen=True, slots=True)
class PauseShown:
    """What is paused, since when, by whom and why; `timers` says whether timers run on meanwhile: run or stop."""

    scope: str
    name: str
    since: datetime
    by: str
    reason: str
    timers: str


@dataclass(frozen=True, slots=True)
class PauseList:
    """All pauses in force."""

    pauses: tuple[PauseShown, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    by: str
    reason: str
    at_us: int
    timers: str


def paused_in(kept: Mapping[str, str]) -> frozenset[str]:
    """The operations and systems that are paused, from what the store keeps: no attempt at them begins."""
    names = (key.removeprefix(KEPT).partition(":") for key in kept)
    return frozenset(name for scope, _, name in names if scope != Scope.PROCESS)


def require_process(view: View, names: Iterable[str]) -> None:
    """Refuse a start of a paused process. Raises `IsPaused`."""
    _require(view, Scope.PROCESS, names)


def require_operation(view: View, names: Iterable[str]) -> None:
    """Refuse work at a paused operation, under any name it has. Raises `IsPaused`."""
    _require(view, Scope.OPERATION, names)


def _require(view: View, scope: Scope, names: Iterable[str]) -> None:
    for name in names:
        text = view.kept(pause_key(scope, name))
        if text is not None:
            kept = _Kept(**json.loads(text))
            raise IsPaused(
                f"The {scope} {name} is paused by {kept.by}{': ' + kept.reason if kept.reason else ''}.",
                subject=name,
                remedy=f'Nothing was changed. `procession unpause {scope} "{name}"` has it go on; then do this again.',
            )


async def change(desk: Desk, order: Order, command: Pause | Unpause) -> Answer:
    """Pause it, or have it go on. Raises `NothingToPause`."""
    scope, names = _named(desk.registry, command)
    key = pause_key(scope, names[0])
    if isinstance(command, Pause):
        timers = _timers(scope, command)
        kept = _Kept(order.actor, order.reason or "", 0, timers)

        def decide(view: View) -> Decision:
            present = view.kept(key)
            text = present or json.dumps(asdict(replace(kept, at_us=view.now_us)))
            return Decision(outcome={"scope": scope, "name": names[0], "paused": True}, keeps={key: text})
    else:

        def decide(view: View) -> Decision:
            if view.kept(key) is None:
                raise NothingToPause(
                    f"The {scope} {names[0]} is not paused.",
                    subject=names[0],
                    remedy="`procession pause list` shows what is.",
                )
            return Decision(outcome={"scope": scope, "name": names[0], "paused": False}, keeps={key: None})

    accepted = await desk.submit(order, decide)
    changed = await _each_instance(desk, order, command, names) if scope is Scope.PROCESS else []
    return {
        "scope": str(scope),
        "name": names[0],
        "paused": isinstance(command, Pause),
        "instances": len(changed),
        "repeated": accepted.repeated,
    }


def _named(registry: Registry, command: Pause | Unpause) -> tuple[Scope, tuple[str, ...]]:
    """What is meant, with all names that it ever had, the present one first."""
    if command.scope not in list(Scope):
        raise InvalidValue(
            f"Nothing is paused by {command.scope!r}.",
            problems={"scope": f"is none of {', '.join(Scope)}"},
            subject="scope",
        )
    scope, name, known = Scope(command.scope), command.name, frozenset[str]()
    match scope:
        case Scope.PROCESS:
            known = frozenset(registry.processes)
            if (process := registry.find_process(name)) is not None:
                return scope, (process.name, *process.was)
        case Scope.OPERATION:
            known = frozenset(registry.operations)
            if (operation := registry.find_operation(name)) is not None:
                return scope, (operation.id,)
        case Scope.SYSTEM:
            known = frozenset(each for each in limited_names(registry) if "." not in each)
            if name in known:
                return scope, (name,)
    if isinstance(command, Unpause):  # what is not in the application any more can be let go all the same
        return scope, (name,)
    raise NothingToPause(f"There is no {scope} {name!r}.", subject=name, remedy=told_instead(name, sorted(known)))


def _timers(scope: Scope, command: Pause) -> str:
    if command.timers not in ("run", "stop"):
        raise InvalidValue(
            f"Timers cannot {command.timers!r}.",
            problems={"timers": "is neither run nor stop"},
            remedy="Say run, or stop.",
        )
    if command.timers == "stop" and scope is not Scope.PROCESS:
        raise InvalidValue(
            f"A pause of an {scope} stops no timers: they belong to instances.",
            problems={"timers": "is stop"},
            remedy="Pause the process with --timers stop, or suspend the instances.",
        )
    return command.timers


async def _each_instance(desk: Desk, order: Order, command: Pause | Unpause, names: tuple[str, ...]) -> list[str]:
    """Have the instances of a process stand still, or go on: each a request of its own."""
    changed = []
    mark = paused_process(names[0])
    for row in _instances(desk, names, command):
        if isinstance(command, Pause):
            each: SuspendInstance | ResumeInstance = SuspendInstance(row.name, command.timers)
        else:
            suspension = Suspension.of(row)
            if suspension is None or suspension.reason != mark:
                continue  # somebody wanted this one to stand still by itself
            each = ResumeInstance(row.name)
        try:
            await pause_instance(desk, Order(each, order.actor, mark), each)
        except (InstanceHasEnded, InstanceIsHalted):
            continue
        except ProcessionError:
            if isinstance(command, Pause):
                raise
            continue  # one that was resumed with its parent goes on already
        changed.append(row.name)
    return changed


def _instances(desk: Desk, names: tuple[str, ...], command: Pause | Unpause) -> list[InstanceRow]:
    running = (InstanceState.RUNNING, InstanceState.CANCELLING)
    states = running if isinstance(command, Pause) else (InstanceState.SUSPENDED,)
    found: list[InstanceRow] = []
    before: int | None = None
    while True:
        with desk.readers.snapshot() as view:
            rows = view.instances.list(InstanceFilter(names, states), before=before, limit=_PAGE)
        found += rows
        if len(rows) < _PAGE:
            return found[::-1]
        before = rows[-1].id


def list_pauses(application: Application) -> PauseList:
    """Everything that is paused."""
    if not application.store.exists():
        return PauseList(())
    readers = open_readers(application.store)
    try:
        with readers.snapshot() as view:
            kept = view.metas(KEPT)
    finally:
        readers.close()
    return PauseList(tuple(_shown(key, _Kept(**json.loads(value))) for key, value in kept.items()))


def _shown(key: str, kept: _Kept) -> PauseShown:
    scope, _, name = key.removeprefix(KEPT).partition(":")
    return PauseShown(scope, name, moment(kept.at_us), kept.by, kept.reason, kept.timers)
