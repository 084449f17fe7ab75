"""Has cases run by the fork server, and chooses the points at which they are killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from procession.engine.crash_points import CrashPoint

ROOT = Path(__file__).resolve().parents[3]
# The engine's point and that of the statement beside it are one moment.
_ONE_MOMENT = {(str(CrashPoint.BEFORE_COMMIT), "before COMMIT"), ("after COMMIT", str(CrashPoint.AFTER_COMMIT))}
_INSIDE = ("before INSERT", "before UPDATE", "before DELETE", "before CREATE")


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case: how many of its runs were killed, what is wrong, and what was seen."""

    killed: int
    problems: tuple[str, ...]
    exercised: Counter[str]
    outcome: tuple[str, ...]
    points: tuple[str, ...]

    def against(self, sound: Result) -> list[str]:
        """What is wrong with the case, beside a run that nothing disturbed."""
        if self.problems or self.outcome == sound.outcome:
            return list(self.problems)
        mine, other = Counter(self.outcome), Counter(sound.outcome)
        differences = [f"only with a crash: {row}" for row in (mine - other).elements()]
        return differences + [f"only without a crash: {row}" for row in (other - mine).elements()]


class Cases:
    """A running fork server."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self._server = server
        self._sound: dict[str, Result] = {}

    def run(
        self,
        scenario: str,
        kills: Sequence[int] = (),
        *,
        bug: str | None = None,
        compares: bool = False,
        commits_in_thread: bool = False,
    ) -> Result:
        """One case: a run for each kill, each on what the one before left, and one to the end."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        case: dict[str, Any] = {"scenario": scenario, "kills": list(kills), "bug": bug, "compares": compares}
        case["commits_in_thread"] = commits_in_thread
        self._server.stdin.write(json.dumps(case) + "\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        assert answer, "the fork server has ended; its error output says why"
        found = json.loads(answer)
        assert "fault" not in found, found["fault"]
        return Result(
            found["killed"],
            tuple(found["problems"]),
            Counter(found.get("exercised", {})),
            tuple(found.get("outcome", ())),
            tuple(found.get("points", ())),
        )

    def sound(self, scenario: str) -> Result:
        """The run that nothing disturbs: it numbers the points, and all others are compared with it."""
        if scenario not in self._sound:
            self._sound[scenario] = self.run(scenario, compares=True)
        return self._sound[scenario]


@contextmanager
def fork_server() -> Iterator[Cases]:
    """A fork server of one's own, ended at the end."""
    paths = filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "tests.programme.crash.fork_server"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        yield Cases(server)


def moments(points: Sequence[str]) -> list[int]:
    """The numbers of the points that are moments of their own, as far as the disk can tell them apart.

    Of the statements inside a transaction, the first of each kind: nothing of it is durable before its commit.
    """
    chosen: list[int] = []
    seen: set[str] = set()
    for number, point in enumerate(points, start=1):
        if number > 1 and (points[number - 2], point) in _ONE_MOMENT:
            continue
        if point.startswith(_INSIDE) and point in seen:
            continue
        seen.add(point)
        chosen.append(number)
    return chosen
