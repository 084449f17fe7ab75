"""Second reference process: services side by side, tasks raced against time, a task group, and a call taken back."""

import asyncio

from procession import Elapsed, Function, after, deadline, process
from tests.programme.crash.acts import act
from tests.programme.crash.world import passing, present

registry_office = Function("Registry", owner="rita@town.example")


@registry_office.service(attempts=6, backoff="1 minute")
async def check(what: str) -> str:
    return act("check", what)


@registry_office.service(attempts=6, backoff="1 minute")
def note(what: str) -> str:
    """A plain function: it runs in a thread."""
    present().wait_for_turn()
    return act("note", what)


@registry_office.service(attempts=6, backoff="1 minute", timeout="1 day")
async def ring(what: str) -> str:
    made = act("ring", what)
    await present().hold("ring")
    return made


@registry_office.task()
async def confirm(who: str) -> str:
    """Is it true?"""
    ...


@registry_office.task()
async def visit(who: str) -> int:
    """What is the house number?"""
    ...


async def confirmed(who: str) -> str:
    """What the person says within two days."""
    try:
        async with deadline("2 days"):
            return await confirm(who)
    except TimeoutError:
        passing()
        return "silence"


async def patience() -> Elapsed:
    return await after("1 day")


@process(owner=registry_office)
async def move(who: str) -> str:
    passing()
    tax, police = await asyncio.gather(check(f"tax {who}"), check(f"police {who}"))
    passing()
    landlord = await confirmed(f"landlord of {who}")
    tenant = await confirmed(f"tenant {who}")
    passing()
    second = confirm.request(f"neighbour of {who}")
    async with asyncio.TaskGroup() as group:
        number = group.create_task(visit(who))
        noted = group.create_task(note(who))
        waited = group.create_task(patience())
    passing()
    second.withdraw("not needed any more")
    bell = ring.request(f"bell of {who}")
    try:
        async with deadline("1 hour"):
            await confirm(f"{who} in person")
    except TimeoutError:
        bell.withdraw("nobody opens")
    passing()
    days = (waited.result().due.day, waited.result().due.month)
    return f"{tax}, {police}, {landlord}, {tenant}, {number.result()}, {noted.result()}, {days != (0, 0)}"
