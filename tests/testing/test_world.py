"""The world of a test: what people see and do, what time brings, and what is said where something is not as expected."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from procession import Function, process
from procession.errors import InvalidValue
from procession.kernel import InstanceState
from procession.testing import StillWaiting, World
from procession.testing.expectations import BadMoment
from procession.testing.machine import NothingIsDue, WorldHasEnded, WorldIsAtWork
from procession.testing.performers import NotOneItem
from procession.testing.running import HasNoResult
from procession.testing.worlds import KnownAlready, ProcessHalted
from procession.work.worklist import Held, NotOffered
from tests.testing.buying import NotApproved, Opinion, Request, buy, check_budget
from tests.testing.leaving import (
    CalledBack,
    approve,
    approve_instead,
    away,
    book,
    call_back,
    daily,
    leave,
    once,
    print_slip,
    sleeps,
    slip,
    team,
    trip,
    wrong,
)


def test_a_person_sees_what_their_roles_are_offered_and_completes_it(world: World) -> None:
    ann, bob = world.person("ann"), world.person("bob", roles=[team])
    request = ann.start(leave, 3, reason="a trip")
    assert bob.sees(approve)
    assert bob.sees()
    assert not ann.sees()
    bob.complete(approve, True)
    assert request.result() == "booked 3"
    assert request.state is InstanceState.COMPLETED
    assert request.name == "leave-1"
    assert not bob.sees()


def test_an_item_is_claimed_put_back_and_started_by_one_at_a_time(world: World) -> None:
    bob, eve = world.person("bob", roles=["Team"]), world.person("eve", roles=["Team"])
    bob.start(leave, 3, "a trip")
    item = bob.claim(approve)
    assert (item.state, item.holder) == ("allocated", "bob")
    assert not eve.sees(approve)
    bob.put_back(approve)
    theirs = eve.item(approve).start()
    assert (item.state, item.holder) == ("started", "eve")
    with pytest.raises(Held, match="eve has work item 1"):
        item.start()
    theirs.put_back()
    assert item.state == "offered"
    assert item.inputs == {"days": 3, "reason": "a trip"}
    assert item.due == datetime(2026, 3, 4, 9, tzinfo=UTC)


def test_a_person_cannot_do_what_is_not_offered_to_them(world: World) -> None:
    bob = world.person("bob", roles=["Team"])
    bob.start(leave, 3, "a trip")
    item = bob.item(approve)
    item._performing = world.person("carl")._performing
    with pytest.raises(NotOffered):
        item.complete(True)


def test_two_items_that_match_are_both_listed_and_one_is_named_by_its_instance(world: World) -> None:
    bob = world.person("bob", roles=["Team"])
    first, second = bob.start(leave, 3, "a trip"), bob.start(leave, 4, "a wedding")
    with pytest.raises(NotOneItem) as refused:
        bob.complete(approve, True)
    assert "bob sees 2 items of Team.approve" in str(refused.value)
    assert "Approve (item 1) of leave-1: offered to Team, due Wednesday 2026-03-04 09:00" in str(refused.value)
    assert "Approve (item 2) of leave-2" in str(refused.value)
    bob.complete(approve, False, of=second)
    assert second.result() == "let us talk"
    assert first.state == "running"
    assert [each.number for each in bob.items(approve)] == [1]


def test_who_has_nothing_to_do_is_told_who_has(world: World) -> None:
    ann, bob = world.person("ann"), world.person("bob", roles=["Team"])
    with pytest.raises(NotOneItem, match=r"sees no item of Team\.approve\. Nobody has one"):
        bob.complete(approve, True)
    ann.start(leave, 3, "a trip")
    with pytest.raises(
        NotOneItem, match=r"ann sees no item of Team\.approve\. There is:\n  Approve \(item 1\) of leave-1"
    ):
        ann.complete(approve, True)


def test_a_result_that_is_not_there_is_told_with_line_operation_and_holder(world: World) -> None:
    bob = world.person("bob", roles=["Team"])
    request = bob.start(leave, 3, "a trip")
    with pytest.raises(StillWaiting, match="waits for the role Team to do Approve"):
        request.result()
    bob.claim(approve)
    with pytest.raises(StillWaiting) as still:
        request.result()
    told = str(still.value)
    assert "leave-1 has no result yet, it is running" in told
    assert "in leave\n    agreed = await approve(days, reason)" in told
    assert "leaving.py" in told
    assert "bob, who has allocated it, to do Approve (item 1), since Monday 2026-03-02 09:00" in told


def test_an_instance_tells_whom_it_waits_for_how_often_and_how_long(world: World) -> None:
    bob = world.person("bob", roles=["Team", "director"])
    request = bob.start(leave, 3, "a trip")
    assert request.waits_for == (approve,)
    world.advance("5 days")
    assert request.waits_for == (approve_instead,)
    assert request.lead_time == timedelta(days=5)
    bob.complete(approve_instead, True)
    world.advance("1 day")
    assert request.lead_time == timedelta(days=5)
    assert [request.count(each) for each in (approve, approve_instead, book, print_slip)] == [1, 1, 1, 0]
    assert request.waits_for == ()


def test_an_instance_that_failed_has_no_result_and_says_why(world: World) -> None:
    cleo = world.person("cleo", roles=["budget holder"])
    purchase = cleo.start(buy, Request("cleo", "laptop", "Dell", Decimal(1200)))
    cleo.complete(check_budget, Opinion(approved=False))
    assert purchase.state == "failed"
    assert purchase.failure == f"{NotApproved.__name__}: there is no money for it"
    with pytest.raises(HasNoResult, match=r"buy-1 is failed, so it has no result: NotApproved: there is no money"):
        purchase.result()


def test_a_process_whose_code_fails_fails_the_test_with_its_call_stack(world: World) -> None:
    with pytest.raises(ProcessHalted) as halted:
        world.person("ann").start(wrong)
    assert "wrong-1" in str(halted.value)
    assert "return len(None)" in str(halted.value)
    assert "TypeError" in str(halted.value)
    world.advance("1 day")  # told once


def test_a_wrong_input_or_answer_is_refused_in_the_test(world: World) -> None:
    bob = world.person("bob", roles=["Team"])
    with pytest.raises(InvalidValue, match="days"):
        bob.start(leave, "three", "a trip")  # type: ignore[arg-type]
    bob.start(leave, 3, "a trip")
    with pytest.raises(InvalidValue):
        bob.complete(approve, "yes")  # type: ignore[arg-type]
    assert bob.sees(approve)


def test_the_same_business_key_gives_the_same_instance(world: World) -> None:
    bob = world.person("bob")
    assert bob.start(once, 7).name == bob.start(once, 7).name != bob.start(once, 8).name


def test_a_person_is_introduced_once_and_reports_to_somebody(world: World) -> None:
    cleo = world.person("cleo")
    bob = world.person("bob", manager=cleo)
    assert world.manager_of(bob) is cleo
    assert world.manager_of(cleo) is None
    assert bob.person == "bob"
    with pytest.raises(KnownAlready):
        world.person("bob")


def test_somebody_may_answer_whatever_comes(world: World) -> None:
    ann = world.person("ann")
    world.person("bob", roles=["Team"]).answers(approve, lambda days, reason: days < 4)
    few, many = ann.start(leave, 3, "a trip"), ann.start(leave, 5, "a journey")
    assert (few.result(), many.result()) == ("booked 3", "let us talk")
    third = ann.start(once, 1)
    assert third.result()


def test_whoever_answers_does_so_at_the_moment_of_the_question(world: World) -> None:
    ann = world.person("ann", roles=["Team"]).answers(approve, True)
    asked = ann.start(daily, 7)
    world.advance("30 days")
    assert asked.result() == 7
    assert asked.lead_time == timedelta(days=7)


def test_an_instance_that_somebody_cancels_has_no_result(world: World) -> None:
    bob = world.person("bob", roles=["Team"])
    request = bob.start(leave, 3, "a trip")
    bob.cancel(request, reason="not needed any more")
    assert request.state == "cancelled"
    assert not bob.sees(approve)
    with pytest.raises(HasNoResult, match="leave-1 is cancelled"):
        request.result()


def test_what_a_process_starts_is_found_and_answered_like_anything_else(world: World) -> None:
    bob = world.person("bob", roles=["Team"])
    whole = bob.start(trip, 3)
    rest, first = world.instances_of(leave)
    assert whole.waits_for == (leave,)
    assert bob.items(approve)[0].inputs["reason"] == "to rest"
    bob.complete(approve, True, of=first)
    assert whole.result() == "trip: booked 3"
    assert rest.state == "running"
    bob.complete(approve, False)
    assert rest.result() == "let us talk"


def test_a_message_reaches_whoever_waits_for_it_and_is_kept_for_others(world: World) -> None:
    ann = world.person("ann")
    bob_is_away, cleo_is_away = ann.start(away, "bob"), ann.start(away, "cleo")
    world.send(CalledBack("a fire"), key="bob")
    assert bob_is_away.result() == "a fire"
    with pytest.raises(StillWaiting, match="waits for the message CalledBack"):
        cleo_is_away.result()
    ann.start(call_back, "cleo")
    assert cleo_is_away.result() == "by a process"
    world.send(CalledBack("too early"), key="dan")
    assert ann.start(away, "dan").result() == "too early"
    waits = ann.start(away, "eve")
    world.crash()
    world.advance("30 days")
    assert waits.result() == "nothing happened"


# Time


def test_what_falls_due_happens_at_its_moment_and_in_its_order(world: World) -> None:
    bob = world.person("bob", roles=["Team", "director"])
    bob.start(leave, 3, "a trip")
    world.advance("2 days")
    bob.start(leave, 1, "another")
    world.advance("10 days")
    told = [(each.instance, each.at_us) for each in world._machine.notices if "withdrawn" in each.text]
    start_us = 1_772_442_000_000_000
    assert told == [("leave-1", start_us + 5 * 86_400_000_000), ("leave-2", start_us + 7 * 86_400_000_000)]
    assert world.now == datetime(2026, 3, 14, 9, tzinfo=UTC)


def test_time_stops_at_what_happens_next(world: World) -> None:
    bob = world.person("bob", roles=["Team", "director"])
    bob.start(leave, 3, "a trip")
    world.advance()
    assert world.now == datetime(2026, 3, 7, 9, tzinfo=UTC)
    assert bob.sees(approve_instead)


def test_time_that_goes_on_to_what_happens_next_stops_there_though_nobody_is_told(world: World) -> None:
    quiet = world.person("ann").start(sleeps, 3)
    for day in (2, 4, 6):
        assert quiet.state == "running"
        world.advance()
        assert world.now == datetime(2026, 3, 2 + day, 9, tzinfo=UTC)
    assert quiet.state == "completed"


def test_that_nothing_is_due_is_an_error_which_lists_who_waits_for_what(world: World) -> None:
    bob = world.person("bob", roles=["Team"])
    bob.start(once, 1)
    with pytest.raises(NothingIsDue) as nothing:
        world.advance()
    assert "Nothing is due" in str(nothing.value)
    assert "once-1" in str(nothing.value)
    assert "waits for the role Team to do Approve (item 1)" in str(nothing.value)
    bob.complete(approve, True)
    with pytest.raises(NothingIsDue, match="No instance is open"):
        world.advance()


def test_half_a_year_costs_a_handful_of_commits(world: World) -> None:
    ann = world.person("ann")
    printed = ann.start(slip, 3)
    before = world._machine._engine._writer.commits  # type: ignore[union-attr]
    world.advance("180 days")
    assert printed.result() == "slip for 3, slip for 4"
    assert printed.attributes == {"days": 3}
    assert world._machine._engine._writer.commits - before < 10  # type: ignore[union-attr]


def test_time_passes_until_a_moment(world: World) -> None:
    world.advance_to("2026-03-03 10:00")
    assert world.now == datetime(2026, 3, 3, 10, tzinfo=UTC)
    world.advance_to(world.now)
    for moment in (datetime(2026, 3, 1, tzinfo=UTC), "2020-01-01", "Blursday"):
        with pytest.raises(BadMoment):
            world.advance_to(moment)
    assert world.now == datetime(2026, 3, 3, 10, tzinfo=UTC)


def test_what_names_no_day_and_nobody_is_refused(world: World) -> None:
    for due in ("Blursday", "", "2026-02-30", "20260306"):
        with pytest.raises(BadMoment, match="Nothing is due on"):
            world.expect(approve).has(0, due=due)
    for name in ("", " ann", "a\nb"):
        with pytest.raises(InvalidValue, match="name of a person"):
            world.person(name)


@pytest.mark.world(start="2026-06-01 08:00", zone="Europe/Amsterdam")
def test_the_world_begins_when_and_where_the_test_says(world: World) -> None:
    assert world.now.isoformat() == "2026-06-01T08:00:00+02:00"
    bob = world.person("bob", roles=["Team"])
    bob.start(once, 1)
    assert str(bob.item(approve).due) == "2026-06-03 08:00:00+02:00"
    assert "Monday 2026-06-01 08:00" in world.report()


# What is expected


def test_expectations_count_what_is_open_and_when_it_is_due(world: World) -> None:
    bob = world.person("bob", roles=["Team"])
    world.expect(team).has_nothing()
    request = bob.start(leave, 3, "a trip")
    world.expect(team).has(1, due="Wednesday")
    world.expect(approve).has(1, due="2026-03-04")
    world.expect(bob).has(1, due=date(2026, 3, 4))
    world.expect(request).has(1, due=datetime(2026, 3, 4, 9, tzinfo=UTC))
    world.expect(approve_instead).has_nothing()
    world.expect(team).has(0, due="Friday")


def test_an_expectation_that_fails_says_what_there_is(world: World) -> None:
    bob = world.person("bob", roles=["Team"])
    bob.start(leave, 3, "a trip")
    with pytest.raises(AssertionError) as failed:
        world.expect(team).has(2, due="Friday")
    assert str(failed.value) == (
        "Team has no items, due on Friday; expected 2 items, due on Friday. Open now, Monday 2026-03-02 09:00:\n"
        "  Approve (item 1) of leave-1: offered to Team, due Wednesday 2026-03-04 09:00"
    )
    with pytest.raises(AssertionError, match="Team has 1 item; expected no items"):
        world.expect(team).has_nothing()


# What is told, and what a world takes


def test_the_report_has_the_call_stack_of_every_open_instance_and_what_happened(world: World) -> None:
    bob = world.person("bob", roles=["Team"])
    bob.start(leave, 3, "a trip")
    bob.start(once, 1)
    told = world.report()
    assert told.index("leave-1") < told.index("once-1")
    assert "agreed = await approve(days, reason)" in told
    assert "return await approve(number" in told
    assert "leave-1 started by bob" in told


def test_processes_are_found_wherever_they_are_declared(world: World) -> None:
    here = Function("Here", owner="here@acme.example")

    @here.task()
    async def ask(what: str) -> str: ...

    asked = {"first": ask}

    async def one_of(what: str) -> str:
        return await asked["first"](what)

    @process(owner=here)
    async def local(what: str) -> str:
        return await one_of(what)

    ann = world.person("ann", roles=[here, team])
    local_one = ann.start(local, "why?")
    leave_one = ann.start(leave, 1, "both at once")
    ann.complete(ask, "because")
    ann.complete(approve, True)
    assert (local_one.result(), leave_one.result()) == ("because", "booked 1")


def test_a_world_takes_no_command_inside_an_event_loop(world: World) -> None:
    ann = world.person("ann")

    async def test() -> None:
        ann.start(once, 1)

    with pytest.raises(WorldIsAtWork, match="Write the test as `def`"):
        asyncio.run(test())


def test_a_world_can_be_had_without_pytest() -> None:
    from procession.testing import world as made

    with made(start="2026-01-01") as w:
        bob = w.person("bob", roles=["Team"])
        request = bob.start(leave, 3, "a trip")
        bob.complete(approve, True)
        assert request.result() == "booked 3"
        assert w.now.year == 2026
    with pytest.raises(WorldHasEnded):
        bob.start(leave, 3, "a trip")
    with pytest.raises(WorldHasEnded):
        w.advance("1 day")
