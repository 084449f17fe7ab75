"""What is held by a pause or a limit says so wherever it is shown: by whom, since when, and what has it go on."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest

from procession.services.attention import CasesWanted, list_cases
from procession.services.commands import Command, Pause, SetLimit, StartInstance, SuspendInstance
from procession.services.health import examine
from procession.services.hosting import Host
from procession.services.reading import Reading, Wanted
from procession.services.records import InstanceDetail, PauseShown
from tests.services import applications
from tests.services.applications import Made, make_office

START = StartInstance("receive", '{"letter": "Dear Sir"}')


PARENT = """

@process(owner=desk)
async def parent(letter: str) -> int:
    return await receive(letter)
"""


@pytest.fixture
def office(tmp_path: Path) -> Made:
    return make_office(tmp_path, lambda text: text.replace("attempts=3", 'attempts=3, system="scales"') + PARENT)


async def give(host: Host, *commands: Command) -> None:
    for command in commands:
        await applications.give(host, command, reason="audit.")


def shown(office: Made, instance: str = "receive-1") -> InstanceDetail:
    with Reading(office.application) as reading:
        return reading.instance(instance)


def of(pause: PauseShown | None) -> tuple[str, str, str] | None:
    return None if pause is None else (pause.by, pause.reason, pause.command)


@pytest.mark.parametrize("scope", ["operation Machine.weigh", "system scales"])
async def test_a_service_that_is_paused_or_whose_system_is_says_so_where_it_is_waited_for(
    office: Made, scope: str
) -> None:
    async with office.at_work() as host:
        await give(host, START, Pause(*scope.split()))
    task, service = shown(office).waits
    assert task.pause is None
    kind, name = scope.split()
    assert of(service.pause) == ("ann", "audit.", f'procession unpause {kind} "{name}"')
    assert service.pause is not None
    told = service.pause.sentence(UTC)
    assert told.startswith(f"the {scope} is paused since ")
    assert told.endswith(" by ann: audit")


async def test_an_item_of_a_paused_operation_is_shown_as_paused_wherever_it_is_listed(office: Made) -> None:
    async with office.at_work() as host:
        await give(host, START, Pause("operation", "Desk.read"))
    with Reading(office.application) as reading:
        worklist = reading.worklist("ann")
        items = (*worklist.items, reading.item(1).item, *reading.instance("receive-1").items)
        (pause,) = reading.instances(Wanted()).pauses
    assert [item.state for item in items] == ["paused"] * 3
    assert worklist.pauses == (pause,)
    assert [item.pause for item in items] == [pause] * 3
    assert of(pause) == ("ann", "audit.", 'procession unpause operation "Desk.read"')


async def test_what_is_paused_is_told_by_doctor_and_attention_and_is_no_case(office: Made) -> None:
    async with office.at_work() as host:
        await give(host, START, Pause("operation", "Desk.read"), Pause("process", "wait"))
        report = examine(office.application)
        found = list_cases(office.application, CasesWanted())
    assert [(each.scope, each.name) for each in report.pauses] == [("operation", "Desk.read"), ("process", "wait")]
    assert report.pauses == found.pauses
    assert found.cases == ()


@pytest.mark.parametrize(
    ("command", "goes_on"),
    [
        (Pause("process", "receive", "stop"), 'procession unpause process "receive"'),
        (SuspendInstance("receive-1", "stop"), "procession resume receive-1"),
    ],
)
async def test_an_instance_that_is_suspended_says_by_whom_and_what_has_it_go_on(
    office: Made, command: Command, goes_on: str
) -> None:
    async with office.at_work() as host:
        await give(host, START)
        assert shown(office).suspension is None
        await give(host, command)
    suspension = shown(office).suspension
    assert suspension is not None
    assert (suspension.by, suspension.timers, suspension.command) == ("ann", "stop", goes_on)
    assert suspension.sentence(UTC).endswith("audit")


async def test_a_parent_tells_who_has_the_child_that_it_waits_for_stand_still(office: Made) -> None:
    async with office.at_work() as host:
        await give(host, StartInstance("parent", '{"letter": "Dear Sir"}'), SuspendInstance("receive-1"))
        (wait,) = shown(office, "parent-1").waits
        assert wait.suspension is not None
        assert (wait.suspension.by, wait.suspension.command) == ("ann", "procession resume receive-1")
        found = list_cases(office.application, CasesWanted())
    assert (found.cases, found.suspended) == ((), 1)


async def test_a_service_that_may_have_to_wait_for_its_turn_tells_the_limits_that_it_is_under(office: Made) -> None:
    async with office.at_work() as host:
        await give(host, START)
        assert shown(office).waits[1].limits == ()
        await give(host, SetLimit("scales", per_minute=1), SetLimit("Machine.weigh", at_once=2, per_minute=9))
    limits = shown(office).waits[1].limits
    assert [(each.name, each.spoken) for each in limits] == [
        ("Machine.weigh", "2 at once, 9 a minute"),
        ("scales", "1 a minute"),
    ]


async def test_what_is_held_is_shown_while_the_application_does_not_load(office: Made) -> None:
    async with office.at_work() as host:
        await give(host, START, Pause("operation", "Desk.read"))
    office.source.write_text("this is no Python")
    task, _ = shown(office).waits
    assert of(task.pause) == ("ann", "audit.", 'procession unpause operation "Desk.read"')
