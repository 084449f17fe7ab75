"""What process code must not do, refused while it runs: sockets, programs, threads, databases, files.

A fence for mistakes, not for attackers. It is an audit hook (PEP 578), active per thread and only while process code
runs. Reading files under `sys.path`, the standard library and the time-zone data stays possible, since imports,
`ZoneInfo` and tracebacks open files too. Clocks raise no audit event; the static check finds those.
"""

import os
import sys
import sysconfig
import threading
import zoneinfo

from procession.kernel import HaltInstance

_FORBIDDEN_PREFIXES = {
    "socket.": "opens a socket",
    "subprocess.": "starts a program",
    "os.exec": "starts a program",
    "os.posix_spawn": "starts a program",
    "os.fork": "forks the worker",
    "os.system": "starts a program",
    "_thread.start_new_thread": "starts a thread",
    "sqlite3.connect": "opens a database",
    "os.remove": "deletes a file",
    "os.rename": "renames a file",
    "os.mkdir": "makes a folder",
    "os.rmdir": "deletes a folder",
    "os.truncate": "changes a file",
    "shutil.": "changes files",
}
_FORBIDDEN_EVENTS = tuple(_FORBIDDEN_PREFIXES)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC

_running = threading.local()
_installed = False


class FenceReached(HaltInstance):
    """Process code tried something only operations may do."""

    def __init__(self, what: str) -> None:
        super().__init__(
            "fence",
            f"Process code {what}. Process code is replayed, so it may not touch the outside world: "
            "move this into an operation (`@function.service`), and await it.",
        )


def install_fences() -> None:
    """Install the audit hook, once per interpreter; it costs nothing where no process code runs."""
    global _installed
    if not _installed:
        _installed = True
        sys.addaudithook(_audit)


def fence_up() -> None:
    """From here on the present thread runs process code."""
    _running.active = True


def fence_down() -> None:
    """It no longer does."""
    _running.active = False


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if not getattr(_running, "active", False):
        return
    if event == "open":
        _audit_open(arguments)
    elif event.startswith(_FORBIDDEN_EVENTS):
        what = next(text for prefix, text in _FORBIDDEN_PREFIXES.items() if event.startswith(prefix))
        raise _fence_reached(what)


def _audit_open(arguments: tuple[object, ...]) -> None:
    path, mode, flags = (*arguments, None, None, None)[:3]
    writes = (isinstance(mode, str) and any(letter in mode for letter in "wax+")) or (
        isinstance(flags, int) and bool(flags & _WRITING)
    )
    if not isinstance(path, str | bytes):
        return
    name = os.fsdecode(path)
    if writes and not name.endswith((".pyc",)) and "__pycache__" not in name:
        raise _fence_reached(f"writes the file {name}")
    if not writes and not _is_readable(name):
        raise _fence_reached(f"reads the file {name}")


def _fence_reached(what: str) -> FenceReached:
    fence_down()  # what follows (a traceback, the halt record) reads files
    return FenceReached(what)


def _is_readable(name: str) -> bool:
    resolved = os.path.realpath(name)
    return any(resolved.startswith(root) for root in _readable_roots())


def _readable_roots() -> tuple[str, ...]:
    roots = [*sys.path, *sysconfig.get_paths().values(), *zoneinfo.TZPATH, sys.prefix, sys.base_prefix]
    return tuple(os.path.realpath(root) + os.sep for root in roots if root)
