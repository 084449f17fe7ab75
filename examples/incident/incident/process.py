"""An incident, from the alarm to the review.

It is offered to one line after the other until somebody takes charge. While it is repaired the customers are told, also
those who call later; the phone of whoever stands higher rings as time goes by. It is over when a customer says so.
"""

import asyncio

from incident.documents import Affected, Confirmed, Incident, Recovered, Repaired, Report, Severity, Solved
from incident.functions import ask_customer, inform, operations, page, repair, review, take_charge
from procession import Elapsed, after, attribute, deadline, each, first, pick, process, publish, receive
from procession.control import Group, WorkCall
from procession.people import role

LINES = ("first line", "second line", "duty manager")


@process(owner=operations, title="{incident.service}: {incident.symptom}", key="{incident.number}")
async def handle_incident(incident: Incident) -> Report:
    """From the alarm until a customer says that it is over."""
    attribute(service=incident.service, severity=incident.severity)
    reopened = 0
    async with each(lambda customer: tell(customer, incident), incident.customers, growing=True) as told:
        listening = asyncio.create_task(hear_of_others(incident, told))
        if incident.part_of is None:
            leader, cause = await solve(incident)
        else:  # others are at it already
            leader, cause = incident.part_of, (await receive(Solved, key=incident.part_of)).cause
        while not await is_over(incident):  # not for the customer
            reopened += 1
            leader, cause = await solve(incident)
        listening.cancel()
    publish(Solved(cause), key=incident.number, expires="1 day")
    await each(lambda customer: inform(customer, f"{incident.service} works again"), told.results)
    if incident.part_of is None:
        await review(incident, cause)
    return Report(leader, cause, tuple(told.results), reopened)


async def find_leader(incident: Incident) -> str:
    """Whoever starts first leads: the first line, or the second too after a while, or the duty manager as well"""
    patience = "10 minutes" if incident.severity is Severity.CRITICAL else "1 hour"
    offers: list[WorkCall[None]] = []
    for line in LINES:
        offers.append(take_charge.options(by=role(line)).request(incident))
        await page(line, incident)
        try:
            async with deadline(patience):
                await pick(offers)
                break
        except TimeoutError:  # nobody yet: the offers stand, and more people see one
            continue
    else:
        await pick(offers)
    return next(offer.performer for offer in offers if offer.performer is not None)


async def hear_of_others(incident: Incident, told: Group[str, str]) -> None:
    """Customers who call while it is not over are told as well"""
    while True:
        told.add((await receive(Affected, key=incident.number)).customer)


async def tell(customer: str, incident: Incident) -> str:
    """Tell one customer that it is known"""
    return await inform(customer, f"we are at work on {incident.service}: {incident.symptom}")


async def solve(incident: Incident) -> tuple[str, str]:
    """Somebody takes charge, and it is repaired, or recovers by itself; gives who, and what it was"""
    leader = await find_leader(incident)
    work = repair.request(incident, leader)
    for line in LINES[1:]:
        match await first(work, receive(Recovered, key=incident.number), after("4 hours")):
            case Repaired(cause):
                return leader, cause
            case Recovered(since):
                work.withdraw("it has recovered")
                return leader, f"recovered by itself at {since}"
            case Elapsed():  # it takes long: somebody higher up should know
                await page(line, incident)
    return leader, (await work).cause


async def is_over(incident: Incident) -> bool:
    """The customer says so in the portal, or to whoever calls; after three days silence says it too"""
    match await pick(ask_customer.request(incident), receive(Confirmed, key=incident.number), after("3 days")):
        case bool(works):
            return works
        case Confirmed(is_solved):
            return is_solved
        case Elapsed():
            return True
