"""What the demo's performers will do: cases with their steps, from a recorded log, by chance, or from the fitted model."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from procession.language.process import Process
from procession.language.registry import Registry
from procession.services.demo_log import RecordedCase
from procession.simulation.answers import answer_by, following
from procession.simulation.fitted import DAY_US, FittedModel, ObservedCase, TimedStep, generate_case
from procession.simulation.log_following import LogFollower
from procession.simulation.rehearsal import Script, Step
from procession.simulation.uniform import random_run
from procession.work.performers import Organisation

PROCESS = "receive_application"
MINUTE_US = 60_000_000
NOT_RECORDED = "not recorded"


@dataclass(frozen=True, slots=True)
class ScriptedStep:
    """Who completes which call of a case when, and with which answer (JSON)."""

    at_us: int
    performer: str
    call: int
    activity: str
    answer: str


@dataclass(frozen=True, slots=True)
class Misfit:
    """Where a recorded case departs from the process: the number of the event from 1, and what was done."""

    case: str
    event: int
    activity: str


@dataclass(frozen=True, slots=True)
class CaseScript:
    """One case of the demo: its input (JSON), who starts it when, and what is done in it."""

    case: str
    started_us: int
    initiator: str
    input: str
    steps: tuple[ScriptedStep, ...]
    misfit: Misfit | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """The present moment, and how many of the generated cases are still open then."""

    now_us: int
    open_count: int


def script_of(registry: Registry) -> Script:
    """The example's process, to be rehearsed. No branch of it depends on what the application says."""
    process = registry.processes[PROCESS]
    return Script(registry, process, _encoded(process, _input("rehearsal", "", "", "")))


def recorded_cases(
    script: Script, recorded: Sequence[RecordedCase], progress: Callable[[int], None]
) -> tuple[list[CaseScript], list[ObservedCase]]:
    """Scripts that do what was recorded, as far as the process allows it, and what was observed of the cases that fit."""
    follower = LogFollower(script)
    scripts: list[CaseScript] = []
    observed: list[ObservedCase] = []
    for done, case in enumerate(recorded, start=1):
        plan = follower.plan(case.activities, closed=case.closed)
        steps = tuple(
            ScriptedStep(
                event.at_us,
                event.performer,
                step.call,
                event.activity,
                _answer(script, event.activity, step, event.group),
            )
            for step, event in zip(plan.steps, case.events, strict=False)
        )
        given = _input(case.case, case.channel, case.department, case.responsible)
        initiator = case.channel or NOT_RECORDED
        scripts.append(CaseScript(case.case, case.started_us, initiator, given, steps, _misfit(case, plan.misfit)))
        if plan.fits:
            times = tuple(event.at_us for event in case.events)
            observed.append(ObservedCase(case.started_us, case.activities, times, plan))
        progress(done)
    return scripts, observed


def uniform_cases(
    script: Script, organisation: Organisation, count: int, *, seed: int, now_us: int
) -> list[CaseScript]:
    """Cases whose performers take any offered task and give any answer, all alike likely. Times are one minute apart."""
    chance = random.Random(seed)
    cases = []
    for number in range(1, count + 1):
        run = random_run(script, chance)
        started_us = now_us - (count - number + 1) * 10 * MINUTE_US - len(run.steps) * MINUTE_US
        timed = [
            (activity, step, started_us + place * MINUTE_US)
            for place, (activity, step) in enumerate(zip(run.activities, run.steps, strict=True), start=1)
        ]
        cases.append(_generated_case(script, organisation, chance, number, started_us, timed))
    return cases


def fitted_cases(
    script: Script,
    model: FittedModel,
    organisation: Organisation,
    count: int,
    ending: Ending,
    *,
    seed: int,
) -> list[CaseScript]:
    """Cases like the recorded ones that end at the present moment, of which some are still open."""
    chance = random.Random(seed)
    arrivals_us = _arrivals_us(model, count - ending.open_count, chance, ending.now_us)
    lives = [_closed_by(ending.now_us, arrived_us, generate_case(model, script, chance)) for arrived_us in arrivals_us]
    for _ in range(ending.open_count):
        lives.append(_open_at(ending.now_us, generate_case(model, script, chance), chance))
    lives.sort(key=lambda life: life[0])
    cases = []
    for number, (started_us, steps) in enumerate(lives, start=1):
        timed = [(script.tasks[each.operation].title, each.step, started_us + each.after_us) for each in steps]
        cases.append(_generated_case(script, organisation, chance, number, started_us, timed))
    return cases


def organisation_of(script: Script, cases: Sequence[CaseScript]) -> Mapping[str, frozenset[str]]:
    """The roles that each performer needs for what they do in these cases."""
    role_of = {task.title: task.by.name for task in script.tasks.values()}
    roles: dict[str, set[str]] = {}
    for case in cases:
        for step in case.steps:
            roles.setdefault(step.performer, set()).add(role_of[step.activity])
    return {name: frozenset(held) for name, held in sorted(roles.items())}


def _arrivals_us(model: FittedModel, count: int, chance: random.Random, now_us: int) -> list[int]:
    moment_us = float(now_us)
    arrivals = []
    for _ in range(count):
        moment_us -= chance.expovariate(model.arrivals_per_day) * DAY_US
        arrivals.append(int(moment_us))
    return arrivals[::-1]


def _closed_by(now_us: int, arrived_us: int, steps: tuple[TimedStep, ...]) -> tuple[int, tuple[TimedStep, ...]]:
    """A case that arrived then, or as much earlier as it takes to be closed by now: its start and its steps."""
    return min(arrived_us, now_us - steps[-1].after_us - MINUTE_US), steps


def _open_at(now_us: int, steps: tuple[TimedStep, ...], chance: random.Random) -> tuple[int, tuple[TimedStep, ...]]:
    """A case that waits for any one of its steps now: its start, and the steps that have happened."""
    place = chance.randrange(len(steps))
    last_us = steps[place - 1].after_us if place else 0
    lived_us = chance.randint(last_us, steps[place].after_us)
    return now_us - lived_us - 1, steps[:place]


def _generated_case(
    script: Script,
    organisation: Organisation,
    chance: random.Random,
    number: int,
    started_us: int,
    timed: Sequence[tuple[str, Step, int]],
) -> CaseScript:
    tasks = {task.title: task for task in script.tasks.values()}
    steps = tuple(
        ScriptedStep(
            at_us,
            chance.choice(organisation.holders_of(tasks[activity].by.name)).name,
            step.call,
            activity,
            _answer(script, activity, step, ""),
        )
        for activity, step, at_us in timed
    )
    name = f"case-{number:05}"
    return CaseScript(name, started_us, "Internet", _input(name, "Internet", "General", NOT_RECORDED), steps)


def _answer(script: Script, activity: str, step: Step, group: str) -> str:
    task = next(task for task in script.tasks.values() if task.title == activity)
    answer = answer_by(script.fields(task), following(step.choices), named={"group": group})
    return json.dumps(answer, ensure_ascii=False)


def _misfit(case: RecordedCase, place: int | None) -> Misfit | None:
    if place is None:
        return None
    activity = case.events[place].activity if place < len(case.events) else "(the case was closed here)"
    return Misfit(case.case, place + 1, activity)


def _input(case: str, channel: str, department: str, responsible: str) -> str:
    application = {"case": case, "channel": channel, "department": department, "responsible": responsible}
    return json.dumps({"application": application}, ensure_ascii=False)


def _encoded(process: Process[..., object], given: str) -> bytes:
    return process.inputs.canonical(given.encode())
