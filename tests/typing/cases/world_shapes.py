"""What a test of a process may be written like; both type checkers infer every type."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, assert_type

from procession import Function, process
from procession.deployment import bind, people
from procession.testing import Item, Running, World, world

team = Function("Team", owner="ann@acme.example")


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


@team.external()
async def rate(customer: str) -> int: ...


@process(owner=team)
async def leave(days: int, reason: str) -> str:
    return reason if await approve(days, reason) else str(await book(days))


def test_everything(world: World) -> None:
    cleo = world.person("cleo", roles=[team, "director"])
    bob = world.person("bob", manager=cleo)
    request = bob.start(leave, 3, reason="a trip")
    assert_type(request, Running[str])
    assert_type(request.result(), str)
    assert_type(request.lead_time, timedelta)
    assert_type(request.count(approve), int)
    assert_type(cleo.claim(approve), Item[bool])
    assert_type(cleo.item(judge, of=request), Item[Opinion])
    assert_type(cleo.claim(approve).inputs, Mapping[str, Any])
    assert_type(cleo.claim(approve).due, datetime | None)
    cleo.claim(judge).start().complete(Opinion(True))
    cleo.complete(approve, True)
    cleo.complete(judge, Opinion(True), of=request)
    cleo.answers(approve, False).answers(judge, lambda days: Opinion(days > 1))
    world.bind(bind(book, people("Team")))
    cleo.complete(book, Opinion(True))
    assert_type(cleo.item(book), Item[Opinion])
    stub = world.stub(book)
    assert_type(stub.fails(ConnectionError("down"), times=2).returns(Opinion(True)).attempts, int)
    assert_type(world.stub(rate).returns(7).attempts, int)
    stub.does(lambda days: Opinion(days > 1))
    world.expect(team).has(1, due="Friday")
    world.expect(request).has_nothing()
    world.advance("5 days")
    world.advance(timedelta(days=1))
    world.advance()
    world.crash(during=book)
    world.send(Opinion(True), key="a trip")
    world.provide(Opinion(True), PASSWORD="hush")
    world.replay("history.json", leave)
    assert approve in request.waits_for


def test_a_script() -> None:
    with world(start="2026-01-01", zone="Europe/Amsterdam") as w:
        assert_type(w, World)
