"""Limits of services and systems: never more at once or in a minute, in turn, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procession import Function, process
from procession.control import attempt
from procession.engine.attempts import Broke
from procession.engine.clock import VirtualClock
from procession.engine.dispatcher import _overdue
from procession.engine.limits import MINUTE_US, Limit, Limits
from procession.errors import NotDeclarable
from procession.language.attempt import Signs
from procession.testing.virtual_loop import VirtualLoop
from tests.conformance.world import Host, World
from tests.engine.subject import engine_of, opened

R = TypeVar("R")


class Mail:
    """Two services of one system, and one of none, all of which wait for a gate."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.running = 0
        self.most = 0
        self.begun: list[str] = []
        team = Function("Mail", owner="ann@acme.example")

        async def attempted(text: str) -> None:
            self.begun.append(text)
            self.running += 1
            self.most = max(self.most, self.running)
            await self.gate.wait()
            self.running -= 1

        @team.service(system="post")
        async def send(text: str) -> None:
            await attempted(text)

        @team.service(system="post")
        async def fetch(text: str) -> None:
            await attempted(text)

        @team.service()
        async def sort(text: str) -> None:
            self.begun.append(text)

        @process(owner=team)
        async def letter(text: str) -> None:
            await send(text)

        @process(owner=team)
        async def answer(text: str) -> None:
            await fetch(text)

        @process(owner=team)
        async def pile(text: str) -> None:
            await sort(text)

        self.letter, self.answer, self.pile = letter, answer, pile


def limit(world: World, **limits: Limit) -> None:
    engine_of(world).limits.in_force = {name.replace("_", "."): each for name, each in limits.items()}


async def test_no_more_attempts_run_at_once_than_the_limit_and_all_come_to_their_turn(host: Host) -> None:
    mail = Mail()
    world = await opened(host, mail.letter)
    limit(world, Mail_send=Limit(at_once=2))
    names = [await world.start(mail.letter, text=str(number)) for number in range(7)]
    await world.until(lambda: mail.running == 2)
    await world.running.apply_due()
    assert mail.begun == ["0", "1"]
    mail.gate.set()
    for name in names:
        await world.until_ended(name)
    assert mail.most == 2
    assert mail.begun == [str(number) for number in range(7)], "in the order in which they came"


async def test_a_system_has_one_limit_for_all_its_services(host: Host) -> None:
    mail = Mail()
    world = await opened(host, mail.letter, mail.answer)
    limit(world, post=Limit(at_once=3))
    names = [await world.start(each, text="x") for each in (mail.letter, mail.answer) for _ in range(3)]
    await world.until(lambda: mail.running == 3)
    mail.gate.set()
    for name in names:
        await world.until_ended(name)
    assert (mail.most, len(mail.begun)) == (3, 6)


async def test_nobody_else_waits_where_many_wait_for_a_turn(host: Host) -> None:
    mail = Mail()
    world = await opened(host, mail.letter, mail.pile, most_attempts=5)
    limit(world, post=Limit(at_once=1), Mail_sort=Limit(at_once=9))
    for _ in range(80):
        await world.start(mail.letter, text="x")
    await world.until_ended(await world.start(mail.pile, text="not held up"))
    assert mail.begun == ["x", "not held up"]
    await world.close(at_once=True)
    await world.restart(mail.letter, mail.pile)  # without limits all go at once; the check of the store follows
    mail.gate.set()
    await world.until(lambda: mail.begun.count("x") >= 80)


async def test_a_limit_that_is_raised_lets_those_go_that_wait(host: Host) -> None:
    mail = Mail()
    world = await opened(host, mail.letter)
    limit(world, post=Limit(at_once=1))
    for number in range(4):
        await world.start(mail.letter, text=str(number))
    await world.until(lambda: mail.running == 1)
    limit(world, post=Limit(at_once=3))
    engine_of(world).look_again()
    await world.until(lambda: mail.running == 3)
    limit(world)
    engine_of(world).look_again()
    await world.until(lambda: mail.running == 4)
    mail.gate.set()
    await world.until(lambda: mail.running == 0)


