"""A test that never found a bug does not count: bugs planted in the engine must be found by the crash tests."""

from __future__ import annotations

import pytest

from tests.programme.crash.cases import Cases
from tests.programme.crash.planted import BUGS

MOST_KILLS = 60


def test_there_are_bugs_of_both_kinds() -> None:
    """Some show without a crash; those that only a crash shows say that the kills are worth it."""
    assert sum(bug.points is None for bug in BUGS.values()) >= 6
    assert sum(bug.points is not None for bug in BUGS.values()) >= 6


@pytest.mark.slow
@pytest.mark.parametrize("name", [bug.name for bug in BUGS.values() if bug.points is None])
def test_a_planted_bug_is_found_without_a_crash(cases: Cases, name: str) -> None:
    bug = BUGS[name]
    found = cases.run(bug.scenario, bug=name, compares=True).against(cases.sound(bug.scenario))
    assert found, "the bug was not found"


@pytest.mark.slow
@pytest.mark.parametrize("name", [bug.name for bug in BUGS.values() if bug.points is not None])
def test_a_planted_bug_that_only_a_crash_shows_is_found(cases: Cases, name: str) -> None:
    bug = BUGS[name]
    sound = cases.sound(bug.scenario)
    undisturbed = cases.run(bug.scenario, bug=name)
    assert undisturbed.against(sound) == [], "without a crash nothing is to be seen"
    points = [number for number, point in enumerate(undisturbed.points, start=1) if point == bug.points]
    assert any(cases.run(bug.scenario, [number], bug=name).against(sound) for number in points[:MOST_KILLS])
