"""`make bench`: the limit of the disk and the peer, in one run on one machine; writes build/bench/engine.json.

`--quick` takes a tenth of the instances: to see that it runs, not for figures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.raw_sqlite import commit_p99_ms, throughput

CALLERS = 64


def measure_dbos(callers: int, instances: int) -> dict[str, Any]:
    """The peer, in a process of its own: it keeps threads and global state."""
    command = [sys.executable, "-m", "benchmarks.dbos_peer", "--callers", str(callers), "--instances", str(instances)]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    if figures["journal_mode"] != "wal" or figures["synchronous"] != "FULL":
        raise RuntimeError(f"the peer does not run with the settings it is compared under: {figures}")
    return figures


def measure(share: float) -> dict[str, float]:
    """All figures by name."""
    with tempfile.TemporaryDirectory(prefix="procession-bench-") as folder:
        raw = throughput(Path(folder) / "raw", instances=int(4096 * share), batch=CALLERS)
        p99_ms = commit_p99_ms(Path(folder) / "commits", commits=int(6000 * share))
    dbos = measure_dbos(CALLERS, int(320 * share))
    dbos_one = measure_dbos(1, int(40 * share))
    return {
        "raw_sqlite_transactions_per_second": round(raw.transactions_per_second, 1),
        "raw_commit_p99_ms": round(p99_ms, 3),
        "dbos_handoffs_per_second": dbos["hand_offs_per_second"],
        "dbos_handoffs_per_second_one_caller": dbos_one["hand_offs_per_second"],
        "dbos_cpu_us_per_handoff": dbos["cpu_us_per_hand_off"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("build/bench/engine.json"))
    arguments = parser.parse_args()
    figures = measure(0.1 if arguments.quick else 1.0)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(figures, indent=2) + "\n")
    for name, value in figures.items():
        print(f"{name:40} {value:12,.3f}")
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
