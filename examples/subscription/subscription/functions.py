"""The business functions behind a subscription, and the operations each offers."""

from decimal import Decimal

from procession import Function
from subscription.documents import PaymentDeclined, Subscription

billing = Function("Billing", owner="billing@publisher.example")
care = Function("Customer care", owner="care@publisher.example")
finance = Function("Finance", owner="finance@publisher.example")


@billing.service(raises=[PaymentDeclined])
async def charge(subscription: Subscription) -> str:
    """Charge the month to the card; here nobody's money is touched. Gives the number of the receipt."""
    return f"{subscription.number}-{subscription.month}"


@billing.service()
async def write(customer: str, text: str) -> None:
    """Write to a customer; here it is only printed."""
    print(f"To {customer}: {text}", flush=True)


@billing.service()
async def stop_delivery(number: str) -> None:
    """No more issues; here it is only printed."""
    print(f"{number} is delivered no more", flush=True)


@care.task(effort="10 minutes", due="3 days")
async def call_customer(subscription: Subscription) -> bool:
    """The card was declined three times. Call: will they pay, and do we try it once more?"""
    ...


@finance.service()
async def add_up() -> Decimal:
    """What came in last month; here it is made up."""
    return Decimal("1234.50")


@finance.task(effort="30 minutes", due="3 days")
async def sign_off(income: Decimal) -> str:
    """Is that plausible? Write a sentence about it."""
    ...
