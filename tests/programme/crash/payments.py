"""Fourth reference process: instances that wait for messages of each other and of the bank, and for an outside program."""

from dataclasses import dataclass

from procession import Elapsed, Function, after, pick, process, publish, receive
from tests.programme.crash.acts import act
from tests.programme.crash.world import passing

books = Function("Accounts", owner="abe@acme.example")


@dataclass(frozen=True)
class Payment:
    amount: int


@dataclass(frozen=True)
class Receipt:
    order: str
    amount: int


@books.service(attempts=6, backoff="1 minute")
async def thank(what: str) -> str:
    return act("thank", what)


@books.task()
async def settle(order: str) -> int:
    """How much of it do we get?"""
    ...


@books.external(lease="1 minute", attempts=9)
async def scan(document: str) -> int:
    """How many sheets are there?"""
    ...


@process(owner=books)
async def file(document: str) -> str:
    passing()
    sheets = await scan(document)
    publish(Receipt(document, sheets), key="scans")
    passing()
    return f"{sheets} {await thank(document)}"


@process(owner=books)
async def sell(order: str) -> str:
    passing()
    match await pick(receive(Payment, key=order), after("2 days")):
        case Payment(amount=amount):
            passing()
            thanks = await thank(f"{order} {amount}")
        case Elapsed():
            passing()
            amount, thanks = await settle(order), ""
            amount += (await receive(Payment, key=order)).amount
    passing()
    publish(Receipt(order, amount), key="books")
    passing()
    return f"{amount} {thanks}"


@process(owner=books)
async def keep(number: int) -> str:
    noted: list[str] = []
    for _ in range(number):
        passing()
        receipt = await receive(Receipt, key="books")
        noted.append(f"{receipt.order} {receipt.amount}")
    return ", ".join(noted)
