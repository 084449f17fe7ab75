"""Runs cases, each in processes of its own that are forked from one warm parent: a kill costs milliseconds, not a start.

It reads one JSON line per case from its standard input and answers with one: the scenario, a folder, the points at which
the runs are to end (`kills`), and the planted bug, if any. Nothing here has a thread, so that forking is safe.
"""

from __future__ import annotations

import gc
import json
import math
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from procession.engine import writer
from procession.language.operations import Service
from procession.store.opening import open_store
from tests.programme.crash.planted import plant
from tests.programme.crash.runs import deployed, run
from tests.programme.crash.scripts import SCENARIOS, Scenario
from tests.programme.crash.verdict import Verdict, judge
from tests.programme.crash.world import World, enter

SECONDS_A_RUN = 30
_SCRATCH = Path("/dev/shm")  # memory where there is some: flushes cost nothing there, and a kill loses no memory


def main() -> None:
    """Answer cases until there are no more."""
    _warm_up()
    with _folder() as name:
        empty = Path(name) / "store.db"
        open_store(empty).close()
        for line in sys.stdin:
            print(json.dumps(_answer(json.loads(line), empty)), flush=True)


def _warm_up() -> None:
    """Everything that is made once and kept (statements, types, programs) is made before the first fork."""
    for scenario in SCENARIOS.values():
        with _folder() as name:
            world = World(Path(name))
            enter(world)
            _, registry = deployed(world, scenario)
            for operation in registry.operations.values():
                _ = operation.inputs, operation.result
            if not any(isinstance(each, Service) and not each.is_async for each in registry.operations.values()):
                run(world, scenario)  # the others leave a thread behind, and a process with threads must not fork
                judge(world, registry, ended=True)
    gc.collect()
    gc.freeze()


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="procession-crash-", dir=_SCRATCH if _SCRATCH.is_dir() else None)


def _answer(case: dict[str, Any], empty: Path) -> dict[str, Any]:
    """The runs that are killed, one after the other, then one to the end; each judges first what the one before left."""
    scenario = SCENARIOS[case["scenario"]]
    with _folder() as name:
        folder = Path(name)
        if not scenario.makes_store:
            shutil.copyfile(empty, folder / empty.name)
        killed = 0
        found: dict[str, Any] = {}
        for kill_at in [*case["kills"], None]:
            is_last = kill_at is None
            status = _in_child(partial(_run_in_child, scenario, folder, kill_at, case, is_later=bool(killed)))
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL and not is_last:
                killed += 1
                continue
            if os.WIFEXITED(status) and os.WEXITSTATUS(status):
                return {"fault": "a run failed outside the engine; the error output of the fork server says how"}
            if os.WIFSIGNALED(status):
                found = {"problems": [f"the run was ended by signal {os.WTERMSIG(status)} (14: it hung)"]}
            break
        result = folder / "result"
        if result.exists():
            found = json.loads(result.read_bytes())
        return {"killed": killed, **found}


def _in_child(work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)  # the standard output belongs to the answers
        signal.alarm(SECONDS_A_RUN)
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def _run_in_child(
    scenario: Scenario, folder: Path, kill_at: int | None, case: dict[str, Any], *, is_later: bool
) -> None:
    """One run. What it leaves is judged here if it comes to its end, and by the next run where it is killed."""
    plant(case.get("bug"))
    # Every commit counts as slow, or none does: on a busy machine the points of a run would have no fixed order.
    writer.SLOW_COMMIT_SECONDS = -1.0 if case.get("commits_in_thread") else math.inf
    verdict = Verdict()
    world = World(folder)
    try:
        enter(world)
        if is_later:
            crashed = judge(world, deployed(world, scenario)[1], ended=False)
            verdict.problems += [f"after the crash: {problem}" for problem in crashed.problems]
            verdict.exercised += crashed.exercised
        if not verdict.problems:
            world = World(folder, kill_at=kill_at)
            client = run(world, scenario, compares=bool(case.get("compares")))
            final = judge(world, deployed(world, scenario)[1], ended=True, refusals=client.refusals)
            verdict.problems += final.problems
            verdict.exercised += final.exercised
            verdict.outcome = final.outcome
    except BaseException as error:
        verdict.problems.append(f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-6)}")
    result = {
        "problems": verdict.problems,
        "exercised": verdict.exercised,
        "outcome": verdict.outcome,
        "points": world.points,
    }
    (folder / "result").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
