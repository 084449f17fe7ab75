"""Code that answers for people and programs: bodies of tasks (law 25), services that outlive their time (26), notes (28)."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from procession import AnswerRefused, Function, process
from procession.control import attempt, log
from procession.errors import InvalidValue, OutsideProcess
from procession.services import worklist
from procession.services.commands import ClaimItem
from procession.services.worklist import BodyFailed
from procession.work.worklist import ChangedMeanwhile, Held
from tests.conformance.world import Host, Settings, World


@dataclass(frozen=True)
class Amount:
    euros: int


class Desk:
    """A task whose body checks what is handed in, in a way that a test chooses."""

    def __init__(self, check: Callable[[Amount, int], object]) -> None:
        team = Function("Team", owner="ann@acme.example")
        self.seen: list[tuple[Amount, int]] = []

        @team.task(form=Amount)
        async def pay(given: Amount, limit: int) -> str:
            self.seen.append((given, limit))
            outcome = check(given, limit)
            if asyncio.iscoroutine(outcome):
                outcome = await outcome
            return str(outcome)

        @process(owner=team)
        async def paying(limit: int) -> str:
            return await pay(limit)

        self.paying = paying


async def handed_to(host: Host, check: Callable[[Amount, int], object]) -> tuple[World, str, Desk]:
    desk = Desk(check)
    world = await host.open(desk.paying)
    return world, await world.start(desk.paying, limit=10), desk


async def test_a_body_gets_what_was_handed_in_and_the_inputs_and_its_result_is_the_result(host: Host) -> None:
    world, name, desk = await handed_to(host, lambda given, limit: f"{given.euros} of {limit}")
    await world.complete(name, {"euros": 7})
    await world.restart()

    assert world.result(name) == "7 of 10"
    assert desk.seen == [(Amount(7), 10)]


async def test_a_body_that_refuses_the_answer_shows_its_text_at_its_field_and_changes_nothing(host: Host) -> None:
    def check(given: Amount, limit: int) -> str:
        raise AnswerRefused("more than the limit", field="euros")

    world, name, _ = await handed_to(host, check)
    before = world.history(name), world.item(name)

    with pytest.raises(InvalidValue, match="more than the limit") as refused:
        await world.complete(name, {"euros": 11})

    assert refused.value.problems == {"euros": "more than the limit"}
    assert (world.history(name), world.item(name)) == before


@pytest.mark.parametrize(
    "error", [RuntimeError("no"), SystemExit(1), KeyError("x"), TimeoutError(), asyncio.CancelledError()]
)
async def test_a_body_that_fails_refuses_the_completion_keeps_the_draft_and_leaves_the_instance_alone(
    host: Host, error: BaseException
) -> None:
    def check(given: Amount, limit: int) -> str:
        raise error

    world, name, _ = await handed_to(host, check)
    before = world.history(name)

    with pytest.raises(BodyFailed, match=r"ann@acme\.example"):
        await world.complete(name, {"euros": 1}, "bob")

    assert world.history(name) == before
    item = world.item(name)
    assert (item.draft, item.holder, item.state) == (b'{"euros": 1}', "bob", "allocated")


async def test_a_body_that_takes_too_long_has_failed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worklist, "BODY_TIMEOUT_SECONDS", 0.02)
    world, name, _ = await handed_to(host, lambda given, limit: asyncio.sleep(60))

    with pytest.raises(BodyFailed, match=r"longer than 0\.02 seconds"):
        await world.complete(name, {"euros": 1})
    assert world.item(name).draft == b'{"euros": 1}'


async def test_a_result_of_a_body_that_does_not_fit_is_a_fault_of_the_body(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")

    @team.task(form=Amount)
    async def pay(given: Amount) -> int:
        return "much"  # type: ignore[return-value]

    @process(owner=team)
    async def paying() -> int:
        return await pay()

    world = await host.open(paying)
    name = await world.start(paying)
    with pytest.raises(BodyFailed):
        await world.complete(name, {"euros": 1})


async def test_what_happened_to_the_item_while_its_body_ran_is_seen_after_it(host: Host) -> None:
    """The body runs outside of any transaction; the version is looked at when it is done."""

    async def claimed_meanwhile() -> str:
        await world.give(ClaimItem(world.item(name).id), "bob")
        return "paid"

    world, name, _ = await handed_to(host, lambda given, limit: claimed_meanwhile())

    with pytest.raises((Held, ChangedMeanwhile)):
        await world.complete(name, {"euros": 1}, "ann")
    assert world.item(name).holder == "bob"


async def test_operations_and_processes_cannot_be_awaited_in_a_body_or_a_service(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")
    told: list[str] = []

    @team.task()
    async def approve() -> bool: ...

    @team.service(attempts=1)
    async def nested() -> str:
        for awaitable in (approve(), calling()):
            try:
                await awaitable
            except OutsideProcess as error:
                told.append(str(error))
        with pytest.raises(OutsideProcess):
            approve.request()
        return "told"

    @process(owner=team)
    async def calling() -> str:
        return await nested()

    world = await host.open(calling)
    name = await world.start(calling)
    await world.until_ended(name)

    assert world.result(name) == "told"
    assert all("world()" in text and "procession start" in text for text in told) and len(told) == 2
    for awaitable in (approve(), calling()):
        with pytest.raises(OutsideProcess, match=r"world\(\)"):
            await awaitable
    with pytest.raises(OutsideProcess):
        attempt()


# Services and their time


async def test_a_service_that_takes_too_long_is_an_attempt_that_failed(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")

    @team.service(attempts=1, timeout=timedelta(milliseconds=20))
    async def slow() -> str:
        await asyncio.sleep(60)
        return "slow"

    @process(owner=team)
    async def waiting() -> str:
        return await slow()

    world = await host.open(waiting)
    name = await world.start(waiting)
    await world.until(lambda: world.attention(name))
    error = json.loads(world.waits(name).service_calls[0].last_error or "")
    assert (error["type"], error["message"]) == ("TimeoutError", "took longer than 0.02 seconds")


class Threads:
    """A plain function that hangs until a test lets it go; how often it was begun is counted."""

    def __init__(self) -> None:
        team = Function("Team", owner="ann@acme.example")
        self.gate = threading.Event()
        self.begun = 0
        self.returned = 0

        @team.service(attempts=2, timeout=timedelta(milliseconds=30), backoff=timedelta(milliseconds=1))
        def fetch() -> str:
            self.begun += 1
            number = self.begun
            if number == 1:
                self.gate.wait(30)
            self.returned += 1
            return f"attempt {number}"

        @process(owner=team)
        async def fetching() -> str:
            return await fetch()

        self.fetching = fetching


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads()
    yield made
    made.gate.set()


async def test_a_thread_that_outlives_its_time_is_given_up_and_its_late_result_changes_nothing(
    host: Host, threads: Threads
) -> None:
    world = await host.open(threads.fetching)
    name = await world.start(threads.fetching)
    await world.until(lambda: [call.state for call in world.waits(name).service_calls] == ["due"])
    await world.pass_time("1 second")
    await world.until_ended(name)
    before = world.history(name)
    threads.gate.set()
    await world.until(lambda: threads.returned == 2)

    assert world.result(name) == "attempt 2"
    assert world.history(name) == before


async def test_a_thread_that_was_given_up_counts_against_the_limit_until_it_ends(host: Host, threads: Threads) -> None:
    world = await host.open(threads.fetching, settings=Settings(most_attempts=1))
    name = await world.start(threads.fetching)
    await world.until(lambda: [call.state for call in world.waits(name).service_calls] == ["due"])
    await world.pass_time("1 second")
    assert [call.state for call in world.waits(name).service_calls] == ["due"]
    assert threads.begun == 1

    threads.gate.set()
    await world.until_ended(name)
    assert threads.begun == 2


async def test_what_is_beyond_the_limit_of_attempts_begins_as_soon_as_there_is_room(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")
    most = [0]
    running = [0]

    @team.service()
    async def work(number: int) -> int:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await asyncio.sleep(0.001)
        running[0] -= 1
        return number

    @process(owner=team)
    async def many() -> int:
        return sum(await asyncio.gather(*(work(number) for number in range(20))))

    world = await host.open(many, settings=Settings(most_attempts=3))
    name = await world.start(many)
    await world.until_ended(name)

    assert world.result(name) == 190
    assert most[0] == 3


async def test_the_result_of_an_attempt_whose_call_was_withdrawn_changes_nothing(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")
    cancelled = asyncio.Event()

    @team.service()
    async def slow() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "slow"

    @team.task()
    async def stop() -> None: ...

    @process(owner=team)
    async def racing() -> str:
        branch = asyncio.create_task(slow())
        await stop()
        branch.cancel()
        await asyncio.wait([branch])
        return "stopped"

    world = await host.open(racing)
    name = await world.start(racing)
    await world.complete(name, None)

    assert world.result(name) == "stopped"
    async with asyncio.timeout(5):
        await cancelled.wait()


async def test_an_attempt_that_a_shutdown_interrupts_is_made_again_under_the_same_key(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")
    keys: list[tuple[str, int]] = []
    gate = asyncio.Event()

    @team.service()
    async def send() -> str:
        keys.append((attempt().idempotency_key, attempt().number))
        if len(keys) == 1:
            await gate.wait()
        return "sent"

    @process(owner=team)
    async def sending() -> str:
        return await send()

    world = await host.open(sending)
    name = await world.start(sending)
    await world.until(lambda: keys)
    await world.close(at_once=True)
    await world.restart()
    await world.until_ended(name)

    assert world.result(name) == "sent"
    assert keys == [(keys[0][0], 1), (keys[0][0], 2)]


# Notes


async def test_notes_of_a_process_are_written_once_silent_in_replay_and_name_their_instance(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    team = Function("Team", owner="ann@acme.example")

    @team.task()
    async def ask() -> int: ...

    @process(owner=team)
    async def noting() -> int:
        log.info("asks", question=1)
        answer = await ask()
        log.warning("was told %d", answer)
        return answer

    caplog.set_level(logging.INFO, "procession.process")
    world = await host.open(noting)
    name = await world.start(noting)
    await world.restart()
    await world.complete(name, 5)

    records = [record for record in caplog.records if record.name == "procession.process"]
    assert [record.getMessage() for record in records] == ["asks", "was told 5"]
    assert [getattr(record, "instance", "") for record in records] == [name, name]
    assert [record.funcName for record in records] == ["noting", "noting"]


async def test_process_code_that_ends_the_program_halts_its_instance_and_keeps_the_answer(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")
    exits = [SystemExit(4)]

    @team.task()
    async def ask() -> int: ...

    @process(owner=team)
    async def leaving() -> int:
        answer = await ask()
        if exits:
            raise exits[0]
        return answer

    world = await host.open(leaving)
    name = await world.start(leaving)
    await world.complete(name, 1)

    halt = world.halt(name)
    assert halt["code"] == "bug"
    assert halt["message"].startswith("SystemExit: process code asked Python to end")
    assert [frame[1].rpartition(".")[2] for frame in halt["stack"][0]["frames"]] == ["leaving"]
    exits.clear()
    await world.retry(name)
    assert world.result(name) == 1


async def test_an_interrupt_that_process_code_raises_itself_halts_its_instance_and_no_other(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")
    faults: list[BaseException] = [KeyboardInterrupt()]

    @team.task()
    async def ask() -> int: ...

    @process(owner=team)
    async def leaving() -> int:
        answer = await ask()
        if faults:
            raise faults[0]
        return answer

    world = await host.open(leaving)
    name, other = await world.start(leaving), await world.start(leaving)
    await world.complete(name, 1)

    assert "raised it itself" in world.halt(name)["message"]
    faults.clear()
    await world.complete(other, 2)
    await world.retry(name)
    assert (world.result(name), world.result(other)) == (1, 2)
