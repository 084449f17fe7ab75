"""Filters by process and operation: under every name that it ever had, and a name that nothing has is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from procession.errors import PerformerError
from procession.kernel import InstanceState
from procession.services.application import Application
from procession.services.attention import CasesWanted, list_cases
from procession.services.choosing import Choice, Manner, Verb, choose
from procession.services.commands import CompleteItem, StartInstance
from procession.services.event_log import read_log
from procession.services.reading import Reading, Wanted
from tests.services.applications import Made, make_office

START = StartInstance("receive", '{"letter": "Dear Sir"}')
BROKEN = "def ("


def listed(application: Application, name: str) -> list[str]:
    with Reading(application) as reading:
        return [row.instance for row in reading.instances(Wanted(process=name)).instances]


def chosen(application: Application, choice: Choice) -> list[str]:
    return [str(target) for target in choose(application, Verb.SUSPEND, choice, Manner())]


BY_PROCESS: dict[str, Callable[[Application, str], list[str]]] = {
    "list": listed,
    "attention": lambda application, name: [
        case.instance for case in list_cases(application, CasesWanted(process=name)).cases
    ],
    "export log": lambda application, name: [row.instance for row in read_log(application, process=name)],
    "many": lambda application, name: chosen(application, Choice(process=name)),
}
BY_OPERATION: dict[str, Callable[[Application, str], list[str]]] = {
    "attention": lambda application, name: [
        case.instance for case in list_cases(application, CasesWanted(operation=name)).cases
    ],
    "many": lambda application, name: chosen(application, Choice(operation=name)),
}


@pytest.fixture
def office(tmp_path: Path) -> Made:
    made = make_office(tmp_path)
    made.perform(START, CompleteItem(1, "3"), START)
    return made


@pytest.mark.parametrize("filtered", BY_PROCESS)
def test_a_process_that_there_is_not_is_refused_with_the_one_that_was_meant(office: Made, filtered: str) -> None:
    with pytest.raises(PerformerError) as refused:
        BY_PROCESS[filtered](office.application, "recieve")
    assert refused.value.code == "no-such-process"
    assert str(refused.value) == "There is no process 'recieve'. Did you mean `receive`?"


@pytest.mark.parametrize("filtered", BY_OPERATION)
def test_an_operation_that_there_is_not_is_refused_with_the_one_that_was_meant(office: Made, filtered: str) -> None:
    with pytest.raises(PerformerError) as refused:
        BY_OPERATION[filtered](office.application, "Desk.raed")
    assert refused.value.code == "no-such-operation"
    assert str(refused.value) == "There is no operation 'Desk.raed'. Did you mean `Desk.read`?"


def test_an_application_that_never_ran_refuses_them_too(tmp_path: Path) -> None:
    made = make_office(tmp_path)
    for filtered in ("list", "attention", "export log", "many"):
        with pytest.raises(PerformerError, match="no process 'frob'"):
            BY_PROCESS[filtered](made.application, "frob")


def test_what_only_the_store_knows_is_found_under_its_name(office: Made, tmp_path: Path) -> None:
    other = make_office(tmp_path, lambda text: text.replace("async def receive(", "async def accept("))
    there = replace(other.application, store=office.application.store)
    assert listed(there, "receive") == ["receive-2", "receive-1"]
    assert [row.instance for row in read_log(there, process="receive")] == ["receive-1"]
    assert chosen(there, Choice(process="receive")) == ["receive-1", "receive-2"]


def test_what_was_renamed_is_found_under_both_names(office: Made, tmp_path: Path) -> None:
    def rename(text: str) -> str:
        text = text.replace(
            'title="{letter}")\nasync def receive(', 'title="{letter}", was=("receive",))\nasync def accept('
        )
        text = text.replace('title="Read the letter")', 'title="Read", was=("read",))').replace(
            "async def read(", "async def look("
        )
        return text.replace("together(read(", "together(look(")

    there = replace(make_office(tmp_path, rename).application, store=office.application.store)
    for name in ("receive", "accept"):
        assert [row.instance for row in read_log(there, process=name)] == ["receive-1"]
    for name in ("Desk.read", "Desk.look"):
        assert chosen(there, Choice(operation=name)) == ["receive-2"]


def test_an_application_that_does_not_load_refuses_no_name(tmp_path: Path) -> None:
    made = make_office(tmp_path)
    made.perform(START)
    broken = make_office(tmp_path, lambda text: BROKEN)
    there = replace(broken.application, store=made.application.store)
    assert listed(there, "receive") == ["receive-1"]
    assert listed(there, "frob") == []


@pytest.mark.parametrize("state", [InstanceState.SUSPENDED, InstanceState.HALTED])
def test_what_stands_still_is_not_cancelled_without_force_and_the_refusal_says_so(
    office: Made, state: InstanceState
) -> None:
    for choice in (Choice(state=state), Choice(process="wait")):
        with pytest.raises(PerformerError) as refused:
            choose(office.application, Verb.CANCEL, choice, Manner())
        assert "`--force` ends it at once" in refused.value.remedy
    assert choice_refused(office, Verb.CANCEL, state).startswith(f"`cancel` takes no instance that is {state}.")


def test_a_state_that_a_command_never_takes_is_refused_with_those_that_it_takes(office: Made) -> None:
    assert choice_refused(office, Verb.RESUME, InstanceState.COMPLETED) == (
        "`resume` takes no instance that is completed. It takes those that are suspended."
    )


def choice_refused(office: Made, verb: Verb, state: InstanceState) -> str:
    with pytest.raises(PerformerError) as refused:
        choose(office.application, verb, Choice(state=state), Manner())
    return str(refused.value)
