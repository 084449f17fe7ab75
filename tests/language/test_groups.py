"""`each`: a group of work that may grow, with results in the order in which its items were added (law 12)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procession.errors import ProcessFailed, Withdrawn
from procession.kernel import InstanceState
from procession.language.groups import Group, each
from tests.kernel.drive import Declined, Driven, op


async def careful(name: str) -> Any:
    """Work that cleans up after itself, where its name says so."""
    try:
        return await op(name, name)
    finally:
        if name.endswith("!"):
            await op(f"clean {name}")


class Oracle:
    """A group as one would keep it on paper."""

    def __init__(self, items: list[str], *, growing: bool, enough: int | None, collects: bool) -> None:
        self.added = list(items)
        self.working = list(items)
        self.cleaning: dict[str, Any] = {}
        self.results: dict[str, Any] = {}
        self.is_closed = not growing
        self.enough = enough
        self.collects = collects
        self.verdict: list[Any] | None = None

    @property
    def open(self) -> list[str]:
        return sorted([*self.working, *(f"clean {name}" for name in self.cleaning)])

    @property
    def outcome(self) -> list[Any] | None:
        """What awaiting it gives; None while it is not over."""
        if self.open or not self.is_closed:
            return None
        return self.verdict or ["value", [self.results[name] for name in self.added if name in self.results]]

    def happens(self, act: str, name: str) -> None:
        match act:
            case "add":
                self.added.append(name)
                self.working.append(name)
            case "close":
                self.is_closed = True
            case "finish":
                self.is_closed = True
                self._withdraw_rest()
            case "drop":
                self.is_closed = True
                self.verdict = self.verdict or ["withdrawn", "none of it"]
                self._withdraw_rest()
            case "complete" | "fail" | "withdraw" if name.startswith("clean"):
                ending = self.cleaning.pop(name.removeprefix("clean "))
                self._ended(name.removeprefix("clean "), ending if act == "complete" or not ending else (act, name))
            case _:
                self.working.remove(name)
                if name.endswith("!"):
                    self.cleaning[name] = (act, name)
                else:
                    self._ended(name, (act, name))

    def _withdraw_rest(self) -> None:
        for name in self.working:
            if name.endswith("!"):
                self.cleaning[name] = None
        for name in [name for name, ending in self.cleaning.items() if ending]:
            del self.cleaning[name]  # it was cleaning up of its own, and is cancelled in that
        self.working.clear()

    def _ended(self, name: str, ending: tuple[str, str] | None) -> None:
        if ending is None or self.verdict is not None:
            return
        act, told = ending
        if act == "complete":
            self.results[name] = told
        elif self.collects:
            self.results[name] = f"{act} {told}"
        else:
            self.verdict = ["error", f"{act} {told}"]
            self.is_closed = True
            self._withdraw_rest()
            return
        if self.enough is not None and len(self.results) >= self.enough:
            self.is_closed = True
            self._withdraw_rest()


def said(error: object) -> Any:
    if isinstance(error, Withdrawn):
        return f"withdraw {error.message}"
    return f"fail {error}" if isinstance(error, Declined) else error


@given(
    items=st.lists(st.booleans(), max_size=4),
    growing=st.booleans(),
    enough=st.sampled_from([None, None, 1, 2, 3]),
    collects=st.booleans(),
    data=st.data(),
)
def test_a_group_ends_as_the_oracle_says_whatever_ends_and_is_added_when(
    items: list[bool], growing: bool, enough: int | None, collects: bool, data: st.DataObject
) -> None:
    names = (f"{number}{'!' * data.draw(st.booleans())}" for number in range(100))
    first_items = [next(names) for _ in items]

    async def control(group: Group[str, Any]) -> None:
        while True:
            match await op("control"):
                case ["add", name]:
                    group.add(name)
                case ["close", _]:
                    group.close()
                case ["finish", _]:
                    group.complete()
                case _:
                    group.withdraw("none of it")

    async def main() -> list[Any]:
        group = each(
            careful,
            first_items,
            growing=growing,
            until=None if enough is None else lambda results: len(results) >= enough,
            errors="collect" if collects else "raise",  # type: ignore[arg-type]
        )
        controlling = asyncio.create_task(control(group))
        try:
            return ["value", [said(result) for result in await group]]
        except Withdrawn as withdrawn:
            dropped = withdrawn.operation == "a group"
            return ["withdrawn", withdrawn.message] if dropped else ["error", said(withdrawn)]
        except Declined as declined:
            return ["error", said(declined)]
        finally:
            controlling.cancel()

    driven = Driven(main)
    oracle = Oracle(first_items, growing=growing, enough=enough, collects=collects)
    while oracle.outcome is None:
        assert sorted(name for name in driven.open if name != "control") == oracle.open
        possible = [(act, name) for name in oracle.open for act in ("complete", "complete", "fail", "withdraw")]
        possible += [(act, "") for act in ("close", "finish", "drop")]
        if not oracle.is_closed:
            possible += [("add", "")] * 6
        act, name = data.draw(st.sampled_from(possible))
        if name:
            getattr(driven, act)(name, name)
        else:
            name = next(names) if act == "add" else ""
            driven.complete("control", [act, name])
        oracle.happens(act, name)
    assert driven.result == oracle.outcome


def test_results_come_in_the_order_of_the_items_and_nothing_gives_nothing() -> None:
    async def main() -> Any:
        return [await each(op, ["a", "b", "c"]), await each(op, [])]

    driven = Driven(main)
    for name in "cab":
        driven.complete(name, name.upper())
    assert driven.result == [["A", "B", "C"], []]


def test_a_group_begins_at_once_and_stops_beginning_when_it_has_failed() -> None:
    begun: list[str] = []

    async def work(name: str) -> None:
        begun.append(name)
        if name == "bad":
            raise Declined(name)
        await op(name)

    async def main() -> Any:
        group = each(work, ["a", "bad", "never"])
        assert begun == ["a", "bad"]
        try:
            await group
        except Declined as declined:
            return str(declined)

    assert Driven(main, replays=False).result == "bad"


def test_work_may_add_to_its_own_group_and_the_block_is_over_when_nothing_is_left() -> None:
    tree = {"root": ["left", "right"], "left": ["leaf"]}

    async def main() -> Any:
        async def visit(name: str) -> str:
            await op(name)
            for child in tree.get(name, []):
                group.add(child)
            return name

        async with each(visit, growing=True) as group:
            group.add("root")
        assert not group.is_open
        return [group.results, await group]

    driven = Driven(main)
    driven.complete("root")
    assert driven.open == ["left", "right"]
    for name in ("right", "left", "leaf"):
        driven.complete(name)
    assert driven.result == [["root", "left", "right", "leaf"]] * 2


def test_an_error_ends_the_block_and_is_raised_as_it_is() -> None:
    async def main() -> Any:
        try:
            async with each(op, ["a", "b"], growing=True) as group:
                group.add("c")
                await op("block")
        except Declined as declined:
            told = str(declined)
        # The block is over, and so is its cancelling: this may be awaited.
        return [told, await op("on")]

    driven = Driven(main)
    driven.fail("b", "no")
    assert driven.asked == ["-a", "-c", "-block", "+on"]
    driven.complete("on", 1)
    assert driven.result == ["no", 1]


def test_an_error_at_once_inside_the_block_is_raised_at_its_end() -> None:
    async def refusing(name: str) -> None:
        raise Declined(name)

    async def main() -> Any:
        try:
            async with each(refusing, growing=True) as group:
                group.add("a")
        except Declined as declined:
            return [str(declined), await op("on")]

    driven = Driven(main)
    driven.complete("on", 1)
    assert driven.result == ["a", 1]


def test_an_error_of_the_block_withdraws_the_work_and_is_raised() -> None:
    async def main() -> Any:
        try:
            async with each(careful, ["a!"]):
                await op("block")
        except Declined as declined:
            return str(declined)

    driven = Driven(main)
    driven.fail("block", "block")
    assert driven.asked == ["-a!", "+clean a!"]
    driven.complete("clean a!")
    assert driven.result == "block"


def test_a_deadline_around_a_block_is_a_timeout_though_work_fails_in_its_clean_up() -> None:
    async def main() -> Any:
        try:
            async with asyncio.timeout(60), each(careful, ["a!"]):
                await op("block")
        except TimeoutError:
            return "late"

    driven = Driven(main)
    driven.fire()
    assert sorted(driven.asked) == ["+clean a!", "-a!", "-block"]
    driven.fail("clean a!")
    assert driven.result == "late"


def test_a_group_that_its_block_withdraws_ends_the_block_quietly_and_tells_whoever_awaits_it_later() -> None:
    async def main() -> Any:
        async with each(op, ["a"], name="opinions") as group:
            group.withdraw("never mind")
        try:
            return await group
        except Withdrawn as withdrawn:
            return str(withdrawn)

    assert Driven(main).result == "the group opinions failed: never mind"


def test_cancelling_whoever_awaits_a_group_withdraws_it_and_a_shield_keeps_it() -> None:
    async def main() -> Any:
        group, kept = each(op, ["a"]), each(op, ["b"])
        told = []
        for waiting in (asyncio.shield(kept), group):
            try:
                async with asyncio.timeout(60):
                    await waiting
            except TimeoutError:
                told.append(await op("late"))
        return [*told, await kept]

    driven = Driven(main)
    driven.fire()
    driven.complete("late", 1)
    driven.fire()
    assert driven.asked == ["-a", "+late"]
    driven.complete("late", 2)
    driven.complete("b", 3)
    assert driven.result == [1, 2, [3]]


def test_work_that_says_it_is_enough_goes_on_and_counts() -> None:
    async def main() -> Any:
        async def search(name: str) -> str:
            await op(name)
            group.complete()
            await op(f"{name} found")
            return name

        group = each(search, ["a", "b", "c"])
        return await group

    driven = Driven(main)
    driven.complete("b")
    assert driven.asked == ["-a", "-c", "+b found"]
    driven.complete("b found")
    assert driven.result == ["b"]


def test_the_error_of_a_group_that_nobody_awaited_decides_in_the_end() -> None:
    async def main() -> Any:
        each(op, ["a", "b"])
        return await op("c")

    driven = Driven(main)
    driven.fail("a", "unseen")
    driven.complete("c")
    assert driven.instance.state is InstanceState.FAILED
    assert driven.failure.message == "unseen"


def test_an_error_that_the_condition_raises_on_purpose_is_that_of_the_group() -> None:
    def until(results: list[Any]) -> bool:
        raise ProcessFailed(f"{results} is nonsense")

    async def main() -> Any:
        return await each(op, ["a", "b"], until=until)

    driven = Driven(main)
    driven.complete("a", 1)
    assert driven.failure.message == "[1] is nonsense"


async def add_late() -> None:
    group = each(op, [], growing=True)
    group.close()
    group.add("a")


async def add_to_a_fixed_one() -> None:
    each(op, []).add("a")


async def endless() -> None:
    await each(op, [], growing=True)


async def hoped_for(*_: object) -> bool:
    return True


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (add_late, "'a' was added to a group, which is closed. Make it with growing=True"),
        (add_to_a_fixed_one, "before it is closed, complete or withdrawn, which `is_open` tells"),
        (lambda: each(op("a"), ["a"]), "its body is <coroutine object op"),  # type: ignore[call-overload]
        (lambda: each(len, ["a"]), "the body gives 1, which cannot be waited for. Give an operation"),  # type: ignore[call-overload]
        (lambda: each(op, {"a", "b"}), "its items are a set, whose order is left to chance. Write sorted"),
        (lambda: each(op, ["a"], until=hoped_for), "until= is an `async def`"),  # type: ignore[call-overload]
        (lambda: each(op, ["a"], errors="drop"), "errors='drop'"),  # type: ignore[call-overload]
        (lambda: each(op, ["a"], name=" "), "The group ' ' begins or ends with a blank"),
    ],
)
def test_what_cannot_be_a_group_halts_with_what_to_write(use: Callable[[], Any], told: str) -> None:
    async def main() -> Any:
        return await use()

    driven = Driven(main)
    assert driven.halt is not None and driven.halt.code == "bug", driven.open
    assert re.search(told, driven.halt.message), driven.halt.message


def test_a_group_that_nobody_can_close_halts_as_stuck() -> None:
    halt = Driven(endless).halt
    assert halt is not None and halt.code == "stuck"
