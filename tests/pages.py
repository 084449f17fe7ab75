"""Runs the code of a page of documentation in a fresh folder, as a reader would: files, scripts, commands with their output.

A block's first line says what becomes of it:

    ```python leave.py     is written to that file, and run
    ```python              is run as a script
    ```console             lines after `$ ` are run (`> ` continues one), in one shell for the page; what follows each is its output

Output must show the given lines in this order; others may stand between. `…` is anything within a line; blanks count as one. A
command that fails must be followed by its status: `(exit status 1)`. Blocks of other languages are not run.

Two things differ from what a reader has, for speed: `procession` is forked from a process that has it imported, and `sleep` is short.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.warm.commands import warm_programs

COMMAND_SECONDS = 60
WITHIN_A_PAGE = "sleep() { command sleep 0.1; }\n"
"""What a reader looks at every second, the tests look at ten times as often."""
MARK = "@@end-of-command@@"


class PageWrong(AssertionError):
    """What a page shows is not what happens; the message has file and line."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, what else the fence says, its text, and the line it begins on."""

    language: str
    argument: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found, opened, lines = [], None, []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if opened is None:
            if match := re.fullmatch(r"```(\S+)(?: +(.+))?", line):
                opened, lines = (match[1], match[2] or "", number + 1), []
        elif line == "```":
            found.append(Block(opened[0], opened[1], "\n".join(lines) + "\n", opened[2]))
            opened = None
        else:
            lines.append(line)
    return found


def steps(block: Block) -> Iterator[tuple[int, str, list[str]]]:
    """Line number, command and expected lines of a console block."""
    command, start, expected = "", block.line, list[str]()
    for number, line in enumerate(block.text.splitlines(), block.line):
        if line.startswith("$ "):
            if command:
                yield start, command, expected
            command, start, expected = line[2:], number, []
        elif line.startswith("> ") and not expected:
            command += "\n" + line[2:]
        elif line.strip():
            expected.append(line)
    if command:
        yield start, command, expected


def missing_line(expected: list[str], shown: str) -> str | None:
    """The first expected line that the output does not show in its place, or None."""
    lines = iter(" ".join(line.split()) for line in shown.splitlines())
    for wanted in expected:
        pattern = ".*".join(re.escape(part.strip()) for part in " ".join(wanted.split()).split("…"))
        if not any(re.search(pattern, line) for line in lines):
            return wanted
    return None


class Shell:
    """One shell for a whole page: `cd`, variables and jobs last from block to block."""

    def __init__(self, folder: Path) -> None:
        environment = {
            "HOME": str(folder),
            "PROCESSION_HOME": str(folder / "state"),
            "PATH": f"{warm_programs()}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "USER": "ann",
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "COLUMNS": "120",
            "TZ": "UTC",
        }
        self._bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self._bash.stdin is not None
        self._bash.stdin.write(WITHIN_A_PAGE)

    def run(self, command: str) -> tuple[int, str]:
        """Exit status and output of a command."""
        bash = self._bash
        assert bash.stdin is not None
        assert bash.stdout is not None
        bash.stdin.write(f"{{\n{command}\n}} </dev/null 2>&1\nprintf '\\n{MARK}%s\\n' \"$?\"\n")
        bash.stdin.flush()
        timer = threading.Timer(COMMAND_SECONDS, self.close)
        timer.start()
        shown = []
        try:
            for line in bash.stdout:
                if line.startswith(MARK):
                    return int(line.removeprefix(MARK)), "".join(shown)
                shown.append(line)
        finally:
            timer.cancel()
        raise PageWrong(f"`{command}` did not end within {COMMAND_SECONDS} s; it printed:\n{''.join(shown)}")

    def close(self) -> None:
        """Ends the shell and what it left running."""
        try:
            os.killpg(self._bash.pid, 9)
        except ProcessLookupError:
            pass
        self._bash.wait()
        for stream in (self._bash.stdin, self._bash.stdout):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:
                pass


def run_page(page: Path, folder: Path) -> int:
    """Runs all blocks of the page; says how many there were. Raises `PageWrong` at the first that does not do what it shows."""
    shell = Shell(folder)
    count = 0
    try:
        for block in blocks(page):
            if block.language == "python":
                run_python(page, block, folder, shell)
            elif block.language == "console":
                for line, command, expected in steps(block):
                    check(f"{page.name}:{line}: `{command}`", expected, *shell.run(command))
            else:
                continue
            count += 1
    finally:
        shell.close()
    return count


def run_python(page: Path, block: Block, folder: Path, shell: Shell) -> None:
    """A named block becomes a file; every one is run. Names and imports are relative to the folder the shell stands in."""
    _, here = shell.run("pwd")
    path = Path(here.strip()) / (block.argument or ".page.py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, encoding="utf-8")
    check(f"{page.name}:{block.line}: python", [], *shell.run(f"PYTHONPATH=. python -W error '{path}'"))


def check(where: str, expected: list[str], status: int, shown: str) -> None:
    """Output and status are what the page says."""
    if status:
        shown += f"(exit status {status})\n"
        if f"(exit status {status})" not in expected:
            raise PageWrong(f"{where} ended with status {status}:\n{shown}")
    wanted = missing_line(expected, shown)
    if wanted is not None:
        raise PageWrong(f"{where} does not show this line in its place:\n{wanted}\nbut:\n{shown}")
