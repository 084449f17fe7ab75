"""What a deployment says, as type checkers see it: lines that end in `# refused` are mistakes, all others are right."""

from dataclasses import dataclass
from typing import assert_type

from procession import Function, process
from procession.control import attempt, resource, secret
from procession.deployment import Binding, bind, outside, people, stub

team = Function("Team", owner="ann@acme.example")


class Database: ...


@dataclass(frozen=True)
class Opinion:
    good: bool


@team.task(due="2 days")
async def approve(days: int, reason: str = "") -> bool: ...


@team.service(heartbeat="10 seconds", system="bookings")
async def book(days: int, database: Database = resource(), password: str = secret("PASSWORD")) -> Opinion:
    attempt().heartbeat(f"{days}")
    return Opinion(not attempt().cancelled)


@process(owner=team)
async def leave(days: int) -> Opinion:
    opinion = await book(days)
    assert_type(opinion, Opinion)
    await book()  # refused
    return opinion


async def by_rule(days: int, reason: str = "") -> bool:
    return days < 3


async def by_rule_with_a_resource(days: int, reason: str = "", database: Database = resource()) -> bool:
    return days < 3


def by_plain_rule(days: int, reason: str = "") -> bool:
    return days < 3


async def by_another_rule(days: str, reason: str = "") -> bool:
    return days == reason


async def with_another_result(days: int, reason: str = "") -> str:
    return reason * days


assert_type(bind(approve, by_rule), Binding)
assert_type(bind(approve, by_rule, attempts=3, timeout="10 seconds"), Binding)
assert_type(bind(approve, by_plain_rule), Binding)
assert_type(bind(approve, by_rule_with_a_resource), Binding)
assert_type(bind(approve, stub(True)), Binding)
assert_type(bind(book, stub(Opinion(True))), Binding)
assert_type(bind(book, people("Clerks", due="2 days")), Binding)
assert_type(bind(approve, outside(lease="5 minutes")), Binding)
bind(approve, by_another_rule)  # refused
bind(approve, with_another_result)  # refused
bind(approve, stub("yes"))  # refused
bind(approve, None)  # refused
bind(approve, by_rule, atempts=3)  # refused
bind(by_rule, by_rule)  # refused
