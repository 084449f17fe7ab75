"""Services in the world of a test: stubs, faults on demand, threads, the network, and a machine that dies."""

import asyncio
import socket
import threading
from datetime import UTC, datetime, timedelta

import pytest

from procession import Function, process
from procession.control import attempt, resource, secret
from procession.errors import InvalidValue
from procession.testing import StillWaiting, World, virtual_loop
from procession.testing import world as made
from procession.testing.real_io import RealInputOutput
from procession.testing.stubs import IsNotProvided, NotAFault, NotAService, StubHasNoAnswer
from procession.testing.virtual_loop import ThreadTakesTooLong
from tests.testing.leaving import NoMoreDays, approve, book, leave, print_slip, slip

team = Function("Machines", owner="ann@acme.example")
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
gate = threading.Event()


@team.service(attempts=2, timeout="1 hour")
async def slow(seconds: int) -> str:
    await asyncio.sleep(seconds)
    return "done"


@team.service()
def stuck() -> str:
    gate.wait()
    return "at last"


@team.service(attempts=1)
def call_out(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        return connection.recv(100).decode()


@team.service(attempts=1)
async def call_out_async(port: int) -> str:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except Exception:
        return "swallowed"
    answer = (await reader.read()).decode()
    writer.close()
    return answer


@team.service()
async def whole() -> None:
    raise AssertionError("it is stubbed")


@team.service(attempts=5)
async def keyed() -> str:
    return attempt().idempotency_key


class UnknownCustomer(Exception):
    """Nobody knows them."""


@team.external(raises=[UnknownCustomer])
async def rate(customer: str) -> int: ...


@process(owner=team)
async def rates(customer: str) -> int:
    try:
        return await rate(customer)
    except UnknownCustomer:
        return -1


class Database:
    """What is really there."""

    def look_up(self, number: int) -> str:
        raise AssertionError("there is none here")


class FakeDatabase(Database):
    """What the tests give."""

    def look_up(self, number: int) -> str:
        return f"found {number}"


@team.service()
async def look_up(number: int, database: Database = resource(), password: str = secret("PASSWORD")) -> str:
    return database.look_up(number) + " by " + password


@process(owner=team)
async def looks_up(number: int) -> str:
    return await look_up(number)


@process(owner=team)
async def waits_slowly(seconds: int) -> str:
    return await slow(seconds)


@process(owner=team)
async def is_stuck() -> str:
    return await stuck()


@process(owner=team)
async def calls_out(port: int) -> str:
    return await call_out(port)


@process(owner=team)
async def calls_out_async(port: int) -> str:
    return await call_out_async(port)


@process(owner=team)
async def does_all() -> str:
    await whole()
    return await keyed()


def test_a_service_without_a_stub_runs_in_the_loop_or_in_a_thread(world: World) -> None:
    bob = world.person("bob", roles=["Team"])
    assert bob.start(waits_slowly, 0).result() == "done"
    printed = bob.start(slip, 3)
    world.advance("180 days")
    assert printed.result() == "slip for 3, slip for 4"


def test_a_command_lets_retries_pass_and_takes_their_time(world: World) -> None:
    bob = world.person("bob", roles=["Team"])
    booking = world.stub(book).fails(ConnectionError("down"), times=2).returns("B-1")
    request = bob.start(leave, 3, "a trip")
    bob.complete(approve, True)
    assert request.result() == "B-1"
    assert booking.attempts == 3
    assert START + timedelta(seconds=1.5) <= world.now <= START + timedelta(seconds=3)


def test_a_test_takes_the_same_time_whenever_it_is_run() -> None:
    ends = []
    for _ in range(2):
        with made() as world:
            bob = world.person("bob", roles=["Team"])
            world.stub(book).fails(ConnectionError("down"), times=2).returns("B-1")
            bob.start(leave, 3, "a trip")
            bob.complete(approve, True)
            ends.append(world.now)
    assert ends[0] == ends[1]


def test_a_service_out_of_attempts_needs_attention_and_the_error_is_told(world: World) -> None:
    bob = world.person("bob", roles=["Team"])
    world.stub(book).fails(ConnectionError("down"), times=3).returns("B-1")
    request = bob.start(leave, 3, "a trip")
    bob.complete(approve, True)
    with pytest.raises(StillWaiting) as still:
        request.result()
    told = "waits for the service Office.book, 3 of 3 attempts made; it needs attention; the last error: ConnectionError: down"
    assert told in str(still.value)
    assert request.waits_for == (book,)


def test_a_service_out_of_attempts_is_given_another_round_by_somebody(world: World) -> None:
    bob = world.person("bob", roles=["Team"])
    booking = world.stub(book).fails(ConnectionError("down"), times=4).returns("B-1")
    request = bob.start(leave, 3, "a trip")
    bob.complete(approve, True)
    world.advance("1 day")
    assert booking.attempts == 3
    bob.retry(request, book)
    assert request.result() == "B-1"
    assert booking.attempts == 5


def test_an_error_that_is_declared_goes_to_the_process(world: World) -> None:
    bob = world.person("bob", roles=["Team"])
    booking = world.stub(book).fails(NoMoreDays(2))
    request = bob.start(leave, 3, "a trip")
    bob.complete(approve, True)
    assert request.result() == "no more than 2"
    assert booking.attempts == 1


def test_a_stub_may_do_anything_with_the_inputs(world: World) -> None:
    bob = world.person("bob", roles=["Team"])

    async def twice(days: int) -> str:
        await asyncio.sleep(1)
        return f"twice {2 * days}"

    world.stub(book).does(lambda days: f"did {days}")
    first = bob.start(leave, 3, "a trip")
    bob.complete(approve, True)
    world.stub(book).does(twice)
    second = bob.start(leave, 3, "a trip")
    bob.complete(approve, True)
    assert (first.result(), second.result()) == ("did 3", "twice 6")


def test_a_stub_of_a_service_without_a_result_needs_none(world: World) -> None:
    world.stub(whole)
    assert world.person("bob").start(does_all).result()


def test_a_stub_that_does_not_say_what_it_gives_fails_the_test(world: World) -> None:
    bob = world.person("bob", roles=["Team"])
    stub = world.stub(book).fails(ConnectionError("down"))
    bob.start(leave, 3, "a trip")
    with pytest.raises(StubHasNoAnswer, match=r"The stub of Office\.book does not say what attempt 2 gives"):
        bob.complete(approve, True)
    assert stub.attempts == 2  # what fails the test is not attempted again


def test_a_stub_of_the_wrong_type_or_of_a_task_is_refused(world: World) -> None:
    with pytest.raises(InvalidValue):
        world.stub(book).returns(3)  # type: ignore[arg-type]
    with pytest.raises(NotAFault, match="once or more"):
        world.stub(book).fails("down")  # type: ignore[arg-type]
    with pytest.raises(NotAFault):
        world.stub(book).fails(ConnectionError(), times=0)
    with pytest.raises(NotAService, match="Let a person do it"):
        world.stub(approve)  # type: ignore[arg-type]


def test_a_service_that_takes_longer_than_its_timeout_is_attempted_again(world: World) -> None:
    bob = world.person("bob")
    assert bob.start(waits_slowly, 3599).result() == "done"
    assert world.now == START + timedelta(seconds=3599)
    late = bob.start(waits_slowly, 3601)
    with pytest.raises(StillWaiting, match="TimeoutError: took longer than 1 hour"):
        late.result()


def test_a_thread_that_works_too_long_fails_the_test_by_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_loop, "THREAD_SECONDS", 0.05)
    gate.clear()
    try:
        with pytest.raises(ThreadTakesTooLong, match=r"Machines\.stuck has worked for 0\.05 seconds of real time"):
            world.person("ann").start(is_stuck)
        world.close()  # as the fixture does once more
        assert asyncio.all_tasks(world._machine._loop) == set()
    finally:
        gate.set()


