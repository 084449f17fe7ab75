"""`procession` for tests that give many commands: one process has it imported, each command is forked from that one.

A test that is about the start of a program, its terminal or its signals starts the program itself.
"""

from __future__ import annotations

import atexit
import functools
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


@functools.cache
def warm_command() -> tuple[str, ...]:
    """What to run for `procession`, followed by its arguments. The server is started by the first who asks."""
    folder = tempfile.mkdtemp(prefix="procession-")
    path = f"{folder}/socket"
    server = subprocess.Popen(
        [sys.executable, "-I", HERE / "server.py", path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": folder},
    )
    assert server.stdin is not None
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"

    atexit.register(server.communicate)  # closes its standard input: that ends it
    return (sys.executable, "-I", "-S", str(HERE / "client.py"), path)


@functools.cache
def warm_programs() -> Path:
    """A folder with a program `procession`, for the search path of a shell."""
    command = warm_command()
    folder = Path(command[-1]).parent / "bin"
    folder.mkdir()
    program = folder / "procession"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return folder
