"""A process for the tests of the world: a service, a colleague, a director who steps in, and a pause."""

from dataclasses import dataclass

from procession import Function, after, attribute, deadline, process, publish, receive
from procession.people import role

team = Function("Team", owner="ann@acme.example")
office = Function("Office", owner="office@acme.example")


@dataclass(eq=False)
class NoMoreDays(Exception):
    """Somebody has had all the days there are."""

    days: int


@office.service(attempts=3, raises=[NoMoreDays])
async def book(days: int) -> str:
    return f"booked {days}"


@office.service(attempts=2)
def print_slip(days: int) -> str:
    return f"slip for {days}"


@team.task(effort="5 minutes", due="2 days")
async def approve(days: int, reason: str) -> bool:
    """May your colleague take this leave?"""
    ...


@team.task(effort="5 minutes", by=role("director"))
async def approve_instead(days: int, reason: str) -> bool:
    """May they? Nobody else said anything."""
    ...


@process(owner=team, title="{days} days: {reason}")
async def leave(days: int, reason: str) -> str:
    """Somebody asks for leave."""
    try:
        async with deadline("5 days"):
            agreed = await approve(days, reason)
    except TimeoutError:
        agreed = await approve_instead(days, reason)
    return await booked(days) if agreed else "let us talk"


async def booked(days: int) -> str:
    """Book the days, if there are any left."""
    try:
        return await book(days)
    except NoMoreDays as none:
        return f"no more than {none.days}"


@process(owner=team, title="Slip for {days} days")
async def slip(days: int) -> str:
    """A slip, and half a year later another."""
    attribute(days=days, printed=None)
    first = await print_slip(days)
    await after("180 days")
    return first + ", " + await print_slip(days + 1)


@process(owner=team, title="Once: {number}", key="{number}")
async def once(number: int) -> bool:
    """One at a time of each number."""
    return await approve(number, "once")


@process(owner=team)
async def wrong() -> int:
    """Its code has a mistake."""
    return len(None)  # type: ignore[arg-type]


@process(owner=team)
async def daily(days: int) -> int:
    """Each day somebody is asked again, as long as they agree."""
    for day in range(days):
        if not await approve(day, "once more"):
            return day
        await after("1 day")
    return days


@process(owner=team, title="A trip of {days} days")
async def trip(days: int) -> str:
    """A leave, and one day more that nobody waits for."""
    await leave.start(1, "to rest")
    return "trip: " + await leave(days, "a trip")


@process(owner=team)
async def sleeps(times: int) -> None:
    """Nobody hears of it."""
    for _ in range(times):
        await after("2 days")


@dataclass(frozen=True)
class CalledBack:
    """Somebody is wanted at their work."""

    why: str


@process(owner=team, title="{name} is away")
async def away(name: str) -> str:
    """Until they are called back, or a month has passed."""
    try:
        async with deadline("30 days"):
            return (await receive(CalledBack, key=name)).why
    except TimeoutError:
        return "nothing happened"


@process(owner=team)
async def call_back(name: str) -> None:
    """Calls somebody back."""
    publish(CalledBack("by a process"), key=name)
