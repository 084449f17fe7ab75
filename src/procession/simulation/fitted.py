"""A small model fitted to recorded cases: how often they arrive, who decides what how often, how long each step takes.

It holds figures only. Cases generated from it look like the recorded ones in the large: arrivals are a Poisson process,
durations are drawn from the quantiles of the recorded ones (inverse transform sampling: Law, "Simulation Modeling and
Analysis", 2015, 8.2.1), answers from their recorded shares.
"""

import bisect
import heapq
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from procession.errors import OperatorError
from procession.simulation.log_following import Plan
from procession.simulation.rehearsal import MOST_STEPS, Offer, Rehearsal, Script, Step
from procession.simulation.specificity import Trigram, trigrams

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class NothingToFit(OperatorError):
    """There is no case to fit a model to: none was recorded, or none of them is a run of the process."""

    code = "nothing-to-fit"


@dataclass(frozen=True, slots=True)
class OperationFigures:
    """One operation: the share of its offers that somebody takes up, quantiles of the hours from offer to answer, answers."""

    taken: float
    hours: tuple[float, ...]
    choices: Mapping[tuple[int, ...], int]


@dataclass(frozen=True, slots=True)
class FittedModel:
    """The figures of a process: cases a day, its operations by id, and which activities were seen in a row."""

    arrivals_per_day: float
    operations: Mapping[str, OperationFigures]
    trigrams: frozenset[Trigram]


@dataclass(frozen=True, slots=True)
class TimedStep:
    """A step of a generated case: what is answered, and how long after the start of the case."""

    step: Step
    operation: str
    after_us: int


@dataclass(frozen=True, slots=True)
class ObservedCase:
    """A recorded case that fits: when it started, its activities and their times, and the plan that follows it."""

    started_us: int
    activities: tuple[str, ...]
    times_us: tuple[int, ...]
    plan: Plan


def fit(script: Script, cases: Iterable[ObservedCase]) -> FittedModel:
    """The figures of these cases. Raises `NothingToFit` where there are none."""
    offers: Counter[str] = Counter()
    hours: defaultdict[str, list[float]] = defaultdict(list)
    choices: defaultdict[str, Counter[tuple[int, ...]]] = defaultdict(Counter)
    seen: set[Trigram] = set()
    started: list[int] = []
    for case in cases:
        started.append(case.started_us)
        seen.update(trigrams(case.activities))
        for offer, step, waited_us in _observed(script, case):
            offers[offer.task.id] += 1
            if step is not None:
                hours[offer.task.id].append(max(0, waited_us) / HOUR_US)
                choices[offer.task.id][step.choices] += 1
    if not started:
        raise NothingToFit(
            "None of these cases is a run of the process.", remedy="Name a log of cases that the process allows."
        )
    days = (max(started) - min(started)) / DAY_US or 1.0
    operations = {
        name: OperationFigures(len(hours[name]) / offers[name], _quantiles(hours[name]), choices[name])
        for name in sorted(offers)
    }
    return FittedModel(len(started) / days, operations, frozenset(seen))


def generate_case(model: FittedModel, script: Script, chance: random.Random) -> tuple[TimedStep, ...]:
    """One case: each offer is taken up after a drawn time, or never; where nobody takes anything, somebody does at last.

    A case that does not come to its end is cut off after `MOST_STEPS`.
    """
    rehearsal = Rehearsal(script)
    due: list[tuple[int, int]] = []
    drawn: set[int] = set()
    steps: list[TimedStep] = []
    now_us = 0
    while not rehearsal.has_ended and len(steps) < MOST_STEPS:
        offers = {offer.call: offer for offer in rehearsal.offers}
        for call in offers.keys() - drawn:
            drawn.add(call)
            heapq.heappush(due, (now_us + _wait_us(model, offers[call], chance), call))
        while due[0][1] not in offers:
            heapq.heappop(due)
        due_us, call = heapq.heappop(due)
        now_us = max(now_us, due_us % _NEVER_US)
        offer = offers[call]
        step = Step(call, _choices(model, script, offer, chance))
        rehearsal.take(step)
        steps.append(TimedStep(step, offer.task.id, now_us))
    rehearsal.close()
    return tuple(steps)