async def test_so_many_begin_in_a_minute_and_the_others_after_it(host: Host) -> None:
    mail = Mail()
    mail.gate.set()
    world = await opened(host, mail.letter)
    limit(world, Mail_send=Limit(per_minute=2))
    names = [await world.start(mail.letter, text=str(number)) for number in range(5)]
    await world.until_ended(names[1])
    await world.running.apply_due()
    assert mail.begun == ["0", "1"]
    due_us = await engine_of(world).apply_due()
    assert due_us == world.clock.wall_us() + MINUTE_US, "it is looked at again then, and not before"
    await world.pass_time("1 minute")
    await world.until_ended(names[3])
    assert mail.begun == ["0", "1", "2", "3"]
    await world.pass_time("1 minute")
    await world.until_ended(names[4])


async def test_a_thread_that_was_given_up_counts_until_it_ends(host: Host) -> None:
    team = Function("Mill", owner="ann@acme.example")
    gate, begun = threading.Event(), []

    @team.service()
    def grind(number: int) -> None:
        begun.append(number)
        gate.wait(10)

    @process(owner=team)
    async def flour(number: int) -> str:
        try:
            async with asyncio.timeout(60):
                await grind(number)
        except TimeoutError:
            return "given up"
        return "ground"

    world = await opened(host, flour)
    limit(world, Mill_grind=Limit(at_once=1))
    first = await world.start(flour, number=1)
    await world.until(lambda: begun)
    await world.pass_time("2 minutes")
    await world.until_ended(first)
    second = await world.start(flour, number=2)
    await world.running.apply_due()
    assert [call.state for call in world.waits(second).service_calls] == ["due"], "the first still grinds"
    gate.set()
    await world.until_ended(second)
    assert (world.result(second), begun) == ("ground", [1, 2])


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 5))
def test_in_no_minute_do_more_begin_than_the_limit(gaps: list[int], most: int) -> None:
    limits, now_us, begun = Limits({"post": Limit(per_minute=most)}), 0, []
    for gap in gaps:
        now_us += gap * 1_000_000
        free_us = limits.free_after_us("post", now_us)
        in_the_last_minute = [us for us in begun if us > now_us - MINUTE_US]
        assert (free_us is None) == (len(in_the_last_minute) < most)
        if free_us is None:
            limits.note("post", now_us)
            begun.append(now_us)
        else:
            assert len([us for us in begun if us > free_us - MINUTE_US]) < most, "then it may"
            assert free_us - 1 - MINUTE_US < in_the_last_minute[0], "and no moment before"


# Signs of life


def in_virtual_time(work: Callable[[], Coroutine[Any, Any, R]]) -> R:
    loop = VirtualLoop(VirtualClock(0), threads=list, is_real=lambda: False)
    try:
        return loop.run_until_complete(work())
    finally:
        loop.close()


def beating(gaps: list[float]) -> tuple[Broke | None, float]:
    """What becomes of an attempt at a service with a heartbeat of 30 seconds that beats after these waits, and when."""
    team = Function("Team", owner="ann@acme.example")

    @team.service(timeout="10 minutes", heartbeat="30 seconds")
    async def slow() -> None: ...

    async def work() -> tuple[Broke | None, float]:
        loop = asyncio.get_running_loop()
        signs = Signs(loop.time)

        async def body() -> None:
            for number, gap in enumerate(gaps):
                await asyncio.sleep(gap)
                signs.beat(f"page {number}")

        running = loop.create_task(body())
        fault = await _overdue(running, slow, signs)
        at = loop.time()
        running.cancel()
        await asyncio.wait({running})
        return fault, at

    return in_virtual_time(work)


def test_an_attempt_that_beats_in_time_is_left_alone() -> None:
    assert beating([29.0] * 10) == (None, 290.0)


