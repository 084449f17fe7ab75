"""What process code must not do, refused while it runs: sockets, programs, threads, databases, files.

A fence for mistakes, not for attackers. It is an audit hook (PEP 578), active per thread and only while process code
runs. Reading files under `sys.path`, the standard library and the time-zone data stays possible, since imports,
`ZoneInfo` and tracebacks open files too. Clocks raise no audit event; the static check finds those.
"""

import _thread
import gc
import io
import logging
import os
import sys
import sysconfig
import threading
import zoneinfo
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from procession.kernel import HaltInstance

PROCESS_LOGGER = "procession.process"

_FORBIDDEN_PREFIXES = {
    "socket.": "opens a socket",
    "subprocess.": "starts a program",
    "os.exec": "starts a program",
    "os.spawn": "starts a program",
    "os.posix_spawn": "starts a program",
    "os.startfile": "starts a program",
    "os.fork": "forks the worker",
    "os.system": "starts a program",
    "os.kill": "sends a signal",
    "_thread.start_": "starts a thread",
    "sqlite3.connect": "opens a database",
    "time.sleep": "stops the whole worker with time.sleep (in a process, `await after(…)` waits)",
    "os.remove": "deletes a file",
    "os.rename": "renames a file",
    "os.mkdir": "makes a folder",
    "os.rmdir": "deletes a folder",
    "os.truncate": "changes a file",
    "os.link": "makes a link",
    "os.symlink": "makes a link",
    "os.chmod": "changes a file",
    "os.chown": "changes a file",
    "os.utime": "changes a file",
    "os.setxattr": "changes a file",
    "os.removexattr": "changes a file",
    "os.chdir": "changes the working folder",
    "os.putenv": "changes the environment",
    "os.unsetenv": "changes the environment",
    "shutil.": "changes files",
    "tempfile.": "makes a file",
    "syslog.": "writes to the system's log",
}
_FORBIDDEN_EVENTS = tuple(_FORBIDDEN_PREFIXES)
_LISTING_EVENTS = ("os.listdir", "os.scandir")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC

_MOVE_IT = (
    "Process code is replayed, so it may not touch the outside world: move this into an operation "
    "(`@function.service`), and await it."
)
_ASK_A_PERSON = "Whoever can tell is asked by a task (`@function.task`): declare it, and await it."
_DEBUG_IT = "`procession run --debug` lets a debugger in; else take the breakpoint away."
_running = threading.local()
_installed = False
_lifted = False


class FenceReached(HaltInstance):
    """Process code tried something only operations may do."""

    def __init__(self, what: str, remedy: str = _MOVE_IT) -> None:
        super().__init__("fence", f"Process code {what}. {remedy}")


def install_fences() -> None:
    """Install the audit hook, once per interpreter; it costs nothing where no process code runs."""
    global _installed
    if not _installed:
        _installed = True
        sys.addaudithook(_audit)
        gc.callbacks.append(_let_the_collector_through)
        fence_standard_input()
        if sys.version_info < (3, 12):
            _report_threads()
        _let_notes_out(logging.getLogger(PROCESS_LOGGER))


def fence_standard_input() -> None:
    """Have process code not read what is typed; what somebody has put in the place of standard input is left alone."""
    if type(sys.stdin) is io.TextIOWrapper:
        sys.stdin = _FencedInput(sys.stdin)


