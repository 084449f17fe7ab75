"""The demonstration: the receipt of environmental permits, run through the real engine in a folder of its own."""

import json
import math
import random
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from procession.services.application import Application, open_application
from procession.services.demo_cases import (
    CaseScript,
    Ending,
    Misfit,
    fitted_cases,
    organisation_of,
    recorded_cases,
    script_of,
    uniform_cases,
)
from procession.services.demo_folder import example_folder, make_folder
from procession.services.demo_log import RecordedCase, read_log
from procession.services.demo_run import Ledger, count_actions, run_cases
from procession.simulation.fitted import FittedModel, fit, read_model, write_model
from procession.simulation.rehearsal import Script
from procession.simulation.specificity import Trigram, share_seen, trigrams
from procession.simulation.uniform import random_run

MODEL_FILE = "model.toml"
UNIFORM_RUNS = 1_000
DEFAULT_CASES = 200
OPEN_CASES = 20


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What to run: a recorded log, or `generate` cases, `uniform` ones or like the recorded ones; `keep` the last demo's folder."""

    log: Path | None = None
    generate: int | None = None
    uniform: bool = False
    seed: int = 1
    keep: bool = False
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """What came of it.

    Times are in seconds; `fit` and `last_third_fit` are None where no log was followed. `open_instance` is one to look at.
    """

    app: str
    cases: int
    open_cases: int
    open_instance: str | None
    fitting_cases: int
    fit: float | None
    last_third_fit: float | None
    exact_cases: int
    misfits: tuple[Misfit, ...]
    specificity: float
    completions: int
    lost: int
    doubled: int
    lead_time_seconds: dict[str, float]
    seconds: float
    hand_offs_per_second: float


Progress = Callable[[str, int, int], None]
"""Told what is done, how much of it, out of how much."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be run: the cases on their application, and which activities were ever seen in a row."""

    application: Application
    script: Script
    cases: tuple[CaseScript, ...]
    seen: frozenset[Trigram]
    follows_log: bool


async def run_demo(options: DemoOptions, progress: Progress) -> DemoSummary:
    """Make the application folder, run the cases, check what the store holds. Raises `LogNotReadable` before anything is made."""
    recorded = read_log(options.log) if options.log is not None else ()
    application = open_application(make_folder(options.folder, keep=options.keep))
    work = _plan(options, application, recorded, progress)
    total = count_actions(work.cases)
    started = time.perf_counter()
    ledger = await run_cases(application, work.cases, lambda done: progress("running", done, total))
    seconds = time.perf_counter() - started
    return _summary(work, ledger, _specificity(options, work, progress), seconds)


def load_model() -> FittedModel:
    """The model that was fitted to the recorded log."""
    return read_model(tomllib.loads((example_folder() / MODEL_FILE).read_text(encoding="utf-8")))


def fit_model(log: Path) -> str:
    """Fit the example's model to a log anew: the text of its file.

    Shares and durations come from the cases that fit, what was seen in a row from all. Raises `LogNotReadable`, `NothingToFit`.
    """
    application = open_application(example_folder())
    script = script_of(application.load_registry())
    recorded = read_log(log)
    _, observed = recorded_cases(script, recorded, lambda done: None)
    return write_model(replace(fit(script, observed), trigrams=_seen_in(recorded)))


def _seen_in(recorded: Sequence[RecordedCase]) -> frozenset[Trigram]:
    return frozenset(each for case in recorded for each in trigrams(case.activities))


def _plan(
    options: DemoOptions, application: Application, recorded: Sequence[RecordedCase], progress: Progress
) -> _Work:
    script = script_of(application.load_registry())
    model = load_model()
    seen = _seen_in(recorded) or model.trigrams
    if recorded and options.generate is None:
        cases, _ = recorded_cases(script, recorded, lambda done: progress("planning", done, len(recorded)))
        _write_organisation(application, script, cases)
        return _Work(application, script, tuple(cases), seen, follows_log=True)
    now_us = time.time_ns() // 1000
    organisation = application.load_organisation()
    count = options.generate if options.generate is not None else DEFAULT_CASES
    if options.uniform:
        cases = uniform_cases(script, organisation, count, seed=options.seed, now_us=now_us)
    else:
        ending = Ending(now_us, OPEN_CASES if count > OPEN_CASES else count // 2)
        cases = fitted_cases(script, model, organisation, count, ending, seed=options.seed)
    return _Work(application, script, tuple(cases), seen, follows_log=False)


def _write_organisation(application: Application, script: Script, cases: Sequence[CaseScript]) -> None:
    """In a recorded run, everybody holds the roles of what they did."""
    lines = ["# Made from the log: everybody holds the roles of what they did in it."]
    for name, roles in organisation_of(script, cases).items():
        lines += ["", f"[people.{_toml_text(name)}]", f"roles = [{', '.join(map(_toml_text, sorted(roles)))}]"]
    application.organisation_file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml_text(text: str) -> str:
    """A text without control characters as a basic string of TOML, which for them is that of JSON."""
    return json.dumps(text, ensure_ascii=False)


def _summary(work: _Work, ledger: Ledger, specificity: float, seconds: float) -> DemoSummary:
    cases = work.cases
    misfits = tuple(case.misfit for case in cases if case.misfit is not None)
    by_date = sorted(cases, key=lambda case: case.started_us)
    last_third = by_date[len(by_date) * 2 // 3 :]
    return DemoSummary(
        app=str(work.application.folder),
        cases=len(cases),
        open_cases=ledger.open_cases,
        open_instance=ledger.open_instance,
        fitting_cases=len(cases) - len(misfits),
        fit=1 - len(misfits) / len(cases) if work.follows_log else None,
        last_third_fit=_share_fitting(last_third) if work.follows_log else None,
        exact_cases=sum(case.case in ledger.exact_cases for case in cases if case.misfit is None),
        misfits=misfits,
        specificity=specificity,
        completions=ledger.completions,
        lost=ledger.lost,
        doubled=ledger.doubled,
        lead_time_seconds=_lead_times(ledger.lead_times_us),
        seconds=round(seconds, 3),
        hand_offs_per_second=round(ledger.completions / seconds, 1),
    )


def _share_fitting(cases: Sequence[CaseScript]) -> float:
    return sum(case.misfit is None for case in cases) / len(cases)


def _specificity(options: DemoOptions, work: _Work, progress: Progress) -> float:
    """Of the uniform cases that were run; otherwise of as many rehearsed in memory."""
    if options.uniform:
        generated = [tuple(step.activity for step in case.steps) for case in work.cases]
    else:
        chance = random.Random(options.seed)
        generated = []
        for done in range(1, UNIFORM_RUNS + 1):
            generated.append(random_run(work.script, chance).activities)
            progress("rehearsing", done, UNIFORM_RUNS)
    return round(share_seen(generated, work.seen), 4)


def _lead_times(lead_times_us: Sequence[int]) -> dict[str, float]:
    """Percentiles of the time from start to end, of the cases that ended (nearest rank)."""
    ordered = sorted(lead_times_us)
    if not ordered:
        return {}
    ranks = {share: ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)] for share in (50, 80, 95)}
    return {f"p{share}": round(value / 1_000_000, 1) for share, value in ranks.items()}
