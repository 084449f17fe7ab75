"""A booking whose call was withdrawn while it was made is undone once it is there; what may have been booked is told (law 55)."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from procession import Function, process
from procession.errors import ProcessionError
from procession.kernel import LateResult
from procession.services.commands import (
    CancelInstance,
    CompleteCall,
    FailCall,
    ResumeInstance,
    RetryCall,
    SuspendInstance,
)
from tests.conformance.world import Host, World

shop = Function("Shop", owner="ann@acme.example")
did: list[str] = []
MENDED: list[bool] = []


class Gate:
    """What an attempt waits for; made anew for each test, since it belongs to a loop."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.thread = threading.Event()
        self.fails: Exception | None = None


GATE: list[Gate] = []


@pytest.fixture(autouse=True)
def anew() -> None:
    did.clear()
    MENDED.clear()
    GATE[:] = [Gate()]


class Full(Exception):
    """There is no room."""


@shop.service(attempts=1, raises=[Full])
async def book(what: str) -> str:
    did.append(f"book {what}")
    await GATE[0].open.wait()
    if GATE[0].fails is not None:
        raise GATE[0].fails
    return f"{what}-1"


@shop.service(attempts=1)
def book_in_a_thread(what: str) -> str:
    did.append(f"book {what}")
    GATE[0].thread.wait(15)
    return f"{what}-1"


@book.undo
@shop.service()
async def unbook(number: str) -> None:
    did.append(f"unbook {number}")


@book_in_a_thread.undo
@shop.service()
async def unbook_later(number: str) -> None:
    did.append(f"unbook {number}")


@shop.task()
async def go_on() -> str: ...


@process(owner=shop)
async def hurried() -> str:
    try:
        async with asyncio.timeout(3_600):
            await book("hotel")
    except TimeoutError:
        pass
    return await go_on()


@process(owner=shop)
async def in_a_thread() -> str:
    try:
        async with asyncio.timeout(3_600):
            await book_in_a_thread("hotel")
    except TimeoutError:
        pass
    return "gave up"


@process(owner=shop)
async def wrong_after_it() -> str:
    try:
        async with asyncio.timeout(3_600):
            await book("hotel")
    except TimeoutError:
        pass
    await go_on()
    assert MENDED
    return "so"


@process(owner=shop)
async def finishes() -> str:
    asyncio.create_task(hurried_task())
    await go_on()
    return await finishes.finish("over")


async def hurried_task() -> None:
    await book("hotel")


PROCESSES = (hurried, in_a_thread, wrong_after_it, finishes)


async def given_up(host: Host, main: object = hurried) -> tuple[World, str]:
    """A world in which a booking took longer than an hour, and still runs."""
    world = await host.open(shop, *PROCESSES)
    name = await world.start(main)
    await world.until(lambda: did == ["book hotel"])
    await world.pass_time("2 hours")
    return world, name


async def come(world: World, name: str) -> None:
    """The booking is there."""
    GATE[0].open.set()
    await world.until(lambda: not world.waits(name).late_calls)


def late(world: World, name: str) -> list[bytes | None]:
    return [event.value for event in world.history(name) if isinstance(event, LateResult)]


async def test_what_is_booked_late_is_unbooked_and_the_instance_goes_on(host: Host) -> None:
    world, name = await given_up(host)
    assert [call.operation for call in world.waits(name).late_calls] == ["Shop.book"]
    await come(world, name)
    await world.until(lambda: did[1:] == ["unbook hotel-1"])
    await world.complete(name, "home", "sue")
    await world.until_ended(name)
    assert (world.result(name), late(world, name)) == ("home", [b'"hotel-1"'])


async def test_the_end_waits_for_what_may_still_be_booked(host: Host) -> None:
    world, name = await given_up(host)
    await world.complete(name, "home", "sue")
    assert world.state(name) == "running"
    world.check()  # nothing is stuck, nothing is in the store that nobody waits for
    await come(world, name)
    await world.until_ended(name)
    assert (world.result(name), did[1:]) == ("home", ["unbook hotel-1"])


async def test_a_thread_that_nothing_can_stop_books_and_that_is_undone(host: Host) -> None:
    world, name = await given_up(host, in_a_thread)
    assert world.state(name) == "running"
    GATE[0].thread.set()
    await world.until_ended(name)
    assert (world.result(name), did[1:]) == ("gave up", ["unbook hotel-1"])


async def test_one_that_is_cancelled_undoes_it_before_it_ends(host: Host) -> None:
    world = await host.open(shop, *PROCESSES)
    name = await world.start(hurried)
    await world.until(lambda: did == ["book hotel"])
    await world.give(CancelInstance(name))
    assert world.state(name) == "cancelling"
    await come(world, name)
    await world.until_ended(name)
    assert (world.state(name), did[1:]) == ("cancelled", ["unbook hotel-1"])


