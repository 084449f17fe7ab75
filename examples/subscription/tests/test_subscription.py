"""Subscriptions told by cases: months that follow each other, cards that are declined, customers who change their mind."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from procession.kernel import InstanceState
from procession.services.application import open_application
from procession.services.scheduling import schedules_of
from procession.testing import World
from subscription.documents import Cancelled, CardChanged, Ended, PaymentDeclined, Plan, PlanChanged, Subscription
from subscription.functions import add_up, call_customer, charge, sign_off, stop_delivery, write
from subscription.process import report_month, subscribe

ANNA = Subscription("S-1", "Anna", Plan.DIGITAL, datetime(2026, 3, 2, 9, tzinfo=UTC))


class Publisher:
    """Who looks after Anna's subscription, which begins on 2 March."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.charged: list[Decimal] = []
        self.card = world.stub(charge).does(self._charge)
        self.letters = world.stub(write)
        self.delivery = world.stub(stop_delivery)
        self.carla = world.person("carla", roles=["Customer care"])
        self.frank = world.person("frank", roles=["Finance"])

    def _charge(self, subscription: Subscription) -> str:
        self.charged.append(subscription.price)
        return f"R-{len(self.charged)}"

    def begins(self) -> None:
        """Anna subscribes."""
        self.subscription = self.carla.start(subscribe, ANNA)

    def hears(self, message: object) -> None:
        """Anna says something in the portal."""
        self.world.send(message, key="S-1")


@pytest.fixture
def publisher(world: World) -> Publisher:
    """A publisher with its first customer."""
    return Publisher(world)


def test_a_subscription_is_charged_month_after_month_for_years(publisher: Publisher) -> None:
    publisher.begins()
    for _ in range(36):
        publisher.world.advance("30 days")
    assert len(publisher.charged) == 37
    assert publisher.subscription.attributes == {"plan": "digital", "month": 37}
    assert publisher.subscription.state is InstanceState.RUNNING


def test_another_plan_is_charged_from_the_next_month_on(publisher: Publisher) -> None:
    publisher.begins()
    publisher.world.advance("10 days")
    publisher.hears(PlanChanged(Plan.PAPER))
    publisher.world.advance("20 days")
    assert publisher.charged == [Decimal("9.90"), Decimal("24.90")]


def test_who_cancels_has_the_rest_of_the_month(publisher: Publisher) -> None:
    publisher.begins()
    publisher.world.advance("40 days")
    publisher.hears(Cancelled("moves abroad"))
    assert publisher.delivery.attempts == 0
    publisher.world.advance("20 days")
    assert publisher.delivery.attempts == 1
    assert publisher.subscription.result() == Ended(2, "moves abroad")


def test_a_declined_card_is_tried_again_and_a_new_one_at_once(publisher: Publisher) -> None:
    publisher.card.fails(PaymentDeclined("expired"), times=2)
    publisher.begins()
    publisher.world.advance("3 days")
    assert publisher.charged == []
    publisher.hears(CardChanged())
    assert publisher.charged == [Decimal("9.90")]
    assert publisher.letters.attempts == 2


def test_after_three_declines_somebody_calls_and_may_have_it_tried_once_more(publisher: Publisher) -> None:
    publisher.card.fails(PaymentDeclined("expired"), times=3)
    publisher.begins()
    publisher.world.advance("10 days")
    publisher.carla.complete(call_customer, True)
    assert publisher.charged == [Decimal("9.90")]


def test_who_does_not_pay_gets_nothing(publisher: Publisher) -> None:
    publisher.card.fails(PaymentDeclined("expired"), times=3)
    publisher.begins()
    publisher.world.advance("10 days")
    publisher.carla.complete(call_customer, False)
    assert publisher.subscription.result() == Ended(0, "not paid")
    assert publisher.delivery.attempts == 1


def test_a_machine_that_is_lost_in_a_charge_goes_on_with_it(publisher: Publisher) -> None:
    publisher.world.crash(during=charge)
    publisher.begins()
    publisher.world.advance("30 days")
    assert publisher.subscription.attributes["month"] == 2
    assert publisher.card.attempts == 3  # two months, and the first charge once more


def test_finance_looks_at_the_figures_of_the_month(publisher: Publisher) -> None:
    publisher.world.stub(add_up).returns(Decimal("99.00"))
    report = publisher.frank.start(report_month)
    assert publisher.frank.item(sign_off).inputs == {"income": Decimal("99.00")}
    publisher.frank.complete(sign_off, "plausible")
    assert report.result() == "plausible"


def test_the_figures_are_started_on_the_first_of_a_month_by_the_clock() -> None:
    application = open_application(Path(__file__).parent.parent)
    (figures,) = schedules_of(application, application.load_registry())
    assert (figures.name, figures.process.name) == ("figures", "report_month")
    next_us = figures.when.next_after(int(ANNA.begins.timestamp()) * 1_000_000)
    assert next_us == datetime(2026, 4, 1, 9, tzinfo=application.zone).timestamp() * 1_000_000