@pytest.mark.parametrize("process", [calls_out, calls_out_async], ids=["in a thread", "in the loop"])
def test_the_network_is_refused_by_the_name_of_the_service(world: World, process: object) -> None:
    with pytest.raises(
        RealInputOutput,
        match=r"Machines\.call_out\w* (connects to another program|looks up a host)\. Put a stub in its place",
    ):
        world.person("ann").start(process, 9)  # type: ignore[arg-type]


@pytest.mark.world(real_time=True)
@pytest.mark.parametrize("process", [calls_out, calls_out_async], ids=["in a thread", "in the loop"])
def test_the_network_is_there_for_a_test_that_asks_for_real_time(world: World, process: object) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = threading.Thread(target=_answer, args=(server,), daemon=True)
        answering.start()
        called = world.person("ann").start(process, server.getsockname()[1])  # type: ignore[arg-type]
        answering.join()
    assert called.result() == "hello"
    world.advance("30 days")
    assert world.now >= START + timedelta(days=30)


@pytest.mark.world(real_time=True)
def test_the_clock_goes_on_by_itself_while_a_service_works_in_real_time(world: World) -> None:
    world.stub(book).does(lambda days: asyncio.sleep(0.01, f"slept {days}"))
    bob = world.person("bob", roles=["Team"])
    request = bob.start(leave, 3, "a trip")
    assert world.now == START
    bob.complete(approve, True)
    assert request.result() == "slept 3"
    assert START + timedelta(seconds=0.01) <= world.now


