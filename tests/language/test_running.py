"""What process code sees: results as typed copies, declared errors as their own class, timers, chance, notes."""

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from procession.errors import AnswerRefused, OutsideProcess
from procession.kernel import CallKind, Failure, WithdrawCall
from procession.language import control
from procession.language.failures import technical_failure
from procession.language.registry import Registry
from tests.language import desk
from tests.language.running import START_US, Run
from tests.language.values import Application, Approved, Declined

REGISTRY = Registry.of([sys.modules[desk.__name__]])
ANN = Application("Ann", 3, Decimal("12.50"), date(2026, 1, 1))


def run(process: Any, **values: Any) -> Run:
    return Run(process, REGISTRY.operations, **values)


def test_a_process_goes_from_operation_to_operation_and_replays() -> None:
    case = run(desk.handle, application=ANN)
    assert case.waits_for == ["Front desk.register"]
    case.complete(desk.register, desk.Registration("2026-1"))
    case.complete(desk.look, Declined())
    assert case.result == "2026-1: declined"
    case.replay()


def test_the_input_of_a_call_is_recorded_as_canonical_json_by_parameter_name() -> None:
    case = run(desk.paying, amount=Decimal("9.90"))
    assert case.requested[0].input == b'{"amount":"9.90","to":"city"}'


def test_members_of_a_union_of_one_shape_are_told_apart_in_the_process() -> None:
    case = run(desk.handle, application=ANN)
    case.complete(desk.register, desk.Registration("1"))
    case.complete(desk.look, Approved(("quiet",)))
    assert case.result == "1: approved quiet"


def pay_failure(error: Exception, attempts: int = 1) -> Failure:
    declared = desk.pay.errors.failure_of(error, attempts=attempts)
    return declared or technical_failure(error, attempts=attempts)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (desk.PaymentDeclined("no money", Decimal("9.90")), "declined: no money, 9.90"),
        (desk.PaymentDeclined(reason="by name", amount=Decimal(1)), "declined: by name, 1"),
        (desk.AddressUnknown("Elm Street"), "unknown: Elm Street"),
        (ConnectionError("down"), "failed: builtins.ConnectionError down after 3"),
    ],
    ids=repr,
)
def test_a_declared_error_arrives_as_its_own_class_and_any_other_as_operation_failed(
    error: Exception, told: str
) -> None:
    case = run(desk.paying, amount=Decimal("9.90"))
    case.fail(desk.pay, pay_failure(error, attempts=3))
    assert case.result == told
    case.replay()


def test_a_call_that_a_person_withdraws_raises_withdrawn() -> None:
    case = run(desk.paying, amount=Decimal(1))
    case.withdraw(desk.pay, "by mistake")
    assert case.result == "withdrawn: by mistake"


def test_a_declared_error_that_nobody_catches_fails_the_instance() -> None:
    case = run(desk.paying_hopefully, amount=Decimal(1))
    case.fail(desk.pay, pay_failure(desk.PaymentDeclined("no", Decimal(1))))
    assert case.failure.type_name == "tests.language.desk.PaymentDeclined"
    assert case.failure.payload == b'{"reason":"no","amount":"1"}'
    case.replay()


def test_an_error_raised_on_purpose_fails_the_instance_and_a_bug_halts_it() -> None:
    assert run(desk.giving_up, reason="no hope").failure.message == "no hope"
    halted = run(desk.wrong_result).halt
    assert halted is not None
    assert halted.code == "bug"
    assert "does not fit its type" in halted.message


def test_an_argument_that_does_not_fit_halts_before_anything_is_asked_for() -> None:
    case = run(desk.wrong_argument)
    assert case.halt is not None
    assert "amount should be an instance of Decimal, not 'much'" in case.halt.message
    assert case.requested == []


def test_together_begins_all_in_order_and_gives_their_results_as_a_tuple() -> None:
    case = run(desk.both, application=ANN)
    assert case.waits_for == ["Front desk.register", "Front desk.count"]
    case.complete(desk.count, 2)
    case.complete(desk.register, desk.Registration("7"))
    assert case.result == "7 2"
    case.replay()


def test_together_of_an_iterable_gives_a_list() -> None:
    assert run(desk.all_of, words=[]).result == []


