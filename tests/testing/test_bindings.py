"""In a test operations are performed as they say, until it binds them to somebody else."""

from __future__ import annotations

import pytest

from procession import Function, process
from procession.deployment import bind, outside, people, stub
from procession.errors import NotDeclarable
from procession.testing import World
from procession.testing.performers import NotOneItem
from procession.testing.stubs import NotAService

office = Function("Claims", owner="ann@acme.example")


@office.task(due="2 days")
async def judge(number: str, amount: int) -> bool:
    """Do we pay?"""
    ...


@office.service()
async def price(number: str) -> int:
    """What does the repair cost?"""
    return 100


@process(owner=office)
async def claim(number: str) -> str:
    return "paid" if await judge(number, await price(number)) else "refused"


async def small_ones(number: str, amount: int) -> bool:
    """Small claims are paid without a look."""
    return amount < 500


def in_a_thread(number: str, amount: int) -> bool:
    return amount < 50


async def other_parameters(number: str) -> bool:
    return True


def test_without_a_binding_each_operation_is_performed_as_it_says(world: World) -> None:
    bob = world.person("bob", roles=["Claims"])
    paid = bob.start(claim, "7")
    bob.complete(judge, True)
    assert paid.result() == "paid"


def test_code_judges_in_place_of_people(world: World) -> None:
    world.bind(bind(judge, small_ones))
    assert world.person("ann").start(claim, "7").result() == "paid"


def test_a_plain_function_judges_in_a_thread(world: World) -> None:
    world.bind(bind(judge, in_a_thread))
    assert world.person("ann").start(claim, "7").result() == "refused"


def test_a_stub_stands_in_for_people_and_for_code(world: World) -> None:
    world.bind(bind(judge, stub(True)), bind(price, stub(7)))
    assert world.person("ann").start(claim, "7").result() == "paid"


def test_people_do_what_code_does_otherwise(world: World) -> None:
    gus = world.person("gus", roles=["Garage"])
    world.bind(bind(judge, small_ones), bind(price, people("Garage", due="1 day")))
    refused = gus.start(claim, "7")
    world.expect(price).has(1, due="Tuesday")
    assert gus.item(price).inputs == {"number": "7"}
    gus.complete(price, 900)
    assert refused.result() == "refused"


def test_an_outside_program_does_what_code_does_otherwise(world: World) -> None:
    world.bind(bind(judge, small_ones), bind(price, outside()))
    garage = world.stub(price).returns(900)
    assert world.person("ann").start(claim, "7").result() == "refused"
    assert garage.attempts == 1


def test_a_binding_counts_from_where_it_is_made_and_a_later_one_takes_its_place(world: World) -> None:
    bob = world.person("bob", roles=["Claims"])
    first = bob.start(claim, "1")
    world.bind(bind(judge, stub(False)))
    assert bob.start(claim, "2").result() == "refused"
    world.bind(bind(judge, small_ones))
    assert bob.start(claim, "3").result() == "paid"
    bob.complete(judge, True)
    assert first.result() == "paid"


def test_code_that_is_bound_is_tried_again_and_survives_a_crash(world: World) -> None:
    attempts: list[int] = []

    async def shaky(number: str, amount: int) -> bool:
        attempts.append(amount)
        if len(attempts) < 3:
            raise ConnectionError("down")
        return True

    world.bind(bind(judge, shaky, attempts=3, backoff="1 hour"))
    paid = world.person("ann").start(claim, "7")
    world.crash()
    assert paid.result() == "paid"
    assert attempts == [100, 100, 100]


def test_a_binding_that_cannot_work_is_refused_and_changes_nothing(world: World) -> None:
    bob = world.person("bob", roles=["Claims"])
    with pytest.raises(NotDeclarable, match="Give the function the same parameters"):
        world.bind(bind(judge, other_parameters))  # type: ignore[arg-type]
    paid = bob.start(claim, "7")
    bob.complete(judge, True)
    assert paid.result() == "paid"


def test_a_stub_of_what_people_do_is_refused_also_where_the_service_is_bound_to_them(world: World) -> None:
    with pytest.raises(NotAService):
        world.stub(judge)  # type: ignore[arg-type]
    with pytest.raises(NotOneItem):
        world.person("bob", roles=["Claims"]).complete(price, 1)
