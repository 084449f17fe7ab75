"""The engine's lock: a file beside the store, so that one engine writes and every command can find it.

The operating system holds the lock (flock), so it ends with its process, however that ends. What the file says (process,
host, socket) is for whoever is refused and for commands that go to the running engine.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket as network
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from procession.errors import StoreError, StoreLocked, StoreNotUsable
from procession.store.failures import meaning_of_system_error

_PAUSE_SECONDS = 0.02
# Whoever only looks whether an engine runs holds the lock for a moment; that must not refuse an engine.
_LEAST_WAIT_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Who has a store open: its process, its host, since when, the socket where it takes commands.

    `release` is the number of the source that it runs, `source_us` when it loaded that.
    """

    pid: int
    host: str
    since_us: int
    socket: str | None = None
    release: int | None = None
    source_us: int | None = None


def lock_path(store: Path) -> Path:
    """The lock file of the store at this path; two names of one store have one lock."""
    resolved = store.resolve()
    return resolved.with_name(resolved.name + ".lock")


def find_holder(store: Path) -> LockHolder | None:
    """The engine that has this store open now, if any."""
    try:
        descriptor = os.open(lock_path(store), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read(descriptor) or LockHolder(0, "", 0)
    finally:
        os.close(descriptor)
    return None


class StoreLock:
    """The lock, held until `release` or the end of the process."""

    def __init__(self, path: Path, descriptor: int, holder: LockHolder) -> None:
        self.path = path
        self.holder = holder
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, store: Path, *, wait_seconds: float = 0.0) -> StoreLock:
        """Takes the lock, waiting so long for another engine to let go of it."""
        path = lock_path(store)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            remedy = "Give the engine's user write access to that folder, or name a store elsewhere."
            raise StoreNotUsable(
                f"The lock {path} cannot be made: {error.strerror}.", subject=str(store), remedy=remedy
            ) from error
        deadline = time.monotonic() + max(wait_seconds, _LEAST_WAIT_SECONDS)
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    refusal = _refusal(store, _read(descriptor))
                    os.close(descriptor)
                    raise refusal from None
                time.sleep(_PAUSE_SECONDS)
            except OSError as error:
                os.close(descriptor)
                remedy = "Put the store on a local disk."
                text = f"The file system of {path} has no locks: {error.strerror}."
                raise StoreNotUsable(text, subject=str(store), remedy=remedy) from error
        holder = LockHolder(os.getpid(), network.gethostname(), time.time_ns() // 1000)
        lock = cls(path, descriptor, holder)
        try:
            lock._write(holder)
        except StoreError:
            lock.release()
            raise
        return lock

    def announce(self, socket: str | None) -> None:
        """Says in the lock file where the engine takes commands."""
        self.holder = replace(self.holder, socket=socket)
        self._write(self.holder)

    def announce_source(self, release: int, loaded_us: int) -> None:
        """Says in the lock file which source the engine runs."""
        self.holder = replace(self.holder, release=release, source_us=loaded_us)
        self._write(self.holder)

    def release(self) -> None:
        """Lets go; the file stays, since removing it would let two engines lock two files of one name."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, holder: LockHolder) -> None:
        assert self._descriptor is not None, "the lock was released"
        content = json.dumps(asdict(holder)).encode()
        try:
            os.pwrite(self._descriptor, content, 0)
            os.ftruncate(self._descriptor, len(content))
        except OSError as error:
            raise meaning_of_system_error(error, self.path) from error


def _read(descriptor: int) -> LockHolder | None:
    try:
        content = json.loads(os.pread(descriptor, 4096, 0))
        known = {name: content.get(name) for name in ("socket", "release", "source_us")}
        return LockHolder(int(content["pid"]), str(content["host"]), int(content["since_us"]), **known)
    except (ValueError, KeyError, TypeError):
        return None


def _refusal(store: Path, holder: LockHolder | None) -> StoreLocked:
    who = "another engine" if holder is None else f"the engine with process {holder.pid} on {holder.host}"
    remedy = "Send your command to that engine, or stop it first (its lock ends with its process)."
    return StoreLocked(f"{store} is open in {who}.", holder=holder, subject=str(store), remedy=remedy)
