"""Copies of a whole store: made while it is at work, checked row by row, and put in the place of another.

A copy is made by SQLite itself, from one snapshot, under a name of its own beside where it is to be; only what is whole
and checked gets its name. So a program that is killed on the way leaves everything as it was, and a file that says of
itself that it is unfinished.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from procession.errors import NotAStore, OlderStore, StoreDamaged, StoreError, StoreFailed
from procession.store.connections import SqliteConnections, connect_reader
from procession.store.creation import Content, content_of
from procession.store.failures import explained
from procession.store.invariants import Report, check_invariants
from procession.store.lock import StoreLock

_PAGES_AT_ONCE = 512
_UNFINISHED = ".unfinished"
# Without these the file cannot be what was acknowledged; the others tell of what a person should look at.
_ESSENTIAL = ("file", "chain", "I2", "I3")

Progress = Callable[[int, int], None]
Reached = Callable[[str], None]


class CopyExists(StoreError):
    """There is a file already where a backup is to be; a backup overwrites nothing."""

    code = "copy-exists"


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy that is whole: where it is, how large, how many rows of the chain were verified, what else was found in it."""

    path: Path
    size: int
    verified: int
    findings: tuple[str, ...]


def copy_at_work(store: Path, target: Path, progress: Progress) -> Copied:
    """Copy a store, also while an engine writes it; the copy has what was committed when it began.

    Raises `CopyExists`, what is wrong with the store, or `StoreDamaged` where the copy does not pass the check.
    """
    if target.exists():
        raise _exists(target)
    with _unfinished(target) as unfinished:
        copied = _copy(store, unfinished, progress)
        try:
            os.link(unfinished, target)  # unlike a rename, it never takes the place of another file
        except FileExistsError:
            raise _exists(target) from None
        _flush_folder(target.parent)
    return Copied(target, copied.size, copied.verified, copied.findings)


@dataclass(frozen=True, slots=True)
class Restored:
    """A store that was put in place: what of it, and where the one that was there is now."""

    copied: Copied
    old: Path | None


def put_in_place(
    backup: Path,
    store: Path,
    *,
    old: Path,
    progress: Progress,
    reached: Reached = lambda point: None,
) -> Restored:
    """Have a copy of the backup be the store; the present one is kept as `old`.

    Raises `StoreLocked` while an engine has the store, and what is wrong with the backup; then nothing has changed.
    """
    lock = StoreLock.acquire(store)
    try:
        with _unfinished(store) as unfinished:
            copied = _copy(backup, unfinished, progress)
            reached("copied")
            had_one = store.exists()
            if had_one:
                _keep_as(store, old, reached)
            reached("kept")
            os.replace(unfinished, store)
            _flush_folder(store.parent)
            reached("placed")
        return Restored(Copied(store, copied.size, copied.verified, copied.findings), old if had_one else None)
    finally:
        lock.release()


def require_store(path: Path) -> None:
    """Refuse a file that is no store of this version."""
    if not path.is_file():
        raise NotAStore(f"There is no file {path}.", subject=str(path), remedy="Name a store, or a backup of one.")
    with explained(path):
        connection = SqliteConnections().connect(path, "ro")
        try:
            content = content_of(connection, path)
        finally:
            connection.close()
    if content is Content.EMPTY:
        raise NotAStore(f"{path} is empty.", subject=str(path), remedy="Name a store, or a backup of one.")
    if content is Content.OLDER:
        raise OlderStore(
            f"{path} was written by an older Procession.",
            subject=str(path),
            remedy="Put it into an application's folder by hand and start the engine there: that makes a copy and migrates it.",
        )


def _copy(source: Path, target: Path, progress: Progress) -> Copied:
    require_store(source)
    with explained(source):
        reading = connect_reader(SqliteConnections(), source)
    assert isinstance(reading, sqlite3.Connection)
    try:
        with explained(target):
            writing = sqlite3.connect(target, isolation_level=None)
        try:
            with explained(source):
                # One snapshot for all of it, though it holds up the log of the store: without it every commit of the engine has
                # the copy begin anew (in 30 seconds it did so 1,500 times), and `VACUUM INTO` holds one too, for longer.
                reading.execute("BEGIN")
                reading.execute("SELECT count(*) FROM store_meta").fetchone()
            with explained(target):
                reading.backup(
                    writing, pages=_PAGES_AT_ONCE, progress=lambda _, left, all_: progress(all_ - left, all_)
                )
                writing.execute(
                    "PRAGMA journal_mode = DELETE"
                ).fetchone()  # one file by itself, without a log beside it
        finally:
            writing.close()
    finally:
        reading.close()
    _flush(target)
    report = check_invariants(target)
    damage = [problem for name in _ESSENTIAL for problem in report[name].problems]
    if damage:
        raise StoreDamaged(
            f"{source} is damaged: {damage[0]}.",
            subject=str(source),
            remedy="Nothing was changed. `procession doctor` lists all that is wrong with an application's store; "
            "of backups take an older one.",
        )
    return Copied(target, target.stat().st_size, report["chain"].exercised, _others(report))


def _others(report: Report) -> tuple[str, ...]:
    return tuple(
        f"{invariant.says}: {problem}"
        for invariant in report.invariants
        if invariant.id not in _ESSENTIAL
        for problem in invariant.problems
    )


def _keep_as(store: Path, old: Path, reached: Reached) -> None:
    """Give the present store a second name. Its log goes into it first, so that one file is all of it."""
    log, old_log = (path.with_name(path.name + "-wal") for path in (store, old))
    with contextlib.suppress(sqlite3.Error):  # it may be the damaged one that is to be replaced
        folding = SqliteConnections().connect(store, "rw")
        try:
            folding.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            folding.close()
    os.link(store, old)
    reached("linked")
    if log.exists() and log.stat().st_size:
        os.link(log, old_log)
    _flush_folder(store.parent)
    # A log that is left would be taken for one of the new store.
    log.unlink(missing_ok=True)
    store.with_name(store.name + "-shm").unlink(missing_ok=True)


@contextlib.contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """The name under which it is made, gone at the end. What killed programs left behind goes first."""
    for left in target.parent.glob(f"{target.name}.*{_UNFINISHED}"):
        number = left.name.removeprefix(target.name + ".").removesuffix(_UNFINISHED)
        if number.isdigit() and not _is_alive(int(number)):
            _remove(left)
    path = target.with_name(f"{target.name}.{os.getpid()}{_UNFINISHED}")
    _remove(path)
    try:
        yield path
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    for ending in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise StoreFailed(
            f"{path} cannot be written: {error.strerror}.", subject=str(path), remedy="Look at the disk."
        ) from error
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exists(target: Path) -> CopyExists:
    return CopyExists(
        f"There is a file {target} already.", subject=str(target), remedy="Name another; a backup overwrites nothing."
    )
