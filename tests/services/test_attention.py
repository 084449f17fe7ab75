"""What waits for a person is listed with what to do next, and told once to the log and to a real program."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO

import pytest

from procession.engine.clock import VirtualClock
from procession.services.attention import CaseKind, CaseList, CasesWanted, list_cases
from procession.services.commands import (
    CancelInstance,
    Command,
    CompleteItem,
    FailCall,
    RetryCall,
    SkipCall,
    StartInstance,
)
from procession.services.health import examine
from procession.services.telling import tell_by_program
from procession.store import View
from tests.services.applications import Made, give, make_office, until

DAY_US = 86_400_000_000
START = StartInstance("receive", '{"letter": "Dear Sir"}')
LONG_AGO = VirtualClock(time.time_ns() // 1000 - 3 * DAY_US)

BROKEN = """

@machine.service(attempts=1)
async def print_it(letter: str) -> int:
    raise ConnectionError("no paper")


@process(owner=desk)
async def publish(letter: str) -> int:
    return await print_it(letter)


@process(owner=desk)
async def divide(by: int) -> int:
    await read("first")
    return 1 // by
"""
BOOKED = """

@machine.service()
async def book() -> int:
    return 7


@book.undo
@desk.task()
async def unbook(number: int) -> None: ...


@process(owner=desk)
async def travel() -> int:
    number = await book()
    await read("the tickets")
    return number
