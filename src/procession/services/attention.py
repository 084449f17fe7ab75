"""Everything of a business that waits for a person: what stands still, what gave up, what is late; each with what to do next.

A case is the same one for as long as its `occurrence` is: an instance that halts again after a retry is another case.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from procession.errors import ProcessionError
from procession.kernel import InstanceState
from procession.language.registry import Registry
from procession.services.application import Application
from procession.services.call_stacks import halt_of
from procession.services.families import ancestors_of
from procession.services.holding import Holding
from procession.services.last_errors import last_error_shown
from procession.services.naming import names_of_operation, names_of_process
from procession.services.places import Places
from procession.services.records import PauseShown, moment
from procession.services.scheduling import SCHEDULE_KEPT, kept_state
from procession.store import InstanceFilter, InstanceRow, View, WorkItemRow, open_readers
from procession.store.external_calls import ExternalCallRow
from procession.store.service_calls import ServiceCallRow

MOST_LOOKED_AT = 10_000
_PAGE = 500


class CaseKind(StrEnum):
    """Why something waits for a person."""

    HALTED = "halted"
    CANCELLING = "cancelling"
    NOT_UNDONE = "not undone"
    SERVICE = "attention"
    EXTERNAL = "external"
    FAILED_BODY = "failed body"
    OVERDUE = "overdue"
    SCHEDULE = "schedule"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that waits for a person: what it is, of which instance, since when, and the command to go on with.

    `subject` is an instance's name, an item's number, or a schedule's name. `message` and `remedy` may hold values of the business.
    """

    kind: str
    subject: str
    instance: str
    process: str
    operation: str | None
    call: int | None
    item: int | None
    since: datetime
    message: str
    remedy: str
    command: str
    occurrence: str

    @property
    def headline(self) -> str:
        """The case in one line without any value of the business: for logs."""
        match CaseKind(self.kind):
            case CaseKind.HALTED:
                return f"{self.instance} is halted"
            case CaseKind.NOT_UNDONE:
                return f"{self.instance} could not undo all it did"
            case CaseKind.CANCELLING:
                return f"{self.instance} is being cancelled for too long"
            case CaseKind.SERVICE | CaseKind.EXTERNAL:
                return f"Call {self.call} of {self.instance}, {self.operation}, needs attention"
            case CaseKind.FAILED_BODY:
                return f"Item {self.item} of {self.instance}, {self.operation}: its task's body failed"
            case CaseKind.OVERDUE:
                return f"Item {self.item} of {self.instance}, {self.operation}, is past its due date"
            case CaseKind.SCHEDULE:
                return f"The schedule {self.subject} could not start {self.process}"


@dataclass(frozen=True, slots=True)
class Scene:
    """Where cases are looked for: an application and one snapshot of its store. Without `registry` it does not load."""

    application: Application
    view: View
    registry: Registry | None
    now_us: int
    most: int = MOST_LOOKED_AT


def cases(scene: Scene) -> list[Case]:
    """All of them, at most so many of each kind; those of one kind in the order in which they came."""
    found: list[Case] = []
    for look in (_halted, _cancelling, _not_undone, _services, _externals, _failed_bodies, _overdue, _schedules):
        found += look(scene)
    return found


def _instances(view: View, wanted: InstanceFilter, most: int) -> Iterator[InstanceRow]:
    before: int | None = None
    while most > 0 and (rows := view.instances.list(wanted, before=before, limit=min(_PAGE, most))):
        yield from rows
        most -= len(rows)
        before = rows[-1].id


def _halted(scene: Scene) -> Iterator[Case]:
    view = scene.view
    places = Places(scene.application.folder, view)
    for row in _instances(view, InstanceFilter(states=(InstanceState.HALTED,)), scene.most):
        halt = halt_of(row, places, 0)
        if halt is None:
            continue
        above = ", ".join(each.name for each in ancestors_of(view, row))
        waits = f" What waits for it: {above}." if above else ""
        yield _of_instance(
            CaseKind.HALTED,
            row,
            since_us=int(halt.at.timestamp() * 1_000_000),
            message=f"{row.name} is halted: {_ended(halt.message) if waits else halt.message}{waits}",
            remedy=halt.remedy,
            command=f"procession retry {row.name}",
        )


