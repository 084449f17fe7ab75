"""The demonstration: the receipt of environmental permits, run through the real engine in a folder of its own."""

import itertools
import json
import math
import os
import random
import shutil
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from procession.errors import OperatorError
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
from procession.services.demo_log import RecordedCase, read_log
from procession.services.demo_run import Ledger, count_actions, run_cases
from procession.simulation.fitted import FittedModel, fit, read_model, write_model
from procession.simulation.rehearsal import Script
from procession.simulation.specificity import Trigram, share_seen, trigrams
from procession.simulation.uniform import random_run
from procession.store import find_holder

EXAMPLE = "permits"
MODEL_FILE = "model.toml"
STORE_FILE = "permits.db"
UNIFORM_RUNS = 2_000
DEFAULT_CASES = 200
OPEN_CASES = 20
_MARK = ".made-by-procession-demo"


class DemoFolderTaken(OperatorError):
    """The demo's folder holds something that the demo did not make; it is left alone."""

    code = "demo-folder-taken"


class ExampleMissing(OperatorError):
    """The example's files are neither in the installed package nor beside the source."""

    code = "example-missing"


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
    """What came of it. Times are in seconds; `fit` and `last_third_fit` are None where no log was followed."""

    app: str
    cases: int
    open_cases: int
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
    application = open_application(make_folder(options))
    work = _plan(options, application, recorded, progress)
    total = count_actions(work.cases)
    started = time.perf_counter()
    ledger = await run_cases(application, work.cases, lambda done: progress("running", done, total))
    return _summary(options, work, ledger, time.perf_counter() - started)


def make_folder(options: DemoOptions) -> Path:
    """The demo's application folder, begun anew; beside the last one where that is to be kept. Raises `DemoFolderTaken`."""
    folder = options.folder or default_home() / "demo" / EXAMPLE
    if options.keep:
        folder = _next_free(folder)
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARK).is_file():
            raise DemoFolderTaken(
                f"{folder} holds files that the demo did not make.",
                subject=str(folder),
                remedy="Name another folder with --app.",
            )
        if find_holder(folder / STORE_FILE) is not None:
            raise DemoFolderTaken(
                f"An engine runs on the last demo in {folder}.",
                subject=str(folder),
                remedy="Stop it, or keep that demo with --keep: the new one is made beside it.",
            )
        shutil.rmtree(folder)
    ignored = shutil.ignore_patterns("__pycache__", "tests", "*.db*")
    shutil.copytree(example_folder(), folder, ignore=ignored, dirs_exist_ok=True)
    (folder / _MARK).touch()
    return folder


def _next_free(folder: Path) -> Path:
    beside = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain([folder], beside) if not each.exists())


def default_home() -> Path:
    """Where Procession keeps what belongs to the user: $PROCESSION_HOME, else the user's folder for state."""
    given = os.environ.get("PROCESSION_HOME")
    if given:
        return Path(given).expanduser()
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "procession"


def example_folder() -> Path:
    """The example's files: in the installed package, or in the checkout. Raises `ExampleMissing`."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "examples" / EXAMPLE, package.parent.parent / "examples" / EXAMPLE):
        if (folder / "procession.toml").is_file():
            return folder
    raise ExampleMissing("The example's files are not installed.", remedy="Install Procession again.")


def load_model() -> FittedModel:
    """The model that was fitted to the recorded log."""
    return read_model(tomllib.loads((example_folder() / MODEL_FILE).read_text(encoding="utf-8")))


def fit_model(log: Path) -> str:
    """Fit the example's model to a log anew: the text of its file."""
    application = open_application(example_folder())
    script = script_of(application.load_registry())
    _, observed = recorded_cases(script, read_log(log), lambda done: None)
    return write_model(fit(script, observed))


def _plan(
    options: DemoOptions, application: Application, recorded: Sequence[RecordedCase], progress: Progress
) -> _Work:
    script = script_of(application.load_registry())
    model = load_model()
    seen = frozenset(each for case in recorded for each in trigrams(case.activities)) or model.trigrams
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
        ending = Ending(now_us, min(OPEN_CASES, count))
        cases = fitted_cases(script, model, organisation, count, ending, seed=options.seed)
    return _Work(application, script, tuple(cases), seen, follows_log=False)


def _write_organisation(application: Application, script: Script, cases: Sequence[CaseScript]) -> None:
    """In a recorded run, everybody holds the roles of what they did."""
    lines = ["# Made from the log: everybody holds the roles of what they did in it."]
    for name, roles in organisation_of(script, cases).items():
        lines += ["", f"[people.{json.dumps(name)}]", f"roles = {json.dumps(sorted(roles))}"]
    application.organisation_file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _summary(
    options: DemoOptions,
    work: "_Work",
    ledger: Ledger,
    seconds: float,
) -> DemoSummary:
    cases = work.cases
    misfits = tuple(case.misfit for case in cases if case.misfit is not None)
    by_date = sorted(cases, key=lambda case: case.started_us)
    last_third = by_date[len(by_date) * 2 // 3 :]
    return DemoSummary(
        app=str(work.application.folder),
        cases=len(cases),
        open_cases=ledger.open_cases,
        fitting_cases=len(cases) - len(misfits),
        fit=1 - len(misfits) / len(cases) if work.follows_log else None,
        last_third_fit=_share_fitting(last_third) if work.follows_log else None,
        exact_cases=sum(case.case in ledger.exact_cases for case in cases if case.misfit is None),
        misfits=misfits,
        specificity=_specificity(options, work),
        completions=ledger.completions,
        lost=ledger.lost,
        doubled=ledger.doubled,
        lead_time_seconds=_lead_times(ledger.lead_times_us),
        seconds=round(seconds, 3),
        hand_offs_per_second=round(ledger.completions / seconds, 1),
    )


def _share_fitting(cases: Sequence[CaseScript]) -> float:
    return sum(case.misfit is None for case in cases) / len(cases)


def _specificity(options: DemoOptions, work: "_Work") -> float:
    """Of the uniform cases that were run; otherwise of as many rehearsed in memory."""
    if options.uniform:
        generated = [tuple(step.activity for step in case.steps) for case in work.cases]
    else:
        chance = random.Random(options.seed)
        generated = [random_run(work.script, chance).activities for _ in range(UNIFORM_RUNS)]
    return round(share_seen(generated, work.seen), 4)


def _lead_times(lead_times_us: Sequence[int]) -> dict[str, float]:
    """Percentiles of the time from start to end, of the cases that ended (nearest rank)."""
    ordered = sorted(lead_times_us)
    if not ordered:
        return {}
    ranks = {share: ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)] for share in (50, 80, 95)}
    return {f"p{share}": round(value / 1_000_000, 1) for share, value in ranks.items()}
