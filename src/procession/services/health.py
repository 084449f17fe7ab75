"""The health of an application: what is sound, and everything that needs a person, each with what to do about it."""

import time
from dataclasses import dataclass, replace
from datetime import datetime

from procession.engine.clock import distrust_at_opening
from procession.engine.embedded import CLOCK_ACCEPTED
from procession.errors import ProcessionError
from procession.kernel import InstanceState
from procession.language.registry import Registry
from procession.services.application import Application
from procession.services.call_stacks import halt_of
from procession.services.last_errors import last_error_shown
from procession.services.places import Places
from procession.services.records import moment
from procession.services.replaying import replay_running
from procession.services.sources import find_newer_source, release_on_disk
from procession.store import InstanceFilter, Readers, View, find_holder, open_readers
from procession.store.invariants import check_invariants
from procession.store.sqlite_defects import known_defects, sqlite_version

MOST_LISTED = 50


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that a person should look at: of which kind, about what, what is wrong, what to do."""

    kind: str
    subject: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Defect:
    """A known defect of the SQLite in use, and whether it can touch a store of ours."""

    title: str
    touches_us: bool
    why: str
    source: str


@dataclass(frozen=True, slots=True)
class EngineRunning:
    """The engine that has the store open."""

    process: int
    host: str
    since: datetime
    socket: str | None
    note: str = ""
    """Says so where it has not taken the source on disk."""


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant, and whether it held: "holds", "broken" or "not exercised" (there was nothing to look at)."""

    id: str
    says: str
    verdict: str


@dataclass(frozen=True, slots=True)
class HealthReport:
    """What `doctor` found. `is_well` is False as soon as something needs a person.

    `replayed` is how many running instances were replayed on the source on disk.
    """

    is_well: bool
    application: str
    store: str
    store_bytes: int
    log_bytes: int
    sqlite_version: str
    sqlite_defects: tuple[Defect, ...]
    engine: EngineRunning | None
    instances: dict[str, int]
    items: dict[str, int]
    service_calls: dict[str, int]
    timers: int
    events: int
    requests: int
    checks: tuple[Check, ...]
    concerns: tuple[Concern, ...]
    replayed: int = 0


def examine(application: Application) -> HealthReport:
    """Look at everything. Reads only; works while an engine runs, and for an application that does not load."""
    version = sqlite_version()
    defects = tuple(Defect(found.title, found.touches_us, found.why, found.source) for found in known_defects(version))
    concerns = [
        Concern("sqlite", version, f"SQLite {version}: {defect.title}", f"{defect.why} See {defect.source}.")
        for defect in defects
        if defect.touches_us
    ]
    registry = _registry(application, concerns)
    if not application.store.exists():
        return _report(application, version, defects, concerns)
    readers = open_readers(application.store)
    try:
        with readers.snapshot():
            pass  # before its rows are looked at: the file may not be a store at all
        checks = _check_store(application, concerns)
        with readers.snapshot() as view:
            concerns += _halted(application, view)
            concerns += _cancelling(application, view)
            concerns += _in_attention(application, view)
            concerns += _failed_bodies(view, registry)
            concerns += _overdue(view)
            concerns += _messages(view)
            concerns += _clock(view)
            if registry is not None:
                concerns += _missing_operations(view, registry)
        replayed = _replayed(application, readers, registry, concerns)
        return replace(_report(application, version, defects, concerns, readers, checks), replayed=replayed)
    finally:
        readers.close()


def _registry(application: Application, concerns: list[Concern]) -> Registry | None:
    """What the application declares; None, and a concern, where it does not load."""
    try:
        registry = application.load_registry()
        application.load_organisation()
    except ProcessionError as error:
        concerns.append(Concern("application", application.name, error.message, error.remedy))
        return None
    return registry


def _check_store(application: Application, concerns: list[Concern]) -> tuple[Check, ...]:
    report = check_invariants(application.store)
    remedy = (
        "Stop the engine, keep the file as it is, and please report this text; restore a backup if work must go on."
    )
    for invariant in report.invariants:
        for problem in invariant.problems:
            concerns.append(Concern("invariant", invariant.id, f"Not so: {invariant.says}. {problem}", remedy))
    return tuple(Check(each.id, each.says, each.verdict) for each in report.invariants)


def _halted(application: Application, view: View) -> list[Concern]:
    concerns = []
    places = Places(application.folder, view)
    for row in view.instances.list(InstanceFilter(states=(InstanceState.HALTED,)), limit=MOST_LISTED):
        halt = halt_of(row, places, 0)
        if halt is not None:
            concerns.append(Concern("halted", row.name, f"{row.name} is halted: {halt.message}", halt.remedy))
    return concerns


def _cancelling(application: Application, view: View) -> list[Concern]:
    """Those whose clean-up takes longer than an application allows."""
    before_us = time.time_ns() // 1000 - application.cancel_within.length_us
    concerns = []
    for row in view.instances.list(InstanceFilter(cancelling_before_us=before_us), limit=MOST_LISTED):
        assert row.cancelling_us is not None
        concerns.append(
            Concern(
                "cancelling",
                row.name,
                f"{row.name} is to be cancelled since {moment(row.cancelling_us):%Y-%m-%d %H:%M} UTC, and its clean-up has not ended.",
                f"`procession show {row.name}` says whom it waits for; `procession cancel {row.name} --force` ends it without.",
            )
        )
    return concerns


