"""A subscription goes on month after month, for years; each month begins anew with a short history.

Beside it, a process that a schedule starts: Finance looks at the figures of each month.
"""

from procession import Elapsed, after, attribute, first, pick, process, receive, until
from subscription.documents import Cancelled, CardChanged, Ended, PaymentDeclined, PlanChanged, Subscription
from subscription.functions import add_up, billing, call_customer, charge, finance, sign_off, stop_delivery, write


@process(owner=billing, title="{subscription.customer}", key="{subscription.number}")
async def subscribe(subscription: Subscription) -> Ended:
    """One month, and then the next: until the customer cancels, or does not pay"""
    attribute(plan=subscription.plan, month=subscription.month)
    if not await is_paid(subscription):
        await stop_delivery(subscription.number)
        return Ended(subscription.month - 1, "not paid")
    plan = subscription.plan
    while True:
        match await next_of(subscription):
            case PlanChanged(wanted):  # from the next month on
                plan = wanted
            case Cancelled(why):  # the month is still theirs
                await until(subscription.paid_until)
                await stop_delivery(subscription.number)
                return Ended(subscription.month, why)
            case Elapsed():
                await subscribe.renew(subscription.next_month(plan))


async def next_of(subscription: Subscription) -> PlanChanged | Cancelled | Elapsed:
    """The customer wants something, or the month is over"""
    number = subscription.number
    return await pick(receive(PlanChanged, key=number), receive(Cancelled, key=number), until(subscription.paid_until))


async def is_paid(subscription: Subscription) -> bool:
    """Charge the card: three times, sooner where there is a new one; then somebody calls, and may have it tried once more"""
    for patience in ("3 days", "7 days", None):
        if await is_charged(subscription):
            return True
        await write(subscription.customer, f"Your card was declined for {subscription.price}.")
        if patience is not None:
            await first(receive(CardChanged, key=subscription.number), after(patience))
    return await call_customer(subscription) and await is_charged(subscription)


async def is_charged(subscription: Subscription) -> bool:
    """Whether the bank agrees"""
    try:
        await charge(subscription)
    except PaymentDeclined:
        return False
    return True


@process(owner=finance, title="The figures of the month")
async def report_month() -> str:
    """What came in, and what Finance says to it"""
    return await sign_off(await add_up())
