"""What waits for a person is listed with what to do next, and told once to the log and to a real program."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from procession.engine.clock import Clock, SystemClock, VirtualClock
from procession.services.application import Application
from procession.services.attention import CaseKind, CaseList, CasesWanted, list_cases
from procession.services.commands import CancelInstance, Command, CompleteItem, Order, RetryCall, StartInstance
from procession.services.health import examine
from procession.services.hosting import Host, Hosting, open_host
from procession.services.telling import tell_by_program
from tests.services.applications import Made, make_office

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
APPENDS = "import sys, pathlib; pathlib.Path('told.jsonl').open('a').write(sys.stdin.read())"


@pytest.fixture
def office(tmp_path: Path) -> Made:
    return make_office(tmp_path, lambda text: text + BROKEN)


def with_program(made: Made, *program: str) -> Application:
    return replace(made.application, on_attention=program)


def told(made: Made) -> list[dict[str, Any]]:
    file = made.application.folder / "told.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@asynccontextmanager
async def at_work(application: Application) -> AsyncIterator[Host]:
    async with open_host(application, Hosting(runs_services=False, runs_timers=False)) as host:
        yield host


async def perform(made: Made, *commands: Command, clock: Clock | None = None) -> None:
    """Have commands carried out by an engine of their own, from inside a loop."""
    hosting = Hosting(runs_services=False, runs_timers=False, clock=clock or SystemClock())
    async with open_host(made.application, hosting) as host:
        for command in commands:
            await give(host, command)


async def give(host: Host, command: Command) -> dict[str, Any]:
    return dict(await host.perform(Order(command, "ann", "because")))


HALTS: tuple[Command, ...] = (StartInstance("divide", '{"by": 0}'), CompleteItem(1, "1"))


def listed(made: Made, wanted: CasesWanted | None = None) -> CaseList:
    return list_cases(made.application, wanted or CasesWanted())


async def out_of_attempts(made: Made) -> None:
    """One call of `publish-1` that needs attention."""
    async with open_host(made.application, Hosting()) as host:
        await give(host, StartInstance("publish", '{"letter": "Dear Sir"}'))
        while not attention(host):
            await host.engine.apply_due()


def test_an_application_that_never_ran_has_nothing_that_needs_attention(office: Made) -> None:
    assert listed(office) == CaseList((), more=False)


def test_a_halted_instance_is_listed_with_the_command_to_go_on(office: Made) -> None:
    office.perform(*HALTS)
    (case,) = listed(office).cases
    assert (case.kind, case.instance, case.process) == (CaseKind.HALTED, "divide-1", "divide")
    assert "ZeroDivisionError" in case.message
    assert case.command == "procession retry divide-1"


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
    application = with_program(office, sys.executable, "-c", APPENDS)
    async with at_work(application) as host:
        await give(host, StartInstance("divide", '{"by": 0}'))
        await host.teller.look()
        assert told(office) == []
        await give(host, CompleteItem(1, "1"))
        await host.teller.look()
        await host.teller.look()
        (document,) = told(office)
    async with at_work(application) as host:
        await host.teller.look()
    assert told(office) == [document]
    assert document["application"] == application.name
    assert (document["kind"], document["instance"], document["process"]) == ("halted", "divide-1", "divide")
    assert document["command"] == "procession retry divide-1"
    assert document["since"].endswith("Z")


async def test_a_case_that_comes_again_is_told_again(office: Made) -> None:
    await out_of_attempts(office)
    application = with_program(office, sys.executable, "-c", APPENDS)
    async with open_host(application, Hosting()) as host:
        await host.teller.look()
        await give(host, RetryCall("publish-1", 1))
        while not [row for row in attention(host) if row.attempts == 2]:
            await host.engine.apply_due()
        await host.teller.look()
    assert [document["occurrence"].rpartition(":")[2] for document in told(office)] == ["1", "2"]


def attention(host: Host) -> list[Any]:
    with host.engine.store.readers.snapshot() as view:
        return list(view.attention())


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
    await perform(office, *HALTS)
    async with at_work(with_program(office, *program)) as host:
        await host.teller.look()
        assert said in caplog.text
        caplog.clear()
        await host.teller.look()
        assert caplog.text == ""
    (concern,) = [each for each in examine(with_program(office, *program)).concerns if each.kind == "not told"]
    assert said in concern.message
    async with at_work(with_program(office, sys.executable, "-c", APPENDS)) as host:
        await host.teller.look()
    assert len(told(office)) == 1
    assert "not told" not in {each.kind for each in examine(with_program(office, *program)).concerns}


async def test_a_program_that_hangs_is_ended_with_all_that_it_started(office: Made) -> None:
    folder = office.application.folder
    hangs = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    failed = await tell_by_program((sys.executable, "-c", hangs), {}, folder, seconds=0.2)
    assert failed == "did not end within 0.2 seconds, and was ended."


async def test_a_program_that_reads_nothing_and_says_much_is_told_all_the_same(office: Made) -> None:
    chatters = "import sys; sys.stdin.close(); [sys.stderr.write('x' * 65536) for _ in range(64)]"
    document = {"message": "y" * 1_000_000}
    assert await tell_by_program((sys.executable, "-c", chatters), document, office.application.folder) == ""


async def test_without_a_program_a_new_case_is_one_line_in_the_log_without_values_of_the_business(
    office: Made, caplog: pytest.LogCaptureFixture
) -> None:
    await perform(office, START, clock=VirtualClock(LONG_AGO.wall_us()))
    async with at_work(office.application) as host:
        await host.teller.look()
        await host.teller.look()
    (record,) = [each for each in caplog.records if each.name == "procession.attention"]
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "Item 1 of receive-1, Desk.read, is past its due date. Next: procession work show 1"
    assert (record.__dict__["instance"], record.__dict__["operation"]) == ("receive-1", "Desk.read")


async def test_what_is_over_is_forgotten_by_the_store(office: Made) -> None:
    await perform(office, *HALTS)
    async with at_work(office.application) as host:
        await host.teller.look()
        with host.engine.store.readers.snapshot() as view:
            assert len(view.metas("told:")) == 1
        await give(host, CancelInstance("divide-1", force=True))
        await host.teller.look()
        with host.engine.store.readers.snapshot() as view:
            assert view.metas("told:") == {}


async def test_an_engine_in_service_tells_by_itself(office: Made) -> None:
    """The engine says that there is something new; whoever waits for the program's line waits for the program."""
    application = with_program(office, sys.executable, "-c", APPENDS)
    async with open_host(application, Hosting(tells=True, clock=SystemClock())) as host:
        await give(host, StartInstance("divide", '{"by": 0}'))
        await give(host, CompleteItem(1, "1"))
        while not told(office):
            await host.engine.apply_due()
