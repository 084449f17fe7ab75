"""`first` and `n_of`: in the order in which alternatives end, whatever their number and depth (law 10)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procession import first
from procession.control import n_of
from procession.errors import ProcessFailed
from procession.kernel import InstanceState
from tests.kernel.drive import Declined, Driven, ask, op
from tests.language.races import CATCHABLE, Call, Careful, Chain, Model, Plan, Race, perform, told


def named(shape: Any, names: Any) -> Plan:
    """A shape with a name for each call, in the order of reading."""
    kind, *rest = shape
    if kind == "call":
        return Call(f"c{next(names)}")
    if kind == "careful":
        return Careful(named(rest[0], names), f"clean{next(names)}")
    parts = tuple(named(part, names) for part in rest[-1])
    return Chain(parts) if kind == "chain" else Race(1 + rest[0] % len(parts), rest[1], parts)


def shapes() -> st.SearchStrategy[Any]:
    def around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        parts = st.lists(inner, min_size=1, max_size=4)
        race = st.tuples(st.just("race"), st.integers(0, 3), st.sampled_from(["withdraw", "continue"]), parts)
        return st.one_of(race, race, st.tuples(st.just("chain"), parts), st.tuples(st.just("careful"), inner))

    return st.recursive(st.just(("call",)), around, max_leaves=12)


@given(shape=shapes(), data=st.data())
def test_a_race_of_races_ends_as_the_oracle_says_whatever_ends_first(shape: Any, data: st.DataObject) -> None:
    """Every event is followed by a replay from nothing, which must stand where the live instance stands."""
    plan = named(("race", 1, "withdraw", [shape, ("chain", [("call",), shape])]), iter(range(1000)))

    async def main() -> list[Any]:
        try:
            return ["value", await perform(plan)]
        except CATCHABLE as error:
            return ["error", told(error)]

    driven, model = Driven(main), Model(plan)
    while model.open:
        assert sorted(driven.open) == sorted(model.open)
        name = data.draw(st.sampled_from(sorted(model.open)))
        match data.draw(st.sampled_from(["complete", "complete", "fail", "withdraw"])):
            case "complete":
                driven.complete(name, name)
                model.end(name, ("value", None if name.startswith("clean") else name))
            case "fail":
                driven.fail(name, f"{name} failed")
                model.end(name, ("error", [f"{name} failed"]))
            case _:
                driven.withdraw(name, f"{name} taken away")
                model.end(name, ("error", [f"{name} taken away"]))
    assert model.outcome is not None
    assert driven.result == list(model.outcome)


@given(
    waits=st.lists(st.sampled_from(["now", "refuses", "a", "b"]), min_size=1, max_size=8),
    k=st.integers(1, 8),
    rest=st.sampled_from(["withdraw", "continue"]),
    order=st.permutations(["a", "b"]),
    fails=st.sampled_from([None, "a", "b"]),
)
def test_alternatives_that_end_in_one_event_are_ranked_by_who_waited_first(
    waits: list[str], k: int, rest: Any, order: list[str], fails: str | None
) -> None:
    k = min(k, len(waits))
    after_the_end: list[int] = []

    async def main() -> Any:
        shared = {name: ask(name) for name in "ab"}

        async def alternative(number: int, wait: str) -> int:
            if wait == "refuses":
                raise Declined(str(number))
            if wait != "now":
                await shared[wait]
            after_the_end.append(number)
            return number

        try:
            return await n_of(k, [alternative(*each) for each in enumerate(waits)], rest=rest)
        except ExceptionGroup as group:
            return [str(error) for error in group.exceptions]

    ended = [n for n, wait in enumerate(waits) if wait in ("now", "refuses")]
    ended += [n for name in order for n, wait in enumerate(waits) if wait == name]
    values: list[list[int]] = []
    errors = []
    for number in ended:
        if len(values) == k or len(errors) > len(waits) - k:
            break
        if waits[number] in ("refuses", fails):
            errors.append(str(number) if waits[number] == "refuses" else "no")
        else:
            values.append([number, number])
    driven = Driven(main, replays=False)
    for name in order:
        if name in driven.open:
            driven.fail(name) if name == fails else driven.complete(name)
    assert driven.result == (values if len(values) == k else errors)
    if rest == "withdraw" and len(values) == k:
        eager = sum(wait == "now" for wait in waits)
        assert len(after_the_end) == max(eager, k), "an alternative went on after the race was decided"


def test_first_gives_the_value_alone_and_withdraws_the_others_in_the_same_event() -> None:
    async def main() -> Any:
        value = await first(op("a"), op("b"), op("c"))
        return [value, await op("d")]

    driven = Driven(main)
    driven.complete("b", "B")
    assert driven.asked == ["-a", "-c", "+d"]
    driven.complete("d", "D")
    assert driven.result == ["B", "D"]


def test_an_error_is_out_of_the_race_and_only_errors_are_a_group_in_the_order_in_which_they_came() -> None:
    async def main() -> Any:
        try:
            return await first([op("a"), op("b"), op("c")])
        except ExceptionGroup as group:
            return [str(group), *map(str, group.exceptions)]

    driven = Driven(main)
    driven.fail("c", "C")
    driven.fail("a", "A")
    driven.fail("b", "B")
    assert driven.result == ["first(): too few of 3 gave a value (3 sub-exceptions)", "C", "A", "B"]


def test_what_goes_on_keeps_the_instance_open_and_its_error_is_nobodys_concern(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> Any:
        return await first([op("a"), op("b"), failing()], rest="continue")

    async def failing() -> None:
        await op("c")
        raise ProcessFailed("on purpose")

    driven = Driven(main)
    driven.complete("a", 1)
    assert (driven.instance.state, driven.open) == (InstanceState.RUNNING, ["b", "c"])
    driven.fail("b")
    caplog.clear()
    with caplog.at_level("INFO", logger="procession.process"):
        driven.complete("c")
    assert driven.result == 1
    assert [record.getMessage() for record in caplog.records] == [
        "first(): an alternative that went on ended with ProcessFailed: on purpose"
    ]


def test_a_race_that_is_cancelled_withdraws_all_and_is_over_when_their_clean_up_is() -> None:
    async def careful() -> None:
        try:
            await op("b")
        finally:
            await op("undo")

    async def main() -> Any:
        try:
            async with asyncio.timeout(60):
                await first([op("a"), careful()], rest="continue")
        except TimeoutError:
            return await op("late")

    driven = Driven(main)
    driven.fire()
    assert driven.asked == ["-a", "-b", "+undo"]
    driven.complete("undo")
    assert driven.asked == ["+late"]


def test_a_cancelled_race_waits_for_clean_up_though_an_alternative_gives_a_value_nevertheless() -> None:
    async def careful() -> None:
        try:
            await op("a")
        finally:
            await op("undo")

    async def stubborn() -> str:
        try:
            return str(await op("b"))
        except asyncio.CancelledError:
            return "nevertheless"

    async def main() -> Any:
        try:
            async with asyncio.timeout(60):
                await first([careful(), stubborn()], rest="continue")
        except TimeoutError:
            return "late"

    driven = Driven(main)
    driven.fire()
    assert driven.open == ["undo"]
    driven.complete("undo")
    assert driven.result == "late"


def test_a_bug_in_an_alternative_halts_and_withdraws_nothing() -> None:
    async def broken() -> None:
        await op("a")
        raise KeyError("typo")

    async def main() -> Any:
        return await first(broken(), op("b"))

    driven = Driven(main)
    driven.complete("a")
    assert driven.halt is not None and driven.halt.code == "bug"
    assert driven.outcome.commands == ()


def test_an_alternative_that_cancels_itself_is_out_as_withdrawn() -> None:
    async def leaving() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("of its own")
        await op("never")

    async def main() -> Any:
        try:
            return await first([leaving()])
        except ExceptionGroup as group:
            return [repr(error) for error in group.exceptions]

    assert Driven(main).result == ["Withdrawn('first() failed: of its own')"]


def test_a_handle_that_lost_stays_open_until_its_own_branch_ends() -> None:
    """Law 52: a race withdraws what its alternatives asked for, not what was asked for before."""

    async def main() -> Any:
        handle = ask("a")
        value = await first(handle, op("b"))
        return [value, await handle]

    driven = Driven(main)
    driven.complete("b", 2)
    assert driven.open == ["a"]
    driven.complete("a", 1)
    assert driven.result == [2, 1]


@pytest.mark.parametrize(
    ("race", "told"),
    [
        (lambda: first([]), r"first\(\): there is nothing to wait for. Ask before"),
        (lambda: n_of(1, []), "nothing to wait for"),
        (lambda: n_of(0, [op("a")]), r"n_of\(0, …\): 0 of 1 cannot be had. Ask for a number from 1 to 1"),
        (lambda: n_of(3, [op("a"), op("b")]), "3 of 2 cannot be had"),
        (lambda: first({op("a"), op("b")}), "the order of a set is left to chance. Give a list"),
        (lambda: n_of(True, [op("a")]), "True of 1 cannot be had"),
        (lambda: first(op("a"), op("b"), rest="wait"), "rest='wait'"),  # type: ignore[call-overload]
        (lambda: first(op, op("b")), r"Number 1 of what first\(\) was given cannot be waited for: <function op"),  # type: ignore[call-overload]
    ],
)
def test_what_cannot_be_a_race_halts_with_what_to_do_and_asks_for_nothing(race: Callable[[], Any], told: str) -> None:
    async def main() -> Any:
        return await race()

    driven = Driven(main)
    assert driven.halt is not None and driven.halt.code == "bug"
    assert re.search(told, driven.halt.message), driven.halt.message
    assert driven.outcome.commands == ()
