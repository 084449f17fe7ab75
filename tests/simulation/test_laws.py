"""Laws of rehearsals and generated cases: for any answer type, any run, any figures."""

import itertools
import json
import random
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, make_dataclass
from enum import Enum
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession import Function, process, together
from procession.language.codec import ValueCodec
from procession.language.registry import Registry
from procession.simulation.answers import all_choices, answer_by, following
from procession.simulation.fitted import (
    QUANTILES,
    FittedModel,
    NothingToFit,
    ObservedCase,
    OperationFigures,
    fit,
    generate_case,
    read_model,
    write_model,
)
from procession.simulation.log_following import LogFollower
from procession.simulation.rehearsal import MOST_STEPS, Rehearsal, Script, Step
from procession.simulation.specificity import share_seen, trigrams
from procession.simulation.uniform import random_run

clerks = Function("Clerks", owner="clerks@acme.example")


class Verdict(Enum):
    """What a clerk says about a claim."""

    PAY = "pay"
    ASK = "ask"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Letter:
    """Something was written to the customer."""

    text: str
    urgent: bool


@dataclass(frozen=True)
class Nothing:
    """There was nothing to write."""

    why: str


@clerks.task(title="Judge")
async def judge(claim: str) -> Verdict:
    """What about this claim?"""
    ...


@clerks.task(title="Ask")
async def ask(claim: str) -> Letter | Nothing:
    """Ask the customer."""
    ...


@clerks.task(title="Pay")
async def pay(claim: str) -> None:
    """Pay it."""
    ...


@clerks.task(title="Note")
async def note(claim: str) -> bool:
    """Is it a strange claim?"""
    ...


@clerks.task(title="Warn")
async def warn(claim: str) -> None:
    """Tell the others."""
    ...


@process(owner=clerks)
async def settle(claim: str) -> Verdict:
    """Judge a claim, asking as often as it takes, and note it meanwhile."""
    verdict, strange = await together(until_judged(claim), note(claim))
    if strange:
        await warn(claim)
    return verdict


async def until_judged(claim: str) -> Verdict:
    while (verdict := await judge(claim)) is Verdict.ASK:
        match await ask(claim):
            case Letter(urgent=True):
                return Verdict.PAY
            case Letter():
                pass
            case Nothing():
                return Verdict.REFUSE
    if verdict is Verdict.PAY:
        await pay(claim)
    return verdict


REGISTRY = Registry.of([sys.modules[__name__]])
SCRIPT = Script(REGISTRY, settle, b'{"claim":"a roof"}')
TITLES = tuple(sorted(task.title for task in SCRIPT.tasks.values()))


# --- answers -----------------------------------------------------------------------------------------------------

NUMBERS = itertools.count()
Shape = tuple[Any, int]
"""A type, and in how many ways an answer of it can be chosen."""


def made_enum(names: list[str]) -> Shape:
    return Enum(f"Enum{next(NUMBERS)}", {name: name for name in names}), len(names)


def made_dataclass(fields: list[Shape]) -> Shape:
    count = 1
    for _, ways in fields:
        count *= ways
    members = [(f"field_{place}", annotation) for place, (annotation, _) in enumerate(fields)]
    return make_dataclass(f"Made{next(NUMBERS)}", members, frozen=True), count


def made_union(members: list[Shape]) -> Shape:
    annotation: Any = members[0][0]
    for member, _ in members[1:]:
        annotation = annotation | member
    return annotation, sum(ways for _, ways in members)


def made_optional(shape: Shape) -> Shape:
    return shape[0] | None, shape[1] + 1


leaves = st.one_of(
    st.sampled_from([(str, 1), (int, 1), (bool, 2), (Literal["a", "b", "c"], 3)]),
    st.lists(st.sampled_from("ABCDE"), min_size=1, max_size=4, unique=True).map(made_enum),
)
records = st.lists(leaves, min_size=1, max_size=3).map(made_dataclass)
shapes = st.one_of(
    leaves,
    records,
    st.one_of(leaves, records).map(made_optional),
    st.lists(records, min_size=2, max_size=3).map(made_union),
    st.lists(st.one_of(leaves, records, records.map(made_optional)), min_size=1, max_size=3).map(made_dataclass),
)


