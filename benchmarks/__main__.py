"""`make bench`: the engine beside raw SQLite and DBOS, in one run on one machine; writes build/bench/engine.json, prints the targets.

`--quick` takes a tenth of the instances: to see that it runs, not for figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import engine_side, raw_sqlite, start_up
from benchmarks.report import table

CALLERS = 64


def measure_dbos(callers: int, instances: int) -> dict[str, Any]:
    """The peer, in a process of its own: it keeps threads and global state."""
    command = [sys.executable, "-m", "benchmarks.dbos_peer", "--callers", str(callers), "--instances", str(instances)]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    if figures["journal_mode"] != "wal" or figures["synchronous"] != "FULL":
        raise RuntimeError(f"the peer does not run with the settings it is compared under: {figures}")
    return figures


def measure_ours(folder: Path, share: float) -> dict[str, float]:
    """The engine, and what SQLite allows for the same rows."""
    many = asyncio.run(
        engine_side.throughput(folder / "many.db", callers=CALLERS, instances=int(2048 * share), warm_up=CALLERS)
    )
    one = asyncio.run(engine_side.throughput(folder / "one.db", callers=1, instances=int(256 * share), warm_up=4))
    raw = raw_sqlite.throughput(folder / "raw.db", instances=int(4096 * share), batch=CALLERS)
    raw_sqlite.expect_same_rows(folder / "many.db", folder / "raw.db")
    latency = asyncio.run(
        engine_side.complete_to_visible(folder / "relay.db", folder / "commits.db", completions=int(2000 * share))
    )
    parked = asyncio.run(engine_side.parked_bytes(folder / "parked.db", instances=int(2000 * share)))
    return {
        "handoffs_per_second": many.hand_offs_per_second,
        "handoffs_per_second_one_caller": one.hand_offs_per_second,
        "cpu_us_per_handoff": many.cpu_us_per_hand_off,
        "raw_sqlite_transactions_per_second": raw.transactions_per_second,
        "ratio_raw": many.hand_offs_per_second / raw.transactions_per_second,
        "complete_to_visible_p50_ms": latency.p50_ms,
        "complete_to_visible_p99_ms": latency.p99_ms,
        "raw_commit_p99_ms": latency.raw_p99_ms,
        "parked_disk_bytes_per_instance": parked,
    }


def measure(share: float) -> dict[str, float]:
    """All figures by name."""
    with tempfile.TemporaryDirectory(prefix="procession-bench-") as folder:
        figures = measure_ours(Path(folder), share)
    dbos = measure_dbos(CALLERS, int(320 * share))
    dbos_one = measure_dbos(1, int(40 * share))
    figures |= {
        "dbos_handoffs_per_second": dbos["hand_offs_per_second"],
        "dbos_handoffs_per_second_one_caller": dbos_one["hand_offs_per_second"],
        "dbos_cpu_us_per_handoff": dbos["cpu_us_per_hand_off"],
        "ratio_dbos": figures["handoffs_per_second"] / dbos["hand_offs_per_second"],
        "ratio_dbos_one_caller": figures["handoffs_per_second_one_caller"] / dbos_one["hand_offs_per_second"],
    }
    for started in start_up.measure():
        figures[f"{started.key}_cpu_seconds"] = started.cpu_seconds
    return {name: round(value, 4) for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("build/bench/engine.json"))
    arguments = parser.parse_args()
    figures = measure(0.1 if arguments.quick else 1.0)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(table(figures))
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
