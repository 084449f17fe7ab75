"""Rehearsals, following recorded cases, performers by chance, specificity and the fitted model, on one small process."""

import random
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from enum import Enum

import pytest

from procession import Function, after, process, together
from procession.language.registry import Registry
from procession.simulation.fitted import HOUR_US, ObservedCase, fit, generate_case, read_model, write_model
from procession.simulation.log_following import LogFollower
from procession.simulation.rehearsal import CannotRehearse, Rehearsal, Script, Step
from procession.simulation.specificity import share_seen, trigrams
from procession.simulation.uniform import random_run

desk = Function("Desk", owner="desk@acme.example")


class Finding(Enum):
    """What the reader of a letter finds."""

    GOOD = "good"
    MISTAKES = "mistakes"
    SUPERFLUOUS = "superfluous"


@dataclass(frozen=True)
class Reading:
    """Somebody read the letter."""

    finding: Finding
    remarks: str


@desk.task(title="Write")
async def write(subject: str) -> str:
    """Write the letter."""
    ...


@desk.task(title="Read")
async def read(letter: str) -> Reading:
    """Read it."""
    ...


@desk.task(title="Send")
async def send(letter: str) -> None:
    """Send it."""
    ...


@desk.task(title="File")
async def file(subject: str) -> None:
    """File a copy."""
    ...


@process(owner=desk)
async def answer_letter(subject: str) -> bool:
    """Write, read and send a letter, and file a copy meanwhile."""
    sent, _ = await together(until_sent(subject), file(subject))
    return sent


async def until_sent(subject: str) -> bool:
    letter = await write(subject)
    while (reading := await read(letter)).finding is Finding.MISTAKES:
        letter = await write(reading.remarks)
    if reading.finding is Finding.GOOD:
        await send(letter)
    return reading.finding is Finding.GOOD


@process(owner=desk)
async def sleepy(subject: str) -> None:
    await together(after("1 day"), file(subject))


@process(owner=desk)
async def faulty(subject: str) -> None:
    await file(subject)
    raise AssertionError("a mistake of the author")


REGISTRY = Registry.of([sys.modules[__name__]])
SCRIPT = Script(REGISTRY, answer_letter, b'{"subject":"the dike"}')


def follow(*activities: str, closed: bool) -> tuple[int, int | None]:
    """How many steps the plan has, and the misfit."""
    plan = LogFollower(SCRIPT).plan(activities, closed=closed)
    return len(plan.steps), plan.misfit


def test_a_rehearsal_offers_what_the_process_asks_for() -> None:
    rehearsal = Rehearsal(SCRIPT)
    assert [offer.task.name for offer in rehearsal.offers] == ["write", "file"]
    rehearsal.take(Step(1, ()))
    assert [offer.task.name for offer in rehearsal.offers] == ["file", "read"]
    rehearsal.close()


@pytest.mark.parametrize("name", ["sleepy", "faulty"])
def test_what_cannot_be_rehearsed_is_refused_by_name(name: str) -> None:
    rehearsal = Rehearsal(Script(REGISTRY, REGISTRY.processes[name], b'{"subject":"x"}'))
    with pytest.raises(CannotRehearse, match=name):
        rehearsal.take(Step(rehearsal.offers[0].call, ()))
    rehearsal.close()


@pytest.mark.parametrize(
    "activities",
    [
        ("Write", "Read", "Send", "File"),
        ("File", "Write", "Read", "Send"),
        ("Write", "Read", "File"),
        ("Write", "File", "Read"),
        ("Write", "Read", "Write", "Read", "File", "Write", "Read", "Send"),
    ],
)
def test_the_answers_of_a_closed_case_are_found(activities: tuple[str, ...]) -> None:
    """Taken one by one, the steps of the plan do what was recorded, and the process ends."""
    plan = LogFollower(SCRIPT).plan(activities, closed=True)
    assert plan.fits
    rehearsal = Rehearsal(SCRIPT)
    for step, activity in zip(plan.steps, activities, strict=True):
        assert activity in [offer.task.title for offer in rehearsal.offers if offer.call == step.call]
        rehearsal.take(step)
    assert rehearsal.has_ended
    rehearsal.close()


