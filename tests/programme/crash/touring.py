"""Sixth reference process: what is undone. A tour is booked, renewed, cancelled with a clean-up, or fails with its guide.

What it booked is given back newest first, what it booked before it was renewed too; beside it stand a child that is waited
for, an instance that is started on its own, a message between the two, and a program outside.
"""

from dataclasses import dataclass

from procession import Function, ProcessFailed, compensate, process, publish, receive
from tests.programme.crash.acts import act
from tests.programme.crash.world import passing

travel = Function("Travel", owner="tess@acme.example")


class Refused(ProcessFailed):
    pass


@dataclass(frozen=True)
class Passport:
    number: str


@travel.service(attempts=6, backoff="1 minute")
async def book(what: str) -> str:
    return act("book", what)


@book.undo
@travel.service(attempts=6, backoff="1 minute")
async def unbook(booking: str) -> str:
    return act("unbook", booking)


@travel.external(lease="1 minute", attempts=9)
async def scan(document: str) -> int:
    """How many pages are stamped?"""
    ...


@travel.task()
async def agree(who: str) -> bool:
    """Do they travel?"""
    ...


@travel.task()
async def tell(who: str) -> None:
    """Tell them that they stay at home."""
    ...


@travel.task()
async def call_off(who: str) -> None:
    """Tell the guide."""
    ...


@process(owner=travel)
async def present_passport(who: str) -> None:
    passing()
    await book(f"photo of {who}")
    publish(Passport(f"P {who}"), key=who)


@process(owner=travel)
async def guide(who: str) -> str:
    booking = await book(f"guide of {who}")
    passing()
    passport = await receive(Passport, key=who)
    passing()
    if not await agree(f"guide of {who}"):
        raise Refused(who)
    passing()
    return f"{booking} {passport.number}"


@process(owner=travel, title="{who} {year}")
async def tour(who: str, year: int) -> str:
    passing()
    await book(f"hotel of {who} {year}")
    compensate(tell, f"{who} {year}")
    if year == 1:
        await tour.renew(who, 2)
    await present_passport.start(who)
    guided = await guide(who)
    passing()
    pages = await scan(who)
    await book(f"train of {who}")
    is_going = False
    try:
        is_going = await agree(who)
    finally:
        passing()
        if not is_going:
            await call_off(who)
    return f"{guided} {pages}"