async def test_an_attempt_that_says_it_booked_nothing_leaves_nothing_to_undo(host: Host) -> None:
    world, name = await given_up(host)
    GATE[0].fails = Full()
    await come(world, name)
    await world.complete(name, "home", "sue")
    assert (world.result(name), late(world, name), world.row(name).not_undone) == ("home", [None], None)


async def test_an_attempt_that_breaks_may_have_booked_and_people_are_told(host: Host) -> None:
    world, name = await given_up(host)
    GATE[0].fails = ConnectionError("reset")
    await come(world, name)
    (shown,) = json.loads(world.row(name).not_undone or "[]")
    assert (shown["operation"], shown["why"]) == ("Shop.book", "ConnectionError: reset")
    await world.complete(name, "home", "sue")
    assert world.result(name) == "home"


async def test_a_call_that_nobody_attempts_is_withdrawn_and_no_more(host: Host) -> None:
    world = await host.open(shop, *PROCESSES)
    name = await world.start(hurried)
    await world.until(lambda: did == ["book hotel"])
    GATE[0].fails = ConnectionError("down")
    GATE[0].open.set()
    await world.until(lambda: world.attention(name))
    await world.pass_time("2 hours")
    await world.complete(name, "home", "sue")
    assert (world.result(name), late(world, name), world.row(name).not_undone) == ("home", [None], None)


async def test_a_worker_that_ends_meanwhile_may_have_booked_and_people_are_told(host: Host) -> None:
    world, name = await given_up(host)
    await world.close(at_once=True)
    await world.restart(shop, *PROCESSES)
    await world.running.apply_due()
    (shown,) = json.loads(world.row(name).not_undone or "[]")
    assert (shown["operation"], shown["why"]) == ("Shop.book", "the worker ended during it")
    assert world.waits(name).late_calls == ()
    await world.complete(name, "home", "sue")
    assert (world.result(name), did) == ("home", ["book hotel"])


async def test_what_comes_while_it_is_suspended_is_undone_when_it_is_resumed(host: Host) -> None:
    world, name = await given_up(host)
    await world.give(SuspendInstance(name))
    await come(world, name)
    assert (late(world, name), len(world.waits(name).waiting_events)) == ([], 1)
    await world.give(ResumeInstance(name))
    await world.until(lambda: did[1:] == ["unbook hotel-1"])
    await world.complete(name, "home", "sue")
    await world.until_ended(name)
    assert world.result(name) == "home"


async def test_what_comes_while_it_is_halted_is_undone_when_it_is_mended(host: Host) -> None:
    world, name = await given_up(host, wrong_after_it)
    await world.complete(name, "so", "sue")
    assert world.state(name) == "halted"
    await come(world, name)
    MENDED.append(True)
    await world.retry(name)
    await world.until_ended(name)
    assert (world.result(name), did[1:]) == ("so", ["unbook hotel-1"])


async def test_what_is_booked_after_a_deadline_that_passed_while_it_stood_still_comes_late(host: Host) -> None:
    world = await host.open(shop, *PROCESSES)
    name = await world.start(hurried)
    await world.until(lambda: did == ["book hotel"])
    await world.give(SuspendInstance(name))
    world.skip("2 hours")
    GATE[0].open.set()
    await world.until(lambda: world.waits(name).waiting_events)
    await world.give(ResumeInstance(name))
    await world.running.apply_due()
    await world.complete(name, "home", "sue")
    await world.until_ended(name)
    assert (late(world, name), did[1:]) == ([b'"hotel-1"'], ["unbook hotel-1"])


@pytest.mark.parametrize("how", ["finish", "force"])
async def test_who_ends_at_once_undoes_nothing(host: Host, how: str) -> None:
    world = await host.open(shop, *PROCESSES)
    name = await world.start(finishes)
    await world.until(lambda: did == ["book hotel"])
    if how == "finish":
        await world.complete(name, "go", "sue")
    else:
        await world.give(CancelInstance(name, force=True))
    assert world.state(name) == ("completed" if how == "finish" else "cancelled")
    waits = world.waits(name)
    assert (waits.service_calls, waits.late_calls) == ((), ())
    GATE[0].open.set()
    await world.pass_time("1 minute")
    assert did == ["book hotel"]


async def test_nobody_repairs_a_call_that_is_withdrawn(host: Host) -> None:
    world, name = await given_up(host)
    (call,) = world.waits(name).late_calls
    for command in (RetryCall(name, call.call), CompleteCall(name, call.call, '"x"'), FailCall(name, call.call, "no")):
        with pytest.raises(ProcessionError, match="no open"):
            await world.give(command)
    await come(world, name)
