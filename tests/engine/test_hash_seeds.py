"""An instance that is lived through by workers with different hash seeds has one history, the same as in one life."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def step(store: Path, seed: int) -> list[str]:
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    command = [sys.executable, "-m", "tests.engine.seeds", str(store)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_every_worker_replays_what_the_others_lived_through_whatever_its_hash_seed(tmp_path: Path) -> None:
    told: list[list[str]] = []
    for number, seed in enumerate((1, 2, 3, 4, 5, 6, 7)):
        lived = step(tmp_path / "one.db", seed)
        if told:
            assert lived[1 : len(told[-1])] == told[-1][1:], f"step {number} changed what had been"
        told.append(lived)
    assert told[-1][0] == "completed"
    assert "[0, 1, 2, 3, 4]" in told[-1][-1], "members of a group are cancelled in the order in which they were made"
    withdrawn = [int(line.split()[1]) for line in told[2] if line.startswith("CallWithdrawn")]
    assert withdrawn[:4] == sorted(withdrawn[:4]) and len(withdrawn) == 8
