"""Applications to work with."""

from pathlib import Path

import pytest

from procession.services.scaffold import make_application
from tests.acceptance.terminal import Terminal

SHOP = '''\
"""Orders: a check by people, a booking by a program that is often down, a delivery that is awaited for a day."""

import asyncio
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path

from procession import AnswerRefused, Function, process, together

sales = Function("Sales", owner="ann@acme.example")
ledger = Function("Ledger", owner="bob@acme.example")
LEDGER = Path(__file__).parent.parent / "ledger.txt"


class Urgency(Enum):
    LOW = "low"
    HIGH = "high"


@dataclass(frozen=True)
class Order:
    number: str
    amount: Decimal
    urgency: Urgency = Urgency.LOW
    placed: datetime | None = None


@dataclass(frozen=True)
class Verdict:
    approved: bool
    remarks: str = ""
    """What the customer is told."""


@sales.task(form=Verdict, title="Check the order", due="3 days")
async def check(verdict: Verdict, order: Order) -> Verdict:
    """Can we deliver this?"""
    if not verdict.approved and not verdict.remarks:
        raise AnswerRefused("say why not", field="remarks")
    return verdict


@sales.task()
async def call_back(order: Order) -> bool:
    """Did you reach the customer?"""
    ...


@ledger.service(attempts=1)
def book(number: str) -> str:
    if not LEDGER.exists():
        raise ConnectionError("the ledger is down")
    return LEDGER.read_text().strip() + number


@process(owner=sales, title="order {order.number}", key="{order.number}")
async def handle(order: Order) -> str:
    verdict = await check(order)
    if not verdict.approved:
        return verdict.remarks
    booking, reached = await together(book(order.number), call_back(order))
    return booking


@process(owner=sales)
async def divide(numerator: int, denominator: int) -> int:
    reached = await call_back(Order("1", Decimal(1)))
    return numerator // denominator


@process(owner=sales)
async def patience() -> str:
    await asyncio.sleep(86_400)
    return "done"
'''


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """An empty folder."""
    return Terminal(tmp_path)


@pytest.fixture
def leave(tmp_path: Path) -> Terminal:
    """The application that `procession new leave` makes."""
    make_application(tmp_path / "leave")
    return Terminal(tmp_path / "leave")


@pytest.fixture
def shop(tmp_path: Path) -> Terminal:
    """An application with a form, a service that fails, a bug and a timer."""
    folder = tmp_path / "shop"
    make_application(folder)
    (folder / "shop" / "process.py").write_text(SHOP)
    (folder / "organisation.toml").write_text(
        '[people.ann]\nroles = ["Sales"]\n[people.bob]\nroles = ["Sales", "Ledger"]\n[people.cleo]\nroles = []\n'
    )
    settings = folder / "procession.toml"
    zone = next(line for line in settings.read_text().splitlines() if line.startswith("time_zone"))
    settings.write_text(settings.read_text().replace(zone, 'time_zone = "Europe/Amsterdam"'))
    return Terminal(folder)
