"""The command line as a person or a program uses it: real processes, a real folder, nothing shared with the test's own Python.

What `Terminal.run` runs is forked from a process that has everything imported; an engine that serves, and what a test runs
as `COMMAND`, is started like any program.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.warm.commands import warm_command

COMMAND = (sys.executable, "-m", "procession.cli.main")
SECONDS = 60


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left: its exit status and what it printed."""

    status: int
    out: str
    err: str


class Terminal:
    """A shell in a folder, without the surroundings of the machine that runs the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "USER": "ann",
            "LOGNAME": "ann",
            "LANG": "C.UTF-8",
            "TZ": "Europe/Amsterdam",
            "COLUMNS": "120",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "PYTHONDONTWRITEBYTECODE": "1",  # a test that corrects a source within a second must not meet its old bytecode
        }

    def run(self, *arguments: str, stdin: str = "") -> Done:
        """Run a command to its end."""
        done = subprocess.run(
            [*warm_command(), *arguments],
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def succeed(self, *arguments: str, stdin: str = "") -> str:
        """Run a command that must succeed; gives what it printed."""
        done = self.run(*arguments, stdin=stdin)
        assert done.status == 0, f"{arguments} ended with {done.status}:\n{done.out}{done.err}"
        assert done.err == "", done.err
        return done.out

    def fail(self, *arguments: str, status: int = 1, stdin: str = "") -> str:
        """Run a command that must fail with this status; gives its error, which is one paragraph without a traceback."""
        done = self.run(*arguments, stdin=stdin)
        assert done.status == status, f"{arguments} ended with {done.status}:\n{done.out}{done.err}"
        assert "Traceback" not in done.err + done.out
        assert done.out == ""
        if status == 1:
            assert "\n\n" not in done.err.strip()
            assert done.err.startswith("error: ")
        return done.err

    def answer(self, *arguments: str, status: int = 0, stdin: str = "") -> Any:
        """Run a command with --format json; gives its one document."""
        done = self.run(*arguments, "--format", "json", stdin=stdin)
        assert done.status == status, f"{arguments} ended with {done.status}:\n{done.out}{done.err}"
        return json.loads(done.out)

    @contextmanager
    def serving(self) -> Iterator[Server]:
        """An engine that serves until the block ends."""
        server = Server(self)
        try:
            yield server
        finally:
            server.end()


class Server:
    """`procession run --format json`, as a child process."""

    def __init__(self, terminal: Terminal) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "run", "--format", "json"],
            cwd=terminal.folder,
            env=terminal.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.ready = self.next_event()
        assert self.ready["event"] == "ready"

    def next_event(self) -> dict[str, Any]:
        """The next line that it prints."""
        assert self.process.stdout is not None
        watch = threading.Timer(SECONDS, self.process.kill)
        watch.start()
        try:
            line = self.process.stdout.readline()
        finally:
            watch.cancel()
        if not line:
            _, errors = self.process.communicate()
            raise AssertionError(f"the server ended with {self.process.returncode}: {errors}")
        event: dict[str, Any] = json.loads(line)
        return event

    def wait_for(self, text: str) -> dict[str, Any]:
        """The next event that says this."""
        while True:
            event = self.next_event()
            if text in event.get("text", ""):
                return event

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; gives the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode
