"""Law 31 and 56: what process code must not do is refused while it runs, on its thread, and nowhere else."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from procession import Function, process
from procession.control import log
from procession.engine.fences import fence_standard_input
from tests.conformance.world import Host
from tests.engine.subject import opened

ACTS: dict[str, Callable[[], object]] = {}

team = Function("Team", owner="ann@acme.example")


@team.service()
async def act_outside(name: str) -> str:
    return str(ACTS[name]())


@team.task()
async def wait() -> bool: ...


@process(owner=team)
async def acting(name: str) -> str:
    return str(ACTS[name]())


@process(owner=team)
async def careless(name: str) -> str:
    for _ in range(2):
        try:
            ACTS[name]()
        except BaseException:
            pass
    await wait()
    return "as if nothing had been"


@process(owner=team)
async def proper(name: str) -> str:
    return await act_outside(name)


def write(folder: Path) -> Callable[[], object]:
    return lambda: (folder / "out.txt").write_text("x")


def forbidden(folder: Path) -> dict[str, tuple[Callable[[], object], str]]:
    """Each forbidden thing, and what the halt says of it."""
    there = folder / "there.txt"
    return {
        "a socket": (lambda: socket.socket().close(), "opens a socket"),
        "a name looked up": (lambda: socket.getaddrinfo("localhost", 1), "opens a socket"),
        "a program": (lambda: subprocess.run(["true"], check=True), "starts a program"),
        "a shell": (lambda: os.system("true"), "starts a program"),
        "a fork": (lambda: os.fork(), "forks the worker"),
        "a signal": (lambda: os.kill(os.getpid(), 0), "sends a signal"),
        "a thread": (lambda: threading.Thread(target=int).start(), "starts a thread"),
        "a database": (lambda: sqlite3.connect(":memory:").close(), "opens a database"),
        "a file written": (write(folder), "writes the file"),
        "a file appended to": (lambda: there.open("a").close(), "writes the file"),
        "a file written by descriptor": (lambda: os.close(os.open(folder / "x", os.O_CREAT | os.O_WRONLY)), "writes"),
        "a file read": (lambda: there.read_text(), f"reads the file {there}"),
        "a file read by descriptor": (lambda: os.close(os.open(there, os.O_RDONLY)), "reads the file"),
        "a file removed": (there.unlink, "deletes a file"),
        "a file renamed": (lambda: there.rename(folder / "y"), "renames a file"),
        "a file linked": (lambda: (folder / "z").symlink_to(there), "makes a link"),
        "a folder made": (lambda: (folder / "new").mkdir(), "makes a folder"),
        "a folder listed": (lambda: os.listdir(folder), "lists the folder"),
        "a folder removed": (lambda: shutil.rmtree(folder / "nowhere", ignore_errors=True), "changes files"),
        "a temporary file": (lambda: tempfile.TemporaryFile().close(), "the file"),
    }


NAMES = sorted(forbidden(Path("nowhere")))


def chosen(folder: Path, name: str) -> tuple[Callable[[], object], str]:
    """One of them, with the file there that some of them need."""
    (folder / "there.txt").write_text("x")
    return forbidden(folder)[name]


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_forbidden_halts_the_instance_and_names_the_remedy(host: Host, name: str) -> None:
    act, says = chosen(host.folder, name)
    before = sorted(os.listdir(host.folder))
    ACTS[name] = act
    world = await opened(host, acting, careless)

    instance = await world.start(acting, name=name)

    halt = world.halt(instance)
    assert halt["code"] == "fence"
    assert says in halt["message"] and "move this into an operation (`@function.service`)" in halt["message"]
    assert halt["stack"][0]["frames"][0][1] == "acting"
    assert [each for each in sorted(os.listdir(host.folder)) if not each.startswith("world")] == before


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.TextIOWrapper:
    """Standard input of a program, on which three lines were typed."""
    typed = io.TextIOWrapper(io.BytesIO(b"one\ntwo\nthree\n"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", typed)
    fence_standard_input()
    return typed


def test_what_is_fenced_stays_open_where_nobody_else_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\n"), encoding="utf-8"))
    fence_standard_input()
    gc.collect()
    assert sys.stdin.readline() == "one\n"


READS: dict[str, Callable[[], object]] = {
    "input": lambda: input("? "),
    "readline": lambda: sys.stdin.readline(),
    "readlines": lambda: sys.stdin.readlines(),
    "read": lambda: sys.stdin.read(),
    "a loop": lambda: list(sys.stdin),
}


@pytest.mark.parametrize("name", sorted(READS))
async def test_what_was_typed_at_the_terminal_is_not_for_process_code(
    host: Host, terminal: io.TextIOWrapper, name: str
) -> None:
    ACTS[name] = READS[name]
    world = await opened(host, acting, proper)

    instance = await world.start(acting, name=name)

    assert "Process code asks at the terminal." in world.halt(instance)["message"]
    assert "by a task (`@function.task`)" in world.halt(instance)["message"]
    by_a_service = await world.start(proper, name=name)
    await world.until_ended(by_a_service)
    assert "one" in world.result(by_a_service)


@pytest.mark.parametrize(
    "name", ["a program", "a thread", "a database", "a file written", "a file removed", "a socket"]
)
async def test_the_same_is_allowed_in_a_service(host: Host, name: str) -> None:
    ACTS[name], _ = chosen(host.folder, name)
    world = await opened(host, proper)

    instance = await world.start(proper, name=name)

    await world.until_ended(instance)
    assert world.state(instance) == "completed"


@pytest.mark.parametrize("name", ["a file written", "a thread", "a socket"])
async def test_a_fence_that_the_code_swallows_halts_all_the_same_and_stays_up(host: Host, name: str) -> None:
    ACTS[name], _ = chosen(host.folder, name)
    world = await opened(host, careless)

    instance = await world.start(careless, name=name)

    assert world.halt(instance)["code"] == "fence"
    assert world.waits(instance).items == ()
    assert not (host.folder / "out.txt").exists()


def import_lazily() -> object:
    sys.modules.pop("colorsys", None)
    import colorsys

    return colorsys.rgb_to_hls(0, 0, 0)


def know_a_zone() -> object:
    import zoneinfo

    return zoneinfo.ZoneInfo.no_cache("America/New_York")


def tell_of_an_error() -> object:
    try:
        raise ValueError("told")
    except ValueError:
        return "ValueError: told" in traceback.format_exc()


def note() -> object:
    log.info("a note")
    return "noted"


@pytest.mark.parametrize("act", [import_lazily, know_a_zone, tell_of_an_error, note, lambda: pathlib.Path("x").name])
async def test_imports_time_zones_tracebacks_and_notes_are_allowed(host: Host, act: Callable[[], object]) -> None:
    ACTS["allowed"] = act
    world = await opened(host, acting)

    instance = await world.start(acting, name="allowed")

    assert world.state(instance) == "completed", world.row(instance).halt


async def test_a_module_beside_the_program_is_imported_where_the_search_path_names_the_working_folder(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    (host.folder / "beside_the_program.py").write_text("answer = 42")
    monkeypatch.chdir(host.folder)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    ACTS["beside"] = lambda: __import__("beside_the_program").answer
    world = await opened(host, acting)

    instance = await world.start(acting, name="beside")

    assert world.result(instance) == "42"


async def test_a_note_reaches_a_file_that_is_opened_for_it_and_says_of_which_instance_it_is(host: Host) -> None:
    ACTS["noting"] = note
    world = await opened(host, acting)
    path = host.folder / "notes.log"
    handler = logging.FileHandler(path, delay=True)
    handler.setFormatter(logging.Formatter("%(instance)s: %(message)s"))
    logger = logging.getLogger("procession.process")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        await world.start(acting, name="noting")
    finally:
        logger.removeHandler(handler)
        handler.close()

    assert path.read_text() == "acting-1: a note\n"


async def test_another_thread_is_not_fenced_while_process_code_runs(host: Host) -> None:
    """A thread waits until process code runs, writes a file, and only then lets the process go on."""
    runs, has_written = threading.Event(), threading.Event()

    def elsewhere() -> None:
        assert runs.wait(10)
        (host.folder / "elsewhere.txt").write_text("x")
        has_written.set()

    def meet() -> str:
        runs.set()
        return str(has_written.wait(10))

    ACTS["meeting"] = meet
    thread = threading.Thread(target=elsewhere)
    thread.start()
    world = await opened(host, acting)

    instance = await world.start(acting, name="meeting")

    thread.join()
    assert world.result(instance) == "True"


async def test_after_a_halt_by_the_fence_the_engines_thread_is_free_again(host: Host) -> None:
    ACTS["writing"] = write(host.folder)
    world = await opened(host, acting, proper)

    instance = await world.start(acting, name="writing")
    (host.folder / "mine.txt").write_text("x")
    threading.Thread(target=int).start()
    again = await world.start(proper, name="writing")
    await world.until_ended(again)

    assert world.state(instance) == "halted"
    assert (world.state(again), (host.folder / "mine.txt").exists()) == ("completed", True)


async def test_a_fence_reached_in_replay_halts_when_the_instance_is_needed(host: Host) -> None:
    """The source has changed: what was lived through without a file now reads one."""
    ACTS["changing"] = lambda: "quiet"
    world = await opened(host, careless)
    instance = await world.start(careless, name="changing")
    ACTS["changing"] = write(host.folder)
    await world.restart()

    await world.complete(instance, True)

    assert world.halt(instance)["code"] == "fence"
    assert "writes the file" in world.halt(instance)["message"]
    assert not (host.folder / "out.txt").exists()
    ACTS["changing"] = lambda: "quiet"
    await world.retry(instance)
    assert world.result(instance) == "as if nothing had been"


async def test_outside_of_instances_nothing_is_closed(host: Host) -> None:
    await opened(host, acting)
    await asyncio.to_thread((host.folder / "free.txt").write_text, "x")
    assert (host.folder / "free.txt").read_text() == "x"
    sqlite3.connect(host.folder / "own.db").close()


async def test_what_the_collector_finishes_meanwhile_is_not_the_process_s_doing(host: Host, tmp_path: Path) -> None:
    team = Function("Team", owner="ann@acme.example")

    class Innocent:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            (tmp_path / "finished").write_text("yes", encoding="utf-8")

    @process(owner=team)
    async def collecting() -> str:
        gc.collect()
        return "went on"

    world = await opened(host, collecting)
    gc.disable()
    try:
        Innocent()
        assert world.result(await world.start(collecting)) == "went on"
    finally:
        gc.enable()
    assert (tmp_path / "finished").read_text(encoding="utf-8") == "yes"
