"""What happens in a run of each reference process: the orders of clients, and the passing of time.

A script can be played again from its beginning after a crash, on the store that the crash left: every order has its
identifier, every refusal stays one, and time only goes on. Each leaves one instance waiting at its end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import ModuleType

from procession.services.commands import (
    CancelInstance,
    ClaimItem,
    CompleteItem,
    PutBackItem,
    RetryInstance,
    SaveDraft,
    SendMessage,
    StartItem,
)
from tests.programme.crash import approval, billing, moving, payments, relocation, touring
from tests.programme.crash.client import Client
from tests.programme.crash.world import DAY_US

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US


async def play_approval(client: Client) -> None:
    """Claim, start, draft, put back, hand over to a colleague; refusals of every kind in between."""
    desk, chair = await client.together(
        client.start("desk", "buy", purchase={"what": "desk", "amount": 3}),
        client.start("chair", "buy", purchase={"what": "chair", "amount": 7}),
    )
    item = client.item(desk, "approve").id
    await client.is_refused(ClaimItem(item), "will")
    await client.claim(desk, "approve", "ann")
    await client.is_refused(StartItem(item, version=1), "bob")
    await client.ask("start desk", StartItem(item), "ann")
    await client.ask("draft desk", SaveDraft(item, '{"note": "half'), "ann")
    await client.ask("put back desk", PutBackItem(item), "ann", "off to lunch")
    await client.claim(desk, "approve", "bob")
    await client.is_refused(CompleteItem(item, '{"approved": true, "note": ""}'), "bob")
    await client.is_refused(CompleteItem(item, '{"approved": "perhaps"}'), "bob")
    await client.complete(desk, "approve", {"approved": True, "note": "fine"}, "bob")
    await client.is_refused(CompleteItem(item, '{"approved": false, "note": "no"}'), "bob")
    await client.complete(chair, "approve", {"approved": False, "note": "too many"}, "ann")
    await client.quiet()
    await client.complete(desk, "receive", 3, "will")
    await client.start("table", "buy", purchase={"what": "table", "amount": 1})


async def play_relocation(client: Client) -> None:
    """One race is won by the person and one by time; a call is taken back while it lies open, another while it is done."""
    ada = await client.start("ada", "move", who="ada")
    bob = await client.start("bob", "move", who="bob")
    await client.quiet()
    await client.complete(ada, "confirm", "yes", "rita", about="landlord of ada")
    await client.claim(ada, "confirm", "rita", about="tenant ada")
    await client.time_passes(3 * DAY_US)
    await client.complete(ada, "visit", 12, "rita")
    await client.time_passes(4 * DAY_US + 12 * HOUR_US)
    await client.time_passes(4 * DAY_US + 14 * HOUR_US)
    await client.time_passes(6 * DAY_US)
    await client.ask("cancel bob", CancelInstance(bob, force=True), "rita", "moved to another town")
    await client.start("cy", "move", who="cy")
    await client.quiet()


async def play_billing(client: Client) -> None:
    """Everything goes wrong once, and is set right: by another attempt, by hand, by a corrected source."""
    bill = await client.start("bill", "settle", bill="b1")
    for minutes in (10, 20, 30, 40, 50):
        await client.time_passes(minutes * MINUTE_US)
    await client.complete_call(bill, "deliver", "carried there")
    await client.quiet()
    await client.complete_call(bill, "archive", "put on the shelf")
    client.world.let_go_on("archive")
    await client.quiet()
    await client.complete(bill, "look", [], "abe")
    client.world.let_go_on("report")
    await client.time_passes(4 * DAY_US)
    await client.deploy("mended")
    await client.ask("retry", RetryInstance(bill), "otto", "mended")
    await client.start("other", "settle", bill="b2")
    await client.quiet()


async def play_payments(client: Client) -> None:
    """Messages come to one, to several and to nobody; one comes too late for a deadline, one twice, one is expired."""
    await client.start("first book", "keep", number=2)
    await client.start("second book", "keep", number=1)
    await client.start("o1", "sell", order="1")
    late = await client.start("o2", "sell", order="2")
    await client.work_off(await client.start("d1", "file", document="letter"))
    await client.send("o1 paid", "1", 10)
    await client.send("o1 paid", "1", 10)
    await client.send("o9 paid", "9", 90)
    await client.is_refused(SendMessage("Payment", "1", '{"amount": "much"}'), "bank")
    await client.quiet()
    await client.time_passes(3 * DAY_US)
    await client.send("o2 paid", "2", 20)
    await client.complete(late, "settle", 5, "abe")
    await client.quiet()
    await client.send("o3 paid", "3", 30)
    await client.start("o3", "sell", order="3")
    gone = await client.start("o4", "sell", order="4")
    await client.ask("cancel o4", CancelInstance(gone, force=True), "abe", "not wanted")
    await client.quiet()
    await client.start("d3", "file", document="bill")
    await client.start("third book", "keep", number=1)
    await client.start("o5", "sell", order="5")
    await client.quiet()


async def play_moving(client: Client) -> None:
    """A deadline takes one child back, a child fails, a tree is ended by force, one waits at the end."""
    mill = await client.start("mill", "clear", house="mill")
    await client.quiet()
    await client.time_passes(2 * DAY_US + HOUR_US)
    await client.complete("carry-1", "lift", False, "rita")
    await client.quiet()
    barn = await client.start("barn", "clear", house="barn")
    await client.quiet()
    await client.ask("cancel barn", CancelInstance(barn, force=True), "rita", "burnt down")
    await client.quiet()
    inn = await client.start("inn", "clear", house="inn")
    await client.quiet()
    await client.ask("cancel inn", CancelInstance(inn, force=False), "rita", "sold")
    await client.quiet()
    await client.start("hut", "clear", house="hut")
    await client.quiet()
    await client.complete("carry-7", "lift", True, "rita")
    await client.quiet()
    assert mill == "clear-1"


async def play_touring(client: Client) -> None:
    """One tour is cancelled and cleans up, one while its child is under way, one fails as its child does, one waits."""
    ann = await client.start("ann", "tour", who="ann", year=1)
    await client.quiet()
    await client.complete(client.child(ann, "guide"), "agree", True, "tess")
    await client.quiet()
    await client.work_off(ann)
    await client.ask("cancel ann", CancelInstance(ann, force=False), "tess", "ill")
    await client.quiet()
    await client.complete(ann, "call_off", None, "tess")
    await client.quiet()
    for year in (2, 1):
        await client.complete(ann, "tell", None, "tess", about=f"ann {year}")
        await client.quiet()
    ben = await client.start("ben", "tour", who="ben", year=2)
    await client.quiet()
    await client.ask("cancel ben", CancelInstance(ben, force=False), "tess", "found another")
    await client.quiet()
    await client.complete(ben, "tell", None, "tess")
    await client.quiet()
    cy = await client.start("cy", "tour", who="cy", year=2)
    await client.quiet()
    await client.complete(client.child(cy, "guide"), "agree", False, "tess")
    await client.start("eve", "tour", who="eve", year=1)
    await client.quiet()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A reference process, what is done with it, how it is mended where it has to be, and whether its run begins without a store.

    `most_delivered` is how much of what instances do to others may be applied in the transaction that causes it.
    """

    name: str
    module: ModuleType
    play: Callable[[Client], Awaitable[None]]
    exercises: frozenset[str]
    mended: tuple[str, str] = ("", "")
    makes_store: bool = False
    most_live: int = 1_000
    most_delivered: int = 64


_ALWAYS = frozenset({"file", "chain", "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I12"})

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("approval", approval, play_approval, _ALWAYS | {"I13"}, makes_store=True),
        Scenario("payments", payments, play_payments, _ALWAYS | {"I13"}),
        Scenario("moving", moving, play_moving, _ALWAYS, most_delivered=0),
        Scenario("moving at once", moving, play_moving, _ALWAYS),
        Scenario("touring", touring, play_touring, _ALWAYS, most_delivered=0),
        Scenario("relocation", relocation, play_relocation, _ALWAYS, most_live=1),
        Scenario(
            "billing", billing, play_billing, _ALWAYS, ("return wrong[0]", 'return wrong[0] if wrong else "none"')
        ),
    )
}