def write_model(model: FittedModel) -> str:
    """The model as TOML."""
    lines = ["[arrivals]", f"per_day = {model.arrivals_per_day:.4f}", ""]
    for name, figures in model.operations.items():
        lines.append(f"[operations.{json.dumps(name, ensure_ascii=False)}]")
        lines.append(f"taken = {figures.taken:.4f}")
        lines.append(f"hours = [{', '.join(f'{hours:.4f}' for hours in figures.hours)}]")
        answers = [[list(choices), count] for choices, count in sorted(figures.choices.items())]
        lines += [f"choices = {json.dumps(answers)}", ""]
    lines += ["[seen]", "in_a_row = ["]
    lines += [f"  {json.dumps(list(each), ensure_ascii=False)}," for each in sorted(model.trigrams)]
    return "\n".join([*lines, "]", ""])


def read_model(content: Mapping[str, object]) -> FittedModel:
    """The model from parsed TOML, as `write_model` wrote it."""
    table = json.loads(json.dumps(content))
    operations = {
        name: OperationFigures(
            float(figures["taken"]),
            tuple(map(float, figures["hours"])),
            {tuple(choices): int(count) for choices, count in figures["choices"]},
        )
        for name, figures in table.get("operations", {}).items()
    }
    seen = frozenset((first, second, third) for first, second, third in table["seen"]["in_a_row"])
    return FittedModel(float(table["arrivals"]["per_day"]), operations, seen)


_NEVER_US = 10_000 * DAY_US


def _observed(script: Script, case: ObservedCase) -> list[tuple[Offer, Step | None, int]]:
    """Every offer that the case made, with the step that took it up (None: nobody did) and the time between."""
    offered_us: dict[int, int] = {}
    known: dict[int, Offer] = {}
    taken: dict[int, tuple[Step, int]] = {}
    rehearsal = Rehearsal(script)
    now_us = case.started_us
    for step, at_us in zip(case.plan.steps, case.times_us, strict=False):
        for offer in rehearsal.offers:
            if offer.call not in known:
                known[offer.call], offered_us[offer.call] = offer, now_us
        taken[step.call] = (step, at_us)
        rehearsal.take(step)
        now_us = at_us
    rehearsal.close()
    found: list[tuple[Offer, Step | None, int]] = []
    for call, offer in known.items():
        step_and_time = taken.get(call)
        found.append(
            (offer, None, 0)
            if step_and_time is None
            else (offer, step_and_time[0], step_and_time[1] - offered_us[call])
        )
    return found


def _quantiles(values: Sequence[float]) -> tuple[float, ...]:
    if not values:
        return tuple(0.0 for _ in QUANTILES)
    ordered = sorted(values)
    return tuple(ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in QUANTILES)


def _wait_us(model: FittedModel, offer: Offer, chance: random.Random) -> int:
    figures = model.operations.get(offer.task.id)
    if figures is None:
        return _NEVER_US
    waited_us = int(_drawn_hours(figures, chance) * HOUR_US)
    return waited_us if chance.random() < figures.taken else waited_us + _NEVER_US


def _drawn_hours(figures: OperationFigures, chance: random.Random) -> float:
    """Linear between the quantiles; the tails beyond the outermost are cut."""
    share = min(max(chance.random(), QUANTILES[0]), QUANTILES[-1])
    place = max(1, bisect.bisect_left(QUANTILES, share))
    low, high = QUANTILES[place - 1], QUANTILES[place]
    within = (share - low) / (high - low)
    return figures.hours[place - 1] + within * (figures.hours[place] - figures.hours[place - 1])


def _choices(model: FittedModel, script: Script, offer: Offer, chance: random.Random) -> tuple[int, ...]:
    figures = model.operations.get(offer.task.id)
    known = dict(figures.choices) if figures is not None else {}
    possible = [(each, known.get(each, 0)) for each in script.choices(offer.task)]
    if not any(count for _, count in possible):
        return possible[0][0]
    return chance.choices([each for each, _ in possible], [count for _, count in possible])[0]
