"""What a halted instance says of the mistake in its source: a sentence with the name of what is meant, whatever Python says of it."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from procession import Function, first, process, together
from tests.conformance.world import Host
from tests.engine.subject import opened

team = Function("Team", owner="ann@acme.example")


@team.task()
async def advise(who: str) -> str: ...


@team.service(attempts=1)
async def count() -> int:
    return "many"  # type: ignore[return-value]


@team.service(attempts=1)
async def fall_apart() -> int:
    raise ExceptionGroup("all at once", [ValueError("the first"), KeyError("the second")])


@process(owner=team)
async def forgets_to_call() -> str:
    return await count  # type: ignore[misc]


@process(owner=team)
async def forgets_one_of_two() -> str:
    return await together(advise("ann"), count)  # type: ignore[call-overload]


@process(owner=team)
async def forgets_one_of_the_first() -> str:
    return await first(advise("ann"), advise)  # type: ignore[call-overload]


@process(owner=team)
async def gives_too_much() -> str:
    return await advise("ann", 3)  # type: ignore[call-arg]


@process(owner=team)
async def gives_what_is_not_wanted() -> str:
    return await count(3)  # type: ignore[call-arg]


@process(owner=team)
async def leaves(with_what: str) -> None:
    sys.exit(with_what)


@process(owner=team)
async def closes_itself() -> None:
    raise GeneratorExit


@process(owner=team)
async def says_nothing() -> None:
    raise ValueError


@process(owner=team)
async def raises_several() -> None:
    raise ExceptionGroup("several", [ValueError("the first"), ExceptionGroup("inner", [LookupError()])])


@process(owner=team)
async def counting() -> int:
    return await count()


@process(owner=team)
async def falling() -> int:
    return await fall_apart()


@pytest.mark.parametrize(
    ("started", "inputs", "said"),
    [
        (forgets_to_call, {}, "Team.count was awaited and not called: write `await count(...)`"),
        (forgets_one_of_two, {}, "Number 2 of what together() was given cannot be waited for: <service Team.count>"),
        (forgets_one_of_the_first, {}, "Number 2 of what first() was given cannot be waited for: <task Team.advise>"),
        (
            gives_too_much,
            {},
            "Team.advise() takes 1 positional argument, 2 were given: it is called as Team.advise(who)",
        ),
        (gives_what_is_not_wanted, {}, "Team.count() takes 0 positional arguments, 1 was given"),
        (leaves, {"with_what": "3"}, "SystemExit: process code asked Python to end, which ends no instance."),
        (closes_itself, {}, "GeneratorExit: process code raised what Python closes a coroutine with."),
        (says_nothing, {}, "ValueError, raised without a text"),
        (
            raises_several,
            {},
            "ExceptionGroup: several (2 sub-exceptions): ValueError: the first; ExceptionGroup: inner",
        ),
    ],
)
async def test_a_mistake_in_the_source_is_told_in_a_sentence_that_names_it(
    host: Host, started: Any, inputs: dict[str, Any], said: str
) -> None:
    world = await opened(host, started)

    instance = await world.start(started, **inputs)

    assert said in world.halt(instance)["message"]


@pytest.mark.parametrize(
    ("started", "said"),
    [
        (counting, "the service returned a value that is not int: "),
        (falling, "all at once (2 sub-exceptions): ValueError: the first; KeyError: 'the second'"),
    ],
)
async def test_an_attempt_that_went_wrong_says_what_was_wrong_without_a_name_of_ours(
    host: Host, started: Any, said: str
) -> None:
    world = await opened(host, started)

    instance = await world.start(started)

    while not (error := world.waits(instance).service_calls[0].last_error):
        await asyncio.sleep(0.01)
    assert said in error