def _ended(text: str) -> str:
    """A text after which another sentence comes."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _cancelling(scene: Scene) -> Iterator[Case]:
    """Those whose clean-up takes longer than the application allows."""
    before_us = scene.now_us - scene.application.cancel_within.length_us
    for row in _instances(scene.view, InstanceFilter(cancelling_before_us=before_us), scene.most):
        assert row.cancelling_us is not None
        yield _of_instance(
            CaseKind.CANCELLING,
            row,
            since_us=row.cancelling_us,
            message=f"{row.name} is to be cancelled since {moment(row.cancelling_us):%Y-%m-%d %H:%M} UTC, "
            "and its clean-up has not ended.",
            remedy=f"`procession show {row.name}` says whom it waits for; `procession cancel {row.name} --force` ends it without.",
            command=f"procession show {row.name}",
        )


def _not_undone(scene: Scene) -> Iterator[Case]:
    """What a cancelled or failed instance could not undo: it stands, and only a person can see to it."""
    for row in _instances(scene.view, InstanceFilter(has_not_undone=True), scene.most):
        for each in json.loads(row.not_undone or "[]"):
            is_lost = each.get("is_lost", False)
            wrong = (
                "was withdrawn while an attempt ran, and nobody knows what that did"
                if is_lost
                else "did not undo what it should"
            )
            undo = "Look whether it did, and undo it" if is_lost else "Undo it by other means"
            case = _of_instance(
                CaseKind.NOT_UNDONE,
                row,
                since_us=each["at_us"],
                message=f"{row.name}: {each['operation']}, call {each['call']}, {wrong}: {each['why']}.",
                remedy=f"{undo}; `procession show {row.name} --history` says what was done. "
                f"Then `procession skip {row.name} --call {each['call']} --reason TEXT` says how, and it is listed no more.",
                command=f"procession show {row.name} --history",
            )
            occurrence = f"{case.occurrence}:{each['call']}"
            yield replace(case, operation=each["operation"], call=each["call"], occurrence=occurrence)


def _of_instance(kind: CaseKind, row: InstanceRow, *, since_us: int, message: str, remedy: str, command: str) -> Case:
    return Case(
        kind=kind,
        subject=row.name,
        instance=row.name,
        process=row.process,
        operation=None,
        call=None,
        item=None,
        since=moment(since_us),
        message=message,
        remedy=remedy,
        command=command,
        occurrence=f"{kind}:{row.id}:{since_us}",
    )


def _services(scene: Scene) -> Iterator[Case]:
    for call in scene.view.attention(limit=scene.most):
        error = last_error_shown(call)
        told = "" if error is None else f": {error.sentence(scene.application.zone)}"
        yield _of_call(
            scene,
            call,
            since=moment(call.due_us) if error is None else error.at,
            what=f"needs attention{told}.",
            cause="Mend the cause",
            occurrence=call.attempts,
        )


def _externals(scene: Scene) -> Iterator[Case]:
    """Calls that outside programs have let lapse, or given back, as often as they may."""
    for call in scene.view.external_attention(scene.now_us, limit=scene.most):
        error = last_error_shown(call)
        told = f", the last time to {call.worker}" if error is None else f": {error.sentence(scene.application.zone)}"
        yield _of_call(
            scene,
            call,
            since=moment(call.lease_until_us or call.requested_us) if error is None else error.at,
            what=f"was handed out {call.attempts} time{'s' if call.attempts != 1 else ''} and not done{told}.",
            cause="See to the outside program",
            occurrence=call.fencing,
        )


def _of_call(
    scene: Scene,
    call: ServiceCallRow | ExternalCallRow,
    *,
    since: datetime,
    what: str,
    cause: str,
    occurrence: int,
) -> Case:
    kind = CaseKind.SERVICE if isinstance(call, ServiceCallRow) else CaseKind.EXTERNAL
    row = scene.view.instances.find(call.instance)
    name = row.name if row is not None else str(call.instance)
    retry = f"procession retry {name} --call {call.call}"
    return Case(
        kind=kind,
        subject=name,
        instance=name,
        process=row.process if row is not None else "",
        operation=call.operation,
        call=call.call,
        item=None,
        since=since,
        message=f"Call {call.call} of {name}, {call.operation}, {what}",
        remedy=f"{cause} and `{retry}`; or end it with `procession complete-call` or `procession fail-call`.",
        command=retry,
        occurrence=f"{kind}:{call.id}:{occurrence}",
    )


def _failed_bodies(scene: Scene) -> Iterator[Case]:
    """The instance is untouched and waits: only the owner of the task's body can help whoever has the item."""
    for failed in scene.view.worklist.failed_bodies(limit=scene.most):
        item = failed.item
        operation = scene.registry.find_operation(item.operation) if scene.registry is not None else None
        owner = f"the owner of {item.function}" if operation is None else operation.function.owner
        where = "the task's body" if operation is None else operation.where
        times = "" if failed.times == 1 else f", {failed.times} times"
        yield _of_item(
            scene,
            CaseKind.FAILED_BODY,
            item,
            since_us=failed.since_us,
            message=f"Item {item.id}, {item.title}, cannot be completed since {moment(failed.since_us):%Y-%m-%d %H:%M} UTC{times}: "
            f"{failed.error}",
            remedy=f"{owner} corrects {where}. Then {item.holder or f'the role {item.role}'} completes the item again: "
            f"the answer is kept as its draft.",
        )