@settings(max_examples=60)
@given(shapes)
def test_all_choices_are_the_product_of_what_is_finite_each_once(shape: Shape) -> None:
    """As many as the type has ways to choose, no two alike, and each makes a value of the type that no other makes."""
    annotation, ways = shape
    codec: ValueCodec[Any] = ValueCodec(annotation)
    fields = codec.fields()
    choices = list(all_choices(fields))
    assert len(choices) == len(set(choices)) == ways
    answers = (json.dumps(answer_by(fields, following(each))).encode() for each in choices)
    assert len({codec.encode(codec.parse(answer)) for answer in answers}) == ways


@settings(max_examples=60)
@given(shapes, st.integers(0, 2**32))
def test_an_answer_by_chance_is_among_all_choices_and_its_choices_make_it_again(shape: Shape, seed: int) -> None:
    fields = ValueCodec[Any](shape[0]).fields()
    chance, made = random.Random(seed), list[int]()

    def choose(size: int) -> int:
        made.append(chance.randrange(size))
        return made[-1]

    answer = answer_by(fields, choose)
    assert tuple(made) in set(all_choices(fields))
    assert answer_by(fields, following(tuple(made))) == answer


# --- following ---------------------------------------------------------------------------------------------------


def trace_of(steps: tuple[Step, ...]) -> tuple[tuple[str, ...], bool]:
    """What is done where these steps are taken, and whether the run ends with them."""
    rehearsal, activities = Rehearsal(SCRIPT), list[str]()
    for step in steps:
        activities.append(next(offer.task.title for offer in rehearsal.offers if offer.call == step.call))
        rehearsal.take(step)
    has_ended = rehearsal.has_ended
    rehearsal.close()
    return tuple(activities), has_ended


def all_traces(longest: int) -> dict[tuple[str, ...], bool]:
    """Every beginning of a run with so many steps, found by trying everything; True where some run ends with it."""
    found: dict[tuple[str, ...], bool] = {(): False}
    runs: list[tuple[Step, ...]] = [()]
    for _ in range(longest):
        longer = []
        for run in runs:
            rehearsal = Rehearsal.after(SCRIPT, run)
            longer += [
                (*run, Step(offer.call, choices))
                for offer in rehearsal.offers
                for choices in SCRIPT.choices(offer.task)
            ]
            rehearsal.close()
        runs = longer
        for run in runs:
            trace, has_ended = trace_of(run)
            found[trace] = found.get(trace, False) or has_ended
    return found


SHORT = 4
SHORT_TRACES = all_traces(SHORT)


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.data())
def test_whatever_run_was_made_its_trace_fits_and_the_plan_taken_gives_the_trace(
    seed: int, data: st.DataObject
) -> None:
    """The whole of it as a closed case, each beginning of it as an open one."""
    run = random_run(SCRIPT, random.Random(seed))
    plan = LogFollower(SCRIPT).plan(run.activities, closed=True)
    assert plan.fits
    assert trace_of(plan.steps) == (run.activities, True)
    begun = run.activities[: data.draw(st.integers(0, len(run.activities)), label="steps")]
    plan = LogFollower(SCRIPT).plan(begun, closed=False)
    assert plan.fits
    assert trace_of(plan.steps)[0] == begun


@settings(max_examples=200)
@given(st.lists(st.sampled_from(TITLES), max_size=SHORT).map(tuple), st.booleans())
def test_a_case_fits_just_where_trying_everything_finds_a_run(trace: tuple[str, ...], closed: bool) -> None:
    """And the misfit is the first event that no run reaches."""
    plan = LogFollower(SCRIPT).plan(trace, closed=closed)
    reached = max(length for length in range(len(trace) + 1) if trace[:length] in SHORT_TRACES)
    assert plan.fits == (reached == len(trace) and (SHORT_TRACES[trace] or not closed))
    assert plan.fits or plan.misfit == reached
    assert trace_of(plan.steps)[0] == trace[:reached]


# --- chance ------------------------------------------------------------------------------------------------------


def chi_square(counts: Mapping[object, int], kinds: int) -> float:
    """How far the counts of so many kinds are from all alike (Pearson)."""
    expected = sum(counts.values()) / kinds
    return sum((count - expected) ** 2 for count in counts.values()) / expected + (kinds - len(counts)) * expected


CRITICAL = {2: 10.83, 3: 13.82}
"""By chance, one in a thousand is above it; by number of kinds."""


