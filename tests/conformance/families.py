"""Processes that call processes, for the tests of children; and whether what they do to each other is applied at once."""

from __future__ import annotations

from typing import Any

from procession import Function, ProcessFailed, after, deadline, process
from procession.errors import OperationFailed
from procession.language.process import Process
from tests.conformance.world import Host, Settings, World


class OutOfStock(ProcessFailed):
    pass


class Declined(Exception):
    pass


team = Function("Team", owner="ann@acme.example")


@team.task()
async def check(order: str) -> bool: ...


@team.task()
async def clean_up(order: str) -> bool: ...


@team.task()
async def confirm(what: str) -> str: ...


@team.service(raises=[Declined])
async def pay(amount: int) -> None:
    if amount < 0:
        raise Declined("no")


@process(owner=team, title="Delivery of {order}", key="{order}")
async def deliver(order: str) -> str:
    if not await check(order):
        raise OutOfStock(order)
    return f"{order} delivered"


@process(owner=team)
async def buy(order: str) -> str:
    try:
        return await deliver(order)
    except OperationFailed as error:
        return f"{type(error).__name__} {error.type_name.rpartition('.')[2]} {error.message}"


@process(owner=team)
async def refund(amount: int) -> str:
    await pay(amount)
    return "paid"


@process(owner=team)
async def ask_refund(amount: int) -> str:
    try:
        return await refund(amount)
    except Declined as error:
        return f"declined: {error}"


@process(owner=team)
async def tidy(order: str) -> str:
    try:
        await check(order)
    finally:
        await clean_up(order)
    return "checked"


@process(owner=team)
async def hurried(order: str) -> str:
    try:
        async with deadline("2 days"):
            return await tidy(order)
    except TimeoutError:
        return "too late"


@process(owner=team)
async def decided(order: str) -> str:
    tidy.request(order)
    await decided.finish(await confirm("enough?"))


@process(owner=team)
async def both(orders: list[str]) -> list[str]:
    calls = [deliver.request(order) for order in orders]
    return [await call for call in calls]


@process(owner=team)
async def announce(order: str) -> str:
    name = await tidy.start(order)
    await confirm(name)
    return name


@process(owner=team)
async def launch(order: str) -> str:
    try:
        return await deliver.start(order)
    except OperationFailed as error:
        return error.message


@process(owner=team)
async def countdown(number: int) -> int:
    return 0 if number == 0 else 1 + await countdown(number - 1)


@process(owner=team)
async def endless(number: int) -> int:
    return await endless(number + 1)


@process(owner=team)
async def sleepy(days: str) -> str:
    try:
        async with deadline("2 days"):
            return await doze(days)
    except TimeoutError:
        return "too late"


@process(owner=team)
async def doze(days: str) -> str:
    await after(days)
    return "rested"


@process(owner=team)
async def watching(order: str) -> str:
    call = tidy.request(order)
    await call.started()
    said = await confirm("it has begun")
    return f"{said}, {await call}"


@process(owner=team)
async def watching_taken(order: str) -> str:
    call = deliver.request(order)
    await call.started()
    try:
        return await call
    except OperationFailed as error:
        return error.message


ALL = (
    team,
    decided,
    doze,
    sleepy,
    deliver,
    buy,
    refund,
    ask_refund,
    tidy,
    hurried,
    both,
    announce,
    launch,
    countdown,
    endless,
    watching,
    watching_taken,
)


async def opened(host: Host, **settings: Any) -> World:
    return await host.open(*ALL, settings=Settings(**settings))


async def start(world: World, of: Process[..., object], **inputs: object) -> str:
    name = await world.start(of, **inputs)
    await world.running.apply_due()
    return name


async def complete(world: World, instance: str, answer: object, *, of: str | None = None) -> None:
    await world.complete(instance, answer, of=of)
    await world.running.apply_due()