def _overdue(scene: Scene) -> Iterator[Case]:
    for item in scene.view.worklist.overdue(scene.now_us, limit=scene.most):
        assert item.due_us is not None
        whom = item.holder or f"the role {item.role}"
        yield _of_item(
            scene,
            CaseKind.OVERDUE,
            item,
            since_us=item.due_us,
            message=f"Item {item.id}, {item.title}, was due at {moment(item.due_us):%Y-%m-%d %H:%M} UTC and waits for {whom}.",
            remedy=f"Ask {whom}; `procession work show {item.id}`.",
        )


def _of_item(scene: Scene, kind: CaseKind, item: WorkItemRow, *, since_us: int, message: str, remedy: str) -> Case:
    row = scene.view.instances.find(item.instance)
    return Case(
        kind=kind,
        subject=str(item.id),
        instance=row.name if row is not None else str(item.instance),
        process=row.process if row is not None else "",
        operation=item.operation,
        call=item.call,
        item=item.id,
        since=moment(since_us),
        message=message,
        remedy=remedy,
        command=f"procession work show {item.id}",
        occurrence=f"{kind}:{item.id}:{since_us}",
    )


def _schedules(scene: Scene) -> Iterator[Case]:
    """Recurring starts whose last time came to nothing; the next one that comes to something ends the case."""
    kept = scene.view.metas(SCHEDULE_KEPT)
    holding = Holding(scene.application, scene.view, scene.registry)
    for table in scene.application.settings.tables.schedule[: scene.most]:
        state = kept_state(kept.get(SCHEDULE_KEPT + table.name))
        if state is None or not state.refused or state.last_us is None:
            continue
        at = f"{moment(state.last_us):%Y-%m-%d %H:%M} UTC"
        remedy = f"That time is past: `procession start {table.process}` starts one by hand. Then correct the schedule."
        command, occurrence = "procession schedule list", f"{CaseKind.SCHEDULE}:{table.name}:{state.last_us}"
        if state.is_held:
            pause = holding.pause_of_process(table.process)
            if pause is None:
                continue  # it goes on with its next time
            remedy = f"`{pause.command}` has it go on with its next time; the times until then are let go."
            command, occurrence = (
                pause.command,
                f"{CaseKind.SCHEDULE}:{table.name}:paused:{pause.since.timestamp():.6f}",
            )
        yield Case(
            kind=CaseKind.SCHEDULE,
            subject=table.name,
            instance="",
            process=table.process,
            operation=None,
            call=None,
            item=None,
            since=moment(state.last_us),
            message=f"The schedule {table.name} started nothing at {at}: {state.refused}",
            remedy=remedy,
            command=command,
            occurrence=occurrence,
        )


@dataclass(frozen=True, slots=True)
class CasesWanted:
    """Which cases to list; what is None filters nothing. `since` is when they came to wait."""

    process: str | None = None
    operation: str | None = None
    since: datetime | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class CaseList:
    """What waits for a person, the longest waiting first; `more` says that there are others.

    `pauses`, and the number of instances that are `suspended`, are no cases, since somebody wanted them; they say why else
    nothing happens.
    """

    cases: tuple[Case, ...]
    more: bool
    pauses: tuple[PauseShown, ...] = ()
    suspended: int = 0


def list_cases(application: Application, wanted: CasesWanted) -> CaseList:
    """Everything that waits for a person. Reads only; works for an application that does not load, too.

    Raises `NoSuchProcess`, `NoSuchOperation`.
    """
    registry = registry_if_it_loads(application)
    if not application.store.exists():
        _matches(wanted, registry, None)
        return CaseList((), more=False)
    readers = open_readers(application.store)
    try:
        with readers.snapshot() as view:
            may_be = _matches(wanted, registry, view)
            found = [case for case in cases(Scene(application, view, registry, time.time_ns() // 1000)) if may_be(case)]
            pauses = Holding(application, view, registry).pauses
            standing_still = InstanceFilter(states=(InstanceState.SUSPENDED,))
            suspended = sum(1 for _ in _instances(view, standing_still, MOST_LOOKED_AT))
    finally:
        readers.close()
    found.sort(key=lambda case: case.since)
    return CaseList(tuple(found[: wanted.limit]), len(found) > wanted.limit, pauses, suspended)


def registry_if_it_loads(application: Application) -> Registry | None:
    """What the application declares; None where it does not load at the moment."""
    try:
        return application.load_registry()
    except ProcessionError:
        return None


def _matches(wanted: CasesWanted, registry: Registry | None, view: View | None) -> Callable[[Case], bool]:
    processes = () if wanted.process is None else names_of_process(wanted.process, registry, view)
    operations = () if wanted.operation is None else names_of_operation(wanted.operation, registry, view)

    def is_wanted(case: Case) -> bool:
        return (
            (not processes or case.process in processes)
            and (not operations or case.operation in operations)
            and (wanted.since is None or case.since >= wanted.since)
        )

    return is_wanted
