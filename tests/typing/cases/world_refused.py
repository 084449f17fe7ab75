"""Mistakes in tests of processes that a type checker must find. Each stands on a line that ends in `# refused`."""

from dataclasses import dataclass

from procession import Function, process
from procession.testing import World

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


@process(owner=team)
async def leave(days: int, reason: str) -> str:
    return reason if await approve(days, reason) else str(await book(days))


def test_mistakes(world: World) -> None:
    bob = world.person("bob", manager="cleo")  # refused
    bob.start(leave, "three", "a trip")  # refused
    bob.start(leave, 3)  # refused
    bob.start(leave, 3, why="a trip")  # refused
    bob.start(approve, 3)  # refused
    bob.complete(approve, "yes")  # refused
    bob.complete(judge, "fine")  # refused
    bob.complete(book, "booked")  # refused
    bob.claim(judge).complete(True)  # refused
    bob.answers(approve, "yes")  # refused
    world.stub(book).returns("booked")  # refused
    world.stub(book).fails("down")  # refused
    world.stub(book).does(lambda days: str(days))  # refused
    world.stub(approve)  # refused
    world.advance(5)  # refused
    world.expect("Team")  # refused
    world.bind(book)  # refused
    number: int = bob.start(leave, 3, "a trip").result()  # refused
    print(number)
