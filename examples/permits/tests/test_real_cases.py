"""The process beside the log of real cases: it allows nearly all of them, and little that was never seen.

The log is not part of the project; where it is missing these tests say so and are skipped.
"""

import random
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from procession.language.fields import FieldKind
from procession.language.process import Process
from procession.language.registry import Registry
from procession.services.demo import fit_model
from procession.services.demo_log import RecordedCase, read_log
from procession.simulation.answers import FIXED_VALUES
from procession.simulation.log_following import LogFollower
from procession.simulation.rehearsal import Offer, Rehearsal, Script, Step
from procession.simulation.specificity import share_seen, trigrams
from procession.simulation.uniform import random_run

PROJECT = Path(__file__).parent.parent.parent.parent
LOG = PROJECT.parent / "shared" / "data" / "logs" / "receipt.csv.gz"

MODEL = Path(__file__).parent.parent / "model.toml"

APPLICATION = b'{"application":{"case":"1","channel":"Desk","department":"General","responsible":"Ann"}}'
OTHER_VALUES: Mapping[FieldKind, object] = {
    **FIXED_VALUES,
    FieldKind.TEXT: "something else altogether",
    FieldKind.INTEGER: 99,
    FieldKind.LIST: 0,
}
EMPTY_TEXTS: Mapping[FieldKind, object] = {**FIXED_VALUES, FieldKind.TEXT: ""}


@pytest.fixture(scope="module")
def log() -> tuple[RecordedCase, ...]:
    """The real cases."""
    if not LOG.exists():
        pytest.skip(f"The log of real cases is not here: {LOG}")
    return read_log(LOG)


@pytest.fixture(scope="module")
def script(registry: Registry, process: Process[Any, Any]) -> Script:
    """The process with one application, and the answers that its tasks take."""
    return Script(registry, process, APPLICATION)


def test_each_operation_bears_the_name_of_one_recorded_activity(
    log: tuple[RecordedCase, ...], registry: Registry
) -> None:
    titles = [operation.title for operation in registry.operations.values()]
    assert len(titles) == len(set(titles)) == 27
    assert set(titles) == {event.activity for case in log for event in case.events}


@pytest.mark.slow
def test_at_least_98_of_100_real_cases_are_runs_of_the_process_the_latest_as_well(
    log: tuple[RecordedCase, ...], script: Script
) -> None:
    """Ended cases to their end, open ones as far as they have come."""
    follower = LogFollower(script)
    fits = {case.case: follower.plan(case.activities, closed=case.closed).fits for case in log}
    assert len(fits) == 1434
    assert sum(fits.values()) / len(fits) >= 0.98
    latest = log[len(log) * 2 // 3 :]
    assert sum(fits[case.case] for case in latest) / len(latest) >= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_at_least_6_of_10_steps_of_cases_made_by_chance_were_seen_in_real_ones(
    log: tuple[RecordedCase, ...], script: Script, seed: int
) -> None:
    """Uniform among offered tasks and among the values of what is finite: the fit is not bought by allowing anything."""
    seen = frozenset(each for case in log for each in trigrams(case.activities))
    chance = random.Random(seed)
    runs = [random_run(script, chance) for _ in range(1000)]
    assert all(run.has_ended for run in runs)
    assert share_seen([run.activities for run in runs], seen) >= 0.7


@pytest.mark.slow
def test_the_model_of_generated_cases_is_what_the_log_gives(log: tuple[RecordedCase, ...]) -> None:
    """As `fit_model.py` writes it: its figures are not made up, and not those of a former process."""
    assert fit_model(LOG) == MODEL.read_text(encoding="utf-8").partition("\n")[2]


def test_no_two_values_of_a_choice_lead_to_the_same(script: Script) -> None:
    """Else a choice made by chance would be weighted without saying so."""
    alike_so_far: dict[tuple[str, tuple[int, ...], tuple[int, ...]], bool] = {}
    chance = random.Random(3)
    for run in (random_run(script, chance) for _ in range(60)):
        for place, step in enumerate(run.steps):
            before = run.steps[:place]
            task = next(offer.task for offer in _after(script, before)[1] if offer.call == step.call)
            ends = {choices: _after(script, (*before, Step(step.call, choices))) for choices in script.choices(task)}
            for one, other in combinations(ends, 2):
                pair = (task.id, one, other)
                alike_so_far[pair] = alike_so_far.get(pair, True) and ends[one] == ends[other]
    assert len(alike_so_far) > 20
    assert [pair for pair, always in alike_so_far.items() if always] == []


@pytest.mark.parametrize("values", [OTHER_VALUES, EMPTY_TEXTS], ids=["other values", "empty texts"])
def test_no_branch_depends_on_a_value_that_is_not_a_choice(
    script: Script, registry: Registry, values: Mapping[FieldKind, object]
) -> None:
    """Runs made by chance offer the same tasks after each step, whatever the texts of answers and inputs say."""
    application = APPLICATION.replace(b"Desk", b"Post").replace(b"General", b"Experts")
    other = Script(registry, script.process, application, values=values)
    chance = random.Random(7)
    for run in (random_run(script, chance) for _ in range(150)):
        here, there = Rehearsal(script), Rehearsal(other)
        for step in run.steps:
            assert there.offers == here.offers
            here.take(step)
            there.take(step)
        assert here.has_ended
        assert there.has_ended
        here.close()
        there.close()


def _after(script: Script, steps: tuple[Step, ...]) -> tuple[bool, tuple[Offer, ...]]:
    """Whether the process has ended after these steps, and what is offered then."""
    rehearsal = Rehearsal.after(script, steps)
    reached = (rehearsal.has_ended, rehearsal.offers)
    rehearsal.close()
    return reached
