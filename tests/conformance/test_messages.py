"""Messages between instances and from outside: laws 13, 47 and 57."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass

import pytest

from procession import Elapsed, Function, after, deadline, first, pick, process, publish, receive, together
from procession.errors import InvalidValue
from procession.kernel import CallCompleted, MessagePublished
from procession.services.commands import CancelInstance, ResumeInstance, SendMessage, SuspendInstance
from procession.services.messages import NoSuchMessage
from procession.store.invariants import check_invariants
from procession.store.messages import MessageRow
from tests.conformance.world import Host, World, module_of


@dataclass(frozen=True)
class Payment:
    order: str
    amount: int


@dataclass(frozen=True)
class Question:
    text: str
    reply_to: str


@dataclass(frozen=True)
class Reply:
    text: str


team = Function("Team", owner="ann@acme.example")


@team.task()
async def pack(order: str) -> str: ...


@team.task()
async def confirm(what: str) -> str: ...


@process(owner=team)
async def sell(order: str) -> int:
    payment = await receive(Payment, key=order)
    return payment.amount


@process(owner=team)
async def sell_twice(order: str) -> list[int]:
    return [(await receive(Payment, key=order)).amount, (await receive(Payment, key=order)).amount]


@process(owner=team)
async def sell_both(order: str) -> list[int]:
    payments = await together(receive(Payment, key=order), receive(Payment, key=order))
    return [payment.amount for payment in payments]


@process(owner=team)
async def pay(order: str, amount: int, expires: str = "30 days") -> str:
    publish(Payment(order, amount), key=order, expires=expires)
    return "paid"


@process(owner=team)
async def hurried(order: str) -> str:
    match await pick(pack.request(order), receive(Payment, key=order), after("2 days")):
        case Payment(amount=amount):
            return f"paid {amount}"
        case Elapsed():
            return "nobody paid"
        case packed:
            return f"packed {packed}"


@process(owner=team)
async def race(order: str) -> int:
    won = await first(receive(Payment, key=order), receive(Payment, key=f"{order} by card"))
    return won.amount


@process(owner=team)
async def patient(order: str) -> str:
    try:
        async with deadline("1 day"):
            await receive(Payment, key=order)
    except TimeoutError:
        await confirm(order)
    return str((await receive(Payment, key=order)).amount)


@process(owner=team)
async def ask(text: str) -> str:
    publish(Question(text, reply_to="ask-1"), key="desk")
    return (await receive(Reply, key="ask-1")).text


@process(owner=team)
async def answer() -> str:
    question = await receive(Question, key="desk")
    publish(Reply(f"{question.text}? Yes."), key=question.reply_to)
    return question.text


@process(owner=team)
async def broken(order: str) -> int:
    await confirm(order)
    raise ZeroDivisionError


@process(owner=team)
async def nameless() -> int:
    return (await receive(Payment, key="")).amount


@process(owner=team)
async def of_no_class() -> str:
    return await receive(str, key="a")


@process(owner=team)
async def halting(order: str) -> int:
    async def wait() -> int:
        return (await receive(Payment, key=order)).amount

    async def fail() -> int:
        await confirm(order)
        raise ZeroDivisionError

    paid, _ = await together(wait(), fail())
    return paid


@process(owner=team)
async def mended(order: str) -> int:
    async def wait() -> int:
        return (await receive(Payment, key=order)).amount

    async def fail() -> int:
        await confirm(order)
        return 0

    paid, _ = await together(wait(), fail())
    return paid


ALL = (
    team, Payment, Question, Reply, sell, sell_twice, sell_both, pay, hurried, race, patient, ask, answer, broken, nameless,
    of_no_class, halting,
)  # fmt: skip


async def send(
    world: World, order: str, amount: object, *, client_id: str | None = None, **more: str
) -> dict[str, object]:
    content = json.dumps({"order": order, "amount": amount})
    return await world.give(SendMessage("Payment", order, content, **more), client_id=client_id)


def kept(world: World) -> list[MessageRow]:
    with world.view() as view:
        return view.kept_messages(world.clock.wall_us())


async def test_a_message_from_outside_goes_to_the_instance_that_waits_for_its_key(host: Host) -> None:
    world = await host.open(*ALL)
    mine, other = await world.start(sell, order="4711"), await world.start(sell, order="4712")
    told = await send(world, "4711", 20)
    assert told["awaited"] == 1
    await world.until_ended(mine)
    assert world.result(mine) == 20
    assert world.state(other) == "running"
    assert kept(world) == []


@pytest.mark.usefixtures("in_step")
async def test_each_instance_that_waits_gets_a_message_once(host: Host) -> None:
    world = await host.open(*ALL)
    waiting = [await world.start(sell, order="1") for _ in range(3)]
    twice = await world.start(sell_both, order="1")
    await world.start(pay, order="1", amount=5)
    for instance in waiting:
        await world.until_ended(instance)
        assert world.result(instance) == 5
    await world.until(lambda: "CallCompleted" in world.kinds(twice))
    await world.start(pay, order="1", amount=6)
    await world.until_ended(twice)
    assert world.result(twice) == [5, 6]
    assert kept(world) == []


@pytest.mark.usefixtures("in_step")
async def test_messages_that_nobody_waits_for_are_kept_and_taken_in_the_order_they_came(host: Host) -> None:
    world = await host.open(*ALL)
    for amount in (1, 2, 3):
        await world.start(pay, order="1", amount=amount)
    await world.until(lambda: len(kept(world)) == 3)
    one, two = await world.start(sell, order="1"), await world.start(sell_twice, order="1")
    await world.until_ended(one)
    await world.until_ended(two)
    assert world.result(one) == 1
    assert world.result(two) == [2, 3]
    assert kept(world) == []


async def test_a_message_is_recorded_where_it_was_published_and_where_it_was_received(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(sell, order="1")
    sender = await world.start(pay, order="1", amount=9)
    (published,) = [event for event in world.history(sender) if isinstance(event, MessagePublished)]
    assert (published.message, published.key, json.loads(published.value)) == (
        "Payment",
        "1",
        {"order": "1", "amount": 9},
    )
    (received,) = [event for event in world.history(mine) if isinstance(event, CallCompleted)]
    assert json.loads(received.value) == {"order": "1", "amount": 9}


async def test_a_message_that_expired_is_taken_by_nobody(host: Host) -> None:
    world = await host.open(*ALL)
    await world.start(pay, order="1", amount=1, expires="1 day")
    await world.start(pay, order="1", amount=2, expires="3 days")
    world.skip("2 days")
    mine = await world.start(sell, order="1")
    await world.until_ended(mine)
    assert world.result(mine) == 2


async def test_a_repeated_identifier_is_answered_as_the_first_time_and_sends_nothing(host: Host) -> None:
    world = await host.open(*ALL)
    told = await send(world, "1", 1, client_id="bank-1")
    again = await send(world, "1", 1, client_id="bank-1")
    assert again == {**told, "repeated": True}
    assert len(kept(world)) == 1


@pytest.mark.parametrize("amount", ["20", None, 1.5])
async def test_a_message_that_does_not_fit_its_class_is_refused_and_changes_nothing(host: Host, amount: object) -> None:
    world = await host.open(*ALL)
    mine = await world.start(sell, order="1")
    with pytest.raises(InvalidValue, match="amount"):
        await send(world, "1", amount)
    assert world.state(mine) == "running"
    assert kept(world) == []


async def test_an_unknown_class_is_refused_with_those_there_are(host: Host) -> None:
    world = await host.open(*ALL)
    with pytest.raises(NoSuchMessage, match="Payement") as refused:
        await world.give(SendMessage("Payement", "1", "{}"))
    assert "Payment" in refused.value.remedy
    with pytest.raises(InvalidValue, match="key"):
        await world.give(SendMessage("Payment", " 1", '{"order": "1", "amount": 1}'))


async def test_a_class_whose_name_another_one_has_is_no_message(host: Host) -> None:
    theirs = type("Payment", (), {"__annotations__": {"order": str}, "__module__": "billing"})
    world = await host.open(*ALL, dataclass(frozen=True)(theirs))
    mine = await world.start(sell, order="1")
    assert world.halt(mine)["code"] == "message-unclear"
    assert "billing.Payment" in str(world.halt(mine)["message"])
    with pytest.raises(NoSuchMessage, match="more than one"):
        await send(world, "1", 1)


async def test_a_key_that_is_empty_or_a_class_that_is_none_halts_with_the_remedy(host: Host) -> None:
    world = await host.open(*ALL)
    assert "is empty" in str(world.halt(await world.start(nameless))["message"])
    assert "dataclass" in str(world.halt(await world.start(of_no_class))["message"])


async def test_what_comes_first_decides_a_choice_and_the_others_are_withdrawn(host: Host) -> None:
    world = await host.open(*ALL)
    paid, late = await world.start(hurried, order="1"), await world.start(hurried, order="2")
    await send(world, "1", 7)
    await world.until_ended(paid)
    assert world.result(paid) == "paid 7"
    assert world.waits(paid).items == ()
    await world.pass_time("3 days")
    await world.until_ended(late)
    assert world.result(late) == "nobody paid"
    await send(world, "2", 8)
    assert [row.key for row in kept(world)] == ["2"]


async def test_the_first_of_two_receives_takes_one_message_and_leaves_the_other(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(race, order="1")
    await send(world, "1", 7)
    await world.until_ended(mine)
    await world.give(SendMessage("Payment", "1 by card", '{"order": "1", "amount": 8}'))
    assert world.result(mine) == 7
    assert [row.key for row in kept(world)] == ["1 by card"]


@pytest.mark.usefixtures("in_step")
async def test_a_deadline_that_passes_first_leaves_the_message_for_whoever_asks_next(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(patient, order="1")
    world.skip("2 days")
    await send(world, "1", 7)  # the deadline was due before it
    await world.until(lambda: world.waits(mine).items)
    assert [row.key for row in kept(world)] == ["1"]
    await world.complete(mine, "yes")
    await world.until_ended(mine)
    assert world.result(mine) == "7"
    assert kept(world) == []


@pytest.mark.usefixtures("in_step")
@process(owner=team)
async def sell_within_days(order: str) -> list[int]:
    async def within(days: int) -> int:
        try:
            async with deadline(f"{days} days"):
                return (await receive(Payment, key=order)).amount
        except TimeoutError:
            return -days

    return list(await together(within(1), within(2), within(5)))


@pytest.mark.parametrize("how", ["awake", "asleep", "suspended"])
async def test_a_message_overtakes_no_deadline_however_late_that_is_applied(host: Host, how: str) -> None:
    world = await host.open(team, sell_within_days, Payment)
    name = await world.start(sell_within_days, order="1")
    if how == "suspended":
        await world.give(SuspendInstance(name))
    if how == "awake":
        await world.pass_time("3 days")
    else:
        world.skip("3 days")
    await send(world, "1", 30)
    if how == "suspended":
        await world.give(ResumeInstance(name))
    await world.running.apply_due()
    assert world.result(name) == [-1, -2, 30]


async def test_a_request_and_its_reply_find_each_other(host: Host) -> None:
    world = await host.open(*ALL)
    asking = await world.start(ask, text="Open on Sunday")
    desk = await world.start(answer)
    await world.until_ended(asking)
    assert world.result(asking) == "Open on Sunday? Yes."
    assert world.result(desk) == "Open on Sunday"


async def test_a_message_to_an_instance_that_has_ended_is_kept_for_others(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(sell, order="1")
    await world.give(CancelInstance(mine, force=True))
    await send(world, "1", 7)
    assert [row.key for row in kept(world)] == ["1"]


async def test_what_comes_for_a_halted_instance_waits_and_is_received_when_it_goes_on(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(halting, order="1")
    await world.complete(mine, "yes")
    assert world.state(mine) == "halted"
    await send(world, "1", 7)
    assert kept(world) == []
    mended.name = "halting"
    await world.restart(source=module_of([team, Payment, mended]))
    await world.retry(mine)
    await world.until_ended(mine)
    assert world.result(mine) == 7


@pytest.mark.usefixtures("in_step")
async def test_what_comes_for_a_suspended_instance_waits_and_is_received_when_it_goes_on(host: Host) -> None:
    world = await host.open(*ALL)
    mine, other = await world.start(sell, order="1"), await world.start(sell, order="1")
    await world.give(SuspendInstance(mine))
    await send(world, "1", 7)
    await world.until_ended(other)
    assert (world.state(mine), kept(world)) == ("suspended", [])
    world.check()
    await world.restart()
    await world.give(ResumeInstance(mine))
    await world.until_ended(mine)
    assert (world.result(mine), world.result(other)) == (7, 7)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("DELETE FROM receive", "is on its way to nobody"),
        ("DELETE FROM message", "is promised, and not there"),
        ("UPDATE message SET state = 'kept'; UPDATE receive SET message = NULL", "is kept, and somebody waits for it"),
        ("UPDATE instance SET state = 'running'", "is promised, and nothing brings it"),
    ],
)
async def test_a_message_that_will_never_come_is_found_by_the_check(host: Host, changed: str, told: str) -> None:
    world = await host.open(*ALL)
    await world.give(SuspendInstance(await world.start(sell, order="1")))
    await send(world, "1", 7)
    await world.close()
    with sqlite3.connect(world.store) as connection:
        connection.executescript(changed)
    connection.close()
    problems = check_invariants(world.store)["I6"].problems
    assert any(told in problem for problem in problems), problems
    host.forget(world)


async def test_what_was_on_its_way_to_an_instance_ended_by_force_is_kept(host: Host) -> None:
    world = await host.open(*ALL)
    mine = await world.start(halting, order="1")
    await world.complete(mine, "yes")
    await send(world, "1", 7)
    await world.give(CancelInstance(mine, force=True))
    assert [row.key for row in kept(world)] == ["1"]
    other = await world.start(sell, order="1")
    await world.until_ended(other)
    assert world.result(other) == 7


async def test_messages_and_receives_outlive_the_engine(host: Host) -> None:
    world = await host.open(*ALL)
    await world.start(pay, order="1", amount=3)
    mine = await world.start(sell, order="2")
    await world.restart()
    await send(world, "2", 4)
    one = await world.start(sell, order="1")
    await world.until_ended(one)
    await world.until_ended(mine)
    assert (world.result(one), world.result(mine)) == (3, 4)
