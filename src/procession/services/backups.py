"""Backups of an application's store: made while its engine runs, and restored where none runs."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from procession.engine.embedded import marker_path
from procession.engine.watchdog import remove_marker
from procession.errors import StoreLocked, StoreNotUsable
from procession.services.application import Application, open_application
from procession.services.records import moment
from procession.services.settings import SETTINGS_FILE
from procession.store import find_holder, open_readers
from procession.store.copies import Progress, Reached, copy_at_work, put_in_place, require_store


@dataclass(frozen=True, slots=True)
class BackupMade:
    """A backup, and that it was verified: `verified` is how many recorded rows, `findings` what a person should look at."""

    file: str
    bytes: int
    verified: int
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BackupSeen:
    """What a backup holds: `until` is the last that a person or a program asked for in it."""

    file: str
    until: datetime | None
    open_instances: int
    instances: int
    timers: int
    service_calls: int


@dataclass(frozen=True, slots=True)
class StoreRestored:
    """A store that was put in place of another, which is kept as `old`."""

    store: str
    old: str | None
    bytes: int
    verified: int
    findings: tuple[str, ...]


def back_up(application: Application, file: Path, progress: Progress) -> BackupMade:
    """Make a backup. Raises `CopyExists`, or a `StoreError` where the store or the place cannot be used."""
    target = file.resolve()
    if not target.parent.is_dir():
        raise StoreNotUsable(
            f"There is no folder {target.parent}.", subject=str(target), remedy="Make it, or name another file."
        )
    made = copy_at_work(application.store, target, progress)
    return BackupMade(str(made.path), made.size, made.verified, made.findings)


def look_at(file: Path) -> BackupSeen:
    """What is in a backup. Raises a `StoreError` where it is none."""
    path = file.resolve()
    require_store(path)
    readers = open_readers(path)
    try:
        with readers.snapshot() as view:
            counts, last_us = view.counts(), view.last_request_us()
    finally:
        readers.close()
    ended = ("completed", "failed", "cancelled")
    return BackupSeen(
        file=str(path),
        until=moment(last_us) if last_us else None,
        open_instances=sum(number for state, number in counts.instances.items() if state not in ended),
        instances=sum(counts.instances.values()),
        timers=counts.timers,
        service_calls=sum(counts.service_calls.values()),
    )


def store_of(folder: Path, application: Application) -> Path:
    """Where the store of that folder is: where its settings say, else under the name it has in this application."""
    if (folder / SETTINGS_FILE).is_file():
        return open_application(folder).store
    return folder.resolve() / application.store.name


def require_no_engine(store: Path) -> None:
    """Refuse while an engine has the store. Raises `StoreLocked`."""
    holder = find_holder(store)
    if holder is not None:
        raise StoreLocked(
            f"An engine runs on {store} (process {holder.pid}).",
            holder=holder,
            subject=str(store),
            remedy="End it first, then restore: what it holds would be lost to it.",
        )


def restore(
    file: Path,
    store: Path,
    *,
    now: datetime,
    progress: Progress,
    reached: Reached = lambda point: None,
) -> StoreRestored:
    """Have a backup be the store; the present one is kept beside it under a dated name.

    Raises `StoreLocked` while an engine runs, and what is wrong with the backup; then nothing has changed.
    """
    if not store.parent.is_dir():
        raise StoreNotUsable(
            f"There is no folder {store.parent}.", subject=str(store), remedy="Make it, or name another with --to."
        )
    backup = file.resolve()
    if backup == store.resolve():
        raise StoreNotUsable(
            f"{backup} is the store itself.", subject=str(backup), remedy="Name a backup that is another file."
        )
    restored = put_in_place(backup, store, old=_dated(store, now), progress=progress, reached=reached)
    remove_marker(marker_path(store))  # it tells of the store that was there
    copied = restored.copied
    old = str(restored.old) if restored.old is not None else None
    return StoreRestored(str(store), old, copied.size, copied.verified, copied.findings)


def _dated(store: Path, now: datetime) -> Path:
    named = store.with_name(f"{store.name}.before-restore-{now:%Y-%m-%dT%H%M%S}")
    number = 1
    while named.exists():
        number += 1
        named = store.with_name(f"{store.name}.before-restore-{now:%Y-%m-%dT%H%M%S}-{number}")
    return named
