"""What SQLite's errors mean for whoever runs the engine, and for the engine itself."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from procession.errors import (
    ConstraintBroken,
    NotAStore,
    ProcessionError,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFailed,
    StoreFull,
)

# Primary result codes of SQLite (https://www.sqlite.org/rescode.html).
_BUSY, _LOCKED, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN, _CONSTRAINT, _NOTADB = 5, 6, 8, 10, 11, 13, 14, 19, 26


def result_code(error: BaseException) -> int | None:
    """SQLite's primary result code, as the standard library or apsw carry it; None for an error that is not SQLite's."""
    for name in ("sqlite_errorcode", "extendedresult", "result"):
        code = getattr(error, name, None)
        if isinstance(code, int):
            return code & 0xFF
    return None


def meaning_of(error: BaseException, path: Path) -> ProcessionError | None:
    """The error of ours that says what SQLite's means; None if it is not about the store."""
    code = result_code(error)
    if code is None:
        return None
    subject = str(path)
    if code == _FULL:
        return _full(path)
    if code in (_BUSY, _LOCKED):
        remedy = (
            "Find the program that keeps a transaction open on the file and end it; only the engine may write there."
        )
        return StoreBusy(f"Another program keeps {path} locked.", subject=subject, remedy=remedy)
    if code == _CORRUPT:
        remedy = (
            "Stop the engine, keep the file as it is, restore the last backup, and run `procession doctor` on both."
        )
        return StoreDamaged(f"{path} is damaged: {error}.", subject=subject, remedy=remedy)
    if code == _NOTADB:
        return NotAStore(
            f"{path} is not a store: {error}.", subject=subject, remedy="Name the store's own file, or another path."
        )
    if code == _CONSTRAINT:
        remedy = "Please report it; the request was refused, nothing was changed."
        return ConstraintBroken(
            f"The store refused rows that contradict each other: {error}.", subject=subject, remedy=remedy
        )
    return _failed(path, str(error))


def meaning_of_system_error(error: OSError, path: Path) -> StoreError:
    """The same of an error of the system, on a file that belongs to the store."""
    return _full(path) if error.errno in (errno.ENOSPC, errno.EDQUOT) else _failed(path, error.strerror or str(error))


def _full(path: Path) -> StoreFull:
    remedy = "Free space on that disk; the engine goes on by itself. Nothing that was acknowledged is lost."
    return StoreFull(f"The disk that holds {path} is full.", subject=str(path), remedy=remedy)


def _failed(path: Path, why: str) -> StoreFailed:
    remedy = "Look at the disk and its mount (full, read-only, unplugged, quota?); the engine opens the store again and checks it."
    return StoreFailed(f"{path} cannot be read or written: {why}.", subject=str(path), remedy=remedy)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into ours."""
    try:
        yield
    except Exception as error:
        meaning = meaning_of(error, path)
        if meaning is None:
            raise
        raise meaning from error
