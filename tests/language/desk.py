"""A small business that the tests of the language share: a desk, its operations and processes that use them."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from procession import (
    AnswerRefused,
    Elapsed,
    Function,
    ProcessFailed,
    after,
    attribute,
    deadline,
    now,
    process,
    together,
    until,
)
from procession.control import log, random, uuid4
from procession.errors import OperationFailed, Withdrawn
from tests.language.values import Application, Approved, Declined

desk = Function("Front desk", owner="intake@city.example")
legal = Function("Legal affairs", owner="legal@city.example", was=("Law",))


@dataclass(eq=False)
class PaymentDeclined(Exception):
    reason: str
    amount: Decimal


class AddressUnknown(Exception):
    """A plain error: its text is all it has."""


class Hopeless(ProcessFailed):
    pass


@dataclass(frozen=True)
class Registration:
    number: str


@desk.task(effort="20 minutes", due="1 day", title="Register the application")
async def register(application: Application) -> Registration:
    """Check that the form is complete, and note the file number."""
    ...


@desk.task(effort="5 minutes")
async def look(application: Application) -> Approved | Declined: ...


@legal.task(form=Registration, due="3 days", was=("judge",))
async def advise(answer: Registration, application: Application) -> str:
    if not answer.number:
        raise AnswerRefused("There is no number.", field="number")
    return f"{answer.number} for {application.applicant}"


@desk.service(attempts=3, timeout="30 seconds", backoff="2 seconds", raises=[PaymentDeclined, AddressUnknown])
async def pay(amount: Decimal, to: str = "city") -> str:
    return f"paid {amount} to {to}"


@desk.service()
def count(words: list[str]) -> int:
    return len(words)


@process(owner=desk, title="{application.applicant}: {application.days} days", key="{application.applicant}")
async def handle(application: Application) -> str:
    """Receipt of an application.

    The rest of the docstring is for readers of the source.
    """
    registration = await register(application)
    match await look(application):
        case Approved(conditions):
            return f"{registration.number}: approved {', '.join(conditions)}"
        case Declined():
            return f"{registration.number}: declined"


@process(owner=desk)
async def paying(amount: Decimal) -> str:
    try:
        return await pay(amount)
    except PaymentDeclined as declined:
        return f"declined: {declined.reason}, {declined.amount}"
    except AddressUnknown as unknown:
        return f"unknown: {unknown}"
    except Withdrawn as withdrawn:
        return f"withdrawn: {withdrawn.message}"
    except OperationFailed as failed:
        return f"failed: {failed.type_name} {failed.message} after {failed.attempts}"


@process(owner=desk)
async def paying_hopefully(amount: Decimal) -> str:
    return await pay(amount)


@process(owner=desk)
async def giving_up(reason: str) -> None:
    raise Hopeless(reason)


@process(owner=desk)
async def both(application: Application) -> str:
    number, size = await together(register(application), count(["a", "b"]))
    return f"{number.number} {size}"


@process(owner=desk)
async def all_of(words: list[str]) -> list[int]:
    return await together(count([word]) for word in words)


@process(owner=desk)
async def both_or_told(application: Application) -> str:
    try:
        _, paid = await together(register(application), pay(Decimal(1)))
    except PaymentDeclined as declined:
        return declined.reason
    return paid


@process(owner=desk)
async def in_time(application: Application) -> str:
    try:
        async with deadline("2 days"):
            return (await register(application)).number
    except TimeoutError:
        return "too late"


@process(owner=desk)
async def slowly(moment: datetime) -> list[str]:
    first = await after("1 day 4 hours")
    second = await until(moment)
    assert isinstance(second, Elapsed)
    return [each.due.isoformat() for each in (first, second)] + [now().isoformat()]


@process(owner=desk)
async def by_chance(count: int) -> list[str]:
    made = [str(uuid4()), *(str(random.randint(1, 10**9)) for _ in range(count)), str(random.gauss(0, 1))]
    attribute(customer="Dell", amount=Decimal("1.50"), since=datetime(2026, 1, 1, tzinfo=UTC), old=None)
    await after("1 day")
    return made


@process(owner=desk)
async def reminding(application: Application) -> str:
    call = register.request(application)
    try:
        async with asyncio.timeout(3600):
            await call.started()
    except TimeoutError:
        call.withdraw("nobody began")
        return "withdrawn"
    return f"{(await call).number} by {call.performer}"


@process(owner=desk)
async def nested(application: Application) -> str:
    return await handle(application)


@process(owner=desk)
async def wrong_argument() -> str:
    return await pay("much")  # type: ignore[arg-type]


@process(owner=desk)
async def wrong_result() -> int:
    return "one"  # type: ignore[return-value]


@process(owner=desk)
async def noting(count: int) -> None:
    log.info("counted %s", count, count=count)
