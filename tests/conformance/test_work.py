"""Work items and the requests behind them: laws 14 and 15, and the races of people."""

from __future__ import annotations

import asyncio
import json

import pytest

from procession import Call, Function, process
from procession.engine.contract import InstanceHasEnded
from procession.engine.deciding import IdentifierUsedTwice
from procession.errors import InvalidValue
from procession.kernel import CallCompleted, CallStarted
from procession.services.commands import (
    CancelInstance,
    ClaimItem,
    CompleteItem,
    PutBackItem,
    SaveDraft,
    StartInstance,
    StartItem,
    WithdrawItem,
)
from procession.services.office import NoActor
from procession.services.worklist import NoSuchItem
from procession.store.requests import RequestRow
from procession.work.item import ItemEnded
from procession.work.performers import UnknownPerformer
from procession.work.worklist import ChangedMeanwhile, Held, NotOffered
from tests.conformance.world import Host, World

team = Function("Team", owner="ann@acme.example")


@team.task(due="2 days")
async def approve(days: int) -> bool:
    """May they?"""
    ...


@process(owner=team, title="{days} days")
async def leave(days: int) -> bool:
    return await approve(days)


@process(owner=team)
async def watched(days: int) -> list[str | None]:
    call: Call[bool] = approve.request(days)
    await call.started()
    seen = [call.performer]
    await call
    return [*seen, call.performer]


async def open_item(host: Host) -> tuple[World, str, int]:
    world = await host.open(leave)
    name = await world.start(leave, days=3)
    return world, name, world.item(name).id


def requests(world: World) -> list[RequestRow]:
    """All that was recorded of people and programs."""
    with world.view() as view:
        found = []
        for number in range(1, view.counts().requests + 50):
            if (row := view.request(number)) is not None:
                found.append(row)
        return found


def item_events(world: World, item: int) -> list[tuple[str, str]]:
    with world.view() as view:
        return [(event.kind, event.actor) for event in view.worklist.events(item)]


# Law 14: what an instance sees of work, and what it does not


async def test_claims_drafts_and_put_backs_are_rows_of_the_item_and_never_advance_the_instance(host: Host) -> None:
    world, name, item = await open_item(host)
    before = world.history(name)

    await world.give(ClaimItem(item))
    await world.give(SaveDraft(item, "{half"))
    await world.give(PutBackItem(item))
    await world.give(SaveDraft(item, '"again"'), "bob")

    assert world.history(name) == before
    assert item_events(world, item) == [
        ("offered", "process"),
        ("claimed", "ann"),
        ("draft saved", "ann"),
        ("put back", "ann"),
        ("claimed", "bob"),
        ("draft saved", "bob"),
    ]
    assert world.find_item(item).draft == b'"again"'


async def test_a_claim_allocates_and_a_completion_without_a_start_starts_too(host: Host) -> None:
    world, name, item = await open_item(host)
    assert (await world.give(ClaimItem(item)))["state"] == "allocated"

    await world.complete(name, True)

    assert item_events(world, item)[-2:] == [("started", "ann"), ("completed", "ann")]
    assert world.kinds(name)[-3:] == ["CallStarted", "CallCompleted", "InstanceCompleted"]
    row = world.find_item(item)
    assert row.started_us == row.ended_us == world.clock.wall_us()


async def test_each_start_is_an_event_and_the_performer_is_that_of_the_last_one(host: Host) -> None:
    world = await host.open(watched)
    name = await world.start(watched, days=3)
    item = world.item(name).id
    await world.give(StartItem(item), "ann")
    await world.give(PutBackItem(item), "ann")
    await world.give(StartItem(item), "bob")
    await world.restart()
    await world.complete(name, True, "bob")

    history = world.history(name)
    assert [event.performer for event in history if isinstance(event, CallStarted)] == ["ann", "bob"]
    assert [event.performer for event in history if isinstance(event, CallCompleted)] == ["bob"]
    assert world.result(name) == ["ann", "bob"]


async def test_starting_twice_or_claiming_what_one_holds_changes_nothing(host: Host) -> None:
    world, name, item = await open_item(host)
    await world.give(StartItem(item))
    before = world.history(name), world.find_item(item), item_events(world, item)

    await world.give(StartItem(item))
    await world.give(ClaimItem(item))

    assert (world.history(name), world.find_item(item), item_events(world, item)) == before


async def test_a_withdrawn_item_is_gone_for_everybody(host: Host) -> None:
    world, _, item = await open_item(host)
    await world.give(ClaimItem(item))
    await world.give(WithdrawItem(item), "bob", reason="no longer needed")

    assert world.find_item(item).state == "withdrawn"
    for command in (ClaimItem(item), StartItem(item), SaveDraft(item, "1"), PutBackItem(item), WithdrawItem(item)):
        with pytest.raises((ItemEnded, InstanceHasEnded)):
            await world.give(command)


