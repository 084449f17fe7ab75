"""The business functions that handle an incident, and the operations each offers."""

from incident.documents import Incident, Repaired
from procession import Function

operations = Function("Operations", owner="operations@company.example")
desk = Function("Service desk", owner="desk@company.example")


@operations.task(effort="1 minute", due="10 minutes")
async def take_charge(incident: Incident) -> None:
    """Start this if you lead from here on: nobody else is asked then. Complete it once you are at work."""
    ...


@operations.task(effort="2 hours", due="4 hours")
async def repair(incident: Incident, leader: str) -> Repaired:
    """Get the service to run again, by whatever means. What was it?"""
    ...


@operations.task(effort="1 hour", due="5 days")
async def review(incident: Incident, cause: str) -> None:
    """What must change so that this does not happen again? Plan it."""
    ...


@operations.service()
async def page(whom: str, incident: Incident) -> None:
    """Ring somebody's phone; here it is only printed."""
    print(f"Ringing the {whom}: {incident.service}, {incident.symptom}", flush=True)


@desk.service()
async def inform(customer: str, text: str) -> str:
    """Write to a customer; here it is only printed. Gives whom."""
    print(f"To {customer}: {text}", flush=True)
    return customer


@desk.task(effort="5 minutes", due="1 day")
async def ask_customer(incident: Incident) -> bool:
    """Call the customer: does it work again?"""
    ...
