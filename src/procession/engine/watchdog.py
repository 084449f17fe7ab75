"""Stops process code that does not come back: an endless loop without an await must not stop the whole worker.

The processor time of the thread is measured per event. At the first expiry a private exception is raised in the
instance, and again each time the limit passes once more. The worker is ended where that does not help: where the
interpreter lock is held by a call into C, which no exception can interrupt, where the code swallows every exception, or
where it blocks and uses no processor time at all. At the restart the instance that ran is known from a small mapped
file and is halted without being run. A worker that was killed by somebody else leaves no traceback in the second file,
and its instance is not to blame.
"""

import ctypes
import faulthandler
import mmap
import struct
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from procession.kernel import HaltInstance
from procession.store.failures import meaning_of_system_error

LIMIT_SECONDS = 2.0
WORKER_LIMIT_SECONDS = 10.0
_RECORD = struct.Struct("<QQ")


class WatchdogExpired(HaltInstance):
    """Process code ran longer than the limit without an await."""

    code = "watchdog"


class Culprit(NamedTuple):
    """Whose code made the watchdog end the worker: the instance, the event it was about to apply, and where it stood."""

    instance: int
    seq: int
    traceback: str


class Watchdog:
    """Watches the thread that runs process code; `around` an event it says which instance is at work."""

    def __init__(
        self,
        marker: Path | None,
        *,
        limit_seconds: float = LIMIT_SECONDS,
        worker_limit_seconds: float = WORKER_LIMIT_SECONDS,
    ) -> None:
        self._limit_seconds = limit_seconds
        self._worker_limit_seconds = worker_limit_seconds
        self._expiry = _expiry_after(limit_seconds)
        self._thread_id = threading.get_ident()
        self._clock_id: int | None = None
        if hasattr(time, "pthread_getcpuclockid"):
            self._clock_id = time.pthread_getcpuclockid(self._thread_id)
        self._serial = 0
        self._running_serial = 0
        self._expired_serial = 0
        self._started_seconds = 0.0
        self._expires_seconds = 0.0
        self._is_armed = True  # until `start` there is nobody who would end the worker
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._marker = marker
        self._map = _map_marker(marker) if marker is not None else None
        self._dump = dump_path(marker).open("w") if marker is not None else None
        self._watcher: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._is_armed = False
        self._watcher = threading.Thread(target=self._watch, name="procession watchdog", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """End the watch; without the marker, nobody is to blame at the next start."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()
            self._is_armed = True
            faulthandler.cancel_dump_traceback_later()
        if self._map is not None:
            self._map.close()
            self._map = None
        if self._dump is not None:
            self._dump.close()
            self._dump = None
        if self._marker is not None:
            remove_marker(self._marker)

    def enter(self, instance: int, seq: int) -> None:
        """Process code of this instance is about to apply the event of that sequence number."""
        if self._map is not None:
            _RECORD.pack_into(self._map, 0, instance, seq)
        self._serial += 1
        self._started_seconds = time.monotonic()
        self._expires_seconds = self._thread_seconds() + self._limit_seconds
        self._running_serial = self._serial
        if not self._is_armed:
            self._arm()

    def leave(self) -> None:
        """Process code came back."""
        with self._lock:
            expired, self._running_serial = self._expired_serial == self._serial, 0
        if expired:  # its exception may still be on the way, and belongs to nothing that runs from here on
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread_id), None)
        if self._map is not None:
            _RECORD.pack_into(self._map, 0, 0, 0)

    def _thread_seconds(self) -> float:
        return time.clock_gettime(self._clock_id) if self._clock_id is not None else time.monotonic()

    def _watch(self) -> None:
        seen = -1
        while not self._stop.wait(self._limit_seconds / 8):
            with self._lock:
                serial = self._running_serial
                if serial and self._thread_seconds() > self._expires_seconds:
                    self._raise(serial)
            if not serial and seen == self._serial:
                self._disarm(seen)
            elif serial == 0 or not self._will_not_come_back(serial):
                self._arm()
            seen = self._serial

    def _raise(self, serial: int) -> None:
        """Raise the expiry in the instance, and once more when the limit has passed again."""
        self._expired_serial = serial
        self._expires_seconds = self._thread_seconds() + self._limit_seconds
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread_id), ctypes.py_object(self._expiry))

    def _will_not_come_back(self, serial: int) -> bool:
        """Whether it is the worker's end that has to help: the exception did not, or the code only blocks."""
        return serial == self._expired_serial or time.monotonic() - self._started_seconds > self._worker_limit_seconds

    def _arm(self) -> None:
        """Have the worker ended after its limit. Armed again and again while the watcher gets the interpreter lock."""
        faulthandler.dump_traceback_later(self._worker_limit_seconds, exit=True, file=self._dump or sys.stderr)
        self._is_armed = True

    def _disarm(self, seen: int) -> None:
        """Nothing has run of late: a worker that is stopped by hand and goes on later must not be ended for that."""
        if self._is_armed:
            self._is_armed = False
            faulthandler.cancel_dump_traceback_later()
            if self._serial != seen:
                self._arm()


def dump_path(marker: Path) -> Path:
    """Where the traceback goes when the worker is ended."""
    return marker.with_suffix(".traceback")


def find_culprit(marker: Path) -> Culprit | None:
    """Whose code made the watchdog end the last worker; None where it did not."""
    try:
        content = marker.read_bytes()
        traceback = dump_path(marker).read_text(errors="replace")
    except FileNotFoundError:
        return None
    if not traceback or len(content) < _RECORD.size:
        return None
    instance, seq = _RECORD.unpack_from(content)
    return Culprit(instance, seq, traceback) if instance else None


def remove_marker(marker: Path) -> None:
    """Forget whose code ran: the worker ended well, or the culprit is halted."""
    marker.unlink(missing_ok=True)
    dump_path(marker).unlink(missing_ok=True)


def _expiry_after(limit_seconds: float) -> type[WatchdogExpired]:
    """It is raised as a bare class, so its text is the class's."""
    message = (
        f"Process code ran for more than {limit_seconds:g} seconds of processor time without an await. "
        "Look for an endless loop, or move the computation into a service."
    )
    return type("WatchdogExpired", (WatchdogExpired,), {"message": message})


def _map_marker(marker: Path) -> mmap.mmap:
    try:
        marker.write_bytes(bytes(_RECORD.size))
        with marker.open("r+b") as opened:
            return mmap.mmap(opened.fileno(), _RECORD.size)
    except OSError as error:
        raise meaning_of_system_error(error, marker) from error
