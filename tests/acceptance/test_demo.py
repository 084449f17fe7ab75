"""The demo as a person starts it: what it prints, what it leaves behind, what it refuses."""

import csv
import gzip
import json
import os
import shlex
import subprocess
import sys
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

LOG = Path(__file__).parents[3] / "shared" / "data" / "logs" / "receipt.csv.gz"
WITH_LOG = pytest.mark.skipif(not LOG.exists(), reason="the recorded log is not beside this checkout (../shared/data)")
COMMAND = [sys.executable, "-m", "procession.cli.main"]
CASES_OF_SAMPLE = 120


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def run(home: Path, *arguments: str, status: int = 0) -> str:
    environment = {**os.environ, "PROCESSION_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr + done.stdout


def summary(home: Path, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(home, "demo", *arguments, "--format", "json"))
    return found


def sample_of_log(folder: Path) -> Path:
    """The first cases of the log, as a file of their own."""
    with gzip.open(LOG, "rt", encoding="utf-8") as whole:
        rows = list(csv.DictReader(whole))
    chosen = set(list(dict.fromkeys(row["case"] for row in rows))[:CASES_OF_SAMPLE])
    path = folder / "sample.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(row for row in rows if row["case"] in chosen)
    return path


def test_without_anything_it_leaves_twenty_open_cases_and_three_commands_that_work(home: Path) -> None:
    printed = run(home, "demo", "--generate", "40")

    told = [line.strip() for line in printed.splitlines() if "--app" in line]
    assert len(told) == 3
    for line in told:
        assert run(home, *shlex.split(line)[1:])
    app = str(home / "demo" / "permits")
    assert len(json.loads(run(home, "list", "--state", "running", "--app", app, "--format", "json"))["instances"]) == 20


def test_the_summary_in_json_has_the_promised_names(home: Path) -> None:
    found = summary(home, "--generate", "30", "--choices", "uniform", "--seed", "7")

    assert found["app"] == str(home / "demo" / "permits")
    assert (found["cases"], found["fitting_cases"], found["lost"], found["doubled"]) == (30, 30, 0, 0)
    assert found["completions"] > 0
    assert found["seconds"] > 0
    assert found["hand_offs_per_second"] > 0


def test_uniform_performers_stay_within_what_was_seen(home: Path) -> None:
    """A process that accepts anything scores 0.01."""
    assert summary(home, "--generate", "300", "--choices", "uniform", "--seed", "3")["specificity"] >= 0.6


def test_it_starts_anew_each_time_and_keeps_the_last_one_where_it_is_told_to(home: Path) -> None:
    first, again = summary(home, "--generate", "25"), summary(home, "--generate", "26")
    beside = summary(home, "--generate", "27", "--keep")

    assert first["app"] == again["app"] != beside["app"]
    for app, cases in ((again["app"], 26), (beside["app"], 27)):
        assert (
            len(json.loads(run(home, "list", "--limit", "500", "--app", app, "--format", "json"))["instances"]) == cases
        )


def test_a_folder_that_the_demo_did_not_make_is_left_alone(home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")

    assert "did not make" in run(home, "demo", "--app", str(mine), status=1)
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]


@WITH_LOG
def test_the_history_gives_back_order_times_and_performers_of_the_log(home: Path, tmp_path: Path) -> None:
    path = sample_of_log(tmp_path)
    found = summary(home, "--log", str(path), "--once")

    assert (found["cases"], found["lost"], found["doubled"]) == (CASES_OF_SAMPLE, 0, 0)
    assert found["fitting_cases"] >= 0.95 * CASES_OF_SAMPLE
    left_out = {misfit["case"] for misfit in found["misfits"]}
    logged = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            logged[row["case"]].append((datetime.fromisoformat(row["completed"]), row["activity"], row["resource"]))
    exported = defaultdict(list)
    for row in csv.DictReader(run(home, "export", "log", "--format", "csv", "--app", found["app"]).splitlines()):
        exported[row["business_key"]].append((datetime.fromisoformat(row["completed"]), row["title"], row["performer"]))
    assert len(exported) == CASES_OF_SAMPLE
    for case, events in logged.items():
        if case not in left_out:
            assert exported[case] == sorted(events, key=lambda event: event[0])


@WITH_LOG
@pytest.mark.long
def test_the_whole_log_runs_through_the_engine_and_fits(home: Path) -> None:
    found = summary(home, "--log", str(LOG), "--once")

    assert found["fit"] >= 0.98
    assert found["last_third_fit"] >= 0.98
    assert found["exact_cases"] == found["fitting_cases"]
    assert (found["lost"], found["doubled"]) == (0, 0)
    assert found["specificity"] >= 0.6


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"case,activity\nc,Register\n", "no column"),
        (b"\xff\xfe\x00", "not whole"),
        (b"\x1f\x8b\x08broken", "not whole"),
        (b"", "no column"),
    ],
    ids=["columns", "not-text", "not-whole", "empty"],
)
def test_a_broken_log_is_refused_in_one_paragraph_and_the_last_demo_stays(
    home: Path, tmp_path: Path, content: bytes, told: str
) -> None:
    kept = home / "demo" / "permits" / "here.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("still here")
    log = tmp_path / "log.csv"
    log.write_bytes(content)

    error = run(home, "demo", "--log", str(log), "--once", status=1)

    assert told in " ".join(error.split())
    assert "Traceback" not in error
    assert kept.read_text() == "still here"


@pytest.mark.parametrize("arguments", [["--once"], ["--choices", "uniform"]])
def test_options_that_do_not_go_together_are_refused(home: Path, arguments: list[str]) -> None:
    assert "Name one with --log" in (error := run(home, "demo", *arguments, status=1)) or "--generate" in error
