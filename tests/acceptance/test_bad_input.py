"""What cannot work: each is told in one paragraph that names the thing and the remedy, and leaves everything as it was."""

import json
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from procession.store.invariants import check_invariants, fingerprint
from tests.acceptance.terminal import COMMAND, Terminal

pytestmark = pytest.mark.slow

Mistake = tuple[list[str], int, str]

MISTAKES: dict[str, Mistake] = {
    "an input that does not validate": (["start", "leave", "days=many", "reason=a"], 1, "days"),
    "an input that is missing": (["start", "leave", "days=3"], 1, "reason is missing"),
    "an input that is not known": (["start", "leave", "days=3", "reason=a", "hours=2"], 1, "hours is not a field"),
    "an input that is not strict JSON": (["start", "leave", "--input", '{"days": NaN, "reason": "a"}'], 1, "NaN"),
    "an input with a member twice": (
        ["start", "leave", "--input", '{"days": 1, "days": 2, "reason": "a"}'],
        1,
        "twice",
    ),
    "an input of the wrong type": (["start", "leave", "--input", '{"days": "3", "reason": "a"}'], 1, "days"),
    "inputs given in two ways": (["start", "leave", "days=3", "--input", "{}"], 2, "not both"),
    "an input file that is not there": (["start", "leave", "--input", "@nowhere.json"], 2, "nowhere.json"),
    "a word that is no field=value": (["start", "leave", "three"], 2, "field=value"),
    "a process that is not there": (["start", "absence"], 1, "leave"),
    "an instance that is not there": (["show", "leave-99"], 1, "procession list"),
    "a wrong business key": (["show", "leave:4711"], 1, "leave:4711"),
    "a repair of an instance that is not there": (["cancel", "leave-99", "--force"], 1, "leave-99"),
    "a retry of what is not halted": (["retry", "leave-2"], 1, "not halted"),
    "a call that is not open": (["fail-call", "leave-2", "7", "--message", "x"], 1, "procession show leave-2"),
    "an item that is not there": (["work", "complete", "99", "yes", "--as", "bob"], 1, "procession work list"),
    "an answer that does not fit": (["work", "complete", "2", "perhaps", "--as", "bob"], 1, "yes or no"),
    "an answer that is not JSON": (["work", "complete", "2", "--answer", "yes", "--as", "bob"], 1, "JSON"),
    "a second completion": (["work", "complete", "1", "yes", "--as", "bob"], 1, "already completed"),
    "a second completion of an item that another call follows": (["work", "claim", "1", "--as", "ann"], 1, "completed"),
    "a person who is not there": (["work", "claim", "2", "--as", "zoe"], 1, "organisation.toml"),
    "an old version of an item": (["work", "claim", "2", "--version", "7", "--as", "bob"], 1, "changed"),
    "an empty key": (["start", "leave", "days=1", "reason=a", "--key", " "], 1, "key"),
    "a command that is not there": (["fly"], 2, "fly"),
    "an option that is not there": (["list", "--colour"], 2, "--colour"),
    "a call that fails without a word": (["fail-call", "leave-2", "2", "--message", ""], 2, "--message"),
    "a lease given back without a word": (["external", "fail", "--token", "a:1:1", "--error", " "], 2, "--error"),
    "a worker without a name": (["external", "fetch", "scan", "--worker", ""], 2, "--worker"),
    "a format that there is not": (["work", "list", "--format", "xml"], 2, "'--format': 'xml' is none of text, json"),
    "a name that is no text": (["show", os.fsdecode(b"\xff")], 2, "is not UTF-8 text"),
    "a filter that is no text": (["list", "--text", os.fsdecode(b"\xff")], 2, "is not UTF-8 text"),
    "nobody who gives the command": (["work", "claim", "2", "--as", ""], 2, "--as"),
    "a number that is too large": (["work", "claim", "9" * 30], 2, "is too large a number"),
    "a number that is none": (["work", "claim", "two"], 2, "ITEM"),
    "a log file that cannot be written": (["export", "log", "--output", "nowhere/log.csv"], 2, "nowhere"),
    "a name that is a module of Python": (["new", "json"], 1, "json"),
    "a name that is no package": (["new", "1st"], 1, "1st"),
    "a folder that is not empty": (["new", "leave"], 1, "not an empty folder"),
}


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """An application with one instance completed and one open; nothing in this file changes its store."""
    from procession.services.scaffold import make_application

    folder = tmp_path_factory.mktemp("used") / "leave"
    make_application(folder)
    terminal = Terminal(folder)
    terminal.succeed("start", "leave", "days=3", "reason=a", "--as", "ann")
    terminal.succeed("work", "complete", "1", "yes", "--as", "bob")
    terminal.succeed("start", "leave", "days=4", "reason=b", "--as", "ann")
    return terminal


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_in_one_paragraph_and_changes_nothing(used: Terminal, mistake: Mistake) -> None:
    arguments, status, named = mistake
    before = fingerprint(used.folder / "procession.db")
    files = sorted(path.name for path in used.folder.iterdir() if not path.name.startswith("procession.db"))
    assert named in used.fail(*arguments, status=status)
    assert fingerprint(used.folder / "procession.db") == before
    assert sorted(path.name for path in used.folder.iterdir() if not path.name.startswith("procession.db")) == files


def test_a_mistake_is_told_to_a_program_as_one_document(used: Terminal) -> None:
    error = used.answer("start", "leave", "--input", '{"days": "3"}', status=1)["error"]
    assert error["code"] == "invalid-value"
    assert set(error["problems"]) == {"days", "reason"}


def test_a_traceback_is_shown_only_on_request(used: Terminal) -> None:
    assert "Traceback" not in used.run("show", "leave-99").err
    assert "Traceback" in used.run("show", "leave-99", "--debug").err