def _in_attention(application: Application, view: View) -> list[Concern]:
    concerns = []
    for call in view.attention(limit=MOST_LISTED):
        row = view.instances.find(call.instance)
        name = row.name if row is not None else str(call.instance)
        error = last_error_shown(call)
        told = "" if error is None else f": {error.sentence(application.zone)}"
        concerns.append(
            Concern(
                "attention",
                name,
                f"Call {call.call} of {name}, {call.operation}, needs attention{told}.",
                f"Mend the cause and `procession retry {name} --call {call.call}`; or end it with `procession complete-call` "
                f"or `procession fail-call`.",
            )
        )
    return concerns


def _failed_bodies(view: View, registry: Registry | None) -> list[Concern]:
    """The instance is untouched and waits: only the owner of the task's body can help whoever has the item."""
    concerns = []
    for failed in view.worklist.failed_bodies(limit=MOST_LISTED):
        item = failed.item
        operation = registry.find_operation(item.operation) if registry is not None else None
        owner = f"the owner of {item.function}" if operation is None else operation.function.owner
        where = "the task's body" if operation is None else operation.where
        times = "" if failed.times == 1 else f", {failed.times} times"
        concerns.append(
            Concern(
                "failed body",
                str(item.id),
                f"Item {item.id}, {item.title}, cannot be completed since {moment(failed.since_us):%Y-%m-%d %H:%M} UTC{times}: "
                f"{failed.error}",
                f"{owner} corrects {where}. Then {item.holder or f'the role {item.role}'} completes the item again: "
                f"the answer is kept as its draft.",
            )
        )
    return concerns


def _overdue(view: View) -> list[Concern]:
    concerns = []
    for item in view.worklist.overdue(time.time_ns() // 1000, limit=MOST_LISTED):
        assert item.due_us is not None
        whom = item.holder or f"the role {item.role}"
        concerns.append(
            Concern(
                "overdue",
                str(item.id),
                f"Item {item.id}, {item.title}, was due at {moment(item.due_us):%Y-%m-%d %H:%M} UTC and waits for {whom}.",
                f"Ask {whom}; `procession work show {item.id}`.",
            )
        )
    return concerns


def _messages(view: View) -> list[Concern]:
    """Those that nobody has taken: a key that is written otherwise, or somebody who should ask and does not."""
    concerns = []
    for row in view.kept_messages(limit=MOST_LISTED):
        concerns.append(
            Concern(
                "message",
                f"{row.type} {row.key}",
                f"Nobody has taken the message {row.type} with key {row.key} from {row.sent_by} of "
                f"{moment(row.published_us):%Y-%m-%d %H:%M} UTC.",
                f"An instance takes it by `receive({row.type}, key=…)` with that key until "
                f"{moment(row.expires_us):%Y-%m-%d %H:%M} UTC; then it is removed.",
            )
        )
    return concerns


def _clock(view: View) -> list[Concern]:
    behind_us = view.last_request_us() - time.time_ns() // 1000
    distrust = distrust_at_opening(behind_us, int(view.find_meta(CLOCK_ACCEPTED) or 0))
    if distrust is None:
        return []
    return [
        Concern(
            "clock",
            "wall clock",
            distrust,
            "Set the clock right, or accept it as it is with `procession doctor --accept-clock` while the engine runs.",
        )
    ]


def _missing_operations(view: View, registry: Registry) -> list[Concern]:
    return [
        Concern(
            "missing operation",
            operation,
            f"{number} open calls are of the operation {operation!r}, which the application no longer has.",
            'Bring it back, or name its old name with was=("…",) on the operation that took its place.',
        )
        for operation, number in sorted(view.open_operations().items())
        if registry.find_operation(operation) is None
    ]


def _replayed(application: Application, readers: Readers, registry: Registry | None, concerns: list[Concern]) -> int:
    """How many running instances were replayed; those that do not replay are concerns."""
    if registry is None:
        return 0
    with readers.snapshot() as view:
        present = view.release_by_digest(release_on_disk(application).digest)
    found = replay_running(readers, registry, None if present is None else present.id)
    for row, difference in found.differences[:MOST_LISTED]:
        concerns.append(
            Concern(
                "does not replay",
                row.name,
                f"{row.name} does not replay on the source that is on disk, so it halts once an engine runs that: {difference}",
                f"Undo that change for it, or end it with `procession cancel {row.name} --force`; it keeps all it has. "
                f"{found.number} of {found.running} running instances were looked at.",
            )
        )
    return found.number


def _report(
    application: Application,
    version: str,
    defects: tuple[Defect, ...],
    concerns: list[Concern],
    readers: Readers | None = None,
    checks: tuple[Check, ...] = (),
) -> HealthReport:
    counts = None
    if readers is not None:
        with readers.snapshot() as view:
            counts = view.counts()
    store = application.store
    log = store.with_name(store.name + "-wal")
    return HealthReport(
        is_well=not concerns,
        application=application.name,
        store=str(store),
        store_bytes=store.stat().st_size if store.exists() else 0,
        log_bytes=log.stat().st_size if log.exists() else 0,
        sqlite_version=version,
        sqlite_defects=defects,
        engine=_engine(application, readers),
        instances={} if counts is None else counts.instances,
        items={} if counts is None else counts.items,
        service_calls={} if counts is None else counts.service_calls,
        timers=0 if counts is None else counts.timers,
        events=0 if counts is None else counts.events,
        requests=0 if counts is None else counts.requests,
        checks=checks,
        concerns=tuple(concerns),
    )


def _engine(application: Application, readers: Readers | None) -> EngineRunning | None:
    holder = find_holder(application.store)
    if holder is None:
        return None
    newer = None
    if readers is not None:
        with readers.snapshot() as view:
            newer = find_newer_source(application, view)
    note = newer.told(application.zone) if newer is not None else ""
    return EngineRunning(holder.pid, holder.host, moment(holder.since_us), holder.socket, note)
