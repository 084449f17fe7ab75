"""Third reference process: what goes wrong. The script deploys a corrected source.

A service that fails twice, one with a declared error, one that is never up and is completed by hand, one that is completed
by hand while an attempt runs; then a mistake in process code, with a service and a timer under way.
"""

import asyncio
from dataclasses import dataclass

from procession import Function, after, process
from tests.programme.crash.acts import act
from tests.programme.crash.world import passing, present

accounts = Function("Accounts", owner="abe@acme.example")


@dataclass(eq=False)
class Declined(Exception):
    code: int


@accounts.service(attempts=8, backoff="1 minute")
async def convert(bill: str) -> str:
    return act("convert", bill, fails=2)


@accounts.service(attempts=8, backoff="1 minute", raises=[Declined])
async def charge(bill: str) -> str:
    act("charge", bill)
    raise Declined(51)


@accounts.service(attempts=2, backoff="1 minute")
async def deliver(bill: str) -> str:
    return act("deliver", bill, fails=1_000)


@accounts.service(attempts=8, backoff="1 minute")
async def archive(bill: str) -> str:
    made = act("archive", bill)
    await present().hold("archive")
    return made


@accounts.service(attempts=8, backoff="1 minute")
async def report(bill: str) -> str:
    made = act("report", bill)
    await present().hold("report")
    return made


@accounts.task()
async def look(bill: str, said: str) -> list[str]:
    """Which lines are wrong?"""
    ...


@process(owner=accounts)
async def settle(bill: str) -> str:
    passing()
    converted = await convert(bill)
    try:
        charged = await charge(bill)
    except Declined as declined:
        charged = f"declined {declined.code}"
    passing()
    delivered = await deliver(bill)
    archived = await archive(bill)
    passing()
    reporting = asyncio.create_task(report(bill))
    waiting = asyncio.create_task(_wait())
    wrong = await look(bill, charged)
    worst = worst_of(wrong)
    passing()
    waited = await waiting
    return f"{converted}, {charged}, {delivered}, {archived}, {await reporting}, {worst}, {waited}"


async def _wait() -> str:
    await after("3 days")
    return "three days"


def worst_of(wrong: list[str]) -> str:
    """The mistake: not every bill has a wrong line."""
    return wrong[0]