def test_performers_who_know_nothing_choose_alike_among_offers_and_among_answers() -> None:
    """Pearson's chi-square over 3,000 runs of one seed; one offer among two, an enum, a union, a boolean in a union."""
    chance = random.Random(20_111_010)
    runs = [random_run(SCRIPT, chance) for _ in range(3_000)]
    assert chi_square(Counter(run.activities[0] for run in runs), 2) < CRITICAL[2]
    answered: dict[str, Counter[tuple[int, ...]]] = {title: Counter() for title in TITLES}
    for run in runs:
        for activity, step in zip(run.activities, run.steps, strict=True):
            answered[activity][step.choices] += 1
    assert chi_square(answered["Judge"], 3) < CRITICAL[3]
    assert chi_square(answered["Note"], 2) < CRITICAL[2]
    assert chi_square(Counter(choices[0] for choices in answered["Ask"].elements()), 2) < CRITICAL[2]
    assert chi_square(Counter(choices[1] for choices in answered["Ask"].elements() if choices[1:]), 2) < CRITICAL[2]


def test_a_weighted_choice_would_be_noticed() -> None:
    assert chi_square({"a": 1_600, "b": 1_400}, 2) > CRITICAL[2]
    assert chi_square({"a": 3_000}, 2) > CRITICAL[2]


# --- specificity -------------------------------------------------------------------------------------------------

traces = st.lists(st.sampled_from("abc"), max_size=8).map(tuple)


@given(traces)
def test_trigrams_are_each_activity_after_the_two_before_it(trace: tuple[str, ...]) -> None:
    made = list(trigrams(trace))
    assert tuple(third for _, _, third in made) == trace
    padded = ("", "", *trace)
    assert made == [padded[place : place + 3] for place in range(len(trace))]


@given(st.lists(traces, max_size=5), st.lists(traces, max_size=5))
def test_specificity_is_a_share_whole_where_all_was_seen(
    one: list[tuple[str, ...]], other: list[tuple[str, ...]]
) -> None:
    """What was seen besides never lowers it."""
    mine = frozenset(each for trace in one for each in trigrams(trace))
    more = mine | frozenset(each for trace in other for each in trigrams(trace))
    assert share_seen(one, mine) == (1 if any(one) else 0)
    assert 0 <= share_seen(other, mine) <= share_seen(other, more) <= 1


# --- the fitted model --------------------------------------------------------------------------------------------

shares = st.integers(0, 10_000).map(lambda number: number / 10_000)
hours = st.lists(st.integers(0, 10**8), min_size=len(QUANTILES), max_size=len(QUANTILES)).map(
    lambda numbers: tuple(number / 10_000 for number in sorted(numbers))
)


def figures_of(name: str) -> st.SearchStrategy[OperationFigures]:
    ways = SCRIPT.choices(SCRIPT.tasks[name])
    return st.builds(
        OperationFigures, taken=shares, hours=hours, choices=st.dictionaries(st.sampled_from(ways), st.integers(1, 99))
    )


models = st.builds(
    FittedModel,
    arrivals_per_day=st.integers(1, 10**8).map(lambda number: number / 10_000),
    operations=st.fixed_dictionaries({}, optional={name: figures_of(name) for name in SCRIPT.tasks}),
    trigrams=st.frozensets(
        st.tuples(*[st.sampled_from(["", *TITLES, 'a "quoted" name', "größer", "😀"])] * 3), max_size=8
    ),
)


@settings(max_examples=100)
@given(models)
def test_a_model_that_is_written_and_read_is_the_same(model: FittedModel) -> None:
    assert read_model(tomllib.loads(write_model(model))) == model


@settings(max_examples=60)
@given(models, st.integers(0, 2**32))
def test_a_case_can_be_generated_from_any_figures(model: FittedModel, seed: int) -> None:
    """It ends, or is cut off; time does not run backwards in it; and it is a run of the process."""
    steps = generate_case(model, SCRIPT, random.Random(seed))
    activities, has_ended = trace_of(tuple(each.step for each in steps))
    assert has_ended or len(steps) == MOST_STEPS
    assert activities == tuple(SCRIPT.tasks[each.operation].title for each in steps)
    times = [each.after_us for each in steps]
    assert times == sorted(times)
    assert all(time_us >= 0 for time_us in times)


def test_a_model_of_nothing_is_refused_and_of_one_case_gives_that_case() -> None:
    plan = LogFollower(SCRIPT).plan(("Judge", "Pay", "Note"), closed=True)
    model = fit(SCRIPT, [ObservedCase(0, ("Judge", "Pay", "Note"), (10, 20, 30), plan)])
    steps = generate_case(model, SCRIPT, random.Random(1))
    assert Counter(each.operation for each in steps) == {"Clerks.judge": 1, "Clerks.pay": 1, "Clerks.note": 1}
    assert model.arrivals_per_day == 1
    with pytest.raises(NothingToFit):
        fit(SCRIPT, [])