def test_standard_input_that_is_no_text_is_told(used: Terminal) -> None:
    done = subprocess.run(
        [*COMMAND, "start", "leave", "--input", "-", "--as", "ann"],
        cwd=used.folder,
        env=used.environment | {"PYTHONIOENCODING": "utf-8:strict"},
        input=b'{"days": \xff}',
        capture_output=True,
        check=False,
    )
    assert (done.returncode, b"standard input is not UTF-8 text" in done.stderr) == (2, True)


# A source that cannot work

BROKEN_SOURCES = {
    "a process that is not async": ("async def leave", "def leave", "process.py"),
    "an operation without a return type": (") -> bool:", "):", "process.py"),
    "a package that does not import": ("from procession import", "from nowhere import", "nowhere"),
    "a source that is no Python": ("@team.task(", "@team.task((", "process.py"),
    "a duration that is none": ('due="2 days"', 'due="soon"', "soon"),
}


@pytest.mark.parametrize("change", BROKEN_SOURCES.values(), ids=BROKEN_SOURCES.keys())
def test_a_source_that_cannot_work_is_told_with_its_place_and_touches_no_store(
    leave: Terminal, change: tuple[str, str, str]
) -> None:
    old, new, named = change
    source = leave.folder / "leave" / "process.py"
    text = source.read_text()
    assert old in text
    source.write_text(text.replace(old, new))
    assert named in leave.fail("start", "leave", "days=3", "reason=a")
    assert named in leave.fail("serve")
    assert not (leave.folder / "procession.db").exists()


def test_two_processes_of_one_name_are_told_with_both_places(leave: Terminal) -> None:
    source = leave.folder / "leave" / "process.py"
    (leave.folder / "leave" / "other.py").write_text(source.read_text())
    error = leave.fail("start", "leave", "days=3", "reason=a")
    assert "two processes named 'leave'" in error
    assert "other.py" in error
    assert not (leave.folder / "procession.db").exists()


def test_an_operation_called_outside_a_process_says_where_it_belongs(leave: Terminal) -> None:
    script = "import asyncio; from leave.process import approve, leave\nasyncio.run({}(1, 'a'))"
    for called in ("approve", "leave"):
        done = subprocess.run(
            [sys.executable, "-c", script.format(called)], cwd=leave.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "procession start" in done.stderr.splitlines()[-1]


# An application that cannot be found or used


def test_a_folder_without_settings_is_told(terminal: Terminal) -> None:
    assert "procession new" in terminal.fail("list")
    assert "procession new" in terminal.fail("list", "--app", str(terminal.folder))
    assert list(terminal.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('name = "leave"', "", "name"),
        ("packages", "packs", "packs"),
        ("[application]", "[application", "procession.toml"),
        ('packages = ["leave"]', 'packages = ["holiday"]', "holiday"),
        ('organisation = "organisation.toml"', 'organisation = "people.toml"', "people.toml"),
        ('store = "procession.db"', 'store = "nowhere/procession.db"', "nowhere"),
    ],
)
def test_settings_that_cannot_be_used_are_told(leave: Terminal, old: str, new: str, named: str) -> None:
    settings = leave.folder / "procession.toml"
    text = settings.read_text()
    assert old in text
    settings.write_text(text.replace(old, new))
    assert named in leave.fail("start", "leave", "days=3", "reason=a")


# A store that cannot be used


def text_file(path: Path) -> None:
    path.write_text("Dear diary,\n" * 100)


def other_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE song (title TEXT)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("make", [text_file, other_database])
def test_a_file_that_is_not_ours_is_refused_and_left_alone(leave: Terminal, make: Callable[[Path], None]) -> None:
    store = leave.folder / "procession.db"
    make(store)
    before = store.read_bytes()
    for arguments in (["start", "leave", "days=3", "reason=a"], ["list"], ["serve"], ["doctor"]):
        assert "procession.db" in leave.fail(*arguments)
    assert store.read_bytes() == before


def test_a_store_of_a_newer_version_is_refused_and_left_alone(used: Terminal, tmp_path: Path) -> None:
    leave = copy_of(used, tmp_path)
    connection = sqlite3.connect(leave.folder / "procession.db")
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    before = (leave.folder / "procession.db").read_bytes()
    for arguments in (["start", "leave", "days=3", "reason=a"], ["list"]):
        assert "newer" in leave.fail(*arguments)
    assert (leave.folder / "procession.db").read_bytes() == before


def test_on_a_full_disk_nothing_is_acknowledged_and_nothing_is_lost(used: Terminal, tmp_path: Path) -> None:
    leave = copy_of(used, tmp_path)
    store = leave.folder / "procession.db"
    before = fingerprint(store)

    def no_more_space() -> None:
        # A write beyond this size fails, as it does on a full disk, instead of ending the process.
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, 16_384))

    done = subprocess.run(
        [*COMMAND, "work", "complete", "2", "yes", "--as", "bob"],
        cwd=leave.folder,
        env=leave.environment,
        capture_output=True,
        text=True,
        preexec_fn=no_more_space,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert fingerprint(store) == before
    assert check_invariants(store).is_sound
    leave.succeed("work", "complete", "2", "yes", "--as", "bob")


def copy_of(used: Terminal, folder: Path) -> Terminal:
    import shutil

    shutil.copytree(used.folder, folder / "leave")
    return Terminal(folder / "leave")


def test_what_modules_print_stays_out_of_a_document(leave: Terminal) -> None:
    source = leave.folder / "leave" / "process.py"
    source.write_text("print('hello from the import')\n" + source.read_text())
    done = leave.run("start", "leave", "days=3", "reason=a", "--format", "json")
    assert json.loads(done.out)["instance"] == "leave-1"
    assert "hello from the import" in done.err
