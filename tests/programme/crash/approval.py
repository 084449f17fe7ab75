"""First reference process: a person, a program, a person. What people do with an item is in the script, not here."""

from dataclasses import dataclass

from procession import AnswerRefused, Function, attribute, process
from procession.language.control import uuid4
from tests.programme.crash.acts import act
from tests.programme.crash.world import passing

buying = Function("Buying", owner="ann@acme.example")
warehouse = Function("Warehouse", owner="will@acme.example")


@dataclass(frozen=True)
class Purchase:
    what: str
    amount: int


@dataclass(frozen=True)
class Judgement:
    approved: bool
    note: str


@buying.task(form=Judgement, due="2 days")
async def approve(answer: Judgement, purchase: Purchase) -> bool:
    """May we buy it?"""
    if not answer.note:
        raise AnswerRefused("say why", field="note")
    return answer.approved


@buying.service(attempts=6, backoff="1 minute")
async def order(what: str) -> str:
    return act("order", what)


@warehouse.task()
async def receive(purchase: Purchase, ordered: str) -> int:
    """How many came?"""
    ...


@process(owner=buying, title="{purchase.what}", key="{purchase.what}")
async def buy(purchase: Purchase) -> str:
    token = uuid4()
    passing()
    attribute(what=purchase.what, amount=purchase.amount)
    if not await approve(purchase):
        return "no"
    passing()
    ordered = await order(purchase.what)
    passing()
    came = await receive(purchase, ordered)
    attribute(amount=came)
    passing()
    return f"{came} × {ordered} {len(str(token))}"