class _FencedInput(io.TextIOWrapper):
    """Standard input, which process code does not read: `input` raises an audit event for that, and this nothing."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        super().__init__(
            stream.buffer, encoding=stream.encoding, errors=stream.errors, line_buffering=stream.line_buffering
        )
        self._behind = stream  # which closes what both read when nobody holds it

    def read(self, size: int | None = -1, /) -> str:
        _refuse_input()
        return super().read(size)

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        _refuse_input()
        return super().readline(size)

    def __next__(self) -> str:  # type: ignore[override]
        _refuse_input()
        return super().__next__()


def _refuse_input() -> None:
    if is_fence_up() and not _lifted:
        raise FenceReached("asks at the terminal", _ASK_A_PERSON)


def lift_fences() -> None:
    """Refuse nothing any more in this Python: a debugger reads files and asks at the terminal."""
    global _lifted
    _lifted = True


def _report_threads() -> None:
    """Before Python 3.12 a thread that starts is not told of: the event is raised here, for both names there are."""
    start = _thread.start_new_thread

    def reported_start(*arguments: Any) -> int:
        _audit("_thread.start_new_thread", arguments)
        return start(*arguments)

    _thread.start_new_thread = reported_start
    threading._start_new_thread = reported_start  # type: ignore[attr-defined]


def fence_up(instance: str = "") -> None:
    """From here on the present thread runs process code, of the instance of that name."""
    _running.active = True
    _running.instance = instance


def fence_down() -> None:
    """It no longer does."""
    _running.active = False


def is_fence_up() -> bool:
    """Whether process code runs on the present thread."""
    return bool(getattr(_running, "active", False))


def instance_at_work() -> str:
    """The name of the instance whose code runs on the present thread; empty where none does, or only the collector."""
    if not is_fence_up() or getattr(_running, "collecting", False):
        return ""
    return str(getattr(_running, "instance", ""))


@contextmanager
def _fence_lowered() -> Iterator[None]:
    was_active, _running.active = getattr(_running, "active", False), False
    try:
        yield
    finally:
        _running.active = was_active


def _let_notes_out(logger: logging.Logger) -> None:
    """Notes of process code go to wherever the logs go (files, sockets), and say which instance they are of."""
    call_handlers = logger.callHandlers

    def call_handlers_outside(record: logging.LogRecord) -> None:
        record.instance = getattr(_running, "instance", "")
        with _fence_lowered():
            call_handlers(record)

    logger.callHandlers = call_handlers_outside  # type: ignore[method-assign]


def _let_the_collector_through(phase: str, _: object) -> None:
    """What the collector finishes while process code runs is seldom the process's: it happens to come by."""
    _running.collecting = phase == "start"


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if not getattr(_running, "active", False) or _lifted or getattr(_running, "collecting", False):
        return
    if event == "open":
        _audit_open(arguments)
    elif event == "builtins.input":
        _refuse_input()
    elif event == "builtins.breakpoint":
        if not getattr(arguments[0], "may_stop_processes", False):
            raise FenceReached("stops for a debugger", _DEBUG_IT)
    elif event in _LISTING_EVENTS:
        name = _name_of(arguments) or os.curdir
        if not _is_readable(name):
            raise FenceReached(f"lists the folder {name}")
    elif event.startswith(_FORBIDDEN_EVENTS) and not _keeps_bytecode(event, arguments):
        what = next(text for prefix, text in _FORBIDDEN_PREFIXES.items() if event.startswith(prefix))
        raise FenceReached(what)


def _audit_open(arguments: tuple[object, ...]) -> None:
    _, mode, flags = (*arguments, None, None, None)[:3]
    writes = (isinstance(mode, str) and any(letter in mode for letter in "wax+")) or (
        isinstance(flags, int) and bool(flags & _WRITING)
    )
    name = _name_of(arguments)
    if name is None:
        return  # a descriptor that is open already
    if writes and not _is_bytecode(name):
        raise FenceReached(f"writes the file {name}")
    if not writes and not _is_readable(name):
        raise FenceReached(f"reads the file {name}")


def _name_of(arguments: tuple[object, ...]) -> str | None:
    path = arguments[0] if arguments else None
    return os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else None


def _keeps_bytecode(event: str, arguments: tuple[object, ...]) -> bool:
    """Whether this is how an import keeps what it has compiled."""
    name = _name_of(arguments)
    return event in ("os.mkdir", "os.rename", "os.remove") and name is not None and _is_bytecode(name)


def _is_bytecode(name: str) -> bool:
    if sys.pycache_prefix and os.path.realpath(name).startswith(os.path.realpath(sys.pycache_prefix)):
        return True
    return name.endswith(".pyc") or "__pycache__" in name


def _is_readable(name: str) -> bool:
    resolved = os.path.realpath(name) + os.sep
    return any(resolved.startswith(root) for root in _readable_roots())


def _readable_roots() -> tuple[str, ...]:
    roots = [*sys.path, *sysconfig.get_paths().values(), *zoneinfo.TZPATH, sys.prefix, sys.base_prefix]
    return tuple(os.path.realpath(root) + os.sep for root in roots)  # an empty one is the working folder
