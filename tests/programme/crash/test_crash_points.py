"""Killed at every durable write, effect and reply, the engine loses nothing, doubles nothing, and leaves nothing stuck.

Each case: a reference process is run and killed by `SIGKILL` at one point; what is on the disk is judged; the client starts
again from its beginning with the identifiers it used before; the end is judged, and must be that of an undisturbed run.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import pytest

from procession.engine.crash_points import CrashPoint
from tests.programme.crash.cases import Cases, moments
from tests.programme.crash.scripts import SCENARIOS

PARTS = 4
PAIRS = 400
SEED = 20_240_229
EACH = pytest.mark.parametrize("name", SCENARIOS)
PARTS_OF_LONG = {"touring": 12}
"""Those of which `make test` has one part alone: the rest takes too long."""
EACH_PART = pytest.mark.parametrize(
    ("name", "part"),
    [
        pytest.param(name, part, marks=[pytest.mark.long] if part and name in PARTS_OF_LONG else [])
        for name in SCENARIOS
        for part in range(PARTS_OF_LONG.get(name, PARTS))
    ],
)


def kill_at(
    cases: Cases, name: str, kills: Iterable[tuple[int, ...]], *, commits_in_thread: bool = False
) -> tuple[int, Counter[str]]:
    """Runs a case for each of them; gives how many runs were killed and what was exercised. Fails with all that was found."""
    sound = cases.sound(name)
    found: list[str] = []
    exercised: Counter[str] = Counter()
    killed = 0
    for each in kills:
        result = cases.run(name, each, commits_in_thread=commits_in_thread)
        killed += result.killed
        exercised += result.exercised
        problems = result.against(sound)
        if problems:
            where = " then ".join(f"{number} ({point_at(sound.points, number)})" for number in each)
            found.append("\n  ".join([f"{name}, killed at {where}:", *problems]))
    assert not found, f"{len(found)} cases are broken:\n" + "\n".join(found[:5])
    return killed, exercised


def point_at(points: tuple[str, ...], number: int) -> str:
    return points[number - 1] if number <= len(points) else "a point that only a restart has"


@EACH
def test_a_run_that_nothing_disturbs_is_sound(cases: Cases, name: str) -> None:
    """After every commit the live instances are what the store says, too."""
    assert cases.sound(name).problems == ()


@EACH
def test_a_run_passes_every_crash_point_of_the_engine(cases: Cases, name: str) -> None:
    assert {str(point) for point in CrashPoint} - set(cases.sound(name).points) == set()


@EACH
def test_a_run_is_the_same_each_time(cases: Cases, name: str) -> None:
    """Otherwise the number of a point would not say where a run is killed."""
    again = cases.run(name)
    assert (again.points, again.outcome) == (cases.sound(name).points, cases.sound(name).outcome)


@pytest.mark.slow
@EACH_PART
def test_nothing_is_lost_doubled_or_stuck_wherever_the_engine_is_killed(cases: Cases, name: str, part: int) -> None:
    chosen = moments(cases.sound(name).points)[part :: PARTS_OF_LONG.get(name, PARTS)]
    killed, exercised = kill_at(cases, name, [(number,) for number in chosen])
    assert killed == len(chosen), "each of these runs was to end at its point"
    assert [invariant for invariant in sorted(SCENARIOS[name].exercises) if not exercised[invariant]] == [], (
        "not exercised"
    )


@pytest.mark.long
@EACH
@pytest.mark.parametrize("part", range(PARTS))
def test_a_kill_between_two_statements_of_a_transaction_leaves_nothing_of_it(
    cases: Cases, name: str, part: int
) -> None:
    points = cases.sound(name).points
    rest = sorted(set(range(1, len(points) + 1)) - set(moments(points)))[part::PARTS]
    killed, _ = kill_at(cases, name, [(number,) for number in rest])
    assert killed == len(rest)


@pytest.mark.long
@EACH
def test_an_engine_killed_again_while_it_recovers_still_loses_nothing(cases: Cases, name: str) -> None:
    """Two kills in one case, the second in the run that follows the first: pairs by chance, with a seed that is told."""
    print(f"seed {SEED}")
    chance = random.Random(f"{SEED} {name}")
    numbers = moments(cases.sound(name).points)
    # A run after a crash repeats what was done before it, so that it has fewer points the later the first one ended.
    pairs = [(chance.choice(numbers), 1 + int(len(numbers) * chance.random() ** 2)) for _ in range(PAIRS)]
    killed, _ = kill_at(cases, name, pairs)
    assert killed > PAIRS * 3 // 2, "most of the second runs were to be killed as well"


@pytest.mark.long
@EACH
def test_nothing_is_lost_where_commits_are_slow_and_run_in_a_thread(cases: Cases, name: str) -> None:
    """Requests are then taken in while a commit runs, so that the points of a run have no fixed order."""
    chosen = moments(cases.run(name, commits_in_thread=True).points)[::2]
    killed, _ = kill_at(cases, name, [(number,) for number in chosen], commits_in_thread=True)
    assert killed > len(chosen) * 9 // 10