def _answer(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"hello")


# What services are given


def test_a_service_is_given_what_the_test_provides_by_its_type(world: World) -> None:
    world.provide(FakeDatabase(), PASSWORD="hush")
    assert world.person("ann").start(looks_up, 3).result() == "found 3 by hush"


def test_what_nobody_provides_fails_the_test_and_a_stub_needs_nothing(world: World) -> None:
    ann = world.person("ann")
    with pytest.raises(
        IsNotProvided, match=r"needs a resource of the type .*test_services\.Database, and the test provides none"
    ):
        ann.start(looks_up, 3)
    world.provide(FakeDatabase())
    with pytest.raises(IsNotProvided, match=r'needs the secret PASSWORD.*world\.provide\(PASSWORD="…"\)'):
        ann.start(looks_up, 3)
    world.stub(look_up).returns("stubbed")
    assert ann.start(looks_up, 3).result() == "stubbed"


# Outside programs


def test_a_stub_stands_in_for_an_outside_program(world: World) -> None:
    program = world.stub(rate).fails(ConnectionError("down"), times=2).does(lambda customer: len(customer))
    rated = world.person("ann").start(rates, "Smith")
    assert rated.result() == 5
    assert program.attempts == 3


def test_an_outside_program_that_nobody_stubs_is_waited_for(world: World) -> None:
    rated = world.person("ann").start(rates, "Smith")
    assert rated.waits_for == (rate,)
    with pytest.raises(StillWaiting, match=r"an outside program to do Machines\.rate, handed out 0 of 3 times"):
        rated.result()
    world.stub(rate).returns(7)
    world.advance("1 minute")
    assert rated.result() == 7


def test_an_outside_program_that_gives_up_is_told_with_its_error(world: World) -> None:
    world.stub(rate).fails(ConnectionError("down"), times=3).returns(1)
    rated = world.person("ann").start(rates, "Smith")
    with pytest.raises(StillWaiting, match=r"handed out 3 of 3 times; the last error: outside: down"):
        rated.result()


def test_what_an_outside_program_declares_goes_to_the_process(world: World) -> None:
    world.stub(rate).fails(UnknownCustomer("who?"))
    assert world.person("ann").start(rates, "Smith").result() == -1


# A machine that dies


def test_a_crash_loses_nothing_that_was_acknowledged(world: World) -> None:
    bob = world.person("bob", roles=["Team"])
    request = bob.start(leave, 3, "a trip")
    bob.claim(approve)
    world.crash()
    assert bob.item(approve).state == "allocated"
    world.crash()
    bob.complete(approve, True)
    world.crash()
    assert request.result() == "booked 3"


def test_what_falls_due_falls_due_after_a_crash_as_well(world: World) -> None:
    bob = world.person("bob", roles=["Team", "director"])
    request = bob.start(leave, 3, "a trip")
    world.advance("4 days")
    world.crash()
    world.advance("1 day")
    assert [each.name for each in request.waits_for] == ["approve_instead"]


def test_a_machine_that_dies_in_an_attempt_makes_it_again_under_the_same_key(world: World) -> None:
    keys = []

    def note() -> str:
        keys.append(attempt().idempotency_key)
        return "noted"

    world.stub(whole)
    stub = world.stub(keyed).does(note)
    world.crash(during=keyed)
    noted = world.person("ann").start(does_all)
    assert noted.result() == "noted"
    assert stub.attempts == 2
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_a_crash_before_anything_was_done_is_no_harm(world: World) -> None:
    world.crash()
    world.stub(whole)
    assert world.person("ann").start(does_all).result()


def test_a_slip_is_printed_by_the_stub_of_a_plain_function(world: World) -> None:
    world.stub(print_slip).returns("stubbed")
    printed = world.person("ann").start(slip, 3)
    world.advance("180 days")
    assert printed.result() == "stubbed, stubbed"
