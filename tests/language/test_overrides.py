"""What `options` and `performers` refuse, each with the author's line and what to write."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from procession import Function
from procession.errors import NotDeclarable
from procession.kernel import RequestCall
from procession.people import Selection, role
from tests.kernel.drive import SECOND, Driven

team = Function("Team", owner="ann@acme.example")


@team.task(due="3 days")
async def sign(copies: int, reason: str = "") -> int: ...


@team.task()
async def ruled(copies: int) -> int: ...


@team.external()
async def measure(copies: int) -> int: ...


@ruled.performers
def who_rules(copies: int) -> Selection:
    return role("Team") if copies else role("Shop")


async def waiting(copies: int) -> Selection:
    return role("Team")


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (lambda: sign.options(priority=3), "priority=3: there are no priorities yet. Leave it out; due=… says"),
        (lambda: sign.options(by="Shop"), r"by='Shop' says of nobody that they may do it. Write by=role\('Shop'\)"),  # type: ignore[arg-type]
        (lambda: sign.options(due="soon"), "due='soon'"),
        (lambda: sign.options(due="2 working days"), "working"),
        (lambda: sign.options(due=datetime(2026, 1, 1)), "2026-01-01T00:00:00: a moment without a time zone"),
        (lambda: sign.performers(waiting), "the rule of Team.sign is not a plain function. Write `def`"),  # type: ignore[arg-type]
        (lambda: sign.performers(role("Team")), "is not a plain function"),  # type: ignore[arg-type]
        (
            lambda: sign.performers(lambda copies: role("Team")),  # type: ignore[arg-type, misc]
            r"takes \(copies\), and Team.sign is asked with \(copies, reason\). Give it the same",
        ),
        (lambda: measure.options(by=role("Team")), r"`options\(by=Team\)` says who may do it, and no person does it"),
        (lambda: measure.performers(who_rules), "`performers` says who may do it"),
        (lambda: ruled.performers(who_rules), "two rules for who may do Team.ruled"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_line_and_remedy(use: Callable[[], Any], told: str) -> None:
    with pytest.raises(NotDeclarable, match=told) as refused:
        use()
    assert "test_overrides.py:" in str(refused.value)


def test_options_leave_the_operation_as_it_was_and_its_function_too() -> None:
    before = dict(team.operations)
    other = sign.options(by=role("Shop")).options(due="1 day")
    assert (other.id, other.inputs.schema()) == (sign.id, sign.inputs.schema())
    assert type(other) is type(sign)
    assert dict(team.operations) == before


def test_a_rule_counts_for_what_options_gave_before_it_was_declared() -> None:
    @team.task()
    async def late(copies: int) -> int: ...

    urgent = late.options(due="1 day")

    @late.performers
    def who(copies: int) -> Selection:
        return role(f"Shop {copies}")

    async def main() -> Any:
        return await urgent(3)

    asked = Driven(main).outcome.commands[0]
    assert isinstance(asked, RequestCall)
    assert (asked.offered_to, asked.due_us) == ("Shop 3", SECOND + 86_400 * SECOND)
    assert who(3) == role("Shop 3")
