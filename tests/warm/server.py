"""Runs `procession` in processes forked from one that has imported it: a command costs milliseconds instead of a start.

`python -I server.py SOCKET`: each connection of `client.py` is one command, with its arguments, its folder, its environment
and its three standard files. The command runs in a process of its own, to the end of its interpreter. It is ended when
its client is gone, and the server, with the folder of its socket, when its standard input is closed. Nothing here has a
thread, so that forking is safe.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import selectors
import shutil
import signal
import socket
import sys
import threading
import time
from typing import Any

LONGEST_ORDER = 1 << 20


def import_all() -> None:
    """What any command may import, before the first fork."""
    import procession

    for found in pkgutil.walk_packages(procession.__path__, "procession."):
        if ".migrations." not in found.name and not found.name.startswith("procession.testing"):
            importlib.import_module(found.name)
    for name in ("alembic.command", "getpass", "rich.markdown", "rich.progress", "rich.table", "typer.rich_utils"):
        importlib.import_module(name)
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()


def next_order(socket_path: str) -> tuple[dict[str, Any], list[int]]:
    """Takes connections. It returns in the process of a command only, with the order and its standard files."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(socket_path)
    listening.listen()
    woken, wakes = os.pipe()
    for end in (woken, wakes):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    waiting = selectors.DefaultSelector()
    for each in (listening, woken, 0):
        waiting.register(each, selectors.EVENT_READ)
    running: dict[int, socket.socket] = {}
    print("ready", flush=True)
    while True:
        for key, _ in waiting.select():
            if key.fileobj == 0:
                for pid in running:
                    os.kill(pid, signal.SIGKILL)
                shutil.rmtree(os.path.dirname(socket_path))
                sys.exit()
            elif key.fileobj == woken:
                os.read(woken, 4096)
                tell_ends(running, waiting)
            elif key.fileobj is listening:
                connection, _ = listening.accept()
                try:
                    order, files = received(connection)
                except (OSError, ValueError):  # its client was ended before it had said what it wants
                    connection.close()
                    continue
                if (pid := os.fork()) == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    waiting.close()
                    for each in (listening, connection, *running.values()):
                        each.close()
                    for end in (woken, wakes):
                        os.close(end)
                    return order, files
                for file in files:
                    os.close(file)
                running[pid] = connection
                with contextlib.suppress(OSError):  # that it is gone is seen below
                    connection.sendall(f"{pid}\n".encode())
                waiting.register(connection, selectors.EVENT_READ, pid)
            elif key.data in running:  # a client says nothing more: it is gone
                os.kill(key.data, signal.SIGKILL)
                waiting.unregister(key.fileobj)


def received(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """An order and its standard files."""
    text, files, _, _ = socket.recv_fds(connection, LONGEST_ORDER, 3)
    while not text.endswith(b"\n") and (more := connection.recv(LONGEST_ORDER)):
        text += more
    return json.loads(text), files


def tell_ends(running: dict[int, socket.socket], waiting: selectors.BaseSelector) -> None:
    """Each client whose command has ended is told how."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        connection = running.pop(pid)
        try:
            connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
            waiting.unregister(connection)
        except (OSError, KeyError):
            pass  # the client is gone
        connection.close()


def become(order: dict[str, Any], files: list[int]) -> None:
    """This process is as if it had been started for the order."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    sys.argv = ["procession", *order["arguments"]]
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    if order["ignores_interrupt"]:  # as in the background of a shell
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    reopen_standard_files()


def reopen_standard_files() -> None:
    """As an interpreter opens them when it starts."""
    by_line = os.isatty(1) or bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", buffering=1 if by_line else -1, closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)


def main() -> None:
    import_all()
    become(*next_order(sys.argv[1]))
    from procession.cli.main import main as command

    command()


if __name__ == "__main__":
    main()
