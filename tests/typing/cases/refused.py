"""Mistakes that a type checker must find. Each stands on a line that ends in `# refused`."""

import asyncio
from dataclasses import dataclass

from procession import (
    Function,
    after,
    attribute,
    compensate,
    deadline,
    each,
    first,
    pick,
    process,
    publish,
    receive,
    together,
)
from procession.control import n_of
from procession.people import Selection, role

team = Function("Team", owner="ann@acme.example")
nobody = Function("Team")  # refused


@team.external(lease=5)  # refused
async def leased(document: str) -> bool: ...


@team.external(lease="5 minutes")
async def scan(document: str) -> bool: ...


@dataclass(frozen=True)
class Opinion:
    good: bool


@team.task(due="2 days")
async def approve(days: int, reason: str = "") -> bool: ...


@team.task(form=Opinion)
async def judge(answer: Opinion, days: int) -> str:
    return str(answer.good)


@team.service()
async def book(days: int) -> Opinion:
    return Opinion(days > 1)


@team.task(due=3)  # refused
async def overdue(days: int) -> bool: ...


@team.task(by="Managers")  # refused
async def chosen(days: int) -> bool: ...


@team.task()  # refused
def not_async(days: int) -> bool: ...


@team.service(raises=["NoMoney"])  # refused
async def pay(days: int) -> bool:
    return days > 1


@judge.performers  # refused
def who_judges(reason: str) -> Selection:
    return role(reason)


@approve.performers  # refused
def who_approves(days: int, reason: str = "") -> str:
    return reason * days


@process(owner="Team")  # refused
async def orphan(days: int) -> bool:
    return days > 1


@process(owner=team)  # refused
def sync_process(days: int) -> bool:
    return days > 1


@process(owner=team)
async def leave(days: int, reason: str) -> str:
    await approve("three")  # refused
    await approve(days, reasons=reason)  # refused
    await approve()  # refused
    await judge(Opinion(good=True), days)  # refused
    approved: str = await approve(days)  # refused
    approve(days)  # refused
    book(days)  # refused
    opinion = await book(days)
    print(opinion.bad)  # refused
    one, two = await together(approve(days), book(days), judge(days))  # refused
    number: int = (await together(approve(days), judge(days)))[1]  # refused
    raced: str = await first(approve(days), judge(days))  # refused
    await first(approve(days), book(days), rest="stop")  # refused
    await first(approve, book(days))  # refused
    some: list[bool] = await n_of(2, [approve(days), approve(1)])  # refused
    await n_of([approve(days), approve(1)], 2)  # refused
    await pick(book.request(days), after("2 days"))  # refused
    await pick(book(days), after("2 days"))  # refused
    await pick(approve(days), judge.request(days))  # refused
    chosen: bool = await pick(approve.request(days), after("2 days"))  # refused
    await scan(days)  # refused
    scanned: str = await scan("page")  # refused
    await receive(Opinion)  # refused
    await receive(Opinion, key=17)  # refused
    await receive(Opinion, key="17", where="good")  # refused
    await receive(Opinion, key="17", where={1: True})  # refused
    received: bool = await receive(Opinion, key="17")  # refused
    publish(Opinion(True), "17")  # refused
    print(scanned, received)
    await each(book, ["one", "two"])  # refused
    await each(book(days), [1, 2])  # refused
    booked: list[bool] = await each(book, [1, 2])  # refused
    await each(book, [1, 2], until=lambda opinions: opinions)  # refused
    group = each(book, growing=True)
    group.add("three")  # refused
    await approve.options(due=3)(days)  # refused
    await approve.options(by="Board")(days)  # refused
    await approve.options(due="1 day")("three")  # refused
    await book.options(due="1 day")(days)  # refused
    await book.request(days, "x")  # refused
    wrong: bool = await book.request(days)  # refused
    async with deadline(3):  # refused
        pass
    attribute(lines=[1, 2])  # refused
    await asyncio.wait_for(approve(days, 1), 5)  # refused
    await leave.request(days)  # refused
    started: int = await leave.start(days, reason)  # refused
    await leave.start(days, reason, 3)  # refused
    leave(days, reason)  # refused
    leave.start(days, reason)  # refused
    child: int = await leave.request(days, reason)  # refused
    print(started, child)
    role(3)  # refused
    compensate(book, "three")  # refused
    return approved + str(one) + str(two) + str(number) + str(wrong) + raced + str(some) + str(chosen) + str(booked)


async def finished() -> None:
    await leave.finish(3)  # refused


async def renewed() -> None:
    await leave.renew("three", "x")  # refused


async def test(world: object) -> None:
    await leave(1)  # refused
    await leave(1, 2)  # refused
    result: int = await leave(1, "x")  # refused
    print(result)
