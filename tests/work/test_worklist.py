"""Who may do what with a work item, and what becomes of it."""

from dataclasses import dataclass, replace

import pytest

from procession.work import worklist
from procession.work.item import ItemEnded, ItemEvent, ItemState, NotPossibleNow
from procession.work.performers import Organisation, Performer, UnknownPerformer
from procession.work.worklist import ChangedMeanwhile, Held, NotOffered

ANN = Performer("ann", frozenset({"clerk"}))
BOB = Performer("bob", frozenset({"clerk"}))
CLEO = Performer("cleo", frozenset({"lawyer"}))


@dataclass(frozen=True)
class Item:
    id: int = 7
    title: str = "Register"
    state: str = "offered"
    role: str = "clerk"
    holder: str | None = None
    version: int = 1
    performer: str | None = None


OFFERED = Item()
HELD_BY_ANN = replace(OFFERED, state="allocated", holder="ann", version=2)
STARTED_BY_ANN = replace(HELD_BY_ANN, state="started", version=3)
DONE = replace(STARTED_BY_ANN, state="completed", performer="ann", version=4)

TAKING = [worklist.claim, worklist.start, worklist.complete]


@pytest.mark.parametrize("take", TAKING)
def test_an_offered_item_is_taken_by_who_holds_its_role_and_by_nobody_else(take) -> None:  # type: ignore[no-untyped-def]
    assert take(OFFERED, ANN).holder == "ann"
    with pytest.raises(NotOffered, match="role 'clerk', which cleo does not hold"):
        take(OFFERED, CLEO)


@pytest.mark.parametrize("take", TAKING)
def test_an_item_that_somebody_holds_is_refused_to_everybody_else_and_they_are_told_who(take) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Held, match="ann has work item 7"):
        take(HELD_BY_ANN, BOB)


@pytest.mark.parametrize("take", TAKING)
def test_an_ended_item_is_refused_with_who_did_it(take) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ItemEnded, match="already completed by ann"):
        take(DONE, ANN)


@pytest.mark.parametrize("take", TAKING)
def test_a_change_that_names_an_old_version_is_refused(take) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ChangedMeanwhile, match="work show 7"):
        take(HELD_BY_ANN, ANN, seen_version=1)
    assert take(HELD_BY_ANN, ANN, seen_version=2).holder == "ann"


def test_claiming_and_starting_again_change_nothing() -> None:
    assert worklist.claim(HELD_BY_ANN, ANN).events == ()
    assert worklist.start(STARTED_BY_ANN, ANN).events == ()


def test_completing_an_item_that_was_not_started_starts_it_too() -> None:
    change = worklist.complete(OFFERED, ANN)

    assert change.events == (ItemEvent.STARTED, ItemEvent.COMPLETED)
    assert change.state is ItemState.COMPLETED
    assert change.drops_draft


def test_an_item_that_is_put_back_is_offered_again_and_keeps_its_draft() -> None:
    change = worklist.put_back(STARTED_BY_ANN, ANN)

    assert (change.state, change.holder, change.drops_draft) == (ItemState.OFFERED, None, False)
    with pytest.raises(NotPossibleNow):
        worklist.put_back(OFFERED, ANN)


def test_saving_a_draft_of_an_offered_item_claims_it() -> None:
    change = worklist.save_draft(OFFERED, ANN, b"{}")

    assert change.events == (ItemEvent.CLAIMED, ItemEvent.DRAFT_SAVED)
    assert (change.holder, change.draft) == ("ann", b"{}")


def test_an_unknown_person_is_refused_with_the_names_there_are() -> None:
    organisation = Organisation({"ann": ANN, "cleo": CLEO})

    assert organisation.get_performer("ann") is ANN
    assert organisation.holders_of("lawyer") == (CLEO,)
    with pytest.raises(UnknownPerformer, match="Known: ann, cleo"):
        organisation.get_performer("dora")
