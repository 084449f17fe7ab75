"""Reading: what an instance waits for, from a replay or from the record; never a lock, never a write."""

from dataclasses import replace
from pathlib import Path

import pytest

from procession.services.commands import ClaimItem, CompleteCall, CompleteItem, StartInstance, WithdrawItem
from procession.services.desk import NoSuchInstance
from procession.services.reading import Reading, Wanted
from procession.services.worklist import NoSuchItem
from procession.store.invariants import fingerprint
from procession.store.lock import StoreLock
from tests.services.applications import Made, make_office

START = StartInstance("receive", '{"letter": "Dear Sir"}')


@pytest.fixture
def office(tmp_path: Path) -> Made:
    made = make_office(tmp_path)
    made.perform(START)
    return made


def test_each_branch_has_its_own_stack_down_to_the_call_under_the_caret(office: Made) -> None:
    with Reading(office.application) as reading:
        detail = reading.instance("receive-1", with_variables=True)
    assert detail.branches_from == "replay"
    stacks = {
        branch.frames[-1].source[branch.frames[-1].column : branch.frames[-1].end_column] for branch in detail.branches
    }
    assert stacks == {"together(read(letter), weigh(letter))"} or stacks == {"read(letter)", "weigh(letter)"}
    for branch in detail.branches:
        assert [frame.function for frame in branch.frames[:2]] == ["receive", "both"]
        outermost = branch.frames[0]
        assert outermost.source[outermost.column : outermost.end_column] == "await both(letter)"
        assert outermost.file == str(office.source)
    assert {branch.call for branch in detail.branches} == {wait.call for wait in detail.waits} == {1, 2}


def test_what_it_waits_for_says_whom_since_when_and_due_when(office: Made) -> None:
    with Reading(office.application) as reading:
        task, service = reading.instance("receive-1").waits
    assert (task.kind, task.title, task.role, task.holder, task.item) == ("task", "Read the letter", "Desk", None, 1)
    assert task.due is not None
    assert (task.due - task.since).days == 2
    assert (service.kind, service.operation, service.attempts, service.attempts_allowed) == (
        "service",
        "Machine.weigh",
        0,
        3,
    )
    office.perform(ClaimItem(1))
    with Reading(office.application) as reading:
        assert reading.instance("receive-1").waits[0].holder == "ann"


def test_attributes_input_and_history_are_there(office: Made) -> None:
    with Reading(office.application) as reading:
        detail = reading.instance("receive-1", with_history=True)
    assert detail.attributes == {"length": 8}
    assert detail.input == {"letter": "Dear Sir"}
    assert [entry.kind for entry in detail.history] == [
        "InstanceStarted",
        "AttributesSet",
        "CallRequested",
        "CallRequested",
    ]
    assert detail.history[0].actor == "ann"


def test_a_source_that_does_not_fit_is_shown_by_what_was_recorded(office: Made, tmp_path: Path) -> None:
    """The lines are those of the source that ran, not of the one that is there now."""
    other = make_office(
        tmp_path, lambda text: text.replace("read(letter), weigh(letter)", "weigh(letter), read(letter)")
    )
    with Reading(replace(other.application, store=office.application.store)) as reading:
        detail = reading.instance("receive-1")
    assert detail.branches_from == "record"
    assert "does not fit" in detail.note
    assert {branch.call for branch in detail.branches} == {1, 2}
    assert all("read(letter), weigh(letter)" in branch.frames[-1].source for branch in detail.branches)


def test_an_ended_instance_has_no_stack(office: Made) -> None:
    office.perform(WithdrawItem(1))
    with Reading(office.application) as reading:
        detail = reading.instance("receive-1")
    assert detail.instance.state == "failed"
    assert detail.failure is not None
    assert (detail.branches, detail.branches_from, detail.waits) == ((), "none", ())


