"""A command that is forked is to its caller what one that is started is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.warm.commands import warm_command

STARTED = (sys.executable, "-m", "procession.cli.main")


@pytest.mark.parametrize("arguments", [["--version"], ["list"], ["no-such-command"], ["new", "leave"]], ids=" ".join)
def test_what_a_forked_command_prints_and_how_it_ends_is_as_if_it_were_started(
    arguments: list[str], tmp_path: Path
) -> None:
    told = []
    for number, command in enumerate((STARTED, warm_command())):
        folder = tmp_path / str(number) / "x"
        folder.mkdir(parents=True)
        done = subprocess.run(
            [*command, *arguments],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=False,
        )
        left = sorted(str(file.relative_to(folder)) for file in folder.rglob("*"))
        said = (
            (done.stdout + done.stderr).replace(str(folder), "").replace("python -m procession.cli.main", "procession")
        )
        told.append((done.returncode, said, left))
    assert told[0] == told[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_a_signal_to_a_forked_command_ends_it(number: signal.Signals, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "COLUMNS": "120"}
    subprocess.run(
        [*warm_command(), "new", "leave"], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, check=True
    )
    with subprocess.Popen(
        [*warm_command(), "run", "--format", "json"],
        cwd=tmp_path / "leave",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as engine:
        assert engine.stdout is not None
        assert '"ready"' in engine.stdout.readline()
        engine.send_signal(number)
        engine.stdout.read()  # the command itself has ended: nobody else has this open
        status = engine.wait()
    assert status == (-signal.SIGKILL if number == signal.SIGKILL else 0)
