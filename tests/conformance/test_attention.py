"""Calls whose attempts fail, and what an operator does about them: laws 1, 2, 5, 21 and 44."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta

import pytest

from procession import Function, ProcessFailed, process
from procession.control import attempt, log
from procession.errors import InvalidValue, OperationFailed, Withdrawn
from procession.kernel import CallCompleted, CallFailed, CallRequested, InstanceFailed
from procession.services.commands import CompleteCall, FailCall, RetryCall, RetryInstance, WithdrawItem
from procession.services.foreseeing import foresee_withdrawal
from procession.services.repairs import NoOpenCall, NothingToRetry
from procession.store.invariants import fingerprint
from procession.work.item import ItemEnded
from tests.conformance.world import Host, World


class Refused(Exception):
    """Declared by an operation."""


@dataclass(eq=False)
class Declined(Exception):
    amount: int
    why: str


class Hopeless(Exception):
    """Never retried."""


SOON = timedelta(milliseconds=1)


class Bank:
    """A service that fails as often as it is told to, and a task beside it."""

    def __init__(self, *failures: Exception) -> None:
        team = Function("Team", owner="ann@acme.example")
        self.failures = list(failures)
        self.keys: list[tuple[str, int]] = []
        self.caught: list[Exception] = []

        @team.service(attempts=2, backoff=SOON, raises=[Declined, Refused], never_retry=[Hopeless])
        async def pay(amount: int) -> str:
            running = attempt()
            self.keys.append((running.idempotency_key, running.number))
            if self.failures:
                raise self.failures.pop(0)
            return f"paid {amount}"

        @team.task()
        async def approve(amount: int) -> bool: ...

        @process(owner=team)
        async def order(amount: int) -> str:
            approved, paid = await asyncio.gather(approve(amount), self.paid(amount))
            return f"{approved} {paid}"

        self.pay, self.approve, self.order = pay, approve, order

    async def paid(self, amount: int) -> str:
        try:
            return await self.pay(amount)
        except (Declined, Refused, OperationFailed) as error:
            self.caught.append(error)
            return type(error).__name__


def down(times: int) -> list[Exception]:
    return [ConnectionError("down") for _ in range(times)]


async def in_attention(host: Host, bank: Bank) -> tuple[World, str]:
    world = await host.open(bank.order)
    name = await world.start(bank.order, amount=5)
    await world.until_attention(name)
    return world, name


async def test_exhausted_attempts_do_not_end_a_call_and_the_other_branches_go_on(host: Host) -> None:
    bank = Bank(*down(2))
    world, name = await in_attention(host, bank)

    await world.complete(name, True)

    assert world.state(name) == "running"
    assert world.attention(name) == ["Team.pay"]
    assert bank.caught == []
    assert [number for _, number in bank.keys] == [1, 2]


async def test_a_call_in_attention_is_retried_with_a_new_round_of_attempts_under_the_same_key(host: Host) -> None:
    bank = Bank(*down(3))
    world, name = await in_attention(host, bank)

    await world.give(RetryCall(name, world.call_of(name, "pay")))
    await world.until(lambda: len(bank.keys) == 3)
    await world.until(lambda: [c.state for c in world.waits(name).service_calls] == ["due"])
    await world.pass_time("1 second")
    await world.complete(name, True)
    await world.until_ended(name)

    assert world.result(name) == "True paid 5"
    assert [number for _, number in bank.keys] == [1, 2, 3, 4]
    assert len({key for key, _ in bank.keys}) == 1


async def test_a_call_in_attention_is_completed_by_hand_with_a_checked_value(host: Host) -> None:
    bank = Bank(*down(2))
    world, name = await in_attention(host, bank)
    call = world.call_of(name, "pay")

    with pytest.raises(InvalidValue, match="string"):
        await world.give(CompleteCall(name, call, "17"))
    await world.give(CompleteCall(name, call, '"by bank transfer"'), "bob")
    await world.complete(name, True)

    assert world.result(name) == "True by bank transfer"
    done = [e for e in world.history(name) if isinstance(e, CallCompleted) and e.call == call]
    assert [e.performer for e in done] == ["bob"]


async def test_a_call_in_attention_is_failed_by_hand_and_the_process_sees_operation_failed(host: Host) -> None:
    bank = Bank(*down(2))
    world, name = await in_attention(host, bank)

    await world.give(FailCall(name, world.call_of(name, "pay"), "the bank is gone"), reason="called them")
    await world.complete(name, True)

    assert world.result(name) == "True OperationFailed"
    [failed] = bank.caught
    assert isinstance(failed, OperationFailed)
    assert (failed.operation, failed.message, failed.attempts) == ("Team.pay", "the bank is gone", 2)


async def test_a_declared_error_reaches_the_process_as_its_own_class_with_its_fields(host: Host) -> None:
    bank = Bank(Declined(7, "no money"))
    world = await host.open(bank.order)
    name = await world.start(bank.order, amount=5)
    await world.complete(name, True)
    await world.until_ended(name)

    assert world.result(name) == "True Declined"
    [declined] = bank.caught
    assert isinstance(declined, Declined) and (declined.amount, declined.why) == (7, "no money")
    [failed] = [e for e in world.history(name) if isinstance(e, CallFailed)]
    assert failed.failure.declared and json.loads(failed.failure.payload or b"") == {"amount": 7, "why": "no money"}
    assert len(bank.keys) == 1


@pytest.mark.parametrize("error", [ConnectionError("x"), KeyError("x"), TimeoutError(), asyncio.CancelledError()])
async def test_an_error_that_is_not_declared_never_reaches_the_process(host: Host, error: Exception) -> None:
    bank = Bank(error, error)
    world, name = await in_attention(host, bank)

    assert bank.caught == []
    assert "CallFailed" not in world.kinds(name)
    last = json.loads(world.waits(name).service_calls[0].last_error or "")
    assert last["type"] == type(error).__name__
    assert "Traceback" not in json.dumps(last)


async def test_an_error_that_is_never_retried_needs_attention_at_once(host: Host) -> None:
    bank = Bank(Hopeless("bad request"))
    world, name = await in_attention(host, bank)

    assert len(bank.keys) == 1
    assert world.state(name) == "running"


async def test_a_service_that_ends_its_program_needs_attention_and_the_engine_goes_on(host: Host) -> None:
    for_async = Bank(SystemExit(3), SystemExit(3))  # type: ignore[arg-type]
    world, name = await in_attention(host, for_async)
    await world.complete(name, True)

    assert json.loads(world.waits(name).service_calls[0].last_error or "")["type"] == "SystemExit"


class Alarm(BaseException):
    """No `Exception`: it would pass by whatever catches those."""


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration, GeneratorExit, Alarm])
async def test_whatever_a_body_raises_is_an_attempt_that_failed(
    host: Host, error: type[BaseException], is_async: bool
) -> None:
    team = Function("Team", owner="ann@acme.example")

    def plain() -> None:
        raise error

    async def leaving() -> None:
        raise error

    leave = team.service(attempts=1)(leaving) if is_async else team.service(attempts=1)(plain)

    @process(owner=team)
    async def going() -> None:
        await leave()

    world = await host.open(going)
    name = await world.start(going)
    await world.until(lambda: world.attention(name))
    assert json.loads(world.waits(name).service_calls[0].last_error or "")["type"]


async def test_a_declared_error_whose_fields_do_not_fit_needs_attention(host: Host) -> None:
    bank = Bank(Declined("much", "no money"))  # type: ignore[arg-type]
    world, name = await in_attention(host, bank)

    assert len(bank.keys) == 1
    assert "amount" in (world.waits(name).service_calls[0].last_error or "")


async def test_an_error_that_cannot_say_what_it_is_is_an_attempt_that_failed(host: Host) -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    bank = Bank(Silent(), ConnectionError("x" * 5_000_000))
    world, name = await in_attention(host, bank)

    assert len(world.waits(name).service_calls[0].last_error or "") < 10_000


async def test_a_result_of_the_wrong_type_needs_attention_at_once(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")

    @team.service(attempts=3)
    async def count() -> int:
        return "many"  # type: ignore[return-value]

    @process(owner=team)
    async def counting() -> int:
        return await count()

    world = await host.open(counting)
    name = await world.start(counting)
    await world.until(lambda: world.attention(name))
    assert world.waits(name).service_calls[0].attempts == 1


# Withdrawal by a person


async def test_an_item_withdrawn_by_a_person_raises_withdrawn_to_its_awaiter_only(host: Host) -> None:
    seen: list[str] = []
    team = Function("Team", owner="ann@acme.example")

    @team.task()
    async def first() -> str: ...

    @team.task()
    async def second() -> str: ...

    async def one() -> str:
        try:
            return await first()
        except Withdrawn as withdrawn:
            assert isinstance(withdrawn, OperationFailed)
            seen.append(withdrawn.message)
            return "withdrawn"

    @process(owner=team)
    async def both() -> list[str]:
        return list(await asyncio.gather(one(), second()))

    world = await host.open(both)
    name = await world.start(both)
    item = world.item(name, "first")
    answer = await world.give(WithdrawItem(item.id), "bob", reason="not needed")

    assert answer["state"] == "withdrawn"
    assert seen == ["not needed"]
    assert world.state(name) == "running"
    await world.complete(name, "b")
    assert world.result(name) == ["withdrawn", "b"]


async def test_a_call_whose_awaiter_is_cancelled_sees_a_cancellation_not_a_withdrawal(host: Host) -> None:
    seen: list[str] = []
    team = Function("Team", owner="ann@acme.example")

    @team.task()
    async def slow() -> str: ...

    @team.task()
    async def fast() -> str: ...

    async def waiting() -> None:
        try:
            await slow()
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    @process(owner=team)
    async def racing() -> str:
        loser = asyncio.create_task(waiting())
        winner = await fast()
        loser.cancel()
        await asyncio.wait([loser])
        return winner

    world = await host.open(racing)
    name = await world.start(racing)
    slow_item = world.item(name, "slow").id
    await world.complete(name, "done", of="fast")

    assert world.result(name) == "done"
    assert seen == ["CancelledError"]
    assert world.find_item(slow_item).state == "withdrawn"


async def test_a_withdrawal_that_nobody_catches_fails_the_instance(host: Host) -> None:
    team = Function("Team", owner="ann@acme.example")

    @team.task()
    async def sign() -> str: ...

    @process(owner=team)
    async def signing() -> str:
        return await sign()

    world = await host.open(signing)
    name = await world.start(signing)
    await world.give(WithdrawItem(world.item(name).id))

    assert world.state(name) == "failed"
    assert isinstance(world.history(name)[-1], InstanceFailed)


async def test_what_a_withdrawal_would_do_is_told_without_doing_it(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    team = Function("Team", owner="ann@acme.example")

    @team.task()
    async def sign() -> str: ...

    @team.task()
    async def sign_elsewhere(why: str) -> str: ...

    @team.task()
    async def beside() -> str: ...

    async def signed() -> str:
        try:
            return await sign()
        except Withdrawn as withdrawn:
            log.warning("withdrawn")
            return await sign_elsewhere(withdrawn.message)

    @process(owner=team)
    async def signing() -> str:
        first, _ = await asyncio.gather(signed(), beside())
        return first

    @process(owner=team)
    async def fragile() -> str:
        return await sign()

    @process(owner=team)
    async def wrong() -> str:
        try:
            return await sign()
        except Withdrawn:
            return 1 // 0  # type: ignore[return-value]

    world = await host.open(signing, fragile, wrong)
    names = [await world.start(each) for each in (signing, fragile, wrong)]
    before = fingerprint(world.store)

    def foreseen(name: str, of: str = "sign") -> tuple[str, ...]:
        with world.view() as view:
            return foresee_withdrawal(view, world.registry, world.item(name, of)).consequences

    assert foreseen(names[0], "Team.sign") == ("asks for task Team.sign_elsewhere as call 3",)
    assert foreseen(names[0], "beside") == ("withdraws call 1", "fails: Team.beside failed: Withdrawn")
    assert foreseen(names[1])[-1].startswith("fails: Team.sign failed")
    assert foreseen(names[2])[0].startswith("halts wrong-1: ZeroDivisionError")
    assert fingerprint(world.store) == before
    assert caplog.records == []

    item = world.item(names[1])
    await world.give(WithdrawItem(item.id))
    with world.view() as view, pytest.raises(ItemEnded):
        foresee_withdrawal(view, world.registry, world.find_item(item.id))
    await world.give(WithdrawItem(world.item(names[2]).id))
    assert world.state(names[2]) == "halted"


# What fails an instance, and what retry means


async def test_an_instance_fails_by_an_error_raised_on_purpose(host: Host) -> None:
    class OutOfStock(ProcessFailed):
        pass

    team = Function("Team", owner="ann@acme.example")

    @process(owner=team)
    async def selling() -> None:
        raise OutOfStock("no bread")

    world = await host.open(selling)
    name = await world.start(selling)

    assert world.state(name) == "failed"
    failed = world.history(name)[-1]
    assert isinstance(failed, InstanceFailed) and failed.failure.message == "no bread"


async def test_retry_of_anything_that_is_neither_halted_nor_in_attention_says_so(host: Host) -> None:
    bank = Bank()
    world = await host.open(bank.order)
    name = await world.start(bank.order, amount=5)

    with pytest.raises(NothingToRetry, match="not halted"):
        await world.give(RetryInstance(name))
    with pytest.raises(NoOpenCall, match="no open service call"):
        await world.give(RetryCall(name, world.call_of(name, "approve")))
    with pytest.raises(NoOpenCall):
        await world.give(CompleteCall(name, 99, "1"))


async def test_retry_of_an_instance_whose_service_needs_attention_says_how_to_retry_that(host: Host) -> None:
    world, name = await in_attention(host, Bank(*down(2)))

    with pytest.raises(NothingToRetry, match="--call 2"):
        await world.give(RetryInstance(name))


# Services and the transaction


async def test_a_service_call_is_a_row_of_the_transaction_that_asked_for_it(host: Host) -> None:
    """No attempt starts before that commit: a start that is acknowledged shows the row, and its attempt comes after."""
    bank = Bank()
    world = await host.open(bank.order)
    name = await world.start(bank.order, amount=5)

    row = world.row(name)
    [call] = world.waits(name).service_calls
    [requested] = [e for e in world.history(name) if isinstance(e, CallRequested) and e.call == call.call]
    assert call.idempotency_key == f"{row.uuid.hex()}-1-{call.call}-{requested.digest.hex()}"
    with world.view() as view:
        event = view.event(call.requested_position)
    assert event is not None and event.payload == b'{"amount":5}'
    await world.until(lambda: bank.keys)
    assert bank.keys == [(call.idempotency_key, 1)]