def test_reading_takes_no_lock_and_changes_nothing(office: Made) -> None:
    before = fingerprint(office.application.store)
    held = StoreLock.acquire(office.application.store)
    try:
        with Reading(office.application) as reading:
            assert reading.instance("receive-1").branches_from == "replay"
            assert len(reading.instances(Wanted()).instances) == 1
            assert len(reading.worklist("ann").items) == 1
            assert reading.item(1).inputs == {"letter": "Dear Sir"}
    finally:
        held.release()
    assert fingerprint(office.application.store) == before


def test_process_code_cannot_reach_outside_while_it_is_replayed_for_reading(office: Made, tmp_path: Path) -> None:
    reached = tmp_path / "reached"
    other = make_office(
        tmp_path, lambda text: text.replace("    attribute(", f"    open({str(reached)!r}, 'w')\n    attribute(")
    )
    with Reading(replace(other.application, store=office.application.store)) as reading:
        detail = reading.instance("receive-1")
    assert detail.branches_from == "record"
    assert not reached.exists()


def test_a_worklist_has_what_one_holds_first_then_what_is_offered(office: Made) -> None:
    office.perform(START, START, ClaimItem(3))
    with Reading(office.application) as reading:
        assert [item.item for item in reading.worklist("ann").items] == [3, 1, 2]
        assert reading.worklist("bob").items == ()
        assert [item.item for item in reading.worklist(None).items] == [1, 2, 3]
        short = reading.worklist("ann", limit=2)
        assert (len(short.items), short.more) == (2, True)


def test_what_is_not_there_is_said(office: Made) -> None:
    with Reading(office.application) as reading:
        with pytest.raises(NoSuchInstance):
            reading.instance("receive-2")
        with pytest.raises(NoSuchItem):
            reading.item(2)


def test_an_application_that_never_ran_is_read_as_empty(tmp_path: Path) -> None:
    made = make_office(tmp_path)
    with Reading(made.application) as reading:
        assert reading.instances(Wanted()).instances == ()
        assert reading.worklist("ann").items == ()
        with pytest.raises(NoSuchInstance):
            reading.instance("receive-1")
    assert not made.application.store.exists()


def test_instances_started_under_a_former_name_of_the_process_are_listed_under_the_present_one(
    office: Made, tmp_path: Path
) -> None:
    renamed = make_office(
        tmp_path,
        lambda text: text.replace(
            'title="{letter}")\nasync def receive', 'title="{letter}", was=("receive",))\nasync def take'
        ),
    )
    with Reading(replace(renamed.application, store=office.application.store)) as reading:
        assert [row.instance for row in reading.instances(Wanted(process="take")).instances] == ["receive-1"]
        assert reading.instances(Wanted(process="wait")).instances == ()


def test_a_halt_inside_a_library_is_corrected_where_it_was_called(tmp_path: Path) -> None:
    """A library is no file of the application, and nothing to correct."""
    made = make_office(tmp_path, lambda text: text.replace("await asyncio.sleep(seconds)", 'json.loads("{")', 1))
    made.source.write_text("import json\n" + made.source.read_text())
    made.perform(StartInstance("wait", '{"seconds": 1}'))
    with Reading(made.application) as reading:
        halt = reading.instance("wait-1").halt
    assert halt is not None
    frames = halt.branches[0].frames
    assert frames[-1].file == "<json.decoder>"
    line = made.source.read_text().splitlines().index('    json.loads("{")') + 1
    assert f"Correct {made.source}:{line}," in halt.remedy


def test_a_halted_instance_shows_no_stack_for_a_call_that_has_ended(tmp_path: Path) -> None:
    made = make_office(tmp_path, lambda text: text.replace("return pages * grams", "return pages // 0"))
    made.perform(START, CompleteCall("receive-1", 2, "1"), CompleteItem(1, "1"))
    with Reading(made.application) as reading:
        detail = reading.instance("receive-1")
    assert detail.halt is not None
    assert detail.halt.branches
    assert (detail.branches, detail.waits, detail.note) == ((), (), "")