def test_an_open_case_fits_as_far_as_it_has_come() -> None:
    assert follow("Write", "Read", closed=False) == (2, None)
    assert follow(closed=False) == (0, None)


def test_the_first_event_that_no_run_has_is_named() -> None:
    assert follow("Write", "Send", "File", closed=True) == (1, 1)
    assert follow("Read", closed=False) == (0, 0)
    assert follow("Write", "Read", "Send", "File", "File", closed=True) == (4, 4)
    assert follow("Dance", closed=False) == (0, 0)


def test_a_case_that_was_closed_before_the_process_can_end_does_not_fit() -> None:
    assert follow("Write", "Read", "Send", closed=True) == (3, 3)


def test_the_order_in_which_cases_are_followed_changes_no_plan() -> None:
    traces = [
        ("Write", "Read"),
        ("Write", "Read", "Send"),
        ("Write", "Read", "Send", "File"),
        ("Write", "Read", "File"),
    ]
    follower = LogFollower(SCRIPT)
    assert [follower.plan(trace, closed=False) for trace in traces] == [
        LogFollower(SCRIPT).plan(trace, closed=False) for trace in reversed(traces)
    ][::-1]


def test_performers_who_know_nothing_take_everything_alike_often() -> None:
    chance = random.Random(1)
    runs = [random_run(SCRIPT, chance) for _ in range(900)]
    assert all(run.has_ended for run in runs)
    first = Counter(run.activities[0] for run in runs)
    assert 390 < first["Write"] < 510
    readings = Counter(step.choices for run in runs for step in run.steps if step.choices)
    assert all(0.28 < count / readings.total() < 0.39 for count in readings.values())


def test_a_seed_repeats_the_runs_of_chance() -> None:
    assert [random_run(SCRIPT, random.Random(5)) for _ in range(3)] == [
        random_run(SCRIPT, random.Random(5)) for _ in range(3)
    ]


def test_specificity_is_the_share_of_steps_seen_after_the_two_before_them() -> None:
    seen = frozenset(trigrams(("a", "b", "c")))
    assert share_seen([("a", "b", "c")], seen) == 1
    assert share_seen([("a", "b", "c", "d")], seen) == 0.75
    assert share_seen([("b", "c"), ("a", "b")], seen) == 0.5
    assert share_seen([], seen) == 0


def observed(activities: tuple[str, ...], started_us: int) -> ObservedCase:
    plan = LogFollower(SCRIPT).plan(activities, closed=True)
    times = tuple(started_us + (place + 1) * HOUR_US for place in range(len(activities)))
    return ObservedCase(started_us, activities, times, plan)


def test_a_model_gives_back_the_shares_it_was_fitted_to() -> None:
    """Of ten letters one has mistakes once; none is superfluous; a step follows an hour after the one before."""
    cases = [observed(("Write", "Read", "Send", "File"), number * 24 * HOUR_US) for number in range(9)]
    cases.append(observed(("Write", "Read", "Write", "Read", "Send", "File"), 9 * 24 * HOUR_US))
    model = read_model(tomllib.loads(write_model(fit(SCRIPT, cases))))
    assert model.arrivals_per_day == pytest.approx(10 / 9, abs=1e-4)
    assert model.trigrams == {each for case in cases for each in trigrams(case.activities)}
    chance = random.Random(2)
    generated = [generate_case(model, SCRIPT, chance) for _ in range(400)]
    readings = Counter(each.step.choices for case in generated for each in case if each.operation == "Desk.read")
    assert readings[(2,)] == 0
    assert 0.05 < readings[(1,)] / readings.total() < 0.14
    for case in generated:
        assert [each.after_us for each in case] == sorted(each.after_us for each in case)
        assert case[0].after_us == HOUR_US
