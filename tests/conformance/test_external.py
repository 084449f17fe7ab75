"""Work for outside programs: leases, heartbeats, tokens; nothing is lost, and a late worker changes nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from procession import Elapsed, Function, after, deadline, pick, process
from procession.api.protocol import LINE_LIMIT_BYTES, encode_line
from procession.engine.contract import InstanceHasEnded
from procession.engine.deciding import IdentifierUsedTwice
from procession.errors import InvalidValue, NotDeclarable
from procession.kernel import CallCompleted, CallStarted
from procession.services.commands import (
    CancelInstance,
    CompleteExternal,
    FailExternal,
    FetchExternal,
    HeartbeatExternal,
    ResumeInstance,
    SuspendInstance,
)
from procession.services.external import NoSuchExternal, StaleLease
from tests.conformance.world import Host, World


class Declined(Exception):
    pass


team = Function("Team", owner="ann@acme.example")


@team.external(lease="10 minutes", due="2 days", raises=[Declined])
async def scan(document: str, pages: int) -> int:
    """Scan it, and tell how many sheets that were."""
    ...


@team.task()
async def type_it(document: str) -> int: ...


@team.task()
async def confirm(what: str) -> bool: ...


@process(owner=team)
async def file(document: str) -> int:
    try:
        return await scan(document, 3)
    except Declined as error:
        return -len(str(error))


@process(owner=team)
async def whichever(document: str) -> str:
    match await pick(scan.request(document, 1), type_it.request(document), after("2 days")):
        case Elapsed():
            return "nobody"
        case number:
            return f"{number}"


@process(owner=team)
async def hurried(document: str) -> str:
    try:
        async with deadline("1 day"):
            return str(await scan(document, 1))
    except TimeoutError:
        return "late"


@process(owner=team)
async def broken(document: str) -> int:
    call = scan.request(document, 1)
    await call.started()
    raise ZeroDivisionError


ALL = (team, file, whichever, hurried, broken)


async def fetch(world: World, worker: str = "w1", limit: int = 1, lease: str | None = None) -> list[dict[str, Any]]:
    answer = await world.give(FetchExternal("scan", worker, limit, lease), worker)
    return list(answer["calls"])


async def complete(world: World, token: str, result: object) -> dict[str, Any]:
    return await world.give(CompleteExternal(token, json.dumps(result)), "w1")


async def test_a_call_is_fetched_with_its_inputs_and_its_result_goes_on(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(file, document="a")
    (call,) = await fetch(world)
    assert (call["instance"], call["input"], call["attempt"]) == (mine, {"document": "a", "pages": 3}, 1)
    assert call["due"] == "2026-03-03T09:00:00+00:00"
    assert await fetch(world, "w2") == []
    await complete(world, call["token"], 5)
    assert world.result(mine) == 5
    (started,) = [event for event in world.history(mine) if isinstance(event, CallStarted)]
    (completed,) = [event for event in world.history(mine) if isinstance(event, CallCompleted)]
    assert (started.performer, completed.performer) == ("w1", "w1")


async def test_each_call_goes_to_one_worker_and_the_oldest_first(host: Host) -> None:
    world = await host.open(*ALL)
    names = [await world.start(file, document=str(number)) for number in range(5)]
    first, second = await fetch(world, "w1", 2), await fetch(world, "w2", 9)
    assert [call["instance"] for call in (*first, *second)] == names
    assert await fetch(world, "w3", 9) == []


async def test_calls_that_one_answer_cannot_carry_are_left_for_the_next_fetch(host: Host) -> None:
    world = await host.open(*ALL)
    names = [await world.start(file, document="x" * 900_000) for _ in range(10)]
    answers = [await world.give(FetchExternal("scan", "w1", 100), "w1") for _ in range(2)]
    assert all(len(encode_line({"answer": answer})) < LINE_LIMIT_BYTES for answer in answers)
    assert [call["instance"] for answer in answers for call in answer["calls"]] == names


async def test_a_lease_that_is_over_is_handed_out_again_and_the_first_worker_is_refused(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(file, document="a")
    (call,) = await fetch(world, "w1")
    await world.pass_time("9 minutes")
    assert await fetch(world, "w2") == []
    await world.pass_time("2 minutes")
    (again,) = await fetch(world, "w2")
    assert (again["attempt"], again["token"] != call["token"]) == (2, True)
    for command in (
        CompleteExternal(call["token"], "1"),
        FailExternal(call["token"], "no"),
        HeartbeatExternal(call["token"]),
    ):
        with pytest.raises(StaleLease, match="handed out again, to w2"):
            await world.give(command, "w1")
    await complete(world, again["token"], 2)
    assert world.result(mine) == 2
    assert world.kinds(mine).count("CallStarted") == 1


async def test_a_heartbeat_renews_a_lease_and_never_shortens_it(host: Host) -> None:
    world = await host.open(*ALL)
    await world.start(file, document="a")
    (call,) = await fetch(world, lease="1 hour")
    await world.give(HeartbeatExternal(call["token"]), "w1")
    await world.pass_time("50 minutes")
    assert await fetch(world, "w2") == []
    await world.give(HeartbeatExternal(call["token"], "1 day"), "w1")
    await world.pass_time("20 hours")
    assert await fetch(world, "w2") == []


async def test_a_repeated_completion_is_answered_as_the_first_and_another_one_is_refused(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(file, document="a")
    (call,) = await fetch(world)
    told = await complete(world, call["token"], 5)
    again = await complete(world, call["token"], 5)
    assert (told["repeated"], again["repeated"]) == (False, True)
    assert world.result(mine) == 5
    with pytest.raises(StaleLease, match="with something else"):
        await complete(world, call["token"], 6)
    assert await fetch(world) == []


async def test_after_so_many_leases_a_call_needs_attention_and_its_last_worker_may_still_complete_it(
    host: Host,
) -> None:
    world = await host.open(*ALL)
    mine = await world.start(file, document="a")
    for number in range(3):
        (call,) = await fetch(world, f"w{number}")
        await world.pass_time("11 minutes")
    assert await fetch(world) == []
    with world.view() as view:
        (row,) = view.external_attention(world.clock.wall_us())
    assert (row.attempts, row.worker) == (3, "w2")
    await complete(world, call["token"], 7)
    assert world.result(mine) == 7


async def test_a_worker_that_fails_gives_the_call_back_and_a_declared_error_is_an_answer(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(file, document="a")
    (call,) = await fetch(world)
    await world.give(FailExternal(call["token"], "paper jam"), "w1")
    with pytest.raises(StaleLease, match="was given back"):
        await complete(world, call["token"], 1)
    (call,) = await fetch(world)
    assert "paper jam" in str(world.waits(mine).external_calls[0].last_error)
    with pytest.raises(InvalidValue, match="declares no error"):
        await world.give(FailExternal(call["token"], "no", "Refused"), "w1")
    await world.give(FailExternal(call["token"], "never", "Declined"), "w1")
    assert world.result(mine) == -5


@pytest.mark.parametrize("result", ['"five"', "null", "[1]", "{"])
async def test_a_result_that_does_not_fit_is_refused_and_the_lease_stays(host: Host, result: str) -> None:
    world = await host.open(*ALL)
    await world.start(file, document="a")
    (call,) = await fetch(world)
    with pytest.raises(InvalidValue):
        await world.give(CompleteExternal(call["token"], result), "w1")
    await complete(world, call["token"], 5)


@pytest.mark.parametrize("token", ["", "file-1", "file-1:1", "file-1:1:x", "file-1:1:" + "9" * 40])
async def test_what_is_no_token_is_refused(host: Host, token: str) -> None:
    world = await host.open(*ALL)
    await world.start(file, document="a")
    with pytest.raises(InvalidValue, match="token"):
        await world.give(CompleteExternal(token, "1"), "w1")


async def test_an_unknown_operation_is_refused_with_those_there_are(host: Host) -> None:
    world = await host.open(*ALL)
    for name in ("scam", "Team.type_it"):
        with pytest.raises(NoSuchExternal) as refused:
            await world.give(FetchExternal(name, "w1"), "w1")
        assert "Team.scan" in refused.value.remedy


async def test_who_fetches_first_decides_a_choice(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(whichever, document="a")
    (call,) = await fetch(world)
    assert world.waits(mine).items == ()
    await complete(world, call["token"], 4)
    assert world.result(mine) == "4"
    other = await world.start(whichever, document="b")
    await world.complete(other, 9)
    assert world.result(other) == "9"
    assert await fetch(world) == []


async def test_a_call_that_is_withdrawn_while_somebody_has_it_refuses_what_comes(host: Host) -> None:
    world = await host.open(*ALL)
    late, gone = await world.start(hurried, document="a"), await world.start(file, document="b")
    calls = await fetch(world, limit=2, lease="3 days")
    await world.pass_time("2 days")
    await world.give(CancelInstance(gone, force=True))
    assert world.result(late) == "late"
    for call in calls:
        with pytest.raises((StaleLease, InstanceHasEnded)):
            await complete(world, call["token"], 4)
        with pytest.raises((StaleLease, InstanceHasEnded)):
            await world.give(HeartbeatExternal(call["token"]), "w1")


async def test_an_instance_that_halts_when_its_call_is_begun_hands_nothing_else_out(host: Host) -> None:
    world = await host.open(*ALL)
    halted, good = await world.start(broken, document="a"), await world.start(file, document="b")
    await fetch(world, limit=5)
    assert world.state(halted) == "halted"
    assert world.state(good) == "running"
    assert await fetch(world, limit=5) == []


@pytest.mark.parametrize("is_halted", [False, True])
async def test_instances_that_stand_still_keep_no_worker_from_what_others_ask_for(host: Host, is_halted: bool) -> None:
    world = await host.open(*ALL)
    for _ in range(3):
        still = await world.start(broken if is_halted else file, document="a")
        await (fetch(world, lease="1 minute") if is_halted else world.give(SuspendInstance(still)))
    await world.pass_time("2 minutes")
    good = await world.start(file, document="b")
    assert [call["instance"] for call in await fetch(world)] == [good]
    assert await fetch(world) == []
    if not is_halted:
        await world.give(ResumeInstance(still))
        assert [call["instance"] for call in await fetch(world)] == [still]


async def test_one_that_is_suspended_as_a_worker_fetches_leaves_it_what_comes_next(host: Host) -> None:
    world = await host.open(*ALL)
    names = [await world.start(file, document=str(number)) for number in range(3)]
    _, _, calls = await asyncio.gather(*(world.give(SuspendInstance(name)) for name in names[:2]), fetch(world))
    assert [call["instance"] for call in calls] == names[2:]


async def test_leases_outlive_the_engine(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(file, document="a")
    (call,) = await fetch(world)
    await world.restart()
    assert await fetch(world, "w2") == []
    await complete(world, call["token"], 5)
    assert world.result(mine) == 5


def test_a_body_with_code_or_a_lease_of_no_time_is_refused_when_declared() -> None:
    other = Function("Other", owner="ann@acme.example")
    with pytest.raises(NotDeclarable, match="must be"):

        @other.external()
        async def work() -> int:
            return 1

    with pytest.raises(NotDeclarable, match="lease"):

        @other.external(lease="0 minutes")
        async def more() -> int: ...

    with pytest.raises(NotDeclarable, match="at least once"):

        @other.external(attempts=0)
        async def none() -> int: ...


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_a_worker_brings_for_a_suspended_instance_waits_there_and_is_handed_out_no_more(
    host: Host, restarted: bool
) -> None:
    world = await host.open(*ALL)
    names = [await world.start(file, document=str(number)) for number in range(3)]
    done, declined, given_back = await fetch(world, limit=3)
    for name in names:
        await world.give(SuspendInstance(name))
    assert (await complete(world, done["token"], 5))["ended"]
    await world.give(FailExternal(declined["token"], "never", "Declined"), "w1")
    await world.give(FailExternal(given_back["token"], "paper jam"), "w1")
    if restarted:
        await world.restart()
    await world.pass_time("1 day")
    assert [world.state(name) for name in names] == ["suspended"] * 3
    assert await fetch(world, "w2", 9) == []
    assert (await complete(world, done["token"], 5))["repeated"]
    with pytest.raises(StaleLease):
        await complete(world, done["token"], 6)
    for name in names:
        await world.give(ResumeInstance(name))
    (again,) = await fetch(world, "w2", 9)
    await complete(world, again["token"], 7)
    assert [world.result(name) for name in names] == [5, -5, 7]


MENDED: list[bool] = []


async def test_what_a_worker_brings_for_a_halted_instance_goes_on_once_it_is_retried(host: Host) -> None:
    @process(owner=team)
    async def careless(document: str) -> int:
        scanned = asyncio.create_task(scan(document, 1))
        await confirm(document)
        assert MENDED, "not yet"
        return await scanned

    world = await host.open(*ALL, careless)
    name = await world.start(careless, document="a")
    (call,) = await fetch(world)
    await world.complete(name, True)
    told = await complete(world, call["token"], 5)
    assert (world.state(name), told["ended"]) == ("halted", True)
    assert "not yet" in told["halted"]
    await world.pass_time("1 day")
    assert await fetch(world) == []
    MENDED.append(True)
    await world.retry(name)
    assert world.result(name) == 5


async def test_what_was_brought_for_one_that_is_then_ended_by_force_is_let_go(host: Host) -> None:
    world = await host.open(*ALL)
    name = await world.start(file, document="a")
    (call,) = await fetch(world)
    await world.give(SuspendInstance(name))
    await complete(world, call["token"], 5)
    await world.give(CancelInstance(name, force=True))
    assert (world.state(name), world.waits(name).waiting_events) == ("cancelled", ())


async def test_the_due_date_of_a_call_is_later_by_a_pause_whose_timers_stop(host: Host) -> None:
    world = await host.open(*ALL)
    stopped, ran = await world.start(file, document="a"), await world.start(file, document="b")
    await world.give(SuspendInstance(stopped, "stop"))
    await world.give(SuspendInstance(ran))
    await world.pass_time("3 days")
    await world.give(ResumeInstance(stopped))
    await world.give(ResumeInstance(ran))
    first, second = await fetch(world, limit=2)
    assert (first["due"], second["due"]) == ("2026-03-06T09:00:00+00:00", "2026-03-03T09:00:00+00:00")


FETCH = FetchExternal("scan", "w1", 2)


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_fetch_whose_answer_was_lost_gives_the_same_calls_again(host: Host, restarted: bool) -> None:
    world = await host.open(*ALL)
    for number in range(4):
        await world.start(file, document=str(number))
    given = await world.give(FETCH, "w1", client_id="f-1")
    if restarted:
        await world.restart()
    again = await world.give(FETCH, "w1", client_id="f-1")
    assert (given["calls"], given["repeated"], again["repeated"]) == (again["calls"], False, True)
    other = await world.give(FETCH, "w1", client_id="f-2")
    assert [call["instance"] for call in other["calls"]] == ["file-3", "file-4"]
    await complete(world, given["calls"][0]["token"], 5)
    assert (await world.give(FETCH, "w1", client_id="f-1"))["calls"] == given["calls"]
    for call in (*given["calls"][1:], *other["calls"]):
        await complete(world, call["token"], 6)


async def test_a_fetch_that_is_given_twice_at_once_is_one(host: Host) -> None:
    world = await host.open(*ALL)
    for number in range(3):
        await world.start(file, document=str(number))
    one, other = await asyncio.gather(*(world.give(FETCH, "w1", client_id="f-1") for _ in range(2)))
    assert one["calls"] == other["calls"]
    assert [call["instance"] for call in one["calls"]] == ["file-1", "file-2"]


async def test_an_identifier_of_a_fetch_is_for_no_other_one(host: Host) -> None:
    world = await host.open(*ALL)
    for number in range(3):
        await world.start(file, document=str(number))
    await world.give(FETCH, "w1", client_id="f-1")
    with pytest.raises(IdentifierUsedTwice):
        await world.give(FetchExternal("scan", "w2", 2), "w2", client_id="f-1")
    assert len(await fetch(world)) == 1
