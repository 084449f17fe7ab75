"""How something is bought: the budget, the approval by whoever is there in time, the order."""

from dataclasses import dataclass
from decimal import Decimal

from procession import Function, ProcessFailed, deadline, process
from procession.people import role

finance = Function("Finance", owner="finance@acme.example")
management = Function("Management", owner="board@acme.example")
purchasing = Function("Purchasing", owner="buyers@acme.example")


@dataclass(frozen=True)
class Request:
    """What somebody wants to have bought."""

    requester: str
    item: str
    supplier: str
    amount: Decimal


@dataclass(frozen=True)
class Opinion:
    """What somebody thinks of it."""

    approved: bool
    remark: str = ""


@dataclass(frozen=True)
class Order:
    """An order at a supplier."""

    number: str
    supplier: str


class NotApproved(ProcessFailed):
    """Somebody was against it."""


@finance.task(effort="10 minutes", due="1 day", by=role("budget holder"))
async def check_budget(request: Request) -> Opinion:
    """Is there money for this?"""
    ...


@finance.service(attempts=5)
async def reserve_budget(amount: Decimal) -> str:
    raise AssertionError("the ledger is not here")


@management.task(effort="5 minutes", due="3 days", by=role("manager"))
async def approve(request: Request) -> Opinion:
    """May we buy this?"""
    ...


@purchasing.service()
def place_order(request: Request, reservation: str) -> Order:
    raise AssertionError("the supplier is not here")


@process(owner=purchasing, title="{request.item} from {request.supplier}")
async def buy(request: Request) -> Order:
    if not (await check_budget(request)).approved:
        raise NotApproved("there is no money for it")
    reservation = await reserve_budget(request.amount)
    try:
        async with deadline("5 days"):
            opinion = await approve(request)
    except TimeoutError:
        opinion = await approve.options(by=role("next manager"))(request)
    if not opinion.approved:
        raise NotApproved(opinion.remark)
    return await place_order(request, reservation)