# Who may, and who wins


async def test_of_two_who_claim_one_item_at_once_exactly_one_wins_and_the_other_is_told_who(host: Host) -> None:
    world, _, item = await open_item(host)

    outcomes = await asyncio.gather(
        world.give(ClaimItem(item), "ann"), world.give(ClaimItem(item), "bob"), return_exceptions=True
    )

    [won] = [each for each in outcomes if isinstance(each, dict)]
    [lost] = [each for each in outcomes if isinstance(each, Held)]
    assert str(won["holder"]) in str(lost)
    assert [kind for kind, _ in item_events(world, item)].count("claimed") == 1


async def test_of_two_who_complete_one_item_at_once_one_counts_and_nothing_of_the_other_is_kept(host: Host) -> None:
    world, name, item = await open_item(host)

    outcomes = await asyncio.gather(
        world.give(CompleteItem(item, "true"), "ann"),
        world.give(CompleteItem(item, "false"), "bob"),
        return_exceptions=True,
    )

    [won] = [each for each in outcomes if isinstance(each, dict)]
    assert len([each for each in outcomes if isinstance(each, ItemEnded | InstanceHasEnded | ChangedMeanwhile)]) == 1
    assert world.result(name) == (world.find_item(item).performer == "ann")
    assert [type(e).__name__ for e in world.history(name)].count("CallCompleted") == 1
    assert won["state"] == "completed"


async def test_an_item_is_offered_to_a_role_and_refused_to_others(host: Host) -> None:
    world, _, item = await open_item(host)

    with pytest.raises(NotOffered, match="'Team'"):
        await world.give(ClaimItem(item), "eve")
    with pytest.raises(UnknownPerformer, match="Nobody"):
        await world.give(ClaimItem(item), "zoe")
    with pytest.raises(NoActor):
        await world.give(ClaimItem(item), " ")
    with pytest.raises(NoSuchItem):
        await world.give(ClaimItem(99))


async def test_whoever_loses_a_race_is_told_who_won_though_they_named_the_version_they_saw(host: Host) -> None:
    world, name, item = await open_item(host)
    seen = world.find_item(item).version
    await world.give(ClaimItem(item, seen), "ann")

    with pytest.raises(Held, match="ann has"):
        await world.give(ClaimItem(item, seen), "bob")
    await world.complete(name, True)
    with pytest.raises((ItemEnded, InstanceHasEnded)):
        await world.give(ClaimItem(item, seen), "bob")


async def test_a_change_that_names_a_version_which_is_no_longer_the_present_one_is_refused(host: Host) -> None:
    world, name, item = await open_item(host)
    seen = world.find_item(item).version
    await world.give(ClaimItem(item))
    before = world.find_item(item)

    for command in (StartItem(item, seen), SaveDraft(item, "1", seen), CompleteItem(item, "true", seen)):
        with pytest.raises(ChangedMeanwhile):
            await world.give(command)

    assert world.find_item(item) == before
    assert world.state(name) == "running"


@pytest.mark.parametrize("answer", ['"yes"', "", "{}", "null", "true false", '"\\ud800"', "NaN", "[" * 100_000])
async def test_an_answer_that_does_not_fit_is_refused_and_changes_nothing(host: Host, answer: str) -> None:
    world, name, item = await open_item(host)
    before = world.history(name), world.find_item(item)

    with pytest.raises(InvalidValue):
        await world.give(CompleteItem(item, answer))

    assert (world.history(name), world.find_item(item)) == before


# Law 15: requests


async def test_every_accepted_request_is_recorded_with_actor_reason_time_and_outcome(host: Host) -> None:
    world, name, item = await open_item(host)
    world.skip("1 hour")
    await world.give(ClaimItem(item), "bob", reason="I know him")
    await world.give(CompleteItem(item, "true"), "bob")

    started, claimed, completed = requests(world)
    assert (started.kind, started.actor, started.instance) == ("StartInstance", "ann", world.row(name).id)
    assert (claimed.kind, claimed.actor, claimed.reason) == ("ClaimItem", "bob", "I know him")
    assert claimed.at_us == started.at_us + 3600 * 1_000_000
    assert json.loads(claimed.outcome or "{}")["instance"] == name
    assert completed.number > claimed.number > started.number
    with world.view() as view:
        row = view.history(world.row(name).id)
    assert [event.request for event in row if event.kind == "CallCompleted"] == [completed.number]


