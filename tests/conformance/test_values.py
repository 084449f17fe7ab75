"""Values and handles as they cross: laws 34 (payloads), 47, 53 and 54; starts and business keys: law 29."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import pytest
from pydantic import BaseModel, Field

from procession import Call, Function, attribute, deadline, process
from procession.errors import InvalidValue, OperationFailed, PayloadTooLarge
from procession.kernel import CallRequested
from procession.services.commands import CancelInstance, CompleteCall, CompleteItem, StartInstance
from procession.services.instances import KeyTaken
from procession.services.naming import NoSuchProcess
from tests.conformance.world import Host

team = Function("Team", owner="ann@acme.example")


@dataclass
class Basket:
    goods: list[str]


@dataclass(frozen=True)
class Dog:
    name: str


@dataclass(frozen=True)
class Cat:
    name: str


class Person(BaseModel):
    name: str = Field(max_length=5)


@team.service()
async def spoil(basket: Basket) -> Basket:
    basket.goods.append("mouse")
    return basket


@team.task()
async def choose(pets: list[Dog | Cat]) -> Dog | Cat: ...


@team.task()
async def greet(person: Person) -> str: ...


@team.task()
async def tags(given: frozenset[str]) -> set[str]: ...


@team.task()
async def write(text: str) -> str: ...


@process(owner=team)
async def copying() -> list[list[str]]:
    mine = Basket(["bread"])
    call: Call[Basket] = spoil.request(mine)
    mine.goods.append("changed after the request")
    first = await call
    first.goods.append("only mine")
    second = await call
    return [mine.goods, first.goods, second.goods]


@process(owner=team)
async def choosing() -> str:
    chosen = await choose([Dog("rex"), Cat("tom")])
    return f"{type(chosen).__name__} {chosen.name}"


@process(owner=team)
async def copied() -> str:
    return await greet(Person(name="ann").model_copy(update={"name": "far too long"}))


@process(owner=team)
async def tagging() -> list[str]:
    return list(await tags(frozenset({"sun", "moon", "stars", "rain"})))


@process(owner=team)
async def writing(text: str) -> str:
    return await write("")


@process(owner=team, key="{number}")
async def keyed(number: str, amount: int = 1) -> str:
    return await write(number)


@process(owner=team, key="{number}", key_forever=True)
async def once(number: str) -> str:
    return await write(number)


@process(owner=team)
async def noting(customer: str) -> None:
    attribute(customer=customer, size=3)
    await write("")
    attribute(customer="known", size=None)
    await write("")


@process(owner=team)
async def reminding() -> str:
    call: Call[str] = write.request("please")
    try:
        async with deadline("2 days"):
            return await call
    except TimeoutError:
        await write("reminder")
        return await call


# Copies


async def test_what_crosses_is_a_copy_in_both_directions(host: Host) -> None:
    world = await host.open(copying)
    name = await world.start(copying)
    await world.until_ended(name)

    assert world.result(name) == [
        ["bread", "changed after the request"],
        ["bread", "mouse", "only mine"],
        ["bread", "mouse"],
    ]


async def test_members_of_a_union_of_one_shape_are_told_apart(host: Host) -> None:
    world = await host.open(choosing)
    name = await world.start(choosing)
    [requested] = [event for event in world.history(name) if isinstance(event, CallRequested)]
    pets = json.loads(requested.input)["pets"]
    assert pets[0] != pets[1] and [next(iter(pet)) for pet in pets] == ["Dog", "Cat"]

    with pytest.raises(InvalidValue):
        await world.complete(name, {"name": "tom"})
    await world.complete(name, {"Cat": {"name": "tom"}})
    assert world.result(name) == "Cat tom"


async def test_a_copy_that_was_not_validated_is_at_the_next_hand_off_and_halts_naming_the_line(host: Host) -> None:
    world = await host.open(copied)
    name = await world.start(copied)

    halt = world.halt(name)
    assert "at most 5" in halt["message"]
    assert halt["stack"][0]["frames"][-1][1] == "copied"


async def test_sets_come_back_in_the_order_in_which_they_were_recorded(host: Host) -> None:
    world = await host.open(tagging)
    name = await world.start(tagging)
    await world.complete(name, ["z", "a", "m", "b"])

    assert world.result(name) == ["a", "b", "m", "z"]


async def test_a_requested_handle_outlives_the_timeout_around_its_await(host: Host) -> None:
    """Remind after two days, and keep waiting: the work is not lost."""
    world = await host.open(reminding)
    name = await world.start(reminding)
    first = world.item(name).id
    await world.pass_time("3 days")
    assert first in [item.id for item in world.waits(name).items]
    second = next(item.id for item in world.waits(name).items if item.id != first)
    await world.give(CompleteItem(second, '"reminded"'))
    await world.give(CompleteItem(first, '"at last"'))

    assert world.result(name) == "at last"


# Limits at the edge

TOO_MUCH = "x" * 1_000_001


async def test_a_payload_over_the_limit_is_refused_at_start_and_at_the_answer(host: Host) -> None:
    world = await host.open(writing)
    with pytest.raises(PayloadTooLarge, match="1,000,000"):
        await world.start(writing, text=TOO_MUCH)
    with world.view() as view:
        assert view.counts().instances == {}
    name = await world.start(writing, text="x" * 900_000)
    with pytest.raises(PayloadTooLarge):
        await world.complete(name, TOO_MUCH)
    assert world.state(name) == "running"


async def test_a_result_of_a_service_over_the_limit_needs_attention_and_is_completed_by_hand(host: Host) -> None:
    clerks = Function("Clerks", owner="ann@acme.example")

    @clerks.service()
    async def read() -> str:
        return TOO_MUCH

    @process(owner=clerks)
    async def reading() -> str:
        return await read()

    world = await host.open(reading)
    name = await world.start(reading)
    await world.until(lambda: world.attention(name))
    assert "PayloadTooLarge" in (world.waits(name).service_calls[0].last_error or "")

    await world.give(CompleteCall(name, 1, '"short"'))
    assert world.result(name) == "short"


async def test_a_declared_error_over_the_limit_needs_attention(host: Host) -> None:
    @dataclass(eq=False)
    class Declined(Exception):
        why: str

    clerks = Function("Clerks", owner="ann@acme.example")

    @clerks.service(raises=[Declined])
    async def read() -> str:
        raise Declined(TOO_MUCH)

    @process(owner=clerks)
    async def reading() -> str:
        try:
            return await read()
        except (Declined, OperationFailed):
            return "no"

    world = await host.open(reading)
    name = await world.start(reading)
    await world.until(lambda: world.attention(name))


@pytest.mark.parametrize(
    "text",
    [
        '{"text": "a\\u0000b"}',
        '{"text": "\\ud800"}',
        '{"text": "a", "text": "b"}',
        '{"text": 1e999}',
        '{"text": NaN}',
        '{"other": 1}',
        "[]",
        '{"text": ' + "9" * 5000 + "}",
        "[" * 100_000,
        '{"text"',
        "",
    ],
)
async def test_bad_input_is_refused_with_a_sentence_and_starts_nothing(host: Host, text: str) -> None:
    world = await host.open(writing)
    with pytest.raises(InvalidValue) as refused:
        await world.give(StartInstance("writing", text))
    assert str(refused.value)
    with world.view() as view:
        counts = view.counts()
    assert (counts.events, counts.requests) == (0, 0)


async def test_an_unknown_process_is_refused_with_those_there_are(host: Host) -> None:
    world = await host.open(writing, keyed)
    with pytest.raises(NoSuchProcess, match="keyed, writing"):
        await world.start("nothing")


# Names and keys


async def test_a_start_with_the_same_key_and_input_gives_the_same_instance(host: Host) -> None:
    world = await host.open(keyed)
    first, second = await asyncio.gather(world.start(keyed, number="a-1"), world.start(keyed, number="a-1"))
    again = await world.give(StartInstance("keyed", '{"amount": 1, "number": "a-1"}'))

    assert first == second == again["instance"]
    assert again["repeated"] is True
    assert world.kinds(first).count("InstanceStarted") == 1
    with world.view() as view:
        assert view.counts().instances == {"running": 1}


async def test_a_start_with_the_same_key_and_another_input_is_refused(host: Host) -> None:
    world = await host.open(keyed)
    name = await world.start(keyed, number="a-1")

    with pytest.raises(KeyTaken, match=name):
        await world.start(keyed, number="a-1", amount=2)
    with pytest.raises(KeyTaken):
        await world.give(StartInstance("keyed", '{"number": "other"}', key="a-1"))


async def test_a_key_is_free_after_the_end_unless_it_is_kept_forever(host: Host) -> None:
    world = await host.open(keyed, once)
    for started in (keyed, once):
        name = await world.start(started, number="a-1")
        await world.complete(name, "done")
        again = await world.give(StartInstance(started.name, '{"number": "a-1"}'))
        assert (again["instance"] == name) == (started is once)
        assert again["repeated"] == (started is once)
    with pytest.raises(KeyTaken):
        await world.give(StartInstance("once", '{"number": "b"}', key="a-1"))


async def test_a_key_that_is_taken_forever_stays_taken_when_its_process_was_gone_at_the_end(host: Host) -> None:
    world = await host.open(keyed, once)
    name = await world.start(once, number="a")
    await world.restart(keyed)

    await world.give(CancelInstance(name, force=True))

    await world.restart(keyed, once)
    again = await world.give(StartInstance("once", '{"number": "a"}'))
    assert (again["instance"], again["repeated"]) == (name, True)


async def test_keys_are_compared_in_one_spelling_and_case_counts(host: Host) -> None:
    world = await host.open(keyed)
    composed = await world.start(keyed, number="caf\u00e9")
    decomposed = await world.give(StartInstance("keyed", '{"number": "caf\u00e9"}', key="cafe\u0301"))
    upper = await world.start(keyed, number="Caf\u00e9")

    assert decomposed["instance"] == composed != upper
    with world.view() as view:
        row = view.instances.find_named("keyed:caf\u00e9")
    assert row is not None and row.name == composed


@pytest.mark.parametrize("key", ["", " a", "a ", "a\nb", "x" * 201, "a\x7fb"])
async def test_what_cannot_be_a_key_is_refused(host: Host, key: str) -> None:
    world = await host.open(keyed)
    with pytest.raises(InvalidValue, match="business key"):
        await world.start(keyed, number=key)
    with pytest.raises(InvalidValue, match="business key"):
        await world.give(StartInstance("keyed", '{"number": "fine"}', key=key))


async def test_attributes_are_found_by_name_the_last_value_counts_and_none_removes_one(host: Host) -> None:
    world = await host.open(noting)
    name = await world.start(noting, customer="Dell")
    assert world.attributes(name) == {"customer": "Dell", "size": 3}

    await world.restart()
    await world.complete(name, "")
    assert world.attributes(name) == {"customer": "known"}


async def test_an_attribute_with_a_name_that_cannot_be_one_halts(host: Host) -> None:
    @process(owner=team)
    async def misnamed() -> None:
        attribute(**{" ": 1})

    world = await host.open(misnamed)
    name = await world.start(misnamed)
    assert "attribute" in world.halt(name)["message"]


async def test_what_is_too_large_to_ask_for_halts_though_the_process_swallows_every_error(host: Host) -> None:
    clerks = Function("Clerks", owner="ann@acme.example")

    @clerks.task()
    async def read(text: str) -> str: ...

    @process(owner=clerks)
    async def swallowing(how: str) -> str:
        try:
            if how == "await":
                return await read(TOO_MUCH)
            if how == "request":
                return await read.request(TOO_MUCH)
            attribute(text=TOO_MUCH)
        except Exception:
            return "went on"
        return "done"

    world = await host.open(swallowing)
    for how in ("await", "request", "attribute"):
        halt = world.halt(await world.start(swallowing, how=how))
        assert halt["code"] == "payload-limit"
        assert "1,000,000" in halt["message"]
