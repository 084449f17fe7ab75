"""Pauses wider than one instance: of a process, of an operation, of an outside system. The store keeps them, so they outlive the engine.

A paused process is not started, and its instances stand still as each suspended one does. At a paused operation no item
is claimed, started or completed, no attempt begins and nothing is handed out; what is under way ends. Of a paused system
it is the same for all services that name it. Timers and deadlines of instances run on, but for a process where
`timers="stop"` has them stand still.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from procession.engine.contract import Decision, InstanceHasEnded, InstanceIsHalted, View
from procession.engine.suspending import (
    PAUSES,
    KeptPause,
    Scope,
    Suspension,
    find_pause,
    pause_key,
    paused_process,
)
from procession.errors import InvalidValue, PerformerError, ProcessionError
from procession.kernel import GOES_ON, InstanceState
from procession.language.process import Process
from procession.language.registry import Registry
from procession.services.application import Application
from procession.services.commands import Order, Pause, ResumeInstance, SuspendInstance, Unpause
from procession.services.desk import Answer, Desk
from procession.services.limiting import limited_names
from procession.services.paging import every_instance
from procession.services.pausing import pause as pause_instance
from procession.services.records import PauseShown, moment
from procession.services.settings import told_instead
from procession.store import InstanceFilter, InstanceRow, open_readers


class IsPaused(PerformerError):
    """A person has paused this process or this operation; nothing was changed."""

    code = "is-paused"


class NothingToPause(PerformerError):
    """There is no process, operation or outside system of that name, or it is not paused."""

    code = "nothing-to-pause"


@dataclass(frozen=True, slots=True)
class PauseList:
    """All pauses in force."""

    pauses: tuple[PauseShown, ...]


def paused_in(kept: Mapping[str, str], registry: Registry) -> frozenset[str]:
    """The operations, by their present names, and the systems that are paused: no attempt at them begins."""
    pauses = [KeptPause.of(key, text) for key, text in kept.items()]
    operations = (each.name for each in pauses if each.scope is Scope.OPERATION)
    systems = (each.name for each in pauses if each.scope is Scope.SYSTEM)
    return frozenset((*(registry.names_of_operation(name)[0] for name in operations), *systems))


def require_process(view: View, process: Process[..., object]) -> None:
    """Refuse a start of a process that was paused under any name it has had. Raises `IsPaused`."""
    _require(view, Scope.PROCESS, (process.name, *process.was))


def require_operation(view: View, registry: Registry, name: str) -> None:
    """Refuse work at an operation that was paused under any name it has had. Raises `IsPaused`."""
    _require(view, Scope.OPERATION, registry.names_of_operation(name))


def _require(view: View, scope: Scope, names: tuple[str, ...]) -> None:
    kept = find_pause(view.kept, scope, names)
    if kept is not None:
        raise IsPaused(
            f"The {scope} {names[0]} is paused by {kept.by}{': ' + kept.reason if kept.reason else ''}.",
            subject=names[0],
            remedy=f'Nothing was changed. `procession unpause {scope} "{names[0]}"` has it go on; then do this again.',
        )


async def change(desk: Desk, order: Order, command: Pause | Unpause) -> Answer:
    """Pause it, or have it go on. Raises `NothingToPause`."""
    scope, names = _named(desk.registry, command)
    if isinstance(command, Pause):
        timers = _timers(scope, command)

        def decide(view: View) -> Decision:
            new = KeptPause(scope, names[0], order.actor, order.reason or "", view.now_us, timers)
            is_paused = find_pause(view.kept, scope, names) is not None
            keeps = {} if is_paused else {pause_key(scope, names[0]): new.to_json()}
            return Decision(outcome={"scope": scope, "name": names[0], "paused": True}, keeps=keeps)
    else:

        def decide(view: View) -> Decision:
            if find_pause(view.kept, scope, names) is None:
                raise NothingToPause(
                    f"The {scope} {names[0]} is not paused.",
                    subject=names[0],
                    remedy="`procession pause list` shows what is.",
                )
            keeps = dict.fromkeys((pause_key(scope, name) for name in names), None)
            return Decision(outcome={"scope": scope, "name": names[0], "paused": False}, keeps=keeps)

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
            remedy=f"Name one of {', '.join(Scope)}.",
        )
    scope, name, known = Scope(command.scope), command.name, frozenset[str]()
    match scope:
        case Scope.PROCESS:
            known = frozenset(registry.processes)
            if registry.find_process(name) is not None:
                return scope, registry.names_of_process(name)
        case Scope.OPERATION:
            known = frozenset(registry.operations)
            if registry.find_operation(name) is not None:
                return scope, registry.names_of_operation(name)
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
    marks = [paused_process(name) for name in names]
    for row in _instances(desk, names, command):
        if isinstance(command, Pause):
            each: SuspendInstance | ResumeInstance = SuspendInstance(row.name, command.timers)
        else:
            suspension = Suspension.of(row)
            if suspension is None or suspension.reason not in marks:
                continue  # somebody wanted this one to stand still by itself
            each = ResumeInstance(row.name)
        try:
            await pause_instance(desk, Order(each, order.actor, marks[0]), each)
        except (InstanceHasEnded, InstanceIsHalted):
            continue
        except ProcessionError:
            if isinstance(command, Pause):
                raise
            continue  # one that was resumed with its parent goes on already
        changed.append(row.name)
    return changed


def _instances(desk: Desk, names: tuple[str, ...], command: Pause | Unpause) -> list[InstanceRow]:
    """The oldest first."""
    states = tuple(sorted(GOES_ON)) if isinstance(command, Pause) else (InstanceState.SUSPENDED,)
    return [row for _, row in every_instance(desk.readers, InstanceFilter(names, states))][::-1]


def list_pauses(application: Application) -> PauseList:
    """Everything that is paused."""
    if not application.store.exists():
        return PauseList(())
    readers = open_readers(application.store)
    try:
        with readers.snapshot() as view:
            kept = view.metas(PAUSES)
    finally:
        readers.close()
    return PauseList(pauses_shown(kept))


def pauses_shown(kept: Mapping[str, str]) -> tuple[PauseShown, ...]:
    """The pauses that the store keeps."""
    return tuple(pause_shown(KeptPause.of(key, text)) for key, text in kept.items())


def pause_shown(kept: KeptPause) -> PauseShown:
    """A pause, for people."""
    return PauseShown(kept.scope, kept.name, moment(kept.at_us), kept.by, kept.reason, kept.timers)
