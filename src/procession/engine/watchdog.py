"""Stops process code that does not come back: an endless loop without an await must not stop the whole worker.

The processor time of the thread is measured per event. At the first expiry a private exception is raised in the
instance. Where the interpreter lock is held by a call into C, which no exception can interrupt, the worker is ended;
at the restart the instance that ran is known from a small mapped file and is halted without being run. A worker that
was killed by somebody else leaves no traceback in the second file, and its instance is not to blame.
"""

import ctypes
import faulthandler
import mmap
import struct
import sys
import threading
import time
from pathlib import Path

from procession.kernel import HaltInstance

LIMIT_SECONDS = 2.0
WORKER_LIMIT_SECONDS = 10.0
_RECORD = struct.Struct("<QQ")


class WatchdogExpired(HaltInstance):
    """Process code ran longer than the limit without an await."""

    def __init__(self) -> None:
        super().__init__(
            "watchdog",
            f"Process code ran for more than {LIMIT_SECONDS:g} seconds of processor time without an await. "
            "Look for an endless loop, or move the computation into a service.",
        )


class Watchdog:
    """Watches the thread that runs process code; `around` an event it says which instance is at work."""

    def __init__(self, marker: Path | None, *, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._limit_seconds = limit_seconds
        self._thread_id = threading.get_ident()
        self._clock_id: int | None = None
        if hasattr(time, "pthread_getcpuclockid"):
            self._clock_id = time.pthread_getcpuclockid(self._thread_id)
        self._serial = 0
        self._running_serial = 0
        self._expired_serial = 0
        self._lock = threading.Lock()
        self._started_seconds = 0.0
        self._stop = threading.Event()
        self._map = _map_marker(marker) if marker is not None else None
        self._dump = dump_path(marker).open("w") if marker is not None else None
        self._watcher: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._watcher = threading.Thread(target=self._watch, name="procession watchdog", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """End the watch; the marker says that nothing runs."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()
            faulthandler.cancel_dump_traceback_later()
        if self._map is not None:
            self._map.close()
            self._map = None
        if self._dump is not None:
            self._dump.close()
            self._dump = None

    def enter(self, instance: int, seq: int) -> None:
        """Process code of this instance is about to apply the event of that sequence number."""
        if self._map is not None:
            _RECORD.pack_into(self._map, 0, instance, seq)
        self._serial += 1
        self._started_seconds = self._thread_seconds()
        self._running_serial = self._serial

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
        while not self._stop.wait(self._limit_seconds / 8):
            # Re-armed while this thread gets the interpreter lock; where it does not, the worker ends.
            faulthandler.dump_traceback_later(WORKER_LIMIT_SECONDS, exit=True, file=self._dump or sys.stderr)
            with self._lock:
                serial = self._running_serial
                if serial not in (0, self._expired_serial) and self._is_over():
                    self._expired_serial = serial
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(self._thread_id), ctypes.py_object(WatchdogExpired)
                    )

    def _is_over(self) -> bool:
        return self._thread_seconds() - self._started_seconds > self._limit_seconds


def dump_path(marker: Path) -> Path:
    """Where the traceback goes when the worker is ended."""
    return marker.with_suffix(".traceback")


def read_marker(marker: Path) -> tuple[int, int] | None:
    """The instance and sequence number whose code made the watchdog end the worker, or None where it did not."""
    try:
        content = marker.read_bytes()
        dumped = dump_path(marker).stat().st_size > 0
    except FileNotFoundError:
        return None
    if not dumped:
        return None
    if len(content) < _RECORD.size:
        return None
    instance, seq = _RECORD.unpack_from(content)
    return (instance, seq) if instance else None


def _map_marker(marker: Path) -> mmap.mmap:
    marker.write_bytes(bytes(_RECORD.size))
    with marker.open("r+b") as opened:
        return mmap.mmap(opened.fileno(), _RECORD.size)
