"""A pause of a process, of an operation, of an outside system; and a call that is skipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from procession.engine.suspending import InstanceIsSuspended
from procession.errors import InvalidValue
from procession.services.commands import (
    ClaimItem,
    Command,
    CompleteItem,
    Pause,
    PutBackItem,
    ResumeInstance,
    SaveDraft,
    SkipCall,
    StartInstance,
    SuspendInstance,
    Unpause,
)
from procession.services.hosting import Host
from procession.services.reading import Reading
from procession.services.repairs import NoOpenCall
from procession.services.scopes import IsPaused, NothingToPause, list_pauses
from procession.store import View
from tests.services import applications
from tests.services.applications import Made, make_office

START = StartInstance("receive", '{"letter": "Dear Sir"}')
WAIT = StartInstance("wait", '{"seconds": 99999}')

MORE = """

@machine.service(attempts=3, system="scales")
async def weigh_again(letter: str) -> int:
    return 7


@process(owner=desk)
async def again(letter: str) -> int:
    return await weigh_again(letter)


@process(owner=desk)
async def parent(letter: str) -> int:
    await read("first")
    return await receive(letter)
"""


@pytest.fixture
def office(tmp_path: Path) -> Made:
    return make_office(tmp_path, lambda text: text + MORE)


async def give(host: Host, command: Command, reason: str | None = "audit") -> dict[str, Any]:
    return await applications.give(host, command, reason=reason)


def state(host: Host, name: str) -> str:
    with host.engine.store.readers.snapshot() as view:
        return state_in(view, name)


def state_in(view: View, name: str) -> str:
    row = view.instances.find_by_name(name)
    assert row is not None
    return row.state


async def test_a_paused_process_is_not_started_and_its_instances_stand_still_until_it_goes_on(office: Made) -> None:
    async with office.at_work() as host:
        await give(host, START)
        await give(host, START)
        await give(host, WAIT)
        await give(host, SuspendInstance("receive-2"), "by itself")
        assert (await give(host, Pause("process", "receive")))["instances"] == 1
        with pytest.raises(IsPaused, match="The process receive is paused by ann: audit"):
            await give(host, START)
        with pytest.raises(InstanceIsSuspended):
            await give(host, CompleteItem(1, "3"))
        assert state(host, "wait-1") == "running"
    async with office.at_work() as host:
        with pytest.raises(IsPaused):
            await give(host, START)
        assert (await give(host, Unpause("process", "receive")))["instances"] == 1
        assert (state(host, "receive-1"), state(host, "receive-2")) == ("running", "suspended")
        await give(host, START)
        await give(host, CompleteItem(1, "3"))


async def test_a_child_that_begins_while_its_process_is_paused_stands_still_and_goes_on_with_it(office: Made) -> None:
    async with office.at_work() as host:
        await give(host, StartInstance("parent", '{"letter": "Dear Sir"}'))
        await give(host, Pause("process", "receive"))
        await give(host, CompleteItem(1, "1"))
        assert state(host, "receive-1") == "suspended"
        await give(host, Unpause("process", "receive"))
        assert state(host, "receive-1") == "running"


async def test_the_timers_of_a_paused_process_stand_still_where_that_is_wanted(office: Made) -> None:
    async with office.at_work() as host:
        await give(host, WAIT)
        await give(host, Pause("process", "wait", "stop"))
        with host.engine.store.readers.snapshot() as view:
            assert view.next_timer_due_us() is None
        await give(host, Unpause("process", "wait"))
        with host.engine.store.readers.snapshot() as view:
            assert view.next_timer_due_us() is not None


async def test_at_a_paused_operation_nothing_is_claimed_or_completed_and_what_was_typed_is_kept(office: Made) -> None:
    async with office.at_work() as host:
        await give(host, START)
        await give(host, ClaimItem(1))
        await give(host, Pause("operation", "Desk.read"))
        with pytest.raises(IsPaused, match=r"The operation Desk\.read is paused"):
            await give(host, CompleteItem(1, "3"))
        await give(host, SaveDraft(1, "4"))
        await give(host, PutBackItem(1))
        with pytest.raises(IsPaused):
            await give(host, ClaimItem(1))
        with Reading(office.application) as reading:
            assert reading.item(1).draft == 4
        await give(host, START)
        await give(host, Unpause("operation", "Desk.read"))
        await give(host, CompleteItem(1, "3"))


@pytest.mark.parametrize(("scope", "name"), [("operation", "Machine.weigh_again"), ("system", "scales")])
async def test_no_attempt_begins_at_a_paused_service_or_system_also_after_a_restart(
    office: Made, scope: str, name: str
) -> None:
    async with office.at_work(runs_services=True, runs_timers=True) as host:
        await give(host, Pause(scope, name))
        await give(host, StartInstance("again", '{"letter": "Dear Sir"}'))
        await host.engine.apply_due()
    async with office.at_work(runs_services=True, runs_timers=True) as host:
        await host.engine.apply_due()
        with host.engine.store.readers.snapshot() as view:
            (call,) = view.waits(1).service_calls
        assert (call.state, call.attempts) == ("due", 0)
        await give(host, Unpause(scope, name))
        await applications.until(host, lambda view: state_in(view, "again-1") == "completed")


async def test_a_pause_of_a_service_outlives_its_renaming(office: Made) -> None:
    async with office.at_work(runs_services=True, runs_timers=True) as host:
        await give(host, Pause("operation", "Machine.weigh_again"))
        await give(host, StartInstance("again", '{"letter": "Dear Sir"}'))
        text = office.source.read_text().replace('system="scales"', 'was=("weigh_again",)')
        office.source.write_text(text.replace("weigh_again(letter", "put_on_scales(letter"))
        assert await host.take_present_source()
        await give(host, StartInstance("again", '{"letter": "Dear Sir"}'))
        await host.engine.apply_due()
        with host.engine.store.readers.snapshot() as view:
            calls = [each for instance in (1, 2) for each in view.waits(instance).service_calls]
        assert [(each.state, each.attempts) for each in calls] == [("due", 0)] * 2
        await give(host, Unpause("operation", "Machine.put_on_scales"))
        names = ("again-1", "again-2")
        await applications.until(host, lambda view: {state_in(view, name) for name in names} == {"completed"})


async def test_pauses_are_listed_with_who_and_why_and_whether_timers_run_on(office: Made) -> None:
    assert list_pauses(office.application).pauses == ()
    async with office.at_work() as host:
        await give(host, Pause("process", "wait", "stop"))
        await give(host, Pause("system", "scales"))
    found = [
        (each.scope, each.name, each.by, each.reason, each.timers) for each in list_pauses(office.application).pauses
    ]
    assert found == [("process", "wait", "ann", "audit", "stop"), ("system", "scales", "ann", "audit", "run")]


@pytest.mark.parametrize(
    "command",
    [
        Pause("process", "recieve"),
        Pause("operation", "Desk.raed"),
        Pause("system", "scale"),
        Unpause("process", "wait"),
    ],
)
async def test_what_is_not_there_or_not_paused_is_refused(office: Made, command: Command) -> None:
    async with office.at_work() as host:
        with pytest.raises(NothingToPause):
            await give(host, command)


async def test_a_pause_in_words_that_nobody_knows_is_refused(office: Made) -> None:
    async with office.at_work() as host:
        for wrong in (Pause("function", "Desk"), Pause("process", "wait", "walk"), Pause("system", "scales", "stop")):
            with pytest.raises(InvalidValue):
                await give(host, wrong)


async def test_a_call_is_skipped_with_a_result_for_a_reason(office: Made) -> None:
    async with office.at_work() as host:
        await give(host, START)
        with pytest.raises(InvalidValue, match="for a reason"):
            await give(host, SkipCall("receive-1", 1, "3"), None)
        with pytest.raises(InvalidValue):
            await give(host, SkipCall("receive-1", 1))
        await give(host, SkipCall("receive-1", 1, "3"), "counted by hand")
        done = await give(host, SkipCall("receive-1", 2, "8"), "weighed by hand")
        assert done["state"] == "completed"
    with Reading(office.application) as reading:
        detail = reading.instance("receive-1", with_history=True)
    assert detail.result == 24
    assert "counted by hand" in {entry.reason for entry in detail.history}


async def test_a_timer_that_is_skipped_fires_now_and_only_once(office: Made) -> None:
    async with office.at_work() as host:
        await give(host, WAIT)
        with pytest.raises(InvalidValue, match="A timer has no result"):
            await give(host, SkipCall("wait-1", 1, "3"))
        assert (await give(host, SkipCall("wait-1", 1)))["state"] == "completed"
        await give(host, WAIT)
        with pytest.raises(NoOpenCall):
            await give(host, SkipCall("wait-2", 2))
        await give(host, SuspendInstance("wait-2"))
        with pytest.raises(InstanceIsSuspended):
            await give(host, SkipCall("wait-2", 1))
        await give(host, ResumeInstance("wait-2"))
        await give(host, SkipCall("wait-2", 1))
    with Reading(office.application) as reading:
        assert json.dumps(reading.instance("wait-2").result) == '"done"'