def test_an_attempt_that_stops_beating_is_given_up_and_told_how_far_it_was() -> None:
    fault, at = beating([10.0, 20.0, 300.0])
    assert fault == Broke("HeartbeatMissing", 'gave no sign of life for 30 seconds; it last said "page 1"')
    assert at == 60.0


def test_an_attempt_that_beats_for_ever_has_its_time_all_the_same() -> None:
    fault, at = beating([20.0] * 100)
    assert fault is not None
    assert (fault.type_name, at) == ("TimeoutError", 600.0)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=20))
def test_an_attempt_is_given_up_at_the_first_silence_that_is_too_long(gaps: list[int]) -> None:
    fault, at = beating([float(gap) for gap in gaps])
    beats = 0
    for gap in gaps:
        if gap > 30:
            assert (fault is not None, at) == (True, beats + 30.0)
            return
        if gap == 30:  # a beat at the very moment is either in time or late
            return
        beats += gap
    assert (fault, at) == (None, float(beats)) if beats <= 600 else (at == 600.0)


async def test_a_silent_attempt_is_tried_again_and_then_needs_attention(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")

    @team.service(heartbeat=timedelta(milliseconds=20), attempts=2, backoff=timedelta(milliseconds=1))
    async def silent() -> None:
        attempt().heartbeat("begun")
        await asyncio.Event().wait()

    @process(owner=team)
    async def working() -> None:
        await silent()

    world = await opened(host, working)
    name = await world.start(working)
    await world.until_attention(name)
    (call,) = world.waits(name).service_calls
    assert call.attempts == 2
    assert "gave no sign of life" in str(call.last_error)


# Being cancelled


async def test_a_plain_function_sees_that_nobody_waits_for_it_any_more(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")
    begun, seen = threading.Event(), threading.Event()

    @team.service()
    def patient() -> None:
        begun.set()
        while not attempt().cancelled:
            threading.Event().wait(0.001)
        seen.set()

    @process(owner=team)
    async def working() -> None:
        try:
            async with asyncio.timeout(60):
                await patient()
        except TimeoutError:
            pass

    world = await opened(host, working)
    name = await world.start(working)
    await world.until(begun.is_set)
    await world.pass_time("2 minutes")
    await world.until_ended(name)
    await world.until(seen.is_set)
    await world.until(lambda: not engine_of(world)._dispatcher.left_behind())


async def test_an_async_service_whose_call_was_withdrawn_is_cancelled(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")
    begun, told = asyncio.Event(), []

    @team.service()
    async def patient() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            told.append(attempt().cancelled)

    @process(owner=team)
    async def working() -> str:
        try:
            async with asyncio.timeout(60):
                await patient()
        except TimeoutError:
            return "withdrawn"
        return "not"

    world = await opened(host, working)
    name = await world.start(working)
    await begun.wait()
    await world.pass_time("2 minutes")
    await world.until_ended(name)
    await world.until(lambda: told == [True])
    assert world.result(name) == "withdrawn"


async def test_an_error_that_is_never_retried_needs_attention_at_once(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")

    @team.service(attempts=5, never_retry=[ValueError])
    async def strict() -> None:
        raise UnicodeError("not a number")  # a subclass counts

    @process(owner=team)
    async def working() -> None:
        await strict()

    world = await opened(host, working)
    name = await world.start(working)
    await world.until(lambda: world.attention(name))
    assert world.waits(name).service_calls[0].attempts == 1


@pytest.mark.parametrize(
    ("options", "told"), [({"heartbeat": "0 seconds"}, "heartbeat=0"), ({"system": "a.b"}, "has a full stop")]
)
def test_an_option_that_cannot_be_is_refused(options: dict[str, Any], told: str) -> None:
    team = Function("Team", owner="ann@acme.example")

    async def strict() -> None: ...

    with pytest.raises(NotDeclarable, match=told):
        team.service(**options)(strict)
