"""The health of an application: what is sound, and everything that needs a person, each with what to do about it."""

import shutil
import time
from dataclasses import dataclass, replace
from datetime import datetime

from procession.engine.clock import distrust_at_opening
from procession.engine.embedded import CLOCK_ACCEPTED
from procession.engine.suspending import PAUSES
from procession.errors import ProcessionError
from procession.language.registry import Registry
from procession.services.application import Application
from procession.services.attention import Scene, cases
from procession.services.records import PauseShown, moment
from procession.services.replaying import replay_running
from procession.services.scopes import pauses_shown
from procession.services.sources import find_newer_source, release_on_disk
from procession.services.telling import TOLD, Told
from procession.store import Readers, View, find_holder, open_readers
from procession.store.invariants import check_invariants
from procession.store.sqlite_defects import known_defects, sqlite_version

MOST_LISTED = 50
LONGEST_APPLYING_US = 60_000_000
LEAST_FREE_BYTES = 20_000_000


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

    `replayed` is how many running instances were replayed on the source on disk. `pauses` are no concerns, since somebody
    wanted them.
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
    pauses: tuple[PauseShown, ...] = ()


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
        concerns += _store_that_is_gone(application)
        return _report(application, version, defects, concerns)
    readers = open_readers(application.store)
    try:
        with readers.snapshot():
            pass  # before its rows are looked at: the file may not be a store at all
        checks = _check_store(application, concerns)
        with readers.snapshot() as view:
            scene = Scene(application, view, registry, time.time_ns() // 1000, MOST_LISTED)
            concerns += [Concern(case.kind, case.subject, case.message, case.remedy) for case in cases(scene)]
            concerns += _not_told(application, view)
            concerns += _messages(view)
            concerns += _clock(view)
            concerns += _disk(application)
            concerns += _not_applied(application, view)
            pauses = pauses_shown(view.metas(PAUSES))
            if registry is not None:
                concerns += _missing_operations(view, registry)
        replayed = _replayed(application, readers, registry, concerns)
        report = _report(application, version, defects, concerns, readers, checks)
        return replace(report, replayed=replayed, pauses=pauses)
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


def _store_that_is_gone(application: Application) -> list[Concern]:
    """An engine runs, and its store is not where it was: it acknowledges nothing."""
    holder = find_holder(application.store)
    if holder is None or holder.socket is None:
        return []  # one that is only just making it does not listen yet
    return [
        Concern(
            "store",
            str(application.store),
            f"An engine runs (process {holder.pid}), and its store {application.store} is not there any more.",
            "End the engine, put the file or a backup in its place, and start the engine again.",
        )
    ]


def _not_told(application: Application, view: View) -> list[Concern]:
    """Where the program that is to tell people did not take what it was given."""
    failures = [told.failed for told in map(Told.of, view.metas(TOLD).values()) if told.failed]
    if not failures or not application.on_attention:
        return []
    program = application.on_attention[0]
    return [
        Concern(
            "not told",
            program,
            f"{len(failures)} of what needs attention could not be told: on_attention: {program} {failures[-1]}",
            f"Correct {application.settings.place(('application', 'on_attention'))} or the program: it is told again after "
            "the engine's next start. `procession attention` lists all there is.",
        )
    ]


def _messages(view: View) -> list[Concern]:
    """Those that nobody has taken: a key that is written otherwise, or somebody who should ask and does not."""
    concerns = []
    for row in view.kept_messages(time.time_ns() // 1000, limit=MOST_LISTED):
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


def _not_applied(application: Application, view: View) -> list[Concern]:
    """What instances do to others takes no time where an engine runs: it failed inside, and tries again now and then."""
    holder = find_holder(application.store)
    before_us = time.time_ns() // 1000 - LONGEST_APPLYING_US
    if holder is None or holder.socket is None or holder.since_us > before_us:
        return []
    concerns = []
    for row in view.old_deliveries(before_us, limit=MOST_LISTED):
        origin = view.instances.find(row.origin)
        name = str(row.origin) if origin is None else origin.name
        concerns.append(
            Concern(
                "not applied",
                name,
                f"What {name} does to another ({row.kind}, call {row.call}) waits since {moment(row.at_us):%Y-%m-%d %H:%M} UTC, "
                "and the engine could not apply it.",
                "The engine's log says why; it tries again now and then. Please report it.",
            )
        )
    return concerns


def _disk(application: Application) -> list[Concern]:
    """A disk that is full, or soon will be: on it nothing is acknowledged."""
    free = shutil.disk_usage(application.store.parent).free
    if free >= LEAST_FREE_BYTES:
        return []
    return [
        Concern(
            "disk",
            str(application.store.parent),
            f"The disk that {application.store} is on has {free / 1_000_000:.1f} MB left.",
            "Make space there: once it is full, every command is refused. What was acknowledged is not lost.",
        )
    ]


def _missing_operations(view: View, registry: Registry) -> list[Concern]:
    return [
        Concern(
            "missing operation",
            operation,
            f"{number} open call{'s are' if number != 1 else ' is'} of the operation {operation!r}, "
            "which the application no longer has.",
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