def test_together_raises_the_first_error_bare_and_withdraws_the_others() -> None:
    case = run(desk.both_or_told, application=ANN)
    case.fail(desk.pay, pay_failure(desk.PaymentDeclined("no money", Decimal(1))))
    assert case.result == "no money"
    assert [c.call for c in case.commands if isinstance(c, WithdrawCall)] == [1]
    case.replay()


def test_a_deadline_withdraws_what_is_late_and_raises_timeout_error() -> None:
    late = run(desk.in_time, application=ANN)
    late.wait(1.9)
    assert late.waits_for[-1] == "Front desk.register" or "Front desk.register" in late.waits_for
    late.wait(0.2)
    assert late.result == "too late"
    late.replay()
    early = run(desk.in_time, application=ANN)
    early.complete(desk.register, desk.Registration("7"))
    assert early.result == "7"
    early.replay()


def test_timers_are_due_to_the_microsecond_and_say_when() -> None:
    moment = datetime(2026, 3, 5, 12, tzinfo=UTC)
    case = run(desk.slowly, moment=moment)
    case.wait(10)
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=START_US)
    assert case.result == [(start + timedelta(hours=28)).isoformat(), moment.isoformat(), moment.isoformat()]
    case.replay()


def test_chance_replays_and_differs_between_instances() -> None:
    case = run(desk.by_chance, count=3)
    case.replay()
    case.wait(1)
    assert len(set(case.result)) == 5
    case.replay()


def test_attributes_are_noted_as_canonical_json() -> None:
    assert run(desk.by_chance, count=0).attributes == [
        b'{"amount":"1.50","customer":"Dell","old":null,"since":"2026-01-01T00:00:00Z"}'
    ]


def test_a_request_gives_a_call_that_tells_its_start_and_its_performer() -> None:
    begun = run(desk.reminding, application=ANN)
    begun.start(desk.register)
    begun.complete(desk.register, desk.Registration("7"))
    assert begun.result == "7 by ann"
    begun.replay()
    ignored = run(desk.reminding, application=ANN)
    ignored.wait(1)
    assert ignored.result == "withdrawn"
    ignored.replay()


def test_a_process_called_in_a_process_asks_for_a_child_by_its_name() -> None:
    case = run(desk.nested, application=ANN)
    (requested,) = case.requested
    assert (requested.kind, requested.operation) == (CallKind.CHILD, "handle")
    assert desk.handle.inputs.decode(requested.input) == {"application": ANN}


def test_a_new_field_with_a_default_moves_no_instance() -> None:
    """Law 17: the digests differ, the values by the present type do not."""
    case = run(desk.paying, amount=Decimal("9.90"))
    recorded = case.requested[0]
    before = recorded.input.replace(b',"to":"city"', b"")
    at = case.history.index(recorded)
    case.history[at] = type(recorded)(
        recorded.at_us, recorded.call, recorded.kind, recorded.operation, before, b"other", recorded.due_us, 0
    )
    case.replay()


def test_the_body_of_a_task_with_a_form_checks_what_is_handed_in() -> None:
    async def derived(number: str) -> str:
        return await desk.advise.derive(desk.Registration(number), {"application": ANN})

    assert desk.advise.form.encode(desk.Registration("4")) == b'{"number":"4"}'
    assert desk.advise.inputs.schema()["required"] == ["application"]
    assert asyncio.run(derived("4")) == "4 for Ann"
    with pytest.raises(AnswerRefused, match="no number"):
        asyncio.run(derived(""))


@pytest.mark.parametrize(
    "use",
    [
        lambda: asyncio.run(_awaited(desk.register(ANN))),
        lambda: asyncio.run(_awaited(desk.handle(ANN))),
        lambda: desk.register.request(ANN),
        control.now,
        lambda: control.deadline("1 day"),
        lambda: asyncio.run(_awaited(control.after("1 day"))),
        control.uuid4,
        lambda: control.random.random(),
        lambda: control.attribute(a=1),
        lambda: asyncio.run(_awaited(desk.together([]))),
    ],
)
def test_what_needs_an_instance_says_so_where_none_runs(use: Callable[[], object]) -> None:
    with pytest.raises(OutsideProcess, match=r"where no instance runs"):
        use()


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def test_notes_of_a_process_are_written_once_and_not_in_replay(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="procession.process"):
        case = run(desk.noting, count=3)
        assert [record.message for record in caplog.records] == ["counted 3"]
        assert caplog.records[0].filename == "desk.py"
        case.replay()
        assert len(caplog.records) == 1
