"""The demo as a person starts it: what it prints, what it leaves behind, what it refuses, how it is broken off."""

import json
import os
import pty
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.terminal import COMMAND, SECONDS, Done, Terminal

pytestmark = pytest.mark.slow

CASES = 40


@pytest.fixture
def home(terminal: Terminal) -> Terminal:
    """A user whose demos are made in a folder of this test."""
    terminal.environment["PROCESSION_HOME"] = str(terminal.folder / "home")
    return terminal


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> tuple[Terminal, Done]:
    """What a demo printed and left behind; nothing in this file changes it."""
    terminal = Terminal(tmp_path_factory.mktemp("left"))
    terminal.environment["PROCESSION_HOME"] = str(terminal.folder / "my home")
    return terminal, terminal.run("demo", "--generate", str(CASES))


def demo_folder(terminal: Terminal) -> Path:
    return Path(terminal.environment["PROCESSION_HOME"]) / "demo" / "permits"


def test_it_says_what_it_did_and_where_and_what_to_try(left: tuple[Terminal, Done]) -> None:
    terminal, done = left
    assert (done.status, done.err) == (0, "")
    shown = " ".join(done.out.split())
    assert f"cases {CASES} (20 still open)" in shown
    assert "(0 lost, 0 doubled)" in shown
    for told in ("specificity 0.", "lead time, p50", "lead time, p95", "hand-offs a second"):
        assert told in shown
    assert f"It is all in {demo_folder(terminal)}. Try next:" in done.out


def test_the_three_commands_work_as_they_are_printed(left: tuple[Terminal, Done]) -> None:
    """Pasted into a shell, from any folder: they show the open cases, their work, and where one of them is."""
    terminal, done = left
    lines = done.out.partition("Try next:\n")[2].splitlines()
    assert len(lines) == 3
    shown = []
    for line in lines:
        ran = subprocess.run(
            line, shell=True, cwd="/", env=terminal.environment, capture_output=True, text=True, check=False
        )
        assert (ran.returncode, ran.stderr) == (0, ""), line
        shown.append(ran.stdout)
    assert shown[0].count("running") == 20
    assert shown[1].count("offered") >= 20
    assert 'process.py", line ' in shown[2]
    assert "waits for the role " in shown[2]


def test_what_is_open_can_be_done_by_hand(left: tuple[Terminal, Done], terminal: Terminal) -> None:
    """By somebody who holds the role, on the machine's own clock, the demo's cases being in the past."""
    shutil.copytree(demo_folder(left[0]), terminal.folder / "copy")
    copy = Terminal(terminal.folder / "copy")
    open_items = copy.answer("work", "list", "--all")["items"]
    item = next(each for each in open_items if each["title"].startswith("T06"))
    answer = json.dumps({"need": "the question no longer arises", "question": "", "group": ""})
    done = copy.answer("work", "complete", str(item["item"]), "--answer", answer, "--as", "eva")
    assert done["state"] == "completed"
    assert item["item"] not in [each["item"] for each in copy.answer("work", "list", "--all")["items"]]


def test_uniform_cases_are_summed_up_in_one_object_and_kept_beside_the_last_demo(home: Terminal) -> None:
    """A process that accepts anything has a specificity of 0.01."""
    home.succeed("demo", "--generate", "1")
    done = home.run("demo", "--generate", "90", "--choices", "uniform", "--seed", "7", "--keep", "--format", "json")
    assert (done.status, done.err) == (0, "")
    found = json.loads(done.out)
    assert found["app"] == f"{demo_folder(home)}-2"
    assert (found["cases"], found["fitting_cases"], found["lost"], found["doubled"]) == (90, 90, 0, 0)
    assert found["exact_cases"] == 90
    assert found["specificity"] >= 0.6
    assert found["completions"] == len(home.succeed("export", "log", "--app", found["app"]).splitlines()) - 1 > 90
    assert found["seconds"] > 0
    assert found["hand_offs_per_second"] == pytest.approx(found["completions"] / found["seconds"], rel=0.01)
    assert len(home.answer("list", "--app", str(demo_folder(home)))["instances"]) == 1


def test_a_folder_that_the_demo_did_not_make_is_left_alone(home: Terminal) -> None:
    mine = home.folder / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    assert "did not make" in home.fail("demo", "--app", str(mine))
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("arguments", [["--once"], ["--choices", "uniform"], ["--generate", "0"]])
def test_options_that_do_not_go_together_are_refused_and_nothing_is_made(home: Terminal, arguments: list[str]) -> None:
    assert arguments[0] in home.fail("demo", *arguments, status=2)
    assert not (home.folder / "home").exists()


class Watched:
    """A demo whose standard error is a terminal, as when only its result goes into a file."""

    def __init__(self, terminal: Terminal, *arguments: str) -> None:
        self._end, other_end = pty.openpty()
        environment = {**terminal.environment, "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [*COMMAND, "demo", *arguments], env=environment, stdout=subprocess.PIPE, stderr=other_end, text=True
        )
        os.close(other_end)
        self.shown = ""

    def read_to(self, text: str) -> None:
        """Until this is shown; to its end for an empty text."""
        while not text or text not in self.shown:
            try:
                read = os.read(self._end, 4096)
            except OSError:  # how Linux says that the other end is closed
                read = b""
            if not read:
                assert not text, f"it ended before {text!r} was shown:\n{self.shown}"
                return
            self.shown += read.decode()

    def end(self) -> tuple[int, str]:
        """Its exit status and what it printed."""
        self.read_to("")
        printed, _ = self.process.communicate(timeout=SECONDS)
        os.close(self._end)
        return self.process.returncode, printed


def test_broken_off_it_ends_with_a_sentence_and_what_was_acknowledged_is_whole(home: Terminal) -> None:
    """Ctrl+C in the midst of it, as the bar shows. The next demo starts anew."""
    watched = Watched(home, "--generate", "600", "--choices", "uniform")
    watched.read_to("running")
    watched.read_to(" 3%")
    watched.process.send_signal(signal.SIGINT)
    status, printed = watched.end()
    assert (status, printed) == (1, "")
    assert "error: The demo was interrupted. What was acknowledged until then is in the store" in watched.shown
    assert "Traceback" not in watched.shown

    app = ("--app", str(demo_folder(home)))
    report = json.loads(home.run("doctor", *app, "--format", "json").out)  # its status depends on what is overdue
    assert {check["verdict"] for check in report["checks"]} <= {"holds", "not exercised"}
    completions = len(home.succeed("export", "log", *app).splitlines()) - 1
    assert 0 < completions < 3_000
    assert home.answer("demo", "--generate", "2")["cases"] == 2
