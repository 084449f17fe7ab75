"""A subscription as it stands, and the messages of the customer."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum

MONTH = timedelta(days=30)


class Plan(Enum):
    """What a customer can have."""

    DIGITAL = "digital"
    PAPER = "paper"


PRICES = {Plan.DIGITAL: Decimal("9.90"), Plan.PAPER: Decimal("24.90")}


@dataclass(frozen=True)
class Subscription:
    """What a month begins with: it is charged for at once, and runs until `paid_until`."""

    number: str
    customer: str
    plan: Plan
    begins: datetime
    month: int = 1

    @property
    def price(self) -> Decimal:
        """What the month costs."""
        return PRICES[self.plan]

    @property
    def paid_until(self) -> datetime:
        """When the next month begins."""
        return self.begins + MONTH

    def next_month(self, plan: Plan) -> "Subscription":
        """The subscription as the month after this begins."""
        return replace(self, plan=plan, begins=self.paid_until, month=self.month + 1)


class PaymentDeclined(Exception):
    """The bank says no."""


@dataclass(frozen=True)
class Ended:
    """It is over."""

    months: int
    why: str


# --- messages ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlanChanged:
    """The customer wants something else from the next month on."""

    plan: Plan


@dataclass(frozen=True)
class CardChanged:
    """The customer has given another card."""


@dataclass(frozen=True)
class Cancelled:
    """The customer has had enough; the month is still theirs."""

    why: str
