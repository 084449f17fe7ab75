"""Messages from outside: sent by class name, listed while nobody takes them, and seen by `doctor`."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from procession.engine.clock import VirtualClock
from procession.services.commands import SendMessage, StartInstance
from procession.services.health import examine
from procession.services.messages import NoSuchMessage
from procession.services.reading import Reading
from tests.services.applications import Made, make_office

SHOP = """

from dataclasses import dataclass

from procession import receive


@dataclass(frozen=True)
class Payment:
    amount: int


@process(owner=desk)
async def sell(order: str) -> int:
    return (await receive(Payment, key=order)).amount


@process(owner=desk)
async def share(order: str) -> int:
    return 100 // (await receive(Payment, key=order)).amount


@process(owner=desk)
async def sell_for(order: str, amount: int) -> int:
    return (await receive(Payment, key=order, where={"amount": amount})).amount
"""


@pytest.fixture
def shop(tmp_path: Path) -> Made:
    return make_office(tmp_path, lambda text: text + SHOP)


def test_a_message_that_nobody_takes_is_listed_and_told_by_doctor_until_somebody_does(shop: Made) -> None:
    shop.perform(SendMessage("Payment", "4711", '{"amount": 20}'), actor="bank")
    with Reading(shop.application) as reading:
        (kept,) = reading.kept_messages().messages
    assert (kept.type, kept.key, kept.sent_by, kept.content) == ("Payment", "4711", "bank", {"amount": 20})
    report = examine(shop.application)
    assert [(each.kind, each.subject) for each in report.concerns] == [("message", "Payment 4711")]
    assert "from bank" in report.concerns[0].message
    (told,) = shop.perform(StartInstance("sell", '{"order": "4711"}'))
    assert told["state"] == "completed"
    assert examine(shop.application).is_well


def test_a_message_says_which_instances_halted_by_it_and_why(shop: Made) -> None:
    start = StartInstance("share", '{"order": "4711"}')
    shop.perform(start, start)
    one, other = shop.perform(
        SendMessage("Payment", "4711", '{"amount": 0}'), SendMessage("Payment", "4711", '{"amount": 5}')
    )
    assert (one["awaited"], sorted(one["halts"])) == (2, ["share-1", "share-2"])
    assert "ZeroDivisionError" in one["halts"]["share-1"]
    assert other["halts"] == {}


def test_a_message_that_has_expired_is_listed_no_more_and_told_by_nobody(shop: Made) -> None:
    an_hour_ago = VirtualClock(time.time_ns() // 1000 - 3_600_000_000)
    send = SendMessage("Payment", "4711", '{"amount": 20}', "30 minutes")
    shop.perform(send, clock=an_hour_ago)
    with Reading(shop.application) as reading:
        assert reading.kept_messages().messages == ()
    assert examine(shop.application).is_well


def test_an_instance_tells_which_message_it_waits_for(shop: Made) -> None:
    shop.perform(StartInstance("sell", '{"order": "4711"}'))
    with Reading(shop.application) as reading:
        (wait,) = reading.instance("sell-1").waits
    assert (wait.kind, wait.operation, wait.title) == ("message", "Payment", "Payment with key 4711")


def test_an_instance_tells_what_has_to_be_in_the_message_it_waits_for(shop: Made) -> None:
    shop.perform(StartInstance("sell_for", '{"order": "4711", "amount": 20}'))
    with Reading(shop.application) as reading:
        (wait,) = reading.instance("sell_for-1").waits
    assert wait.title == "Payment with key 4711 and amount 20"


def test_the_fields_of_a_message_are_found_by_the_name_of_its_class(shop: Made) -> None:
    with Reading(shop.application) as reading:
        assert [field.path for field in reading.fields_of_message("Payment")] == ["amount"]
        with pytest.raises(NoSuchMessage, match="Payement"):
            reading.fields_of_message("Payement")
