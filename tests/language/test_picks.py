"""`pick`: what is begun, received or due first decides, once and for all (law 11)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procession import after, kernel, pick
from procession.kernel import CallKind, WorkCall
from procession.language.picking import arrival
from tests.kernel.drive import Declined, Driven, ask, op, rebuild


@arrival
async def message(name: str) -> Any:
    return await op(name)


def work(name: str) -> Any:
    call = ask(name)
    assert isinstance(call, WorkCall)
    return call


def timer(name: str) -> Any:
    return after(f"{ord(name[-1]) - ord('a') + 1} days")


KINDS: dict[str, Callable[[str], Any]] = {"work": work, "message": message, "timer": timer}


class Oracle:
    """What should stand open, and which alternative is taken."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.out: list[str] = []
        self.taken: str | None = None
        self.gone: list[str] = []

    @property
    def open(self) -> list[str]:
        return sorted([self.taken] if self.taken else [name for name in self.names if name not in self.out])

    def happens(self, act: str, name: str) -> None:
        if act in ("fail", "withdraw"):
            self.out.append(name)
        else:
            self.gone = [each for each in self.names if each not in (name, *self.out)]
            self.taken = name


def open_names(driven: Driven, names: list[str]) -> list[str]:
    timers = iter(sorted(name for name in names if name.startswith("timer")))
    return sorted(next(timers) if name == "timer" else name for name in driven.open)


def let_happen(driven: Driven, oracle: Oracle, data: st.DataObject) -> None:
    """Something happens to one of the alternatives, and to the oracle."""
    name = data.draw(st.sampled_from(oracle.open))
    possible = {"timer": ["fire"], "message": ["complete", "fail"], "work": ["start", "complete", "fail", "withdraw"]}
    act = data.draw(st.sampled_from(possible[name.split()[0]]))
    if act == "fire":
        name = min(each for each in oracle.names if each.startswith("timer"))
        driven.fire()
    elif act == "start":
        driven.start(name)
    else:
        getattr(driven, act)(name, name)
    oracle.happens(act, name)


@given(
    offered=st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=5),
    begun=st.lists(st.booleans(), min_size=5, max_size=5),
    data=st.data(),
)
def test_the_first_to_be_begun_or_to_come_is_taken_and_the_others_go_in_the_same_event(
    offered: list[str], begun: list[bool], data: st.DataObject
) -> None:
    """`begun`: the handles that somebody has begun, or completed, before the choice is offered."""
    names = [f"{kind} {'abcde'[place]}" for place, kind in enumerate(offered)]

    async def main() -> Any:
        calls = {name: work(name) for name in names if name.startswith("work")}
        await op("ready")
        try:
            value = await pick([calls[n] if n in calls else KINDS[n.split()[0]](n) for n in names])
        except ExceptionGroup as group:
            return ["none", [str(error).split(": ")[-1] for error in group.exceptions]]
        return ["value", value if isinstance(value, str) else "timer"]

    driven, oracle = Driven(main), Oracle(names)
    early = [name for name, was in zip(names, begun, strict=False) if was and name.startswith("work")]
    for name in early:
        driven.start(name)
    if early and data.draw(st.booleans()):
        driven.complete(early[-1], early[-1])
    driven.complete("ready")
    oracle.taken = early[0] if early else None
    if early:
        not_needed = names[names.index(early[0]) :]
        assert not {f"+{name}" for name in not_needed} & set(driven.asked), "a message is asked for after the choice"
    while oracle.taken is None and oracle.open:
        assert open_names(driven, names) == oracle.open
        let_happen(driven, oracle, data)
        assert sorted(driven.asked) == sorted(f"-{n.split()[0] if 'timer' in n else n}" for n in oracle.gone)
    taken = oracle.taken
    if taken is None:
        assert driven.result == ["none", oracle.out]
        return
    if taken in driven.open:
        assert driven.open == [taken]
        if data.draw(st.booleans()):
            driven.start(taken, "bob")  # it was put back, and somebody else begins it: the choice stands
        driven.complete(taken, taken)
    assert driven.result == ["value", taken.split()[0] if "timer" in taken else taken]


def test_the_error_of_what_was_chosen_is_raised_as_it_is() -> None:
    async def main() -> Any:
        try:
            return await pick(work("a"), work("b"))
        except Declined as declined:
            return str(declined)

    driven = Driven(main)
    driven.start("b")
    driven.fail("b", "cannot be done")
    assert driven.result == "cannot be done"


def test_a_choice_that_is_cancelled_withdraws_what_it_waited_for_and_leaves_the_handles() -> None:
    """Law 52: so one can remind, and offer the same choice again."""

    async def main() -> Any:
        one, other = work("a"), work("b")
        try:
            async with asyncio.timeout(60):
                await pick(one, other, message("m"))
        except TimeoutError:
            await op("remind")
        return await pick(one, other)

    driven = Driven(main)
    driven.fire()
    assert (driven.asked, driven.open) == (["-m", "+remind"], ["a", "b", "remind"])
    driven.start("b")
    driven.complete("remind")
    assert driven.asked == ["-a"]
    driven.complete("b", 1)
    assert driven.result == 1


def test_one_call_given_twice_is_not_withdrawn_by_itself() -> None:
    async def main() -> Any:
        call = work("a")
        return await pick(call, call)

    driven = Driven(main)
    driven.start("a")
    driven.complete("a", 1)
    assert driven.result == 1


def service_call() -> Any:
    return kernel.request(CallKind.SERVICE, "book", b"", decode=bytes, rebuild=rebuild)


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (lambda: pick([]), "nothing to choose from"),
        (lambda: pick(work("a"), op("b")), r"nobody can begin alternative 2, a coroutine of `op`. It takes tasks"),
        (lambda: pick(service_call(), after("1 day")), "alternative 1, the call of the service book"),
        (lambda: pick(work("a"), pick), "alternative 2, <function pick"),  # type: ignore[call-overload]
        (lambda: pick([work("a"), asyncio.sleep(1)]), "a coroutine of `sleep`"),
    ],
)
def test_what_nobody_can_begin_is_refused_with_what_to_write(choice: Callable[[], Any], told: str) -> None:
    async def main() -> Any:
        return await choice()

    driven = Driven(main)
    assert driven.halt is not None and driven.halt.code == "bug"
    assert re.search(told, driven.halt.message), driven.halt.message
