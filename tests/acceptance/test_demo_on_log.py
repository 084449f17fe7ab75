"""The demo that follows a recorded log: what fits comes out as it was recorded, what does not is named."""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.terminal import Terminal

pytestmark = pytest.mark.slow

LOG = Path(__file__).parents[3] / "shared" / "data" / "logs" / "receipt.csv.gz"
WITH_LOG = pytest.mark.skipif(not LOG.exists(), reason="the recorded log is not beside this checkout (../shared/data)")
CASES_OF_SAMPLE = 60

COLUMNS = ("case", "activity", "completed", "group", "resource", "channel", "department", "responsible")
Row = dict[str, str]
Event = tuple[datetime, str, str]


@pytest.fixture
def home(terminal: Terminal) -> Terminal:
    """A user whose demos are made in a folder of this test."""
    terminal.environment["PROCESSION_HOME"] = str(terminal.folder / "home")
    return terminal


def written(path: Path, rows: Iterable[Row]) -> Path:
    listed = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(listed[0]))
        writer.writeheader()
        writer.writerows(listed)
    return path


def made_up(case: str, *activities: str) -> list[Row]:
    """A case whose events follow each other by the hour, all done by one person."""
    return [
        dict(
            zip(
                COLUMNS,
                (case, each, f"2011-10-11T{hour:02}:00:00+02:00", f"G{hour}", "Zoë", "Desk", "General", "Ann"),
                strict=True,
            )
        )
        for hour, each in enumerate(activities, start=8)
    ]


def sample_of_log() -> list[Row]:
    """The rows of cases spread over the whole log."""
    with gzip.open(LOG, "rt", encoding="utf-8") as whole:
        rows = list(csv.DictReader(whole))
    cases = list(dict.fromkeys(row["case"] for row in rows))
    chosen = set(cases[:: len(cases) // CASES_OF_SAMPLE][:CASES_OF_SAMPLE])
    return [row for row in rows if row["case"] in chosen]


def in_order(rows: Iterable[Row], *, case: str, activity: str, performer: str) -> dict[str, list[Event]]:
    """What was done in each case, by time; events of one moment as they stand."""
    found: defaultdict[str, list[Event]] = defaultdict(list)
    for row in rows:
        found[row[case]].append((datetime.fromisoformat(row["completed"]), row[activity], row[performer]))
    return {name: sorted(events, key=lambda event: event[0]) for name, events in found.items()}


def assert_exported_as_logged(home: Terminal, app: str, rows: list[Row], *, without: set[str]) -> int:
    """`export log` gives back the order, times and performers of the log for these cases; gives how many events it has."""
    exported = list(csv.DictReader(home.succeed("export", "log", "--app", app).splitlines()))
    came_out = in_order(exported, case="business_key", activity="title", performer="performer")
    assert [row["completed"] for row in exported] == sorted(row["completed"] for row in exported)
    for case, events in in_order(rows, case="case", activity="activity", performer="resource").items():
        assert case in without or came_out[case] == events
    return len(exported)


@WITH_LOG
def test_a_sample_of_the_log_comes_out_as_it_was_recorded(home: Terminal) -> None:
    """Order, times, performers and groups of the cases that fit; the others as far as they fit."""
    rows = sample_of_log()
    found = home.answer("demo", "--log", str(written(home.folder / "sample.csv", rows)), "--once")
    assert (found["cases"], found["lost"], found["doubled"]) == (CASES_OF_SAMPLE, 0, 0)
    assert found["exact_cases"] == found["fitting_cases"] >= 0.95 * CASES_OF_SAMPLE
    left_out = {misfit["case"] for misfit in found["misfits"]}
    assert assert_exported_as_logged(home, found["app"], rows, without=left_out) == found["completions"]

    case = next(row["case"] for row in rows if row["group"] and row["case"] not in left_out)
    instance = f"receive_application:{case}"
    history = home.answer("show", instance, "--history", "--app", found["app"])["history"]
    answers = [each["value"] for each in history if each["kind"] == "CallCompleted"]
    assert list(map(group_of, answers)) == [row["group"] for row in rows if row["case"] == case]


def group_of(answer: Any) -> Any:
    """The group that gave an answer; one of several types is an object with its name."""
    return answer["group"] if "group" in answer else next(iter(answer.values()))["group"]


def test_a_case_that_does_not_fit_is_named_with_its_first_event_that_does_not(home: Terminal) -> None:
    begun = ("Confirmation of receipt", "T02 Check confirmation of receipt")
    sent = "T05 Print and send confirmation of receipt"
    rows = made_up("fits", *begun) + made_up("skips", *begun, sent, "T06 Determine necessity of stop advice")
    log = written(home.folder / "log.csv", rows)
    found = home.answer("demo", "--log", str(log), "--once")
    assert (found["cases"], found["fitting_cases"], found["completions"]) == (2, 1, 4)
    assert found["misfits"] == [{"case": "skips", "event": 3, "activity": sent}]


def test_a_log_of_another_process_fits_nowhere(home: Terminal) -> None:
    log = written(home.folder / "log.csv", made_up("a", "Bake", "Eat") + made_up("b", "Bake"))
    told = home.succeed("demo", "--log", str(log), "--once")
    assert "0 (0.0%; last third by date 0.0%)" in told
    assert "a does not fit at event 1: Bake" in told


def test_a_broken_log_is_refused_in_one_paragraph_and_nothing_is_made(home: Terminal) -> None:
    """The kinds of broken logs are told apart in tests/services/test_demo_log.py."""
    log = home.folder / "log.csv"
    log.write_text(",".join(COLUMNS) + "\nc,Register,yesterday,G,Ann,Desk,General,Ann\n")
    assert "line 2: 'yesterday' is not a date and time" in home.fail("demo", "--log", str(log), "--once")
    assert sorted(path.name for path in home.folder.iterdir()) == ["log.csv"]


def test_a_broken_log_leaves_the_last_demo_as_it_was(home: Terminal) -> None:
    app = Path(home.answer("demo", "--generate", "3")["app"])
    before = {path: path.read_bytes() for path in app.rglob("*") if path.is_file()}
    log = written(home.folder / "log.csv", made_up("c", ""))
    assert "activity is empty" in home.fail("demo", "--log", str(log), "--once")
    assert {path: path.read_bytes() for path in app.rglob("*") if path.is_file()} == before


@WITH_LOG
@pytest.mark.long
def test_the_whole_log_runs_through_the_engine_and_fits(home: Terminal) -> None:
    """1,434 real cases, each completion durable; at least 98 of 100 fit, of the last third by date as well."""
    found = home.answer("demo", "--log", str(LOG), "--once")
    assert found["cases"] == 1_434
    assert found["fit"] >= 0.98
    assert found["last_third_fit"] >= 0.98
    assert found["exact_cases"] == found["fitting_cases"]
    assert (found["lost"], found["doubled"]) == (0, 0)
    assert found["specificity"] >= 0.6
    with gzip.open(LOG, "rt", encoding="utf-8") as whole:
        rows = list(csv.DictReader(whole))
    left_out = {misfit["case"] for misfit in found["misfits"]}
    assert assert_exported_as_logged(home, found["app"], rows, without=left_out) == found["completions"]
