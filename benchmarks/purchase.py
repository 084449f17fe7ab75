"""The processes that are measured: the purchase approval (six hand-offs), and a relay from person to person."""

from dataclasses import dataclass
from decimal import Decimal

from procession import Function, process, together

finance = Function("Finance", owner="finance@acme.example")
management = Function("Management", owner="management@acme.example")
purchasing = Function("Purchasing", owner="purchasing@acme.example")


@dataclass(frozen=True)
class Request:
    """What somebody wants to buy."""

    requester: str
    item: str
    supplier: str
    amount: Decimal


@dataclass(frozen=True)
class Reservation:
    """Money set aside."""

    reservation: str
    amount: Decimal


@dataclass(frozen=True)
class Opinion:
    """What a manager says."""

    approved: bool
    remark: str


@dataclass(frozen=True)
class Check:
    """What a register says."""

    subject: str
    verdict: str


@dataclass(frozen=True)
class Ordered:
    """The order, as the supplier confirmed it."""

    number: str
    supplier: str


@finance.service(attempts=3, timeout="30 seconds")
async def reserve_budget(request: Request) -> Reservation:
    """Set the money aside."""
    return Reservation("R-1", request.amount)


@management.task(effort="10 minutes", due="2 days")
async def approve(request: Request) -> Opinion:
    """May this be bought?"""
    ...


@purchasing.service(attempts=3, timeout="30 seconds")
async def check_supplier(request: Request) -> Check:
    """Is the supplier in good standing?"""
    return Check(request.supplier, "A")


@purchasing.service(attempts=3, timeout="30 seconds")
async def check_stock(request: Request) -> Check:
    """Is it in stock?"""
    return Check(request.item, "3")


@management.task(effort="5 minutes", due="2 days")
async def sign(request: Request) -> Opinion:
    """Sign the order."""
    ...


@purchasing.service(attempts=3, timeout="30 seconds")
async def place_order(request: Request) -> Ordered:
    """Send the order."""
    return Ordered("4711", request.supplier)


@process(owner=finance, title="{request.item} from {request.supplier} for {request.amount}")
async def purchase(request: Request) -> Ordered:
    await reserve_budget(request)
    await approve(request)
    await together(check_supplier(request), check_stock(request))
    await sign(request)
    return await place_order(request)


@process(owner=management, title="{request.item}, {rounds} times")
async def relay(request: Request, rounds: int) -> int:
    for _ in range(rounds):
        await sign(request)
    return rounds