"""
HOLDS = """
import fcntl, time
file = open("held", "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", end="", file=file, flush=True)
time.sleep(300)
"""
APPENDS = "import sys, pathlib; pathlib.Path('told.jsonl').open('a').write(sys.stdin.read())"


@pytest.fixture
def office(tmp_path: Path) -> Made:
    return make_office(tmp_path, lambda text: text + BROKEN)


def with_program(made: Made, *program: str) -> Made:
    return replace(made, application=replace(made.application, on_attention=program))


def told(made: Made) -> list[dict[str, Any]]:
    file = made.application.folder / "told.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


HALTS: tuple[Command, ...] = (StartInstance("divide", '{"by": 0}'), CompleteItem(1, "1"))


def listed(made: Made, wanted: CasesWanted | None = None) -> CaseList:
    return list_cases(made.application, wanted or CasesWanted())


async def out_of_attempts(made: Made) -> None:
    """One call of `publish-1` that needs attention."""
    async with made.at_work(runs_services=True) as host:
        await give(host, StartInstance("publish", '{"letter": "Dear Sir"}'))
        await until(host, View.attention)


def test_an_application_that_never_ran_has_nothing_that_needs_attention(office: Made) -> None:
    assert listed(office) == CaseList((), more=False)


def test_a_halted_instance_is_listed_with_the_command_to_go_on(office: Made) -> None:
    office.perform(*HALTS)
    (case,) = listed(office).cases
    assert (case.kind, case.instance, case.process) == (CaseKind.HALTED, "divide-1", "divide")
    assert "ZeroDivisionError" in case.message
    assert case.command == "procession retry divide-1"


async def test_what_was_not_undone_is_listed_until_somebody_says_how_it_was_seen_to(tmp_path: Path) -> None:
    made = make_office(tmp_path, lambda text: text + BOOKED)
    async with made.at_work(runs_services=True) as host:
        await give(host, StartInstance("travel", "{}"))
        await until(host, lambda view: view.waits(1).items)
        await give(host, CancelInstance("travel-1"))
        await until(host, lambda view: view.waits(1).items)
        await give(host, FailCall("travel-1", 3, "nobody answers"))
    (case,) = listed(made).cases
    assert (case.kind, case.subject, case.call) == (CaseKind.NOT_UNDONE, "travel-1", 3)
    assert "`procession skip travel-1 --call 3 --reason TEXT`" in case.remedy
    async with made.at_work() as host:
        await give(host, SkipCall("travel-1", 3), reason="by telephone")
    assert listed(made).cases == ()


async def test_a_service_out_of_attempts_is_listed_with_its_call_and_error(office: Made) -> None:
    await out_of_attempts(office)
    (case,) = listed(office).cases
    assert (case.kind, case.operation, case.call) == (CaseKind.SERVICE, "Machine.print_it", 1)
    assert "ConnectionError: no paper" in case.message
    assert case.command == "procession retry publish-1 --call 1"


def test_what_is_overdue_and_what_is_cancelled_for_long_are_listed_the_longest_first(tmp_path: Path) -> None:
    made = make_office(
        tmp_path,
        lambda text: text.replace(
            "    await asyncio.sleep(seconds)\n",
            "    try:\n        await asyncio.sleep(seconds)\n    finally:\n        await read('what is left')\n",
        ),
    )
    made.perform(
        START,
        StartInstance("wait", '{"seconds": 99}'),
        CancelInstance("wait-1"),
        clock=VirtualClock(LONG_AGO.wall_us()),
    )
    found = listed(made).cases
    assert [(case.kind, case.subject) for case in found] == [
        (CaseKind.CANCELLING, "wait-1"),
        (CaseKind.OVERDUE, "1"),
        (CaseKind.OVERDUE, "2"),
    ]
    assert found[1].since - found[0].since == timedelta(days=2)


def test_cases_are_chosen_by_process_by_operation_and_by_since_when(office: Made) -> None:
    office.perform(*HALTS)
    office.perform(START)
    assert [case.instance for case in listed(office, CasesWanted(process="divide")).cases] == ["divide-1"]
    assert listed(office, CasesWanted(process="receive")).cases == ()
    assert listed(office, CasesWanted(operation="Desk.read")).cases == ()
    (case,) = listed(office).cases
    assert listed(office, CasesWanted(since=case.since)).cases == (case,)
    assert listed(office, CasesWanted(since=case.since + timedelta(seconds=1))).cases == ()


def test_an_overdue_item_is_chosen_by_its_operation(office: Made) -> None:
    office.perform(START, clock=VirtualClock(LONG_AGO.wall_us()))
    assert [case.item for case in listed(office, CasesWanted(operation="Desk.read")).cases] == [1]


def test_doctor_tells_the_very_same_cases(office: Made) -> None:
    office.perform(*HALTS)
    (case,) = listed(office).cases
    assert [(each.kind, each.message, each.remedy) for each in examine(office.application).concerns] == [
        ("halted", case.message, case.remedy)
    ]


async def test_a_new_case_is_told_to_the_program_and_never_again(office: Made) -> None:
    telling = with_program(office, sys.executable, "-c", APPENDS)
    async with telling.at_work() as host:
        await give(host, StartInstance("divide", '{"by": 0}'))
        await host.teller.look()
        assert told(office) == []
        await give(host, CompleteItem(1, "1"))
        await host.teller.look()
        await host.teller.look()
        (document,) = told(office)
    async with telling.at_work() as host:
        await host.teller.look()
    assert told(office) == [document]
    assert document["application"] == office.application.name
    assert (document["kind"], document["instance"], document["process"]) == ("halted", "divide-1", "divide")
    assert document["command"] == "procession retry divide-1"
    assert document["since"].endswith("Z")


async def test_a_case_that_comes_again_is_told_again(office: Made) -> None:
    await out_of_attempts(office)
    async with with_program(office, sys.executable, "-c", APPENDS).at_work(runs_services=True) as host:
        await host.teller.look()
        await give(host, RetryCall("publish-1", 1))
        await until(host, lambda view: [row for row in view.attention() if row.attempts == 2])
        await host.teller.look()
    assert [document["occurrence"].rpartition(":")[2] for document in told(office)] == ["1", "2"]


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ((sys.executable, "-c", "import sys; sys.exit('no network')"), "ended with exit status 1: no network."),
        (("no-such-program-anywhere",), "could not be started"),
    ],
)
async def test_a_program_that_fails_is_logged_shown_by_doctor_and_run_again_after_the_next_start(
    office: Made, program: tuple[str, ...], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    await office.performed(*HALTS)
    async with with_program(office, *program).at_work() as host:
        await host.teller.look()
        assert said in caplog.text
        caplog.clear()
        await host.teller.look()
        assert caplog.text == ""
    (concern,) = [
        each for each in examine(with_program(office, *program).application).concerns if each.kind == "not told"
    ]
    assert said in concern.message
    async with with_program(office, sys.executable, "-c", APPENDS).at_work() as host:
        await host.teller.look()
    assert len(told(office)) == 1
    assert "not told" not in {each.kind for each in examine(with_program(office, *program).application).concerns}


def is_locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


async def test_a_program_that_hangs_is_ended_with_all_that_it_started(office: Made) -> None:
    folder = office.application.folder
    held = folder / "held"
    hangs = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLDS!r}])"
    for seconds in (0.2, 1.0, 5.0, 25.0):
        failed = await tell_by_program((sys.executable, "-c", hangs), {}, folder, seconds=seconds)
        assert failed == f"did not end within {seconds:g} seconds, and was ended."
        if held.exists() and held.read_text():
            break  # otherwise it was ended before it had started anything
    assert held.read_text() == "held", "it had started a program of its own"
    with held.open() as file:
        while is_locked(file):  # the lock goes with whoever holds it
            await asyncio.sleep(0.01)


async def test_a_program_that_reads_nothing_and_says_much_is_told_all_the_same(office: Made) -> None:
    chatters = "import sys; sys.stdin.close(); [sys.stderr.write('x' * 65536) for _ in range(64)]"
    document = {"message": "y" * 1_000_000}
    assert await tell_by_program((sys.executable, "-c", chatters), document, office.application.folder) == ""


async def test_without_a_program_a_new_case_is_one_line_in_the_log_without_values_of_the_business(
    office: Made, caplog: pytest.LogCaptureFixture
) -> None:
    await office.performed(START, clock=VirtualClock(LONG_AGO.wall_us()))
    async with office.at_work() as host:
        await host.teller.look()
        await host.teller.look()
    (record,) = [each for each in caplog.records if each.name == "procession.attention"]
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "Item 1 of receive-1, Desk.read, is past its due date. Next: procession work show 1"
    assert (record.__dict__["instance"], record.__dict__["operation"]) == ("receive-1", "Desk.read")


async def test_what_is_over_is_forgotten_by_the_store(office: Made) -> None:
    await office.performed(*HALTS)
    async with office.at_work() as host:
        await host.teller.look()
        with host.engine.store.readers.snapshot() as view:
            assert len(view.metas("told:")) == 1
        await give(host, CancelInstance("divide-1", force=True))
        await host.teller.look()
        with host.engine.store.readers.snapshot() as view:
            assert view.metas("told:") == {}


async def test_an_engine_in_service_tells_by_itself(office: Made) -> None:
    """The engine says that there is something new; whoever waits for the program's line waits for the program."""
    telling = with_program(office, sys.executable, "-c", APPENDS)
    async with telling.at_work(tells=True) as host:
        await give(host, StartInstance("divide", '{"by": 0}'))
        await give(host, CompleteItem(1, "1"))
        await until(host, lambda view: told(office))
