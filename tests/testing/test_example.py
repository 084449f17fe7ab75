"""The test that the language was designed with.

In two words it differs: tasks are offered to roles as long as there is no selection by whom somebody reports to, and time
is calendar time as long as there are no working calendars.
"""

from decimal import Decimal

import pytest

from procession.calendars.durations import DurationUnclear
from procession.testing import World
from tests.testing.buying import (
    Opinion,
    Order,
    Request,
    approve,
    buy,
    check_budget,
    place_order,
    reserve_budget,
)


def test_the_next_manager_approves_when_the_first_is_late_and_the_ledger_was_down_twice(world: World) -> None:
    cleo = world.person("cleo", roles=["budget holder", "next manager"])
    bob = world.person("bob", roles=["manager"], manager=cleo)
    ann = world.person("ann", manager=bob)
    ledger = world.stub(reserve_budget).fails(ConnectionError("down"), times=2).returns("R-1")
    world.stub(place_order).returns(Order(number="4711", supplier="Dell"))
    purchase = ann.start(buy, Request(requester=ann.person, item="laptop", supplier="Dell", amount=Decimal(1200)))
    cleo.complete(check_budget, Opinion(approved=True))
    assert bob.sees(approve) and not cleo.sees(approve)
    world.advance("5 days")
    cleo.complete(approve, Opinion(approved=True))
    assert purchase.result().number == "4711"
    assert ledger.attempts == 3


def test_working_days_are_refused_as_long_as_there_are_no_working_calendars(world: World) -> None:
    with pytest.raises(DurationUnclear, match='"5 working days" is working time, and there are no working calendars'):
        world.advance("5 working days")
