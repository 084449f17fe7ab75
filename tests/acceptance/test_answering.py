"""Answering what is one of several types, or has a form: what is asked is told with the way to give it, as it is typed."""

import pytest

from procession.services.scaffold import make_application
from tests.acceptance.terminal import Terminal

pytestmark = pytest.mark.slow

SOURCE = '''\
"""Orders that are accepted at a price, or rejected."""

from dataclasses import dataclass
from decimal import Decimal

from procession import Function, process

team = Function("Team", owner="ann@acme.example")


@dataclass(frozen=True)
class Order:
    customer: str
    wanted: bool


@dataclass(frozen=True)
class Accepted:
    price: Decimal


@dataclass(frozen=True)
class Rejected:
    reason: str


@team.task()
async def judge(customer: str) -> Accepted | Rejected:
    """Do we take this order?"""
    ...


@process(owner=team)
async def handle(order: Order) -> Accepted | Rejected:
    return await judge(order.customer)
'''


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """An application with three open items."""
    folder = tmp_path_factory.mktemp("orders") / "orders"
    make_application(folder)
    (folder / "orders" / "process.py").write_text(SOURCE)
    terminal = Terminal(folder)
    for _ in range(3):
        terminal.succeed("start", "handle", "order.customer=c", "order.wanted=yes")
    return terminal


def test_an_item_whose_answer_is_one_of_several_types_is_shown_with_the_way_to_give_each(orders: Terminal) -> None:
    shown = orders.succeed("work", "show", "1")
    assert """Accepted.price=12.50   or   --answer '{"Accepted": {"price": "12.50"}}'""" in shown
    assert "Rejected.reason  (text)" in shown
    (field,) = orders.answer("work", "show", "1")["form"]
    assert [each["label"] for each in field["alternatives"]] == ["Accepted", "Rejected"]
    assert field["alternatives"][0]["example"] == {"Accepted": {"price": "12.50"}}


def test_each_way_that_is_told_completes_an_item(orders: Terminal) -> None:
    shown = orders.answer("work", "show", "2")["form"][0]["alternatives"][1]
    done = orders.answer("work", "complete", "2", *shown["given_as"])
    assert done["state"] == "completed"
    assert "already completed by ann" in orders.fail("work", "complete", "2", "type=x")
    assert "already completed" in orders.fail("work", "complete", "2", "--answer", '{"type"')
    assert orders.answer("work", "complete", "3", "answer.Accepted.price=12.50")["state"] == "completed"
    assert orders.answer("show", "handle-3")["result"] == {"Accepted": {"price": "12.50"}}


def test_what_does_not_fit_is_told_alike_in_fields_and_in_json(orders: Terminal) -> None:
    by_field = orders.fail("work", "complete", "1", "price=12.50")
    assert by_field == orders.fail("work", "complete", "1", "--answer", '{"price": "12.50"}')
    assert "Accepted (Accepted.price=12.50) or Rejected" in by_field
    assert orders.fail("start", "handle") == orders.fail("start", "handle", "--input", "{}")
    assert "order is a form with the fields customer, wanted" in orders.fail("start", "handle", "order=x")


def test_a_draft_that_is_not_json_is_refused(orders: Terminal) -> None:
    assert "is not JSON" in orders.fail("work", "save-draft", "1", "--answer", '{"price": 1')
    assert orders.answer("work", "show", "1")["draft"] is None


def test_a_number_that_is_none_is_told_in_words_of_ours(orders: Terminal) -> None:
    told = orders.fail("work", "complete", "abc", status=2)
    assert "'abc' is not a whole number" in told
    assert "parse" not in told
    assert "from 1 to 10,000" in orders.fail("list", "--limit", "0", status=2)
