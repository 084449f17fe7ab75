"""What services did is undone when an instance is cancelled or fails; what cannot be is shown to people (law 55)."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from procession import Function, ProcessFailed, compensate, process
from procession.engine.contract import InstanceHasEnded
from procession.errors import AuthorError, InvalidValue, NotDeclarable, OutsideProcess
from procession.kernel import NotUndone
from procession.language.operations import Task
from procession.language.process import Process
from procession.language.registry import Registry
from procession.people import Selection, role
from procession.services.commands import CancelInstance, FailCall, RetryCall, SkipCall
from procession.services.repairs import NoOpenCall
from tests.conformance.world import Host, Settings, World, module_of

shop = Function("Shop", owner="ann@acme.example")
did: list[str] = []
broken: set[str] = set()


@dataclass(frozen=True)
class Reservation:
    what: str
    number: int


class TooLate(Exception):
    """It cannot be given back any more."""


@shop.service()
async def reserve(what: str) -> Reservation:
    did.append(f"reserve {what}")
    return Reservation(what, len(did))


@reserve.undo
@shop.service(attempts=1, raises=[TooLate])
async def release(reservation: Reservation) -> None:
    if reservation.what in broken:
        raise TooLate
    if f"down {reservation.what}" in broken:
        raise ConnectionError
    did.append(f"release {reservation.what} {reservation.number}")


@shop.task()
async def tell(whom: str) -> str: ...


@shop.task()
async def go_on() -> bool: ...


@process(owner=shop)
async def travel() -> str:
    await reserve("hotel")
    compensate(tell, "the guide")
    await reserve("train")
    if not await go_on():
        raise ProcessFailed("no")
    return "there"


async def travelling(host: Host, *breaks: str) -> tuple[World, str]:
    did.clear()
    broken.clear()
    broken.update(breaks)
    world = await host.open(shop, travel)
    name = await world.start(travel)
    await world.until(lambda: world.waits(name).items)
    return world, name


async def end(world: World, name: str, how: str) -> None:
    if how == "failed":
        await world.complete(name, False, "sue")
    else:
        await world.give(CancelInstance(name))


@pytest.mark.parametrize("how", ["failed", "cancelled"])
async def test_services_and_people_undo_newest_first_with_what_was_returned(host: Host, how: str) -> None:
    world, name = await travelling(host)
    await end(world, name, how)
    await world.until(lambda: [item.operation for item in world.waits(name).items] == ["Shop.tell"])
    assert did == ["reserve hotel", "reserve train", "release train 2"]
    await world.restart(shop, travel)
    await world.complete(name, "they know", "sue")
    await world.until_ended(name)
    assert did[3:] == ["release hotel 1"]
    assert world.state(name) == how


async def test_what_went_well_is_not_undone(host: Host) -> None:
    world, name = await travelling(host)
    await world.complete(name, True, "sue")
    assert world.result(name) == "there"
    assert did == ["reserve hotel", "reserve train"]


async def test_what_declares_that_it_cannot_undo_is_recorded_and_shown_and_the_rest_goes_on(host: Host) -> None:
    world, name = await travelling(host, "train")
    await end(world, name, "cancelled")
    await world.until(lambda: world.waits(name).items)
    await world.complete(name, "they know", "sue")
    await world.until_ended(name)
    assert did[2:] == ["release hotel 1"]
    assert [event.operation for event in world.history(name) if isinstance(event, NotUndone)] == ["Shop.release"]
    (shown,) = json.loads(world.row(name).not_undone or "[]")
    assert "TooLate" in shown["why"]


async def test_what_was_not_undone_is_settled_by_who_has_seen_to_it_and_only_that(host: Host) -> None:
    world, name = await travelling(host, "train", "hotel")
    await end(world, name, "cancelled")
    await world.until(lambda: world.waits(name).items)
    await world.complete(name, "they know", "sue")
    await world.until_ended(name)
    train, hotel = (each["call"] for each in json.loads(world.row(name).not_undone or "[]"))

    with pytest.raises(InvalidValue, match="for a reason"):
        await world.give(SkipCall(name, train))
    told = await world.give(SkipCall(name, train), reason="by telephone", client_id="s-1")
    assert (told["settled"], told["state"]) == (True, "cancelled")
    (left,) = json.loads(world.row(name).not_undone or "[]")
    assert left["call"] == hotel
    assert await world.give(SkipCall(name, train), reason="by telephone", client_id="s-1") == told
    with pytest.raises((NoOpenCall, InstanceHasEnded)):
        await world.give(SkipCall(name, train), reason="again")
    await world.give(SkipCall(name, hotel), reason="by letter")

    assert world.row(name).not_undone is None
    with world.view() as view:
        kept = view.request_of_client("s-1")
    assert kept is not None
    assert (kept.actor, kept.reason, kept.instance) == ("ann", "by telephone", world.row(name).id)


@pytest.mark.parametrize("given_up", [False, True])
async def test_an_undo_that_is_down_needs_attention_like_any_service(host: Host, given_up: bool) -> None:
    world, name = await travelling(host, "down train")
    await end(world, name, "failed")
    await world.until_attention(name)
    call = world.waits(name).service_calls[0].call
    broken.clear()
    await world.give(FailCall(name, call, "by letter") if given_up else RetryCall(name, call))
    await world.running.apply_due()
    await world.until(lambda: world.waits(name).items)
    await world.complete(name, "they know", "sue")
    await world.until_ended(name)
    assert (world.row(name).not_undone is not None) == given_up
    assert world.state(name) == "failed"


async def test_what_is_noted_outlives_a_renewal_and_a_renaming(host: Host) -> None:
    def made(name: str, **options: tuple[str, ...]) -> tuple[Function, Task[..., str]]:
        club = Function("Club", owner="ann@acme.example")

        async def give_back(what: str) -> str: ...

        give_back.__name__ = name
        return club, club.task(by=shop, **options)(give_back)  # type: ignore[return-value]

    def declared(club: Function, undo: Task[..., str]) -> tuple[Function, Process[..., None]]:
        @club.task(by=shop)
        async def wait() -> str: ...

        async def member(year: int = 1) -> None:
            if year == 1:
                compensate(undo, "key")
                await itself.renew(2)
            await wait()

        itself = process(owner=club)(member)
        return club, itself

    club, member = declared(*made("give_back"))
    world = await host.open(club, member)
    name = await world.start(member)
    club, member = declared(*made("hand_back", was=("give_back",)))
    await world.restart(club, member)
    await world.give(CancelInstance(name))
    assert world.item(name).operation == "Club.hand_back"
    await world.complete(name, "here", "sue")
    assert world.state(name) == "cancelled"


async def test_what_undoes_is_offered_to_whom_and_due_when_the_operation_says(host: Host) -> None:
    club = Function("Club", owner="ann@acme.example")

    @club.task()
    async def plain(what: str) -> str: ...

    @club.task()
    async def ruled(what: str) -> str: ...

    @ruled.performers
    def for_shop(what: str) -> Selection:
        return role("Shop")

    @club.service()
    async def lend(what: str) -> str:
        return what

    @lend.undo
    @club.task()
    async def take_back(what: str) -> str: ...

    @take_back.performers
    def for_team(what: str) -> Selection:
        return role("Team")

    @process(owner=club)
    async def member(run: int) -> None:
        if run == 1:
            await lend("key")
            compensate(ruled, "b")
            compensate(plain.options(by=role("Shop"), due="2 days"), "a")
            await member.renew(2)
        await plain("wait")

    world = await host.open(club, member)
    name = await world.start(member, run=1)
    await world.until(lambda: world.waits(name).items)
    await world.restart(club, member)
    await world.give(CancelInstance(name))
    for operation, whom in (("Club.plain", "Shop"), ("Club.ruled", "Shop"), ("Club.take_back", "Team")):
        item = world.item(name)
        assert (item.operation, item.role) == (operation, whom)
        assert item.due_us == (item.requested_us + 2 * 86_400 * 1_000_000 if operation == "Club.plain" else None)
        await world.complete(name, "done", "sue" if whom == "Shop" else "ann")
    assert world.state(name) == "cancelled"


async def test_one_that_fails_undoes_however_long_its_history_is(host: Host) -> None:
    @process(owner=shop)
    async def long() -> None:
        compensate(tell, "them")
        for _ in range(3):
            await go_on()
        raise ProcessFailed("over")

    world = await host.open(shop, long, settings=Settings(events_limit=10))
    name = await world.start(long)
    for _ in range(3):
        await world.complete(name, True, "sue")
    await world.complete(name, "they know", "sue")
    assert world.state(name) == "failed"


def test_an_undo_takes_the_result_of_its_service_and_nothing_else() -> None:
    team = Function("Team", owner="ann@acme.example")

    @team.service()
    async def book(what: str) -> int: ...

    @book.undo
    @team.service()
    async def cancel(what: str) -> None: ...

    with pytest.raises(AuthorError, match="undo Team"):
        Registry.of([module_of([team])])


def test_a_service_has_one_undo() -> None:
    team = Function("Team", owner="ann@acme.example")

    @team.service()
    async def book(what: str) -> int: ...

    @book.undo
    @team.service()
    async def cancel(number: int) -> None: ...

    with pytest.raises(NotDeclarable, match="has the undo"):
        book.undo(cancel)


def test_outside_of_a_process_nothing_can_be_noted() -> None:
    with pytest.raises(OutsideProcess):
        compensate(tell, "them")