async def test_refused_requests_timers_and_service_results_are_not_recorded(host: Host) -> None:
    reporting = Function("Reporting", owner="ann@acme.example")

    @reporting.service()
    async def report() -> str:
        return "reported"

    @process(owner=reporting)
    async def timed() -> str:
        await asyncio.sleep(3600)
        return await report()

    world = await host.open(timed, leave)
    name = await world.start(timed)
    with pytest.raises(NoSuchItem):
        await world.give(ClaimItem(99))
    other = await world.start(leave, days=3)
    with pytest.raises(NotOffered):
        await world.give(ClaimItem(world.item(other).id), "eve")
    await world.pass_time("2 hours")
    await world.until_ended(name)

    assert [row.kind for row in requests(world)] == ["StartInstance", "StartInstance"]


async def test_a_repeated_request_of_one_client_identifier_gives_the_first_answer_again(host: Host) -> None:
    world = await host.open(leave)
    start = StartInstance("leave", '{"days": 3}')
    first = await world.give(start, client_id="s-1")
    again = await world.give(start, client_id="s-1")
    assert (again["instance"], again["repeated"]) == (first["instance"], True)

    item = world.item(str(first["instance"])).id
    await world.give(CompleteItem(item, "true"), client_id="c-1")
    before = world.history(str(first["instance"])), requests(world)
    repeated = await world.give(CompleteItem(item, "true"), client_id="c-1")

    assert (repeated["state"], repeated["instance_state"]) == ("completed", "completed")
    assert (world.history(str(first["instance"])), requests(world)) == before


async def test_the_repeated_answer_says_that_the_instance_halted_as_the_first_one_did(host: Host) -> None:
    @process(owner=team)
    async def halting() -> int:
        return (await approve(1)) // 0

    world = await host.open(halting)
    name = await world.start(halting)
    command = CompleteItem(world.item(name).id, "true")
    first = await world.give(command, client_id="c-1")
    assert await world.give(command, client_id="c-1") == first
    assert "ZeroDivisionError" in first["halted"]


async def test_two_with_one_client_identifier_at_once_count_once(host: Host) -> None:
    world, name, item = await open_item(host)

    answers = await asyncio.gather(*(world.give(CompleteItem(item, "true"), client_id="c-1") for _ in range(5)))

    assert {answer["state"] for answer in answers} == {"completed"}
    assert world.kinds(name).count("CallCompleted") == 1


async def test_a_client_identifier_with_another_content_is_refused(host: Host) -> None:
    world, name, item = await open_item(host)
    await world.give(ClaimItem(item), client_id="c-1")

    with pytest.raises(IdentifierUsedTwice, match="c-1"):
        await world.give(CompleteItem(item, "true"), client_id="c-1")
    with pytest.raises(IdentifierUsedTwice):
        await world.give(StartInstance("leave", '{"days": 4}'), client_id="c-1")
    assert world.state(name) == "running"


async def test_a_refused_request_may_be_repeated_under_its_identifier_and_is_decided_anew(host: Host) -> None:
    world, _, item = await open_item(host)
    await world.give(ClaimItem(item), "ann")
    with pytest.raises(Held):
        await world.give(ClaimItem(item), "bob", client_id="c-1")
    await world.give(PutBackItem(item), "ann")

    assert (await world.give(ClaimItem(item), "bob", client_id="c-1"))["holder"] == "bob"


async def test_an_identifier_holds_over_a_restart(host: Host) -> None:
    world, _, item = await open_item(host)
    await world.give(CompleteItem(item, "true"), client_id="c-1")
    await world.restart()

    assert (await world.give(CompleteItem(item, "true"), client_id="c-1"))["state"] == "completed"


async def test_nothing_can_be_done_to_an_instance_that_has_ended(host: Host) -> None:
    world, name, item = await open_item(host)
    await world.complete(name, True)
    before = world.history(name)

    for command in (CancelInstance(name, force=True), CompleteItem(item, "false"), ClaimItem(item)):
        with pytest.raises((InstanceHasEnded, ItemEnded)):
            await world.give(command)
    assert world.history(name) == before


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "x" * 100_000])
async def test_actors_and_reasons_that_cannot_be_stored_are_refused(host: Host, text: str) -> None:
    world, _, item = await open_item(host)

    with pytest.raises(InvalidValue):
        await world.give(ClaimItem(item), reason=text)
    with pytest.raises((InvalidValue, UnknownPerformer)):
        await world.give(ClaimItem(item), text)
    with pytest.raises(InvalidValue):
        await world.give(StartInstance("leave", '{"days": 1}'), text)
    with pytest.raises(InvalidValue):
        await world.give(ClaimItem(item), client_id=text)
