"""What is read of an instance by replaying a copy of it: from where it last began anew, and for no longer than it may take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from procession.services import guarding
from procession.services.application import Application
from procession.services.commands import CompleteItem, StartInstance
from procession.services.health import examine
from procession.services.reading import Reading
from tests.services.applications import make_office

COUNTING = """

@process(owner=desk)
async def count(round: int) -> int:
    if round == 0:
        await read("the first")
        await count.renew(1)
    return await read("the second")
"""


@pytest.fixture
def begun_anew(tmp_path: Path) -> Application:
    """The application on a source of which only the first run of `count-1` differs, and that is over."""
    made = make_office(tmp_path, lambda text: text + COUNTING)
    made.perform(StartInstance("count", '{"round": 0}'), CompleteItem(1, "1"))
    other = make_office(tmp_path, lambda text: text + COUNTING.replace("the first", "something else"))
    return replace(other.application, store=made.application.store)


def test_an_instance_that_began_anew_is_shown_by_what_it_did_since(begun_anew: Application) -> None:
    with Reading(begun_anew) as reading:
        detail = reading.instance("count-1")
    assert (detail.branches_from, detail.note) == ("replay", "")
    assert [branch.call for branch in detail.branches] == [2]


def test_what_it_did_before_is_no_reason_for_it_to_halt(begun_anew: Application) -> None:
    assert [concern.message for concern in examine(begun_anew).concerns] == []


def test_a_withdrawal_is_foreseen_from_where_it_began_anew(begun_anew: Application) -> None:
    with Reading(begun_anew) as reading:
        foreseen = reading.withdrawal(2)
    assert foreseen.consequences == ("fails: Desk.read failed: Withdrawn",)


def test_code_that_does_not_come_back_is_shown_by_what_was_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_office(tmp_path)
    made.perform(StartInstance("receive", '{"letter": "Dear Sir"}'))
    other = make_office(
        tmp_path, lambda text: text.replace("    attribute(length=len(letter))\n", "    while True:\n        pass\n")
    )
    monkeypatch.setattr(guarding, "LIMIT_SECONDS", 0.05)
    with Reading(replace(other.application, store=made.application.store)) as reading:
        detail = reading.instance("receive-1")
        foreseen = reading.withdrawal(1)
    assert detail.branches_from == "record"
    assert "endless loop" in detail.note
    assert "endless loop" in foreseen.consequences[0]
