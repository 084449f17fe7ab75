"""What the type checkers infer of the language: silent under mypy --strict and pyright strict."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any, assert_type
from uuid import UUID

from procession import (
    AnswerRefused,
    Call,
    Elapsed,
    Function,
    ProcessFailed,
    after,
    attribute,
    compensate,
    deadline,
    each,
    first,
    now,
    pick,
    process,
    publish,
    receive,
    together,
    until,
)
from procession.control import Group, WorkCall, log, n_of, random, uuid4
from procession.people import Selection, role

team = Function("Team", owner="ann@acme.example")


@dataclass(frozen=True)
class Opinion:
    good: bool


@dataclass(frozen=True)
class Approved:
    by: str


@dataclass(frozen=True)
class Declined:
    reason: str


class Hopeless(ProcessFailed):
    pass


class NoMoney(Exception):
    pass


@team.task(effort="5 minutes", due="2 days", by=role("Managers"))
async def approve(days: int, reason: str = "") -> Approved | Declined:
    """May your colleague take this leave?"""
    ...


@team.task(form=Opinion, title="Judge it")
async def judge(answer: Opinion, days: int, *, strict: bool = False) -> str:
    if strict and not answer.good:
        raise AnswerRefused("Not good enough", field="good")
    return "yes" if answer.good else "no"


@team.service(attempts=3, timeout="30 seconds", raises=[NoMoney], never_retry=[KeyError])
async def book(days: int) -> Opinion:
    return Opinion(days > 1)


@team.service()
def count(text: str) -> int:
    return len(text)


@team.service()
async def send(text: str) -> None:
    await asyncio.sleep(0)


async def helper(amount: int) -> Decimal:
    return Decimal(amount)


@process(owner=team, title="{days} days: {reason}", key="{reason}")
async def leave(days: int, reason: str) -> str:
    match await approve(days, reason=reason):
        case Approved(by):
            assert_type(by, str)
        case Declined(why):
            raise Hopeless(why)
    assert_type(await judge(days), str)
    assert_type(await judge(days, strict=True), str)
    assert_type(await book(days), Opinion)
    assert_type(await count("x"), int)
    await send("x")
    return reason


@process(owner=team)
async def several(days: int) -> None:
    first, second, third = await together(approve(days), book(1), helper(2))
    assert_type(first, Approved | Declined)
    assert_type(second, Opinion)
    assert_type(third, Decimal)
    assert_type(await together([count("a"), count("b")]), list[int])
    assert_type(await together(count(word) for word in ("a", "b")), list[int])
    one, two = await asyncio.gather(count("a"), judge(2))
    assert_type(one, int)
    assert_type(two, str)
    async with asyncio.TaskGroup() as group:
        counted = group.create_task(count("a"))
        judged = group.create_task(judge(1))
    assert_type(counted.result(), int)
    assert_type(judged.result(), str)
    assert_type(await asyncio.wait_for(count("a"), 3), int)
    assert_type(await asyncio.shield(count("a")), int)
    for next_one in asyncio.as_completed([count("a"), count("b")]):
        assert_type(await next_one, int)


@process(owner=team)
async def races(days: int) -> None:
    assert_type(await first(approve(days), book(1)), Approved | Declined | Opinion)
    assert_type(await first(count("a"), after("2 days"), rest="continue"), int | Elapsed)
    assert_type(await first(judge(1), count("a"), helper(2), book(1), send("x")), str | int | Decimal | Opinion | None)
    assert_type(await first([count("a"), count("b")]), int)
    assert_type(await first((judge(n) for n in (1, 2)), rest="withdraw"), str)
    assert_type(await n_of(2, [book(1), book(2), book(3)]), list[tuple[int, Opinion]])
    assert_type(await n_of(1, (book.request(n) for n in (1, 2)), rest="continue"), list[tuple[int, Opinion]])


@process(owner=team)
async def choices(moment: datetime) -> None:
    work: WorkCall[Approved | Declined] = approve.request(1)
    assert_type(await work, Approved | Declined)
    assert_type(await pick(approve.request(1), judge.request(2)), Approved | Declined | str)
    assert_type(await pick(judge.request(2), after("2 days")), str | Elapsed)
    assert_type(await pick(judge.request(1), until(moment), approve.request(1)), str | Elapsed | Approved | Declined)
    assert_type(await pick([judge.request(n) for n in (1, 2)]), str)


@team.external(lease="5 minutes", due="2 days", raises=[NoMoney])
async def scan(document: str, *, colour: bool = False) -> Opinion: ...


@process(owner=team)
async def outside_programs(document: str) -> None:
    assert_type(await scan(document, colour=True), Opinion)
    call: WorkCall[Opinion] = scan.request(document)
    assert_type(await pick(call, judge.request(1), after("1 day")), Opinion | str | Elapsed)
    assert_type(await each(scan, ["a", "b"], name="scans"), list[Opinion])


@process(owner=team)
async def messages(key: str) -> None:
    publish(Opinion(good=True), key=key, expires="1 day")
    assert_type(await receive(Opinion, key=key), Opinion)
    assert_type(await receive(Opinion, key=key, where={"good": True}), Opinion)
    assert_type(await pick(receive(Opinion, key=key), judge.request(1), after("1 day")), Opinion | str | Elapsed)
    assert_type(await together(receive(Opinion, key="a"), receive(Approved, key="b")), tuple[Opinion, Approved])
    assert_type(await first(receive(Opinion, key="a"), after("1 day")), Opinion | Elapsed)


@process(owner=team)
async def groups(texts: list[str]) -> None:
    assert_type(await each(count, texts), list[int])
    assert_type(await each(helper, [1, 2], until=lambda amounts: sum(amounts) > 3), list[Decimal])
    assert_type(await each(count, texts, errors="collect"), list[int | Exception])
    assert_type(await each(lambda days: approve(days, "fun"), [1, 2]), list[Approved | Declined])
    async with each(book, growing=True, name="bookings") as group:
        group.add(3)
        same: Group[int, Opinion] = group
        assert_type(same.results, list[Opinion])
    group.complete()
    assert_type(group.is_open, bool)
    assert_type(await group, list[Opinion])


@process(owner=team)
async def children(days: int) -> str:
    assert_type(await leave(days, "fun"), str)
    call: Call[str] = leave.request(days, reason="fun")
    assert_type(await call, str)
    assert_type(await leave.start(days, reason="fun"), str)
    assert_type(await together(leave(days, "fun"), handles(days)), tuple[str, Opinion | Elapsed])
    assert_type(await asyncio.gather(leave(1, "x"), handles(days)), tuple[str, Opinion | Elapsed])
    assert_type(await each(handles, [1, 2]), list[Opinion | Elapsed])
    async with asyncio.TaskGroup() as group:
        one = group.create_task(children(days))
    assert_type(one.result(), str)
    return await children(days)


@judge.performers
def who_judges(days: int, *, strict: bool = False) -> Selection:
    return role("Judges" if strict else "Team")


@process(owner=team)
async def offers(moment: datetime) -> None:
    assert_type(await approve.options(by=role("Board"), due="1 day")(3, reason="fun"), Approved | Declined)
    urgent: WorkCall[str] = judge.options(due=moment).request(3, strict=True)
    assert_type(await pick(urgent, after("1 day")), str | Elapsed)
    assert_type(await each(judge.options(due="1 hour"), [1, 2]), list[str])
    assert_type(who_judges(3, strict=True), Selection)


@book.undo
@team.service()
async def unbook(opinion: Opinion) -> None: ...


@process(owner=team)
async def ends(days: int) -> str:
    compensate(unbook, await book(days))
    if days > 3:
        await ends.finish("early")
    await ends.renew(days + 1)


@process(owner=team)
async def handles(days: int) -> Opinion | Elapsed:
    call = book.request(days)
    kept: Call[Opinion] = call
    await kept.started()
    assert_type(call.performer, str | None)
    assert_type(call.number, int)
    if days > 3:
        call.withdraw("too long")
        return await after("3 days")
    assert_type(await asyncio.gather(call, count("x")), tuple[Opinion, int])
    return await call


@process(owner=team)
async def timed(moment: datetime) -> None:
    async with deadline("2 days"):
        assert_type(await until(moment), Elapsed)
    assert_type(now(), datetime)
    assert_type(uuid4(), UUID)
    assert_type(random, Random)
    attribute(customer="Dell", amount=Decimal(1), since=datetime(2026, 1, 1, tzinfo=UTC), gone=None)
    log.info("so many: %s", 3)


async def passed_on(operation: Any) -> None:
    started = leave(3, "x")
    assert_type(await started, str)
