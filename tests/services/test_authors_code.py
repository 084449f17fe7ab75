"""Code of an author that fails while it is given something from outside: said as that, and stopping nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from procession.errors import AuthorError, ProcessionError
from procession.services.commands import CompleteExternal, CompleteItem, FetchExternal, StartInstance
from procession.services.health import examine
from procession.services.reading import Reading
from tests.services.applications import Made, make_office

FAILING = """

@process(owner=desk, title="{days:%Y}")
async def titled(days: int) -> int:
    return days


@process(owner=desk)
async def parent(days: int) -> int:
    return await titled(days)


@process(owner=desk)
async def beginner(days: int) -> str:
    return await titled.start(days)


from dataclasses import dataclass


@dataclass(frozen=True)
class Pages:
    number: int

    def __post_init__(self) -> None:
        if self.number < 0:
            raise KeyError("negative")


@desk.task()
async def count(letter: str) -> Pages: ...


@machine.external()
async def scan(letter: str) -> Pages: ...


@process(owner=desk)
async def scanning() -> int:
    return (await scan("Dear Sir")).number


@process(owner=desk)
async def counting(start: Pages) -> int:
    return (await count("Dear Sir")).number


@process(owner=desk, title="{round:d}")
async def renewing(round: int | str) -> int:
    return await renewing.renew("two")
"""


@pytest.fixture
def office(tmp_path: Path) -> Made:
    return make_office(tmp_path, lambda text: text + FAILING)


def test_a_title_that_cannot_be_made_refuses_the_start_with_its_place(office: Made) -> None:
    with pytest.raises(AuthorError) as refused:
        office.perform(StartInstance("titled", '{"days": 3}'))
    assert refused.value.code == "not-filled-in"
    assert "process.py" in refused.value.message and "title='{days:%Y}'" in refused.value.message


@pytest.mark.parametrize("process", ["parent", "beginner"])
def test_a_child_whose_title_cannot_be_made_halts_the_one_that_asks_for_it(office: Made, process: str) -> None:
    (answer,) = office.perform(StartInstance(process, '{"days": 3}'))
    assert answer["state"] == "halted"
    assert "title='{days:%Y}' cannot be filled in" in str(answer["halted"])
    with Reading(office.application) as reading:
        halt = reading.instance(f"{process}-1").halt
    assert halt is not None
    assert (
        halt.branches[0].frames[0].source.strip()
        == f"return await titled{'' if process == 'parent' else '.start'}(days)"
    )


def test_one_that_begins_anew_without_a_possible_title_halts_there(office: Made) -> None:
    (answer,) = office.perform(StartInstance("renewing", '{"round": 1}'))
    assert answer["state"] == "halted"
    assert "title='{round:d}' cannot be filled in" in str(answer["halted"])


def test_the_code_of_a_type_that_fails_is_no_mistake_of_whoever_gives_the_value(office: Made) -> None:
    with pytest.raises(
        AuthorError, match=r"Pages\.__post_init__ failed on a value for .*KeyError: 'negative'"
    ) as refused:
        office.perform(StartInstance("counting", '{"start": {"number": -1}}'))
    assert refused.value.code == "type-failed"


def test_an_answer_that_the_code_of_its_type_fails_on_is_kept_and_told_to_the_owner(office: Made) -> None:
    office.perform(StartInstance("counting", '{"start": {"number": 1}}'))
    with pytest.raises(AuthorError, match="KeyError"):
        office.perform(CompleteItem(1, '{"number": -1}'))
    with Reading(office.application) as reading:
        assert reading.item(1).draft == {"number": -1}
    assert "failed body" in {concern.kind for concern in examine(office.application).concerns}


def test_what_a_program_hands_in_and_the_code_of_its_type_fails_on_leaves_it_the_lease(office: Made) -> None:
    _, fetched = office.perform(StartInstance("scanning", "{}"), FetchExternal("scan", "scanner"))
    (call,) = fetched["calls"]
    with pytest.raises(ProcessionError, match="KeyError: 'negative'") as refused:
        office.perform(CompleteExternal(call["token"], '{"number": -1}'))
    assert refused.value.code == "result-not-taken"
    (answer,) = office.perform(CompleteExternal(call["token"], '{"number": 2}'))
    assert answer["ended"]
