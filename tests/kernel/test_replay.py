"""Replay: comparing, divergence, halts that keep what came in, retries."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from procession import kernel
from procession.kernel import CallKind, Divergence, Instance, InstanceState
from tests.kernel.drive import Driven, ask, op, program, standing


async def purchase() -> list[Any]:
    await op("check", "amount")
    both = await asyncio.gather(op("quote 1"), op("quote 2"))
    kernel.set_attributes(b'{"step":2}')
    handle = ask("notify")
    async with asyncio.timeout(60):
        await op("approve")
    handle.withdraw("approved")
    return list(both)


def purchased() -> Driven:
    case = Driven(purchase)
    case.start("check")
    case.complete("check")
    case.complete("quote 2", 2)
    case.complete("quote 1", 1)
    case.complete("approve")
    assert case.result == [1, 2]
    return case


def test_every_prefix_of_a_history_replays_to_the_same_standing() -> None:
    """Events that came together with their commands are one step; replay stops after any of them."""
    case = purchased()
    again = case.replayed()
    assert standing(again) == standing(case.instance)
    assert not again.replaying
    again.close()


def test_a_replay_knows_that_it_is_one() -> None:
    seen = []

    async def main() -> None:
        seen.append(kernel.current().replaying)  # type: ignore[union-attr]
        await op("a")
        seen.append(kernel.current().replaying)  # type: ignore[union-attr]
        await op("b")

    case = Driven(main, replays=False)
    case.complete("a")
    case.replayed().close()
    assert seen == [False, False, True, True]


def test_a_replayed_instance_goes_on_like_the_live_one() -> None:
    case = Driven(purchase)
    case.complete("check")
    case.instance.close()
    case.instance = case.replayed()
    case.complete("quote 1", 1)
    case.complete("quote 2", 2)
    assert case.asked == ["+notify", "+timer", "+approve"]
    asked = [each for each in case.outcome.commands if isinstance(each, kernel.RequestCall)]
    assert [each.site[0].function for each in asked] == ["purchase", "purchase", "purchase"]


def test_the_due_time_of_a_timer_is_the_recorded_one() -> None:
    async def longer() -> None:
        await asyncio.sleep(600)

    async def shorter() -> None:
        await asyncio.sleep(60)

    case = Driven(shorter)
    again = case.replayed(longer)
    assert again.open_calls[1].due_us == case.instance.open_calls[1].due_us
    again.close()


async def other_operation() -> None:
    await op("verify", "amount")


async def other_input() -> None:
    await op("check", "price")


async def other_kind() -> None:
    await kernel.perform(CallKind.SERVICE, "check", b'"amount"', decode=bytes, rebuild=lambda failure: Exception())


async def two_instead_of_one() -> None:
    await asyncio.gather(op("check", "amount"), op("check", "again"))


async def none() -> None:
    return


async def attributes_first() -> None:
    kernel.set_attributes(b"{}")
    await op("check", "amount")


async def withdraws() -> None:
    ask("check", "amount").withdraw()
    await op("next")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (other_operation, "has task 'check' as call 1; the source now asks for task 'verify' as call 1 (in "),
        (other_input, "Call 1, task 'check', now has another input (in "),
        (other_kind, "now asks for service 'check' as call 1"),
        (two_instead_of_one, "has nothing more; the source now asks for task 'check' as call 2"),
        (none, "has task 'check' as call 1; the source now asks for the completion of the instance"),
        (attributes_first, "has task 'check' as call 1; the source now asks for attributes {}"),
        (withdraws, "has nothing more; the source now asks for the withdrawal of call 1"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_the_first_difference_is_a_divergence_that_names_both_sides(changed: Any, says: str) -> None:
    case = Driven(purchase)
    with pytest.raises(Divergence) as caught:
        case.replayed(changed)
    assert says in caught.value.message
    assert caught.value.call in (1, 2)
    assert caught.value.halt.code == "divergence"
    if isinstance(caught.value.made, kernel.RequestCall):
        assert caught.value.made_site is not None
        assert caught.value.made_site[-1].line > 0


def test_a_divergence_further_on_names_its_call() -> None:
    async def changed() -> None:
        await op("check", "amount")
        await op("quote 1")
        await op("quote 2")

    case = Driven(purchase)
    case.complete("check")
    with pytest.raises(Divergence) as caught:
        case.replayed(changed)
    assert caught.value.call == 3
    assert caught.value.made is None
    assert isinstance(caught.value.recorded, kernel.CallRequested)
    assert "now asks for nothing more" in caught.value.message


def test_a_divergence_cannot_be_swallowed() -> None:
    async def changed() -> None:
        try:
            await op("verify")
        except BaseException:
            pass
        await op("check", "amount")

    case = Driven(purchase)
    with pytest.raises(Divergence):
        case.replayed(changed)


def test_a_bug_in_a_replay_is_a_divergence_that_carries_the_bug() -> None:
    async def changed() -> None:
        await op("check", "amount")
        {}["typo"]

    case = Driven(purchase)
    case.complete("check")
    with pytest.raises(Divergence) as caught:
        case.replayed(changed)
    assert caught.value.halt.code == "bug"
    assert isinstance(caught.value.halt.exception, KeyError)


def test_an_input_that_is_equal_by_value_moves_nobody() -> None:
    async def changed() -> None:
        await op("check", "AMOUNT")  # the rules of these tests ignore case

    case = Driven(purchase)
    case.replayed(changed).close()


def test_a_moved_line_moves_nobody() -> None:
    async def changed() -> None:
        # a comment

        await op("check", "amount")

    Driven(purchase).replayed(changed).close()


def test_a_history_that_does_not_fit_together_is_a_divergence() -> None:
    case = Driven(purchase)
    case.history.append(kernel.CallCompleted(9, 7, b"1", None))
    with pytest.raises(Divergence, match="call 7"):
        case.replayed()


def test_a_spent_instance_takes_nothing_and_only_a_fresh_one_is_replayed() -> None:
    case = Driven(purchase)
    with pytest.raises(kernel.IllegalTransition, match="fresh"):
        case.instance.replay(case.history)
    spent = Instance(program(other_operation), seed=b"")
    with pytest.raises(Divergence):
        spent.replay(case.history)
    with pytest.raises(kernel.IllegalTransition, match="rebuild"):
        spent.advance(kernel.CallCompleted(9, 1, b"1", None))
    spent.close()


# Halts keep what came in (law 4)

BROKEN = True


async def sometimes_broken() -> list[Any]:
    first = await op("a")
    if BROKEN:
        {}["typo"]
    return [first, kernel.now_us(), await op("b")]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(f"{__name__}.BROKEN", True)
    return monkeypatch


def halted(case: Driven) -> kernel.InstanceHalted:
    last = case.history[-1]
    assert isinstance(last, kernel.InstanceHalted)
    return last


def test_a_halt_keeps_its_event_and_a_retry_applies_it_with_its_own_time(broken: pytest.MonkeyPatch) -> None:
    case = Driven(sometimes_broken)
    case.complete("a", 1)
    assert halted(case).kept == 1
    before = case.replayed()
    assert before.state is InstanceState.HALTED
    assert list(before.open_calls) == [1]  # the completion stands unapplied
    before.close()
    broken.setattr(f"{__name__}.BROKEN", False)
    case.retry()
    assert case.asked == ["+b"]
    case.complete("b", 2)
    assert case.result == [1, 3_000_000, 2]
    case.replayed().close()


def test_a_retry_that_halts_again_keeps_all_again(broken: pytest.MonkeyPatch) -> None:
    case = Driven(sometimes_broken)
    case.complete("a", 1)
    case.retry()
    assert halted(case).kept == 1
    assert isinstance(case.history[-2], kernel.Retried)
    case.retry()
    assert case.instance.state is InstanceState.HALTED
    broken.setattr(f"{__name__}.BROKEN", False)
    case.retry()
    assert case.asked == ["+b"]
    case.replayed().close()


def test_a_halted_instance_takes_a_retry_or_an_end_by_force_and_nothing_else(broken: pytest.MonkeyPatch) -> None:
    case = Driven(sometimes_broken)
    case.complete("a", 1)
    for end in (
        kernel.Retried(9),
        kernel.InstanceCancelled(9, "given up", by_program=False),
        kernel.InstanceHalted(9, "x", "", b"", 0),
    ):
        again = case.replayed()
        with pytest.raises(kernel.IllegalTransition, match="halted"):
            again.advance(kernel.CallCompleted(9, 1, b"1", None))
        again.advance(end)
        again.close()


def test_a_halt_that_keeps_nothing_changes_nothing() -> None:
    case = Driven(purchase)
    before = standing(case.instance)
    case.feed(kernel.InstanceHalted(case.tick(), "history-limit", "too long", b"", kept=0))
    assert case.instance.state is InstanceState.HALTED
    case.retry()
    again = standing(case.instance)
    assert again[0] is InstanceState.RUNNING  # type: ignore[index]
    assert again[2:] == before[2:]  # type: ignore[index]


def test_several_kept_events_are_applied_one_after_the_other() -> None:
    async def both() -> list[Any]:
        return list(await asyncio.gather(op("a"), op("b")))

    case = Driven(both)
    first = kernel.CallCompleted(case.tick(), 1, b"1", None)
    second = kernel.CallCompleted(case.tick(), 2, b"2", None)
    case.history += [first, second, kernel.InstanceHalted(case.tick(), "fence", "", b"", kept=2)]
    case.retry()
    assert case.result == [1, 2]


def test_a_host_is_told_of_each_event_of_a_replay_before_it_runs_code() -> None:
    case = purchased()
    told: list[int] = []
    again = Instance(case.program, seed=b"seed")
    again.replay(case.history, before_event=told.append)
    assert told == [n for n, event in enumerate(case.history, 1) if not kernel.is_recorded(event)]
    again.close()
