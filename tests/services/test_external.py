"""Outside programs as they come by: with an engine or without, by the client, and what is told of what they let lapse."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from procession.client import Worker
from procession.engine.clock import VirtualClock
from procession.errors import ProcessionError
from procession.services.commands import (
    CompleteCall,
    FailCall,
    FetchExternal,
    RetryCall,
    StartInstance,
)
from procession.services.health import examine
from procession.services.reading import Reading
from procession.services.repairs import NothingToRetry
from tests.services.applications import Made, make_office

SCANNING = '''

class Unreadable(Exception):
    pass


@machine.external(raises=[Unreadable], attempts=1)
async def scan(letter: str) -> int:
    """Scan it."""
    ...


@process(owner=desk)
async def file(letter: str) -> int:
    try:
        return await scan(letter)
    except Unreadable:
        return 0
'''
DAY_US = 86_400_000_000
START = StartInstance("file", '{"letter": "Dear Sir"}')


@pytest.fixture
def archive(tmp_path: Path) -> Made:
    made = make_office(tmp_path, lambda text: text + SCANNING)
    made.perform(START)
    return made


def result_of(made: Made, instance: str = "file-1") -> object:
    with Reading(made.application) as reading:
        return reading.instance(instance).result


def test_a_worker_fetches_completes_and_gives_back_without_an_engine(archive: Made) -> None:
    worker = Worker(archive.application.folder, name="scanner")
    (call,) = worker.fetch("scan")
    assert (call.operation, call.input, call.attempt) == ("Machine.scan", {"letter": "Dear Sir"}, 1)
    assert worker.heartbeat(call, lease="1 hour") > call.lease_until
    worker.complete(call, 4)
    worker.complete(call, 4)
    assert result_of(archive) == 4
    archive.perform(START)
    (call,) = worker.fetch("Machine.scan", limit=9)
    worker.fail(call, "wet", declared="Unreadable")
    assert result_of(archive, "file-2") == 0
    with pytest.raises(ProcessionError) as late:
        worker.heartbeat(call)
    assert late.value.code == "stale-lease"


def test_a_worker_whose_answer_was_lost_fetches_the_same_calls_again(archive: Made) -> None:
    archive.perform(START, START)
    worker = Worker(archive.application.folder, name="scanner")
    calls = worker.fetch("scan", limit=2, request="morning")
    assert worker.fetch("scan", limit=2, request="morning") == calls
    assert [call.instance for call in calls] == ["file-1", "file-2"]
    assert [call.instance for call in worker.fetch("scan", limit=2)] == ["file-3"]


def test_a_call_that_was_let_lapse_is_told_and_can_be_handed_out_again_or_ended_by_hand(tmp_path: Path) -> None:
    archive = make_office(tmp_path, lambda text: text + SCANNING)
    yesterday = VirtualClock(time.time_ns() // 1000 - DAY_US)
    archive.perform(START, FetchExternal("scan", "scanner", lease="1 second"), clock=yesterday)
    with pytest.raises(NothingToRetry, match="scanner has call 1"):
        archive.perform(RetryCall("file-1", 1), clock=yesterday)
    (told,) = examine(archive.application).concerns
    assert (told.kind, told.subject) == ("external", "file-1")
    assert "was handed out 1 time and not done, the last time to scanner" in told.message
    with Reading(archive.application) as reading:
        (wait,) = reading.instance("file-1").waits
    assert (wait.kind, wait.state, wait.attempts_allowed) == ("external", "attention", 1)
    archive.perform(RetryCall("file-1", 1))
    assert examine(archive.application).is_well
    archive.perform(START, CompleteCall("file-1", 1, "7"), FailCall("file-2", 1, "burnt"))
    assert result_of(archive) == 7
    with Reading(archive.application) as reading:
        assert reading.instance("file-2").instance.state == "failed"
